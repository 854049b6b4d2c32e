//! Settings over power cuts: no link key comes back after a newer one was acknowledged, and no boot
//! number is given out twice with one key.

use std::collections::HashSet;

use gradgate_device::flash::{Layout, Region};
use gradgate_device::journal::Health;
use gradgate_device::settings::{Given, Name, Settings, SettingsError};
use gradgate_device::sim::{Broken, SimFlash, Torn, sim_key};

const SEED: u32 = 100;
/// Of how many cuts one is made: fewer where the target is emulated, which shows nothing of flash.
const ONE_OF: usize = if cfg!(target_arch = "x86_64") { 1 } else { 11 };

fn layout(word: u32, erased: u8, sector_bytes: u32) -> Layout {
    let region = |index| Region { address: index * sector_bytes, sector_bytes, sectors: 1 };
    Layout::new(word, erased, [region(0), region(1)], [region(2), region(3)])
        .expect("a layout that works")
        .with_settings([region(4), region(5)])
        .expect("sectors of their own")
}

/// The `number`th of the keys that a device is given one after the other.
fn given(number: u8) -> Given {
    Given {
        name: Name::new(&format!("dock {number}")).expect("short"),
        signer: sim_key().verifying_key().to_bytes(),
        link_key: [number; 32],
    }
}

/// 0 for the key that everybody knows.
fn number(settings: &Settings) -> u8 {
    settings.given().map_or(0, |given| given.link_key[0])
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Start,
    Provision(u8),
}

/// Twice through both sectors of 512 bytes.
const SCRIPT: [Step; 10] = [
    Step::Start,
    Step::Provision(1),
    Step::Start,
    Step::Start,
    Step::Provision(2),
    Step::Provision(3),
    Step::Start,
    Step::Start,
    Step::Start,
    Step::Start,
];

/// What was seen so far.
#[derive(Clone, Default)]
struct Witness {
    used: HashSet<(u8, u32)>,
    acknowledged: u8,
    asked: u8,
}

impl Witness {
    fn start(&mut self, flash: &mut SimFlash, layout: &Layout) -> Result<Settings, String> {
        let settings = Settings::open(flash, layout, SEED);
        let key = number(&settings);
        if flash.is_dead() {
            return Ok(settings);
        }
        if key < self.acknowledged || key > self.asked {
            return Err(format!("key {key}, {} acknowledged", self.acknowledged));
        }
        if let Some(given_back) = settings.given()
            && *given_back != given(key)
        {
            return Err(format!("{given_back:?} was never given"));
        }
        let boot = settings.boot().ok_or("no boot number")?;
        // Whatever a start saw, later ones see.
        self.acknowledged = key;
        match self.used.insert((key, boot)) {
            true => Ok(settings),
            false => Err(format!("boot number {boot} again with key {key}")),
        }
    }

    /// The script until power fails.
    fn run(&mut self, flash: &mut SimFlash, layout: &Layout) -> Result<(), String> {
        let mut settings = None;
        for step in SCRIPT {
            if flash.is_dead() {
                break;
            }
            match step {
                Step::Provision(key) if key > self.acknowledged => {
                    let Some(settings) = &mut settings else { break };
                    self.asked = self.asked.max(key);
                    if Settings::provision(settings, flash, given(key)).is_ok() {
                        self.acknowledged = key;
                    }
                }
                Step::Provision(_) => {}
                Step::Start => settings = Some(self.start(flash, layout)?),
            }
        }
        Ok(())
    }

    /// Power is back: starts, one more key, starts.
    fn finish(mut self, mut flash: SimFlash, layout: &Layout) -> Result<(), String> {
        flash.restart();
        for _ in 0..3 {
            self.start(&mut flash, layout)?;
        }
        let mut settings = self.start(&mut flash, layout)?;
        self.asked = 9;
        settings.provision(&mut flash, given(9)).map_err(|error| format!("{error:?}"))?;
        self.acknowledged = 9;
        for _ in 0..3 {
            self.start(&mut flash, layout)?;
        }
        match flash.violations() {
            0 => Ok(()),
            count => Err(format!("{count} rules of flash broken")),
        }
    }
}

/// Operations of the script from that flash on.
fn operations(flash: &SimFlash, layout: &Layout) -> u64 {
    let mut flash = flash.clone();
    let before = flash.operations();
    Witness::default().run(&mut flash, layout).expect("no faults");
    flash.operations() - before
}

fn starts(layout: &Layout) -> [SimFlash; 2] {
    let blank = SimFlash::new(layout, 1);
    let mut noise = blank.clone();
    for region in layout.settings().expect("given") {
        noise.spoil(*region);
    }
    [blank, noise]
}

fn layouts() -> [Layout; 4] {
    [layout(32, 0xFF, 512), layout(8, 0x00, 640), layout(32, 0x00, 2048), layout(1, 0xFF, 512)]
}

/// Every `stride`th of all cuts, each followed by what `again` makes of it.
fn sweep(
    layout: &Layout,
    stride: usize,
    mut again: impl FnMut(Witness, SimFlash) -> Result<(), String>,
) -> u64 {
    let mut cuts = 0;
    for start in starts(layout) {
        for (operation, torn) in (0..operations(&start, layout))
            .flat_map(|operation| Torn::ALL.map(|torn| (operation, torn)))
            .step_by(stride * ONE_OF)
        {
            let (mut flash, mut witness) = (start.clone(), Witness::default());
            flash.reseed(operation << 8 | torn as u64);
            flash.cut_at(operation, torn);
            let outcome = witness.run(&mut flash, layout).and_then(|()| again(witness, flash));
            assert_eq!(outcome, Ok(()), "{torn:?} at {operation}, {layout:?}");
            cuts += 1;
        }
    }
    cuts
}

#[test]
fn cuts_are_survived() {
    let mut cuts = 0;
    for (layout, stride) in layouts().iter().zip([3, 11, 5, 83]) {
        cuts += sweep(layout, stride, |witness, flash| witness.finish(flash, layout));
    }
    eprintln!("{cuts} cuts");
}

/// Pairs of cuts: after the first the script runs again, to the second.
#[test]
fn second_cuts_are_survived() {
    let mut cuts = 0;
    let layout = layout(32, 0xFF, 512);
    sweep(&layout, 23, |witness, mut flash| {
        flash.restart();
        for (operation, torn) in
            (0..40).flat_map(|operation| Torn::ALL.map(|torn| (operation, torn))).step_by(13)
        {
            let (mut flash, mut witness) = (flash.clone(), witness.clone());
            flash.reseed(operation << 8 | torn as u64 | 1 << 32);
            flash.cut_at(operation, torn);
            cuts += 1;
            witness
                .run(&mut flash, &layout)
                .and_then(|()| witness.finish(flash, &layout))
                .map_err(|error| format!("then {torn:?} at {operation}: {error}"))?;
        }
        Ok(())
    });
    eprintln!("{cuts} pairs of cuts");
}

#[test]
fn keys_that_protect_nothing_are_refused() {
    let layout = layout(32, 0xFF, 512);
    let mut flash = SimFlash::new(&layout, 1);
    let mut settings = Settings::open(&mut flash, &layout, SEED);
    let operations = flash.operations();
    // y = 2 has no x on the curve; y = 1 is the neutral element.
    let weak = |first| core::array::from_fn(|index| if index == 0 { first } else { 0 });
    let cases = [
        (Given { link_key: [0; 32], ..given(1) }, SettingsError::LinkKey),
        (Given { signer: weak(2), ..given(1) }, SettingsError::Signer),
        (Given { signer: weak(1), ..given(1) }, SettingsError::Signer),
    ];
    for (given, error) in cases {
        assert_eq!(settings.provision(&mut flash, given), Err(error));
    }
    assert_eq!((settings.given(), flash.operations()), (None, operations));
}

#[test]
fn without_a_readable_record_numbers_begin_at_the_seed() {
    let all = layout(32, 0xFF, 512);
    let [blank, noise] = starts(&all);
    for (mut flash, first, then) in
        [(blank, Health::Blank, Health::Whole), (noise, Health::Lost, Health::Doubtful)]
    {
        let noisy = first == Health::Lost;
        for (seed, boot, health) in [(u32::MAX, 0x7FFF_FFFF, first), (3, 0x8000_0000, then)] {
            let settings = Settings::open(&mut flash, &all, seed);
            // Noise may hold a few numbers more.
            let raised = settings.boot().expect("a number").checked_sub(boot);
            let most = if noisy { 8 } else { 0 };
            assert!(raised.is_some_and(|more| more <= most), "{settings:?}");
            assert_eq!(settings.health(), health);
            assert_eq!(settings.given(), None);
        }
    }
    // Without sectors nothing is kept, and the device is told so.
    let [first, second] = *all.journal();
    let slots = [all.settings().expect("given")[0], all.settings().expect("given")[1]];
    let none = Layout::new(32, 0xFF, [first, second], slots).expect("a layout that works");
    let mut flash = SimFlash::new(&none, 1);
    let mut settings = Settings::open(&mut flash, &none, 7);
    assert_eq!((settings.boot(), settings.given()), (Some(7), None));
    assert_eq!(settings.provision(&mut flash, given(1)), Err(SettingsError::NoPlace));
    assert_eq!(flash.operations(), 0);
}

/// A number that could not be raised is not given out.
#[test]
fn failing_flash_gives_no_number() {
    let layout = layout(32, 0xFF, 512);
    let mut flash = SimFlash::new(&layout, 1);
    let mut settings = Settings::open(&mut flash, &layout, SEED);
    settings.provision(&mut flash, given(1)).expect("no faults");
    for (program, erase) in [(1_000_000, 0), (1_000_000, 1_000_000)] {
        let mut flash = flash.clone();
        flash.rates.program = program;
        flash.rates.erase = erase;
        let mut settings = Settings::open(&mut flash, &layout, SEED);
        assert_eq!((settings.boot(), number(&settings)), (None, 1));
        let refused = settings.provision(&mut flash, given(2));
        assert!(matches!(refused, Err(SettingsError::Journal(_))), "{refused:?}");
        assert_eq!(number(&settings), 1);
        flash.rates = Default::default();
        let settings = Settings::open(&mut flash, &layout, SEED);
        assert!(settings.boot() > Some(SEED));
        assert_eq!(number(&settings), 1);
    }
}

/// A provisioned device after some starts, and the numbers that they had.
fn started(layout: &Layout, starts: u32) -> (SimFlash, Vec<u32>) {
    let mut flash = SimFlash::new(layout, 1);
    let mut settings = Settings::open(&mut flash, layout, SEED);
    settings.provision(&mut flash, given(1)).expect("no faults");
    let number = |_| Settings::open(&mut flash, layout, SEED).boot().expect("a number");
    let used = (0..starts).map(number).collect();
    (flash, used)
}

/// A sector that cannot be read any more held the newest numbers: none comes again.
#[test]
fn numbers_that_cannot_be_read_do_not_come_again() {
    let layout = layout(32, 0xFF, 512);
    for starts in 1..12 {
        for broken in *layout.settings().expect("given") {
            let (mut flash, used) = started(&layout, starts);
            flash.break_sectors(broken, Broken::Reads);
            let settings = Settings::open(&mut flash, &layout, SEED);
            let again = settings.boot().is_some_and(|boot| used.contains(&boot));
            let known = settings.given().is_some();
            assert!(!(again && known), "{starts} starts, {broken:?}: {settings:?} of {used:?}");
        }
    }
}

/// The newest records are noise, and their places can be written again: no number comes again.
#[test]
fn numbers_of_spoilt_records_do_not_come_again() {
    let layout = layout(32, 0xFF, 512);
    let sectors = *layout.settings().expect("given");
    for (starts, spoilt) in (1..12).flat_map(|starts| [1, 2, 3].map(|spoilt| (starts, spoilt))) {
        let (mut flash, used) = started(&layout, starts);
        // Every start and every key takes two places of four, one sector after the other.
        let written = 2 * (2 + starts);
        for record in written - spoilt..written {
            let address = sectors[record as usize / 4 % 2].at(record % 4 * 128);
            flash.spoil(Region { address, sector_bytes: 128, sectors: 1 });
        }
        let settings = Settings::open(&mut flash, &layout, SEED);
        let boot = settings.boot().expect("a number");
        assert!(!used.contains(&boot), "{starts} starts, {spoilt} spoilt: {boot} of {used:?}");
        assert_eq!(settings.given(), Some(&given(1)));
    }
}
