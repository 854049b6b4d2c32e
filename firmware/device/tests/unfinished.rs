//! How far an upload came that was not finished, before and after a restart.

mod common;

use common::{Stub, layout, signed};
use gradgate_device::flash::Layout;
use gradgate_device::record::Slot;
use gradgate_device::sim::SimFlash;
use gradgate_device::slots::Slots;
use gradgate_device::upload::{Progress, Unfinished};

const SECTOR_BYTES: u32 = 512;
const TOTAL_BYTES: u32 = 2000;

fn place() -> Layout {
    layout(8, 0xFF, 512, SECTOR_BYTES, [8, 8])
}

fn boot(flash: SimFlash) -> Slots<SimFlash> {
    common::boot(flash, &place(), Stub::default())
}

fn told(slots: &mut Slots<SimFlash>) -> Option<(Slot, u32, u32)> {
    let Unfinished { slot, bytes, total_bytes, .. } = slots.unfinished()?;
    Some((slot, bytes, total_bytes))
}

#[test]
fn what_is_told_after_a_restart_is_where_the_upload_goes_on() {
    let bundle = signed(TOTAL_BYTES, 5);
    let prefix = bundle.first_chunk().expect("long enough");
    // Bytes sent, and what the device says of them once it has forgotten the upload.
    let table = [
        (0, 0, 0),
        (160, 0, 0),
        (400, 0, TOTAL_BYTES),
        (512, 0, TOTAL_BYTES),
        (600, 512, TOTAL_BYTES),
        (1536, 1024, TOTAL_BYTES),
        (2000, 1536, TOTAL_BYTES),
    ];
    for (sent, kept, total) in table {
        let mut slots = boot(SimFlash::new(&place(), 1));
        assert_eq!(told(&mut slots), None, "nothing was begun");
        slots.begin(prefix).expect("it is good");
        assert_eq!(told(&mut slots), Some((Slot::A, 0, TOTAL_BYTES)), "it erases");
        while slots.prepare() != Ok(Progress::Write { offset: 0 }) {}
        slots.write(0, &bundle[..sent]).expect("they follow");
        assert_eq!(told(&mut slots), Some((Slot::A, sent as u32, TOTAL_BYTES)), "{sent}");
        let mut slots = boot(slots.into_flash());
        assert_eq!(told(&mut slots), Some((Slot::A, kept, total)), "{sent}");
        let identity = slots.unfinished().expect("as before").identity;
        assert_eq!(identity, slots.state().content(Slot::A).identity);
        slots.begin(prefix).expect("as before");
        assert_eq!(told(&mut slots), Some((Slot::A, kept, TOTAL_BYTES)), "{sent}");
        while slots.prepare() != Ok(Progress::Write { offset: kept }) {}
        slots.write(kept, &bundle[kept as usize..]).expect("they follow");
        slots.finish().expect("it is whole");
        assert_eq!(told(&mut slots), None, "it waits");
        assert_eq!(told(&mut boot(slots.into_flash())), None, "it waits");
    }
}

#[test]
fn bytes_of_a_longer_bundle_behind_it_are_not_counted() {
    let (longer, bundle) = (signed(4000, 4), signed(TOTAL_BYTES, 5));
    let prefix = bundle.first_chunk().expect("long enough");
    for (sent, kept, total) in [(0, 0, 0), (400, 0, TOTAL_BYTES), (1100, 1024, TOTAL_BYTES)] {
        let mut slots = boot(SimFlash::new(&place(), 1));
        slots.begin(longer.first_chunk().expect("long enough")).expect("it is good");
        while slots.prepare() != Ok(Progress::Write { offset: 0 }) {}
        slots.write(0, &longer).expect("they follow");
        slots.begin(prefix).expect("it is good");
        while slots.prepare() != Ok(Progress::Write { offset: 0 }) {}
        slots.write(0, &bundle[..sent]).expect("they follow");
        let mut slots = boot(slots.into_flash());
        assert_eq!(told(&mut slots), Some((Slot::A, kept, total)), "{sent}");
    }
}
