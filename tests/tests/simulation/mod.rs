//! The whole system in one thread: real device code, real host library, and a world that fails.
//!
//! One seed draws the clock, the faults of cable and flash, power cuts, and what an operator and a
//! stranger do. `board` is the device's world, `wires` the cable, `operator` with its `errand`s the
//! host, `catalog` what there is to send; `gate`, `ledger` and `checker` judge every round. After
//! the given rounds all faults end, and the newest bundle must go in and open the gate.

pub mod board;
pub mod camera;
pub mod catalog;
pub mod checker;
pub mod errand;
pub mod gate;
pub mod ledger;
pub mod memory;
pub mod operator;
pub mod seen;
pub mod stranger;
pub mod trace;
pub mod wires;

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use gradgate_bundle::align::Aligned;
use gradgate_bundle::keys::from_seed;
use gradgate_device::board::Description;
use gradgate_device::device::{CameraMemory, Device, End, Memory, Setup};
use gradgate_device::flash::{Flash, Layout, Region};
use gradgate_device::log::Reset;
use gradgate_device::settings::{Given, Name, Settings};
use gradgate_device::sim::{Rates, SIM_CLASS, SimFlash, Torn, sim_key};
use gradgate_device::watch::Watch;
use gradgate_link::channel::{Faults, Random};

use board::{Chip, SimBoard, Supply};
use camera::SimCamera;
use catalog::{ARENA_ELEMENTS, CAMERA, FRAME_BYTES, IMAGE_BYTES_MAX};
use checker::Checker;
use memory::Memory as Ram;
use operator::{Act, Operator, link_key};
pub use seen::Seen;
use stranger::Stranger;
use trace::Trace;
use wires::Cable;

/// Rounds that the healthy end may take.
const FINISH_ROUNDS: u64 = 30_000;

/// A device that is broken, for tests of the checker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// It is not.
    #[default]
    None,
    /// After two seconds the pin is OPEN whatever is set.
    StuckPin,
    /// The pin's timer does nothing, and the event loop stands still at times.
    NoTimer,
    /// The lease is longer than the bundle says.
    LongLease,
    /// Some bytes of the port are lost without a word.
    LostBytes,
    /// The watchdog is not fed after two seconds.
    Starved,
    /// After a power cut the flash is as it was long before.
    OldFlash,
    /// Some words of a slot are wrong, and read as they should be until power is cut.
    LyingFlash,
    /// Every start counts as the first.
    SameBoot,
    /// It takes bundles of another signer.
    OtherTrust,
    /// Bits of the bundle in use change, and it looks elsewhere.
    OtherBytes,
    /// It enforces where its bundle says monitor, and the other way round.
    OtherMode,
    /// It judges frames however old they are.
    NoAge,
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Draws everything.
    pub seed: u64,
    /// Rounds of the event loop before all faults end.
    pub rounds: u64,
    /// Print what happens.
    pub verbose: bool,
    /// How the device is broken.
    pub flaw: Flaw,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Of everything that happened.
    pub hash: u64,
    /// What was seen.
    pub seen: Seen,
    /// The first promise that was broken.
    pub broken: Option<String>,
}

/// Word, sector of the journal, sector of a slot, sectors of each slot.
const LAYOUTS: [(u32, u32, u32, [u32; 2]); 5] = [
    (32, 1024, 2048, [5, 4]),
    (32, 8192, 8192, [1, 1]),
    (16, 512, 1024, [8, 9]),
    (8, 4096, 4096, [2, 2]),
    (4, 512, 512, [16, 16]),
];

fn layout(random: &mut Random) -> Layout {
    let (word, journal, slot, sectors) = LAYOUTS[random.below(5) as usize];
    let region = |address, sector_bytes, sectors| Region { address, sector_bytes, sectors };
    let first = 2 * journal.next_multiple_of(slot);
    let slots =
        [region(first, slot, sectors[0]), region(first + sectors[0] * slot, slot, sectors[1])];
    let erased = if random.below(4) == 0 { 0 } else { 0xFF };
    let settings = slots[1].address + slots[1].bytes();
    let settings = settings.next_multiple_of(journal);
    let pair = |address| [region(address, journal, 1), region(address + journal, journal, 1)];
    Layout::new(word, erased, pair(0), slots)
        .and_then(|layout| layout.with_settings(pair(settings)))
        .expect("a layout that works")
}

/// Gives the device its name and keys, as in a factory.
fn provision(flash: &mut SimFlash, layout: &Layout, flaw: Flaw) {
    let signer = match flaw {
        Flaw::OtherTrust => from_seed(&[9; 32]),
        _ => sim_key(),
    };
    let mut settings = Settings::open(flash, layout, 1);
    let name = Name::new("simulated").expect("short");
    let signer = signer.verifying_key().to_bytes();
    let given = Given { name, signer, link_key: link_key(0) };
    settings.provision(flash, given).expect("flash without faults");
}

fn faults(random: &mut Random) -> Faults {
    let none = Faults::default();
    let light = Faults { drop: 0.01, duplicate: 0.01, reorder: 0.01, flip: 1e-5, ..none };
    match random.below(4) {
        0 => none,
        1 => light,
        2 => Faults { delay_ms: 20, duplicate: 0.1, reorder: 0.1, ..none },
        _ => Faults {
            drop: 0.08,
            flip: 1e-4,
            burst: 0.02,
            truncate: 0.02,
            glue: 0.02,
            zero: 0.02,
            delay_ms: 9,
            ..light
        },
    }
}

/// The world around one device, from its first start to its last.
struct World {
    options: Options,
    random: Random,
    layout: Layout,
    flash: Rc<RefCell<SimFlash>>,
    old_flash: Option<SimFlash>,
    supply: Rc<Supply>,
    cable: Cable,
    operator: Operator,
    stranger: Stranger,
    checker: Checker,
    trace: Trace,
    memory: Ram,
    erase_us: u64,
    /// Whether there is a camera, and how many of its frames are faulty.
    camera: bool,
    faulty: f64,
    /// Host time at the device's start, in microseconds.
    base_us: u64,
    boots: u32,
    finishing: bool,
    over: bool,
    rounds: u64,
    broken: Option<String>,
}

/// Runs one seed.
pub fn simulate(options: &Options) -> Report {
    let mut world = World::new(*options);
    while world.broken.is_none() && !world.over {
        world.boot();
    }
    world.report()
}

impl World {
    fn new(options: Options) -> World {
        let mut random = Random::new(options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 7);
        let layout = layout(&mut random);
        let mut flash = SimFlash::new(&layout, random.bits());
        provision(&mut flash, &layout, options.flaw);
        if random.below(4) == 0 {
            flash.rates = Rates { read: 3, flip: 3, program: 30, erase: 3000 };
        }
        let fails = flash.rates.read > 0;
        let flash = Rc::new(RefCell::new(flash));
        let stalls = random.below(2) == 0 || options.flaw == Flaw::NoTimer;
        let supply = Supply::new(random.bits(), if stalls { 3000 } else { 0 }, 120_000);
        let cable = Cable::new(random.bits(), faults(&mut random));
        let mut checker = Checker::new(layout, Rc::clone(&flash), options.flaw);
        checker.flash_fails = fails;
        World {
            options,
            layout,
            flash,
            old_flash: None,
            supply,
            cable,
            operator: Operator::new(random.bits()),
            stranger: Stranger::new(random.bits()),
            checker,
            trace: Trace::new(options.verbose),
            memory: Ram::new(),
            erase_us: [500, 5_000, 30_000][random.below(3) as usize],
            camera: random.below(2) == 0,
            faulty: [0.0, 0.05, 0.3][random.below(3) as usize],
            base_us: 0,
            boots: 0,
            finishing: false,
            over: false,
            rounds: 0,
            broken: None,
            random,
        }
    }

    fn setup(&self) -> Setup {
        Setup {
            description: Description {
                board: "simulated",
                firmware: "0",
                serial: [7; 16],
                reset: Reset::Power,
                erase_us_max: self.erase_us as u32,
                camera: CAMERA,
                age_periods: 2,
            },
            layout: self.layout,
            device_class: SIM_CLASS,
            counter_floor: 0,
            arena_bytes_max: 4 * ARENA_ELEMENTS as u32,
            seed: 1,
        }
    }

    /// From power on to power off.
    fn boot(&mut self) {
        self.boots += 1;
        self.restore();
        self.checker.restart();
        let mut bundle = Box::new(Aligned([0; IMAGE_BYTES_MAX]));
        let (mut arena, mut frame) = (vec![0.0; ARENA_ELEMENTS], vec![0; FRAME_BYTES]);
        let (mut line, mut row, mut sums) = ([0; 64], [0; 64], [0; 64]);
        let mut evidence = vec![0; 2048];
        self.memory.bundle = bundle.0.as_ptr().addr();
        self.memory.arena = arena.as_ptr().addr();
        let memory = Memory {
            bundle: &mut bundle.0,
            arena: &mut arena,
            camera: CameraMemory {
                line: &mut line,
                row: &mut row,
                sums: &mut sums,
                frame: &mut frame,
            },
            evidence: &mut evidence,
        };
        let faulty = if self.finishing { 0.0 } else { self.faulty };
        let camera = SimCamera::new(self.random.bits(), self.camera, faulty);
        let board = SimBoard::new(Rc::clone(&self.supply), camera, self.options.flaw);
        let chip = Chip {
            flash: Rc::clone(&self.flash),
            supply: Rc::clone(&self.supply),
            erase_us: self.erase_us,
            flaw: self.options.flaw,
            lies: HashMap::new(),
        };
        self.trace.say(self.base_us, || format!("start {}", self.boots));
        let mut device = Device::start(board, chip, self.setup(), memory);
        let mut end = End::Stopped;
        if !self.supply.is_dead() {
            match self.checker.started(device.slots()) {
                Ok(()) => {
                    let run = || device.run(|board, watch| self.round(board, watch));
                    match catch_unwind(AssertUnwindSafe(run)) {
                        Ok(ended) => end = ended,
                        Err(_) => self.crashed(),
                    }
                }
                Err(broken) => self.broken = Some(broken),
            }
        }
        self.stopped(end);
    }

    fn stopped(&mut self, end: End) {
        if end == End::Reboot && !self.supply.is_dead() && self.broken.is_none() {
            self.checker.seen.reboots += 1;
            self.broken = self.checker.rebooted().err();
        }
        if self.supply.is_dead() {
            self.checker.seen.cuts += 1;
            self.checker.seen.flash_cuts += u64::from(self.flash.borrow().is_dead());
        }
        self.trace.say(self.base_us + self.supply.now_us(), || format!("stop {end:?}"));
        self.cable.device_stopped();
        self.base_us += self.supply.now_us() + 20_000;
        self.supply.restart();
    }

    /// What flash holds when power is back.
    fn restore(&mut self) {
        let mut flash = self.flash.borrow_mut();
        if self.options.flaw == Flaw::OldFlash && self.boots > 1 {
            if self.boots.is_multiple_of(3)
                && let Some(old) = &self.old_flash
            {
                *flash = old.clone();
            }
            self.old_flash.get_or_insert_with(|| flash.clone());
        }
        flash.restart();
        if self.options.flaw == Flaw::SameBoot {
            let rates = std::mem::take(&mut flash.rates);
            for sector in self.layout.settings().expect("a place for settings") {
                flash.erase(sector.address, sector.sector_bytes).expect("no faults");
            }
            provision(&mut flash, &self.layout, self.options.flaw);
            flash.rates = rates;
        }
        if !self.finishing && self.random.below(4) == 0 {
            let torn = Torn::ALL[self.random.below(7) as usize];
            flash.cut_at(self.random.below(40), torn);
        }
    }

    fn now_us(&self) -> u64 {
        self.base_us + self.supply.now_us()
    }

    /// After each round of the event loop; whether it goes on.
    fn round(&mut self, board: &mut SimBoard, watch: &Watch<'_>) -> bool {
        if self.supply.is_dead() {
            return false;
        }
        match self.turn(board, watch) {
            Ok(goes_on) => goes_on,
            Err(broken) => {
                self.trace.say(self.now_us(), || format!("BROKEN: {broken}"));
                self.broken = Some(broken);
                false
            }
        }
    }

    fn turn(&mut self, board: &mut SimBoard, watch: &Watch<'_>) -> Result<bool, String> {
        self.rounds += 1;
        self.checker.round(board, watch)?;
        let now_ms = self.now_us() / 1000;
        let said = std::mem::take(&mut board.from_device);
        self.trace.mark(&[self.now_us(), u64::from(board.is_open()), said.len() as u64]);
        self.trace.bytes(&said);
        let checker = &mut self.checker;
        let mut wrong = Ok(());
        self.cable.wrote(now_ms, &said, |frame| {
            let result = checker.device_sent(frame);
            wrong = std::mem::replace(&mut wrong, Ok(())).and(result);
        });
        wrong?;
        let until_ms = self.host(now_ms)?;
        let arrived = self.cable.at_device(now_ms);
        self.trace.bytes(&arrived);
        board.arrive(&arrived);
        if !self.act(board, now_ms) {
            return Ok(false);
        }
        if !self.finishing && self.random.below(1500) == 0 {
            // In the middle of whatever the operator does.
            let ms = 1 + self.random.below(1400);
            self.trace.say(self.now_us(), || format!("the cable is out for {ms} ms"));
            self.cable.pull(now_ms + ms);
        }
        self.flip();
        let busy = !said.is_empty() || !board.to_device.is_empty();
        self.pass(board, busy, until_ms);
        self.checker.pin(board)?;
        self.advance_phase()
    }

    /// The host's turn; until when it waits.
    fn host(&mut self, now_ms: u64) -> Result<u64, String> {
        let arrived = self.cable.at_host(now_ms);
        self.operator.receive(&arrived, now_ms);
        let Self { operator, cable, checker, stranger, .. } = self;
        let until_ms = operator.poll(now_ms, &mut |frame| {
            checker.host_sent(frame);
            stranger.hear(frame);
            cable.send(now_ms, frame);
        })?;
        for (name, end, item) in std::mem::take(&mut self.operator.ended) {
            self.trace.say(self.base_us + self.supply.now_us(), || format!("{name}: {end:?}"));
            if let (errand::End::Done, Some(item)) = (end, item) {
                self.checker.uploaded(item)?;
            }
            if self.finishing && end == errand::End::GivenUp {
                return Err(format!("{name} was given up on a device that is well"));
            }
        }
        Ok(until_ms)
    }

    /// What happens besides; `false` when power fails at once.
    fn act(&mut self, board: &mut SimBoard, now_ms: u64) -> bool {
        let mut goes_on = true;
        for act in std::mem::take(&mut self.operator.acts) {
            self.trace.say(self.now_us(), || format!("{act:?}"));
            match act {
                Act::PowerCut => {
                    self.supply.fail();
                    goes_on = false;
                }
                Act::CutAt(operation, torn) => {
                    self.flash.borrow_mut().cut_at(operation, torn);
                }
                Act::Pull(ms) => self.cable.pull(now_ms + ms),
                Act::Garbage(_) | Act::Replay(_) | Act::WrongKey(_) => {
                    let bytes = self.stranger.act(act);
                    self.checker.seen.strange += 1;
                    board.arrive(&bytes);
                }
            }
        }
        goes_on
    }

    /// Time goes on: little while something happens, more while all wait.
    fn pass(&mut self, board: &SimBoard, busy: bool, until_ms: u64) {
        let short_us = 100 + self.random.below(200);
        let now_us = self.now_us();
        let camera_us = board.camera.next_us(self.supply.now_us());
        let camera_us = camera_us.map_or(u64::MAX, |at_us| at_us + self.base_us);
        let next_ms = self.cable.next_ms().unwrap_or(u64::MAX).min(until_ms);
        let next_us = next_ms.saturating_mul(1000).min(camera_us);
        let idle_us = next_us.saturating_sub(now_us).min(3000);
        self.supply.advance(if busy { short_us } else { idle_us.max(short_us) });
    }

    /// Whether the device goes on: no, when the faults end, and when all is done.
    fn advance_phase(&mut self) -> Result<bool, String> {
        if !self.finishing {
            if self.rounds < self.options.rounds {
                return Ok(true);
            }
            self.trace.say(self.base_us, || "all faults end".into());
            self.finishing = true;
            self.checker.seen.link_faults = self.cable.faults();
            self.cable = Cable::new(0, Faults::default());
            self.flash.borrow_mut().rates = Rates::default();
            self.checker.flash_fails = false;
            self.operator.finish();
            return Ok(false);
        }
        if self.operator.is_finished() {
            self.over = true;
            return self.checker.finished().map(|()| false);
        }
        match self.rounds > self.options.rounds + FINISH_ROUNDS {
            true => Err("a device that is well does not take the newest bundle".into()),
            false => Ok(true),
        }
    }

    fn report(self) -> Report {
        let ends = self.operator.ends;
        let seen = Seen {
            rounds: self.rounds,
            flash_operations: self.flash.borrow().operations(),
            done: ends.done,
            refused: ends.refused,
            given_up: ends.given_up,
            fell_back: ends.fell_back,
            ..self.checker.seen
        };
        Report { hash: self.trace.hash(), seen, broken: self.broken }
    }
}
