//! The sweep: power fails at an operation of an update; then boot, check, finish, check again.

#![allow(dead_code, missing_docs)]

use std::cell::RefCell;
use std::collections::HashMap;

use gradgate_bundle::manifest::DeviceClass;
use gradgate_device::flash::{Flash, Layout, Region};
use gradgate_device::journal::{Health, Journal};
use gradgate_device::record::{Slot, SlotState, Snapshot};
use gradgate_device::sim::{SIM_CLASS, SimFlash, Torn, sim_bundle, sim_key};
use gradgate_device::slots::{Active, SlotError, Slots};
use gradgate_device::upload::Progress;
use gradgate_device::verify::{Refusal, SelfTest, SlotBundle, Trust};

pub mod between;
pub mod tally;
pub use between::{Between, Flaw};

/// Passes every bundle but one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stub {
    pub fails_counter: Option<u64>,
}

impl SelfTest for Stub {
    fn passes<F: Flash>(&mut self, bundle: &mut SlotBundle<'_, F>) -> bool {
        Some(bundle.admitted().counter()) != self.fails_counter
    }
}

pub fn trust() -> Trust {
    Trust {
        key: sim_key().verifying_key(),
        device_class: SIM_CLASS,
        counter_floor: 0,
        arena_bytes_max: 1 << 20,
    }
}

/// Signing takes longer than all else of a cut.
pub fn signed(length: u32, counter: u64) -> Vec<u8> {
    thread_local!(static MADE: RefCell<HashMap<(u32, u64), Vec<u8>>> = RefCell::default());
    let make = || sim_bundle(length, counter, DeviceClass::Any, &sim_key());
    MADE.with_borrow_mut(|made| made.entry((length, counter)).or_insert_with(make).clone())
}

/// Counters: the bundle that is there, the one that comes, the one that ends every check, and one
/// of which an upload, a staging or a failed trial may be left over.
/// Of how many cuts one is made: fewer where the target is emulated, which shows nothing of flash.
/// No multiple of seven, the number of outcomes.
pub const ONE_OF: u64 = if cfg!(target_arch = "x86_64") { 1 } else { 11 };
pub const OLD: u64 = 3;
pub const NEW: u64 = 5;
pub const LAST: u64 = 6;
pub const LEFT: u64 = 4;

/// Length of the shipped bundle, a ResNet-8.
pub const RESNET_8_BYTES: u32 = 350_936;

/// What the flash holds before the update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Blank,
    Noise,
    ConfirmedA,
    ConfirmedB,
    /// Confirmed, with so many more records that the journal moves during the update.
    LongJournal(u32),
    HalfUploaded,
    LeftStaged,
    LeftRejected,
    /// The bundle that comes is the one that is there.
    Same,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    Confirm,
    Revert,
    /// Started again and again without a confirmation.
    Neglect,
    /// The self-test fails.
    Fail,
    Erase,
}

pub const SCRIPTS: [Script; 5] =
    [Script::Confirm, Script::Revert, Script::Neglect, Script::Fail, Script::Erase];

/// One place of the sweep.
#[derive(Clone, Debug)]
pub struct Case {
    pub layout: Layout,
    pub start: Start,
    pub script: Script,
    pub old_bytes: u32,
    pub new_bytes: u32,
    pub seed: u64,
}

/// What the host knows of the update when power fails.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Power failed more than once, and the update was begun anew in between.
    many: bool,
    activating: bool,
    confirming: bool,
    confirmed: bool,
    reverted: bool,
}

pub fn region(address: u32, sector_bytes: u32, sectors: u32) -> Region {
    Region { address, sector_bytes, sectors }
}

/// Journal sectors, slot sectors, how many of these.
pub fn layout(word: u32, erased: u8, journal: u32, slot: u32, sectors: [u32; 2]) -> Layout {
    let slots = 2 * journal.next_multiple_of(slot);
    Layout::new(
        word,
        erased,
        [region(0, journal, 1), region(journal, journal, 1)],
        [region(slots, slot, sectors[0]), region(slots + sectors[0] * slot, slot, sectors[1])],
    )
    .expect("a layout that works")
}

/// Takes an update as far as staged; the host asks the device where to go on.
pub fn upload<F: Flash>(
    slots: &mut Slots<F>,
    bundle: &[u8],
    chunk: usize,
) -> Result<(), SlotError> {
    let prefix = bundle.first_chunk().expect("a whole bundle");
    let mut progress = slots.begin(prefix)?;
    loop {
        progress = match progress {
            Progress::Idle => return Err(SlotError::NotReady),
            Progress::Erase { .. } => slots.prepare()?,
            Progress::Write { offset } => {
                let rest = &bundle[offset as usize..];
                slots.write(offset, &rest[..rest.len().min(chunk)])?
            }
            Progress::Finish => {
                slots.finish()?;
                slots.progress()
            }
            Progress::Staged => return Ok(()),
        }
    }
}

/// The whole update, again where flash failed.
pub fn update<F: Flash>(slots: &mut Slots<F>, bundle: &[u8]) -> Result<(), SlotError> {
    let mut stub = Stub::default();
    if slots.state().find(SlotState::Trial).is_some() {
        slots.revert(&mut stub)?;
    }
    for attempt in 0.. {
        match upload(slots, bundle, 100) {
            Ok(()) => break,
            // Torn words of an interrupted upload, or a guess that was wrong: once more.
            Err(SlotError::Refused(Refusal::Damaged(_) | Refusal::OtherBundle)) if attempt < 3 => {}
            Err(SlotError::Refused(Refusal::Unreadable)) if attempt < 3 => {}
            Err(SlotError::Flash(_)) if attempt < 3 => {}
            Err(error) => return Err(error),
        }
    }
    slots.activate(&mut stub)?;
    slots.confirm()
}

pub fn boot<F: Flash>(flash: F, layout: &Layout, stub: Stub) -> Slots<F> {
    let mut stub = stub;
    Slots::boot(flash, *layout, trust(), &mut stub)
}

impl Case {
    fn there(&self) -> Vec<u8> {
        signed(self.old_bytes, OLD)
    }

    fn coming(&self) -> Vec<u8> {
        match self.start {
            Start::Same => self.there(),
            _ => signed(self.new_bytes, NEW),
        }
    }

    fn had_confirmed(&self) -> bool {
        !matches!(self.start, Start::Blank | Start::Noise)
    }

    /// The flash before the update.
    pub fn prepare(&self) -> SimFlash {
        let mut flash = SimFlash::new(&self.layout, self.seed);
        if self.start == Start::Noise {
            let [first, second] = *self.layout.journal();
            let slots = Slot::ALL.map(|slot| self.layout.slot(slot));
            for region in [first, second, slots[0], slots[1]] {
                flash.spoil(region);
            }
        }
        if !self.had_confirmed() {
            return flash;
        }
        let mut slots = boot(flash, &self.layout, Stub::default());
        if self.start == Start::ConfirmedB {
            update(&mut slots, &signed(self.new_bytes, OLD - 1)).expect("a whole update");
        }
        update(&mut slots, &self.there()).expect("a whole update");
        let left = signed(self.new_bytes, LEFT);
        match self.start {
            Start::HalfUploaded => {
                slots.begin(left.first_chunk().expect("long enough")).expect("newer");
                while let Progress::Erase { .. } = slots.prepare().expect("no faults") {}
                slots.write(0, &left[..left.len() / 2]).expect("no faults");
            }
            Start::LeftStaged => upload(&mut slots, &left, 64).expect("no faults"),
            Start::LeftRejected => {
                upload(&mut slots, &left, 64).expect("no faults");
                slots.activate(&mut Stub { fails_counter: Some(LEFT) }).expect_err("it fails");
            }
            _ => {}
        }
        let snapshot = *slots.state();
        let mut flash = slots.into_flash();
        if let Start::LongJournal(more) = self.start {
            let sectors = *self.layout.journal();
            let (mut journal, _) =
                Journal::open::<Snapshot, _>(&mut flash, sectors, self.layout.erased());
            for _ in 0..more {
                journal.append(&mut flash, snapshot).expect("no faults");
            }
        }
        flash
    }

    /// Does what the script says until power fails.
    fn act<'a>(
        &self,
        flash: Between<'a>,
        told: &mut Told,
    ) -> Result<Slots<Between<'a>>, SlotError> {
        let new = self.coming();
        let fails = (self.script == Script::Fail).then_some(NEW);
        let mut stub = Stub { fails_counter: fails };
        let flaw = flash.flaw;
        let mut slots = boot(flash, &self.layout, stub);
        if flaw == Flaw::None {
            slots.flash().flash.guard(guarded(&slots));
        }
        if self.script == Script::Erase {
            slots.erase_inactive()?;
            return Ok(slots);
        }
        upload(&mut slots, &new, 77)?;
        told.activating = true;
        match slots.activate(&mut stub) {
            Err(SlotError::Refused(Refusal::SelfTest)) if fails.is_some() => return Ok(slots),
            other => other?,
        };
        match self.script {
            Script::Confirm => {
                told.confirming = true;
                slots.confirm()?;
                told.confirmed = true;
                if flaw == Flaw::None {
                    slots.flash().flash.guard(guarded(&slots));
                }
            }
            Script::Revert => {
                slots.revert(&mut stub)?;
                told.reverted = true;
            }
            Script::Neglect => {
                for _ in 0..4 {
                    slots = boot(slots.into_flash(), &self.layout, stub);
                }
                // Without power nothing is seen.
                told.reverted = slots.state().find(SlotState::Rejected).is_some();
            }
            Script::Fail | Script::Erase => {}
        }
        Ok(slots)
    }

    /// Operations of the whole script.
    pub fn operations(&self, start: &SimFlash, flaw: Flaw) -> u64 {
        let mut flash = start.clone();
        let before = flash.operations();
        let outcome = self.run(&mut flash, flaw, &mut Told::default());
        assert!(outcome.is_ok(), "{self:?}: {outcome:?}");
        assert_eq!(flash.violations(), 0, "{self:?}");
        flash.operations() - before
    }

    fn run(&self, flash: &mut SimFlash, flaw: Flaw, told: &mut Told) -> Result<(), SlotError> {
        let between = Between { flash, flaw, pending: Vec::new(), layout: self.layout };
        let mut between = self.act(between, told)?.into_flash();
        between.flush().map_err(SlotError::Flash)
    }

    /// One cut; power holds afterwards, or fails `again` times more.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn cut(
        &self,
        start: &SimFlash,
        (operation, torn): (u64, Torn),
        flaw: Flaw,
        again: &[(u64, Torn)],
    ) -> Result<(), String> {
        let mut told = Told::default();
        let mut flash = start.clone();
        flash.reseed(self.seed ^ operation << 8 ^ torn as u64);
        flash.cut_at(operation, torn);
        let outcome = self.run(&mut flash, flaw, &mut told);
        if !flash.is_dead() && again.is_empty() {
            return Err(format!("the cut was never reached: {outcome:?}"));
        }
        told.many = !again.is_empty();
        for &(operation, torn) in again {
            flash.restart();
            let before = flash.violations();
            flash.cut_at(operation, torn);
            // What failed its self-test once does not pass it later.
            let goes_on = if self.script == Script::Fail { Script::Fail } else { Script::Confirm };
            let script = Case { script: goes_on, ..self.clone() };
            let _ = script.run(&mut flash, Flaw::None, &mut told);
            if flash.violations() != before {
                return Err("a rule of flash was broken".to_owned());
            }
        }
        flash.restart();
        self.check(flash, told, torn)
    }

    /// After one cut: what the first start finds, every later one finds, unless a bundle is on
    /// trial, whose starts are counted.
    ///
    /// # Errors
    /// The state that came by itself.
    pub fn stays(&self, start: &SimFlash, (operation, torn): (u64, Torn)) -> Result<(), String> {
        let mut flash = start.clone();
        flash.reseed(self.seed ^ operation << 8 ^ torn as u64);
        flash.cut_at(operation, torn);
        let _ = self.run(&mut flash, Flaw::None, &mut Told::default());
        flash.guard(None);
        flash.restart();
        let mut seen: Option<Snapshot> = None;
        for number in 0..5 {
            let slots = boot(&mut flash, &self.layout, Stub::default());
            let state = *slots.state();
            if let Some(first) = seen
                && first != state
            {
                return Err(format!("start {number} finds {state:?}, the first {first:?}"));
            }
            seen = state.find(SlotState::Trial).is_none().then_some(state);
        }
        Ok(())
    }

    fn check(&self, mut flash: SimFlash, told: Told, torn: Torn) -> Result<(), String> {
        let stub = Stub { fails_counter: (self.script == Script::Fail).then_some(NEW) };
        flash.guard(None);
        let mut slots = boot(&mut flash, &self.layout, stub);
        let before = self.judge(slots.flash(), slots.active(), told)?;
        let twice = matches!(torn, Torn::Unstable | Torn::Bits);
        if twice {
            // Such words may show something else the second time.
            let first = *slots.state();
            // Where no record was read none is written: the very first one may appear yet.
            let known = slots.health() != Health::Lost;
            slots = boot(slots.into_flash(), &self.layout, stub);
            let after = self.judge(slots.flash(), slots.active(), told)?;
            if before == Seen::Kept(NEW) && after != before {
                return Err(format!("{before:?} fell back to {after:?}"));
            }
            let on_trial = first.find(SlotState::Trial).is_some();
            if known && !on_trial && *slots.state() != first {
                return Err(format!("{first:?} became {:?} by itself", slots.state()));
            }
        }
        slots.flash().guard(guarded(&slots));
        update(&mut slots, &signed(self.new_bytes, LAST))
            .map_err(|error| format!("no update afterwards: {error:?}"))?;
        slots.flash().guard(guarded(&slots));
        if twice {
            slots = boot(slots.into_flash(), &self.layout, stub);
        }
        let end = slots.active().map(|active| (active.admitted.counter(), active.trial));
        match (end, slots.counter_floor(), slots.flash().violations()) {
            (Some((LAST, false)), LAST, 0) => Ok(()),
            end => Err(format!("ends with {end:?}: bundle, counter, rules of flash broken")),
        }
    }

    /// What runs must be one of the two bundles, whole, and as far as the host was told.
    fn judge(&self, flash: &SimFlash, active: Option<&Active>, told: Told) -> Result<Seen, String> {
        let Some(active) = active else {
            return match self.had_confirmed() {
                true => Err("nothing runs, though a bundle was confirmed".to_owned()),
                false if told.confirmed => Err("the confirmed bundle is gone".to_owned()),
                false => Ok(Seen::Nothing),
            };
        };
        let (old, new) = (self.there(), self.coming());
        let bundle = if active.admitted.counter() == NEW { &new } else { &old };
        let address = self.layout.slot(active.slot).address;
        if flash.solid(address, bundle.len() as u32) != Some(&bundle[..]) {
            return Err("what runs is not a whole bundle".to_owned());
        }
        let counter = active.admitted.counter();
        if self.start == Start::Same {
            return Ok(Seen::Kept(counter));
        }
        let right = match (counter, active.trial) {
            (NEW, _) if told.many => true,
            (OLD, false) => self.had_confirmed() && !told.confirmed,
            (NEW, true) => told.activating && !told.confirmed && !told.reverted,
            (NEW, false) => told.confirming,
            _ => false,
        };
        match right {
            true if active.trial => Ok(Seen::Tried(counter)),
            true => Ok(Seen::Kept(counter)),
            false => Err(format!("runs {counter}, trial {}, {told:?}", active.trial)),
        }
    }
}

/// The region of the bundle that runs and is confirmed.
fn guarded<F: Flash>(slots: &Slots<F>) -> Option<Region> {
    let kept = slots.active().filter(|active| !active.trial);
    kept.map(|active| slots.layout().slot(active.slot))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Tried(u64),
    Kept(u64),
}

pub const STARTS: [Start; 11] = [
    Start::Blank,
    Start::Noise,
    Start::ConfirmedA,
    Start::ConfirmedB,
    Start::LongJournal(0),
    Start::LongJournal(1),
    Start::LongJournal(2),
    Start::HalfUploaded,
    Start::LeftStaged,
    Start::LeftRejected,
    Start::Same,
];

/// Lengths around what flash likes: least, one word more, a sector and one byte around it, all.
pub fn sizes(layout: &Layout) -> Vec<u32> {
    let slot = Slot::ALL.map(|slot| layout.slot(slot)).into_iter().min_by_key(Region::bytes);
    let slot = slot.expect("two slots");
    let sector = slot.sector_bytes.max(512);
    let mut sizes = vec![320, 321, sector - 1, sector, sector + 1, slot.bytes() - 1, slot.bytes()];
    sizes.retain(|&size| (320..=slot.bytes()).contains(&size));
    sizes.dedup();
    sizes
}
