//! What an update refuses, and how it goes on.

mod common;

use std::cell::Cell;

use common::{LAST, NEW, OLD, Stub, boot, layout, signed, trust, update, upload};
use gradgate_bundle::error::{ParseError, VerifyError};
use gradgate_bundle::keys::from_seed;
use gradgate_bundle::manifest::DeviceClass;
use gradgate_device::flash::{Flash, FlashError, Layout, Region};
use gradgate_device::journal::Journal;
use gradgate_device::record::{Content, Slot, SlotState, Snapshot};
use gradgate_device::sim::{SimFlash, Torn, sim_bundle, sim_key};
use gradgate_device::slots::{SlotError, Slots, TRIAL_BOOTS_MAX};
use gradgate_device::upload::Progress;
use gradgate_device::verify::Refusal;

fn place() -> Layout {
    layout(32, 0xFF, 512, 512, [4, 4])
}

fn confirmed() -> Slots<SimFlash> {
    let mut slots = boot(SimFlash::new(&place(), 1), &place(), Stub::default());
    update(&mut slots, &signed(700, OLD)).expect("no faults");
    slots
}

#[test]
fn refused_bundles_touch_nothing() {
    let mut slots = confirmed();
    let good = signed(700, NEW);
    let other_class = sim_bundle(700, NEW, DeviceClass::CortexM4F, &sim_key());
    let other_key = sim_bundle(700, NEW, DeviceClass::Any, &from_seed(&[2; 32]));
    let mut unsigned = good.clone();
    unsigned[256..320].fill(0);
    let signature = |error| Refusal::Signature(error);
    let cases = [
        (unsigned, signature(VerifyError::Unsigned)),
        (signed(2049, NEW), Refusal::Length { bytes: 2049 }),
        (signed(700, OLD - 1), Refusal::Counter { bundle: OLD - 1, floor: OLD }),
    ];
    let before = slots.flash().operations();
    let mut refusal = |bundle: &[u8]| {
        let error = slots.begin(bundle.first_chunk().expect("long enough"));
        assert_eq!(slots.flash().operations(), before);
        match error {
            Err(SlotError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    for (bundle, expected) in cases {
        assert_eq!(refusal(&bundle), expected);
    }
    assert!(matches!(
        refusal(&other_class),
        Refusal::DeviceClass(ParseError::DeviceClass { bundle: 1, .. })
    ));
    assert!(matches!(refusal(&other_key), Refusal::Signature(VerifyError::WrongKey { .. })));
    for bit in (0..320 * 8).step_by(7) {
        let mut forged = good.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(refusal(&forged), Refusal::Signature(_)), "bit {bit}");
    }
}

#[test]
fn damaged_bytes_are_never_staged() {
    for place in [320, 500, 699] {
        let mut slots = confirmed();
        let good = signed(700, NEW);
        let mut bundle = good.clone();
        bundle[place] ^= 1;
        let error = upload(&mut slots, &bundle, 64).expect_err("damaged");
        assert!(matches!(error, SlotError::Refused(Refusal::Damaged(_))), "{error:?}");
        assert_eq!(slots.state().content(Slot::B).state, SlotState::Empty);
        assert_eq!(slots.activate(&mut Stub::default()), Err(SlotError::NotStaged));
        assert_eq!(update(&mut slots, &good), Ok(()));
    }
}

#[test]
fn an_interrupted_upload_goes_on_at_its_sector() {
    let mut slots = confirmed();
    let bundle = signed(1800, NEW);
    let prefix = bundle.first_chunk().expect("long enough");
    assert_eq!(slots.begin(prefix), Ok(Progress::Erase { sectors: 4 }));
    while slots.prepare() != Ok(Progress::Write { offset: 0 }) {}
    assert_eq!(slots.write(1, &[0]), Err(SlotError::Offset { expected: 0 }));
    let long = slots.write(0, &[0; 1801]);
    assert_eq!(long, Err(SlotError::Refused(Refusal::Length { bytes: 1800 })));
    assert_eq!(slots.write(0, &bundle[..1500]), Ok(Progress::Write { offset: 1500 }));
    assert_eq!(slots.finish(), Err(SlotError::NotReady));

    let mut slots = boot(slots.into_flash(), &place(), Stub::default());
    assert_eq!(slots.begin(prefix), Ok(Progress::Erase { sectors: 2 }));
    assert_eq!(slots.prepare(), Ok(Progress::Erase { sectors: 1 }));
    assert_eq!(slots.prepare(), Ok(Progress::Write { offset: 1024 }));
    assert_eq!(slots.write(1024, &bundle[1024..]), Ok(Progress::Finish));
    assert_eq!(slots.finish(), Ok(()));
    assert_eq!(slots.begin(prefix), Ok(Progress::Staged));
    // Another bundle begins anew.
    let other = signed(1800, LAST);
    let begun = slots.begin(other.first_chunk().expect("long enough"));
    assert_eq!(begun, Ok(Progress::Erase { sectors: 4 }));
}

/// Staged, half uploaded or rejected: what is erased is forgotten, and where power fails in between
/// no upload goes on behind bytes that are gone.
#[test]
fn an_erase_forgets_what_it_erases_and_leaves_no_hole_to_go_on_behind() {
    let bundle = signed(1800, NEW);
    let prefix = bundle.first_chunk().expect("long enough");
    let mut half = confirmed();
    half.begin(prefix).expect("newer");
    while half.prepare() != Ok(Progress::Write { offset: 0 }) {}
    half.write(0, &bundle[..1500]).expect("no faults");
    let mut staged = confirmed();
    upload(&mut staged, &bundle, 64).expect("no faults");
    let mut rejected = boot(staged.flash().clone(), &place(), Stub::default());
    let fails = SlotError::Refused(Refusal::SelfTest);
    let activated = rejected.activate(&mut Stub { fails_counter: Some(NEW) });
    assert_eq!(activated, Err(fails));
    for left in [half, staged, rejected].map(Slots::into_flash) {
        let mut slots = boot(left.clone(), &place(), Stub::default());
        assert_eq!(slots.erase_inactive(), Ok(()));
        assert_eq!(slots.state().content(Slot::B), Content::default());
        let operations = slots.flash().operations() - left.operations();
        for (operation, torn) in
            (0..operations).flat_map(|operation| Torn::ALL.map(|torn| (operation, torn)))
        {
            let mut flash = left.clone();
            flash.cut_at(operation, torn);
            let mut slots = boot(flash, &place(), Stub::default());
            let _ = slots.erase_inactive();
            let mut flash = slots.into_flash();
            flash.restart();
            let mut slots = boot(flash, &place(), Stub::default());
            if let Ok(Progress::Erase { sectors }) = slots.begin(prefix) {
                let kept = 512 * (4 - sectors);
                let before = slots.flash().solid(place().slot(Slot::B).address, kept);
                let whole = before == Some(&bundle[..kept as usize]);
                assert!(whole, "{torn:?} at {operation}: goes on at byte {kept}");
            }
            assert_eq!(update(&mut slots, &bundle), Ok(()), "{torn:?} at {operation}");
        }
    }
}

#[test]
fn a_trial_that_nobody_confirms_ends() {
    let mut slots = confirmed();
    upload(&mut slots, &signed(700, NEW), 64).expect("no faults");
    assert_eq!(slots.activate(&mut Stub::default()), Ok(Slot::B));
    let prefix = signed(700, LAST);
    let prefix = prefix.first_chunk().expect("long enough");
    assert_eq!(slots.begin(prefix), Err(SlotError::OnTrial));
    for start in 2..=TRIAL_BOOTS_MAX + 1 {
        slots = boot(slots.into_flash(), &place(), Stub::default());
        let active = slots.active().expect("one is confirmed");
        assert_eq!(active.trial, start <= TRIAL_BOOTS_MAX, "start {start}");
    }
    assert_eq!(slots.state().content(Slot::B).state, SlotState::Rejected);
    assert_eq!(slots.counter_floor(), OLD);
    assert_eq!(slots.confirm(), Err(SlotError::NotOnTrial));
    assert_eq!(slots.revert(&mut Stub::default()), Err(SlotError::NotOnTrial));
}

#[test]
fn what_is_loaded_is_what_was_signed() {
    let mut slots = confirmed();
    let bundle = signed(700, OLD);
    let mut memory = vec![0; 1000];
    let mut active = slots.bundle().expect("it runs");
    assert_eq!(active.load(&mut memory).expect("whole").bytes(), bundle);
    let short = active.load(&mut memory[..699]);
    assert_eq!(short.err(), Some(Refusal::Length { bytes: 700 }));
    let mut other = bundle.clone();
    other[699] ^= 0x80;
    assert!(matches!(active.admit(&other), Err(Refusal::Damaged(_))));
}

#[test]
fn slots_are_described_and_verified_without_a_change() {
    let mut stub = Stub::default();
    let mut slots = confirmed();
    // The bundle there, then another one through all its states.
    assert_eq!(slots.state().content(Slot::A).state, SlotState::Confirmed);
    let bundle = signed(900, NEW);
    let prefix = bundle.first_chunk().expect("long enough");
    slots.begin(prefix).expect("newer");
    while slots.prepare() != Ok(Progress::Write { offset: 0 }) {}
    assert_eq!(slots.state().content(Slot::B).state, SlotState::Filling);
    assert_eq!(slots.describe(Slot::B), None);
    assert_eq!(slots.verify(Slot::B, &mut stub), Err(SlotError::NotStaged));
    upload(&mut slots, &bundle, 64).expect("no faults");
    let mut states = Vec::new();
    for step in 0..3 {
        match step {
            1 => drop(slots.activate(&mut stub).expect("it passes")),
            2 => slots.revert(&mut stub).expect("no faults"),
            _ => {}
        }
        let (before, operations) = (*slots.state(), slots.flash().operations());
        states.push(before.content(Slot::B).state);
        for (slot, length, counter) in [(Slot::A, 700, OLD), (Slot::B, 900, NEW)] {
            let found = slots.describe(slot).expect("a whole bundle");
            assert_eq!((found.total_bytes, found.security_counter), (length, counter));
            assert_eq!(found.identity, before.content(slot).identity);
            let admitted = slots.verify(slot, &mut stub).expect("right");
            assert_eq!(admitted.identity(), found.identity);
        }
        let mut fails = Stub { fails_counter: Some(NEW) };
        let refused = Err(SlotError::Refused(Refusal::SelfTest));
        assert_eq!(slots.verify(Slot::B, &mut fails), refused);
        assert_eq!((*slots.state(), slots.flash().operations()), (before, operations));
    }
    assert_eq!(states, [SlotState::Staged, SlotState::Trial, SlotState::Rejected]);
}

#[test]
fn what_is_damaged_in_a_slot_is_not_described_as_whole() {
    let all = place().slot(Slot::A);
    for (first, length, described) in [(0, 32, false), (288, 32, false), (320, 32, true)] {
        let mut flash = confirmed().into_flash();
        flash.spoil(Region { address: all.at(first), sector_bytes: length, sectors: 1 });
        let mut slots = boot(flash, &place(), Stub::default());
        assert_eq!(slots.describe(Slot::A).is_some(), described, "byte {first}");
        let verified = slots.verify(Slot::A, &mut Stub::default());
        assert!(matches!(verified, Err(SlotError::Refused(_))), "{verified:?}");
    }
}

/// Whatever fails, only whole bundles run; once reads are right again, the confirmed one does.
#[test]
fn failing_flash_runs_nothing_unverified() {
    for seed in 0..60 {
        let mut flash = confirmed().into_flash();
        flash.reseed(seed);
        flash.rates.read = [1_000_000, 500_000, 50_000][seed as usize % 3];
        flash.rates.flip = [0, 100_000][seed as usize % 2];
        let slots = boot(flash, &place(), Stub::default());
        if let Some(active) = slots.active() {
            let address = place().slot(active.slot).address;
            assert_eq!(slots.flash().solid(address, 700), Some(&signed(700, OLD)[..]));
        }
        if seed % 3 == 0 {
            assert!(slots.active().is_none());
            let mut flash = slots.into_flash();
            flash.rates.read = 0;
            flash.rates.flip = 0;
            let slots = boot(flash, &place(), Stub::default());
            assert_eq!(slots.active().map(|active| active.trial), Some(false), "seed {seed}");
        }
    }
}

/// Writes that fail now and then are made good by trying again.
#[test]
fn failing_writes_delay_an_update_and_break_nothing() {
    let mut done = 0;
    for seed in 0..30 {
        let mut flash = confirmed().into_flash();
        flash.reseed(seed);
        flash.rates.program = 20_000;
        flash.rates.erase = 20_000;
        let mut slots = boot(flash, &place(), Stub::default());
        let whole = update(&mut slots, &signed(700, NEW)).is_ok();
        done += u32::from(whole);
        let mut flash = slots.into_flash();
        flash.rates.program = 0;
        flash.rates.erase = 0;
        let mut slots = boot(flash, &place(), Stub::default());
        let counter = slots.active().expect("one is confirmed").admitted.counter();
        assert!(counter == NEW || !whole && counter == OLD, "seed {seed}: {counter}");
        assert_eq!(update(&mut slots, &signed(700, LAST)), Ok(()), "seed {seed}");
        assert_eq!(slots.flash().violations(), 0);
    }
    assert!(done > 0);
}

/// Flash of which the next reads of slots fail, so many of them.
struct Flaky<'f>(SimFlash, &'f Cell<u32>);

impl Flash for Flaky<'_> {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let slots = place().slot(Slot::A).address;
        match self.1.get().checked_sub(1).filter(|_| address >= slots) {
            None => self.0.read(address, bytes),
            Some(left) => {
                self.1.set(left);
                Err(FlashError::Read)
            }
        }
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.program(address, bytes)
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        self.0.erase(address, length)
    }
}

#[test]
fn a_read_that_fails_once_keeps_no_bundle_from_running() {
    let failing = Cell::new(0);
    let flash = Flaky(confirmed().into_flash(), &failing);
    let mut slots = Slots::boot(flash, place(), trust(), &mut Stub::default());
    let mut memory = vec![0; 1000];
    for (failures, whole) in [(0, true), (1, true), (2, true), (3, false), (0, true)] {
        failing.set(failures);
        let loaded = slots.bundle().expect("it runs").load(&mut memory).map(|_| ());
        assert_eq!(loaded, if whole { Ok(()) } else { Err(Refusal::Unreadable) }, "{failures}");
    }
}

#[test]
fn a_start_reads_the_confirmed_bundle_three_times_before_it_runs_nothing() {
    let flash = confirmed().into_flash();
    for (failures, runs) in [(0, true), (1, true), (2, true), (3, false)] {
        let failing = Cell::new(failures);
        let flash = Flaky(flash.clone(), &failing);
        let slots = Slots::boot(flash, place(), trust(), &mut Stub::default());
        assert_eq!(slots.active().is_some(), runs, "{failures}");
        assert_eq!(slots.refusal(), (failures > 0).then_some(Refusal::Unreadable), "{failures}");
    }
}

#[test]
fn a_trial_whose_bytes_cannot_be_read_any_more_is_not_confirmed() {
    let failing = Cell::new(0);
    let flash = Flaky(confirmed().into_flash(), &failing);
    let mut slots = Slots::boot(flash, place(), trust(), &mut Stub::default());
    upload(&mut slots, &signed(700, NEW), 64).expect("no faults");
    slots.activate(&mut Stub::default()).expect("it passes");
    failing.set(1);
    assert_eq!(slots.confirm(), Err(SlotError::Refused(Refusal::Unreadable)));
    assert_eq!(slots.state().content(Slot::B).state, SlotState::Trial);
    assert_eq!((slots.counter_floor(), slots.confirm()), (OLD, Ok(())));
    assert_eq!(slots.counter_floor(), NEW);
}

/// A whole, signed bundle lies in the slot, and the journal speaks of another one.
#[test]
fn what_the_journal_says_decides_whether_a_signed_bundle_runs() {
    let kept = *confirmed().state();
    let identity = kept.content(Slot::A).identity;
    let cases = [
        (kept, None),
        (
            Snapshot { floor: OLD + 1, ..kept },
            Some(Refusal::Counter { bundle: OLD, floor: OLD + 1 }),
        ),
        (kept.with(Slot::A, SlotState::Confirmed, [7; 32]), Some(Refusal::OtherBundle)),
        (kept.with(Slot::A, SlotState::Trial, [7; 32]), Some(Refusal::OtherBundle)),
        (kept.with(Slot::A, SlotState::Trial, identity), None),
    ];
    for (state, refusal) in cases {
        let mut flash = confirmed().into_flash();
        let (mut journal, _) = Journal::open::<Snapshot, _>(&mut flash, *place().journal(), 0xFF);
        journal.append(&mut flash, state).expect("no faults");
        let slots = boot(flash, &place(), Stub::default());
        assert_eq!((slots.active().is_some(), slots.refusal()), (refusal.is_none(), refusal));
    }
}

/// However often something was started before, a bundle that is activated has all its starts.
#[test]
fn starts_of_a_trial_are_counted_from_its_activation_on() {
    let mut slots = confirmed();
    upload(&mut slots, &signed(700, NEW), 64).expect("no faults");
    let state = Snapshot { boots: TRIAL_BOOTS_MAX, ..*slots.state() };
    let mut flash = slots.into_flash();
    let (mut journal, _) = Journal::open::<Snapshot, _>(&mut flash, *place().journal(), 0xFF);
    journal.append(&mut flash, state).expect("no faults");
    let mut slots = boot(flash, &place(), Stub::default());
    assert_eq!(slots.activate(&mut Stub::default()), Ok(Slot::B));
    assert_eq!(slots.state().boots, 1);
}

/// Flash that says it programmed a word, and did not.
struct Deaf(SimFlash, u32);

impl Flash for Deaf {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.0.read(address, bytes)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        if address == self.1 { Ok(()) } else { self.0.program(address, bytes) }
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        self.0.erase(address, length)
    }
}

#[test]
fn a_word_that_reads_back_otherwise_ends_the_upload_there() {
    let word = place().slot(Slot::B).at(512);
    let flash = Deaf(confirmed().into_flash(), word);
    let mut slots = Slots::boot(flash, place(), trust(), &mut Stub::default());
    let bundle = signed(700, NEW);
    slots.begin(bundle.first_chunk().expect("long enough")).expect("newer");
    while slots.prepare() != Ok(Progress::Write { offset: 0 }) {}
    assert_eq!(slots.write(0, &bundle[..512]), Ok(Progress::Write { offset: 512 }));
    assert_eq!(slots.write(512, &bundle[512..]), Err(SlotError::Flash(FlashError::Program)));
    assert_eq!(slots.progress(), Progress::Idle);
}
