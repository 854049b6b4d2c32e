//! Records that a start could not read: whatever a later start reads of them, they are older.

use gradgate_device::flash::{Flash, FlashError, Layout, Region};
use gradgate_device::journal::Journal;
use gradgate_device::record::{RECORD_BYTES, Snapshot};
use gradgate_device::sim::SimFlash;

const ERASED: u8 = 0xFF;
const SECTOR_BYTES: u32 = 1024;

/// Flash that reports programs as failed which it made, until power fails with the last of them,
/// and does not read them for a while.
struct Doubtful {
    flash: SimFlash,
    /// So many programs from now on; none: no faults.
    denied: Option<u32>,
    /// Where they were made.
    places: Vec<u32>,
    /// Whether these can be read.
    readable: bool,
}

impl Flash for Doubtful {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        if !self.readable && self.places.contains(&address) {
            return Err(FlashError::Read);
        }
        self.flash.read(address, bytes)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let Some(left) = &mut self.denied else { return self.flash.program(address, bytes) };
        *left = left.checked_sub(1).ok_or(FlashError::Program)?;
        self.places.push(address);
        self.flash.program(address, bytes)?;
        Err(FlashError::Program)
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        match self.denied {
            Some(0) => Err(FlashError::Erase),
            _ => self.flash.erase(address, length),
        }
    }
}

fn layout() -> Layout {
    let region = |sector, sectors| Region {
        address: sector * SECTOR_BYTES,
        sector_bytes: SECTOR_BYTES,
        sectors,
    };
    Layout::new(32, ERASED, [region(0, 1), region(1, 1)], [region(2, 2), region(4, 2)])
        .expect("a layout that works")
}

fn open(flash: &mut Doubtful) -> (Journal<RECORD_BYTES>, Snapshot, bool) {
    let (journal, found) = Journal::open(flash, *layout().journal(), ERASED);
    (journal, found.state, found.settled)
}

/// What a start found and wrote again is the state for good: a newer one that was tried in places
/// which it could not read does not come back when they can be read again.
#[test]
fn a_state_that_a_start_did_not_see_does_not_come_back() {
    let state = |floor| Snapshot { floor, ..Snapshot::default() };
    // A sector has ten places, each kept state takes two.
    for (kept, denied) in (1..5).flat_map(|kept| (1..5).map(move |denied| (kept, denied))) {
        let flash = SimFlash::new(&layout(), 1);
        let mut flash = Doubtful { flash, denied: None, places: Vec::new(), readable: true };
        let (mut journal, ..) = open(&mut flash);
        for floor in 1..=kept {
            journal.append(&mut flash, state(floor)).expect("no faults");
        }
        flash.denied = Some(denied);
        assert!(journal.append(&mut flash, state(9)).is_err());
        (flash.denied, flash.readable) = (None, false);
        let (mut journal, found, settled) = open(&mut flash);
        assert_eq!((found, settled), (state(kept), false), "{kept} kept, {denied} denied");
        journal.append(&mut flash, found).expect("no faults");
        flash.readable = true;
        let (_, later, settled) = open(&mut flash);
        assert_eq!((later, settled), (found, true), "{kept} kept, {denied} denied");
    }
}
