//! The simulated board: one clock, flash that takes time and loses power, a pin with its own timer.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use gradgate_device::board::{Board, Level};
use gradgate_device::flash::{Flash, FlashError};
use gradgate_device::sim::SimFlash;
use gradgate_link::channel::Random;

use super::Flaw;
use super::camera::SimCamera;

/// Bytes that the port holds before the device takes them; more are lost.
const PORT_BYTES: usize = 4096;
/// Bytes that the port takes at once.
const WRITE_BYTES: usize = 100;

/// Where a lying flash begins to lie: behind every journal.
const LYING_FROM: u32 = 20_480;

/// Time and power, which flash and board share.
pub struct Supply {
    now_us: Cell<u64>,
    dead: Cell<bool>,
    /// One call in so many stands still; 0: none.
    stall_every: u64,
    stall_us: u64,
    random: RefCell<Random>,
}

impl Supply {
    /// Power is on.
    pub fn new(seed: u64, stall_every: u64, stall_us: u64) -> Rc<Supply> {
        let random = RefCell::new(Random::new(seed));
        Rc::new(Supply {
            now_us: Cell::new(0),
            dead: Cell::new(false),
            stall_every,
            stall_us,
            random,
        })
    }

    /// Device time: starts anew with every start of the device.
    pub fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    /// Lets time pass.
    pub fn advance(&self, us: u64) {
        self.now_us.set(self.now_us.get() + us);
    }

    /// Another start.
    pub fn restart(&self) {
        self.now_us.set(0);
        self.dead.set(false);
    }

    /// Power is gone: nothing that the device does from here on is seen.
    pub fn fail(&self) {
        self.dead.set(true);
    }

    /// Whether power is gone.
    pub fn is_dead(&self) -> bool {
        self.dead.get()
    }

    /// A moment passes; sometimes a long one.
    fn tick(&self) -> u64 {
        let mut random = self.random.borrow_mut();
        let stalls = self.stall_every > 0 && random.below(self.stall_every) == 0;
        let long = if stalls { random.below(self.stall_us) } else { 0 };
        self.advance(1 + long);
        self.now_us()
    }
}

/// The flash as the device holds it.
pub struct Chip {
    /// What the simulation looks into.
    pub flash: Rc<RefCell<SimFlash>>,
    /// Time and power.
    pub supply: Rc<Supply>,
    /// Time of an erase, in microseconds.
    pub erase_us: u64,
    /// How it is broken.
    pub flaw: Flaw,
    /// What reads otherwise than it lies there.
    pub lies: HashMap<u32, Vec<u8>>,
}

impl Chip {
    fn after<T>(&self, us: u64, result: Result<T, FlashError>) -> Result<T, FlashError> {
        self.supply.advance(us);
        if self.flash.borrow().is_dead() {
            self.supply.fail();
        }
        result
    }
}

impl Flash for Chip {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let result = self.flash.borrow_mut().read(address, bytes);
        for (&place, word) in &self.lies {
            let first = place.checked_sub(address).map(|first| first as usize);
            if let Some(lying) = first.and_then(|first| bytes.get_mut(first..first + word.len())) {
                lying.copy_from_slice(word);
            }
        }
        self.after(1, result)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let mut wrong = bytes.to_vec();
        self.lies.remove(&address);
        if self.flaw == Flaw::LyingFlash && address >= LYING_FROM && address.is_multiple_of(1024) {
            self.lies.insert(address, bytes.to_vec());
            wrong[0] ^= 1;
        }
        let result = self.flash.borrow_mut().program(address, &wrong);
        self.after(20, result)
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        let result = self.flash.borrow_mut().erase(address, length);
        self.after(self.erase_us, result)
    }
}

/// A call of the pin, with the time that the device was told last.
#[derive(Clone, Copy, Debug)]
pub struct PinCall {
    /// Device time.
    pub now_us: u64,
    /// What was set.
    pub level: Level,
}

/// The board.
pub struct SimBoard {
    /// Time and power.
    pub supply: Rc<Supply>,
    /// Bytes that wait for the device.
    pub to_device: VecDeque<u8>,
    /// Bytes that nobody took yet.
    pub from_device: Vec<u8>,
    /// Bytes lost as the port was full.
    pub overflow: u64,
    /// Calls of the pin since the simulation looked.
    pub pins: Vec<PinCall>,
    /// Feedings of the watchdog since the simulation looked.
    pub fed: u32,
    /// What the pin was set to last.
    level: Option<Level>,
    told_us: u64,
    flaw: Flaw,
    writes: u64,
    /// The camera.
    pub camera: SimCamera,
    /// When bytes of the link were taken last.
    pub read_us: u64,
}

impl SimBoard {
    /// Before the first instruction.
    pub fn new(supply: Rc<Supply>, camera: SimCamera, flaw: Flaw) -> SimBoard {
        SimBoard {
            supply,
            to_device: VecDeque::new(),
            from_device: Vec::new(),
            overflow: 0,
            pins: Vec::new(),
            fed: 0,
            level: None,
            told_us: 0,
            flaw,
            writes: 0,
            camera,
            read_us: 0,
        }
    }

    /// Bytes arrive at the port.
    pub fn arrive(&mut self, bytes: &[u8]) {
        let room = PORT_BYTES.saturating_sub(self.to_device.len()).min(bytes.len());
        self.overflow += (bytes.len() - room) as u64;
        self.to_device.extend(&bytes[..room]);
    }

    /// Whether the pin is OPEN now; a board without power has it closed.
    pub fn is_open(&self) -> bool {
        let now_us = self.supply.now_us();
        match self.level {
            _ if self.supply.is_dead() => false,
            _ if self.flaw == Flaw::StuckPin && now_us > 2_000_000 => true,
            Some(Level::Open { .. }) if self.flaw == Flaw::NoTimer => true,
            Some(Level::Open { until_us }) => now_us < until_us,
            Some(Level::Idle | Level::Closed) | None => false,
        }
    }
}

impl Board for SimBoard {
    type Camera = SimCamera;

    fn camera(&mut self) -> &mut SimCamera {
        &mut self.camera
    }

    fn now_us(&mut self) -> u64 {
        self.told_us = self.supply.tick();
        self.told_us
    }

    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.to_device.len());
        if count > 0 {
            self.read_us = self.told_us;
        }
        bytes.iter_mut().zip(self.to_device.drain(..count)).for_each(|(to, from)| *to = from);
        count
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(WRITE_BYTES);
        self.writes += 1;
        let lost = self.flaw == Flaw::LostBytes && self.writes.is_multiple_of(64);
        if !self.supply.is_dead() && !lost {
            self.from_device.extend(&bytes[..count]);
        }
        count
    }

    fn set_pin(&mut self, level: Level) {
        if !self.supply.is_dead() {
            self.level = Some(level);
            self.pins.push(PinCall { now_us: self.told_us, level });
        }
    }

    fn feed_watchdog(&mut self) {
        if self.flaw != Flaw::Starved || self.told_us < 2_000_000 {
            self.fed += 1;
        }
    }
}
