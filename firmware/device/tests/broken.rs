//! Sectors that fail for good: nothing unverified runs, and the device says what it could not do.

mod common;

use common::{NEW, OLD, Stub, boot, layout, signed, update, upload};
use gradgate_device::flash::{Layout, Region};
use gradgate_device::journal::Health;
use gradgate_device::record::Slot;
use gradgate_device::sim::{Broken, SimFlash};
use gradgate_device::slots::{SlotError, Slots};
use gradgate_device::verify::Refusal;

fn place() -> Layout {
    layout(32, 0xFF, 512, 512, [3, 3])
}

/// Confirmed in slot A, with so many more starts of a trial that the journal stands elsewhere.
fn confirmed(trials: u32) -> SimFlash {
    let mut slots = boot(SimFlash::new(&place(), 1), &place(), Stub::default());
    update(&mut slots, &signed(700, OLD)).expect("no faults");
    for _ in 0..trials {
        upload(&mut slots, &signed(700, NEW), 64).expect("no faults");
        slots.activate(&mut Stub::default()).expect("no faults");
        slots.revert(&mut Stub::default()).expect("no faults");
        slots.erase_inactive().expect("no faults");
    }
    slots.into_flash()
}

/// Every sector of the layout by itself, the journal's both, and all.
fn parts() -> Vec<Vec<Region>> {
    let layout = place();
    let journal = layout.journal().to_vec();
    let one = |region: &Region, index: u32| Region {
        address: region.address + index * region.sector_bytes,
        sectors: 1,
        ..*region
    };
    let slots = Slot::ALL.map(|slot| layout.slot(slot));
    let slot_sectors = slots.iter().flat_map(|slot| (0..slot.sectors).map(|at| one(slot, at)));
    let mut parts: Vec<_> =
        journal.iter().copied().chain(slot_sectors).map(|one| vec![one]).collect();
    parts.push(journal.clone());
    parts.push([journal, slots.to_vec()].concat());
    parts
}

/// What runs lies whole in its slot, as it was signed.
fn is_whole(slots: &Slots<SimFlash>) -> bool {
    slots.active().is_none_or(|active| {
        let bundle = signed(700, active.admitted.counter());
        let address = place().slot(active.slot).address;
        slots.flash().solid(address, 700) == Some(&bundle[..])
    })
}

#[test]
fn sectors_that_fail_for_good_run_nothing_unverified() {
    let (mut updated, mut tried) = (0, 0);
    for trials in 0..4 {
        for part in parts() {
            for how in [Broken::Reads, Broken::Writes] {
                let mut flash = confirmed(trials);
                part.iter().for_each(|region| flash.break_sectors(*region, how));
                let shown = format!("{trials} trials, {how:?} of {part:?}");
                let slots = boot(flash, &place(), Stub::default());
                assert!(is_whole(&slots), "{shown}");
                let running = slots.active().map(|active| active.admitted.counter());
                if running.is_none() {
                    let lost = slots.health() != Health::Whole || slots.journal_error().is_some();
                    assert!(lost || slots.refusal().is_some(), "{shown}: nothing was said");
                }
                assert!(how == Broken::Reads || running == Some(OLD), "{shown}: {running:?}");
                let mut slots = slots;
                let outcome = update(&mut slots, &signed(700, NEW));
                assert!(is_whole(&slots), "{shown}");
                let slots = boot(slots.into_flash(), &place(), Stub::default());
                assert!(is_whole(&slots), "{shown}");
                let after = slots.active().map(|active| active.admitted.counter());
                let confirmed = slots.active().is_some_and(|active| !active.trial);
                tried += 1;
                match outcome {
                    Ok(()) => {
                        updated += 1;
                        assert!(after == Some(NEW) && confirmed, "{shown}: {after:?}");
                    }
                    // What ran before runs again, unless the confirmation was remembered.
                    Err(_) if how == Broken::Writes => assert!(after.is_some(), "{shown}"),
                    Err(_) => {}
                }
            }
        }
    }
    assert!(updated > 0 && updated < tried, "{updated} of {tried}");
}

/// Once flash cannot remember, operations are refused with the journal's error.
#[test]
fn a_journal_that_takes_nothing_is_told() {
    let mut flash = confirmed(0);
    place().journal().iter().for_each(|sector| flash.break_sectors(*sector, Broken::Writes));
    let mut slots = boot(flash, &place(), Stub::default());
    assert!(slots.active().is_some());
    let error = update(&mut slots, &signed(700, NEW)).expect_err("nothing can be remembered");
    assert!(matches!(error, SlotError::Journal(_)), "{error:?}");
    assert_eq!(slots.counter_floor(), OLD);
}

/// On layouts of every word: the longest bundle goes in, one byte more touches nothing.
#[test]
fn one_byte_more_than_a_slot_is_refused() {
    for (word, sector, sectors) in [
        (32, 512, [2, 2]),
        (16, 512, [3, 2]),
        (8, 1024, [1, 2]),
        (4, 512, [2, 2]),
        (1, 512, [1, 1]),
    ] {
        let layout = layout(word, 0xFF, 512, sector, sectors);
        let mut slots = boot(SimFlash::new(&layout, 1), &layout, Stub::default());
        update(&mut slots, &signed(400, OLD)).expect("no faults");
        let other = slots.active().expect("it runs").slot.other();
        let longest = layout.slot(other).bytes();
        let before = (slots.flash().operations(), *slots.state());
        let bytes = longest + 1;
        let refused = upload(&mut slots, &signed(bytes, NEW), 64);
        assert_eq!(refused, Err(SlotError::Refused(Refusal::Length { bytes })));
        assert_eq!((slots.flash().operations(), *slots.state()), before);
        assert_eq!(update(&mut slots, &signed(longest, NEW)), Ok(()), "{layout:?}");
    }
}
