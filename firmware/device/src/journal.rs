//! A log of states in two sectors: nothing is changed in place, the newest whole record counts.
//!
//! A state is written twice, one after the other. A record torn by a power cut may read whole at
//! one start and not at the next; the second writing begins only when the first was read back, so
//! where a copy is seen the state cannot fall back. [`Journal::open`] says when it is not seen,
//! and whoever opens writes the state again before acting on it.
//!
//! Records go into one sector until it is full; then the other is erased and takes the next one.
//! The sector with the newest record is never erased. A record that is torn, unreadable or fails
//! its checksum is passed over, and so is its place.

use crate::flash::{Flash, FlashError, Layout, Region};
use crate::record::{RECORD_BYTES, Record, Snapshot};

/// How often a record that does not read whole is read.
const READS_MAX: usize = 3;

/// Why a state could not be remembered. It may be seen at the next start all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalError {
    /// The sector for the next record cannot be erased.
    Erase,
    /// No place of either sector takes a record.
    Program,
}

/// What the sectors hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Erased: a new device.
    Blank,
    /// There is a whole record.
    Whole,
    /// Something, but no whole record: what was confirmed, and the counter, are forgotten.
    Lost,
}

/// What [`Journal::open`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The newest state; the default one without a whole record.
    pub snapshot: Snapshot,
    /// The state cannot fall back; without this it is written again before it is acted on.
    pub settled: bool,
    /// What the sectors hold.
    pub health: Health,
}

/// Where the next record goes.
#[derive(Clone, Copy, Debug)]
pub struct Journal {
    /// Sector with the newest record; `None` before the first.
    current: Option<usize>,
    position: u32,
    sequence: u64,
}

/// How many records a sector takes.
pub fn positions(sector: &Region) -> u32 {
    sector.sector_bytes.checked_div(RECORD_BYTES as u32).unwrap_or(0)
}

impl Journal {
    /// Reads both sectors and writes nothing.
    pub fn open<F: Flash>(flash: &mut F, layout: &Layout) -> (Self, Found) {
        let scans = layout.journal().each_ref().map(|sector| Scan::of(flash, layout, sector));
        let mut newest: Option<(usize, Record)> = None;
        for (index, scan) in scans.iter().enumerate() {
            if let Some(record) = scan.newest
                && newest.is_none_or(|(_, best)| record.sequence > best.sequence)
            {
                newest = Some((index, record));
            }
        }
        let bad: u32 = scans.iter().map(|scan| scan.bad).fold(0, u32::saturating_add);
        let used = scans.iter().any(|scan| scan.next != 0);
        let Some((index, record)) = newest else {
            let health = if used { Health::Lost } else { Health::Blank };
            let found = Found { snapshot: Snapshot::default(), settled: true, health };
            return (Self { current: None, position: 0, sequence: 0 }, found);
        };
        let journal = Self {
            current: Some(index),
            position: scans.get(index).map_or(0, |scan| scan.next),
            // Every place passed over may be a record that reads whole another time; each was
            // written with a number not above this sum.
            sequence: record.sequence.saturating_add(u64::from(bad)),
        };
        let snapshot = record.snapshot;
        (journal, Found { snapshot, settled: record.copy, health: Health::Whole })
    }

    /// Remembers a state. Once this returns without an error every later start sees it, or a newer.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn append<F: Flash>(
        &mut self,
        flash: &mut F,
        layout: &Layout,
        snapshot: Snapshot,
    ) -> Result<(), JournalError> {
        self.write(flash, layout, snapshot, false)?;
        // The first is whole. Without its copy the next start writes both again.
        let _ = self.write(flash, layout, snapshot, true);
        Ok(())
    }

    /// Tries the places left in this sector, then all of the other one.
    fn write<F: Flash>(
        &mut self,
        flash: &mut F,
        layout: &Layout,
        snapshot: Snapshot,
        copy: bool,
    ) -> Result<(), JournalError> {
        if let Some(index) = self.current
            && self.fill(flash, layout, index, self.position, snapshot, copy)
        {
            return Ok(());
        }
        // Where this fails `current` stays, so that the newest record's sector is never erased.
        let others: &[usize] = match self.current {
            Some(0) => &[1],
            Some(_) => &[0],
            None => &[0, 1],
        };
        let mut error = JournalError::Erase;
        for &index in others {
            let Some(sector) = layout.journal().get(index) else {
                continue;
            };
            if flash.erase(sector.address, sector.sector_bytes).is_err() {
                continue;
            }
            if self.fill(flash, layout, index, 0, snapshot, copy) {
                return Ok(());
            }
            error = JournalError::Program;
        }
        Err(error)
    }

    /// Whether a place from `first` on took the record.
    fn fill<F: Flash>(
        &mut self,
        flash: &mut F,
        layout: &Layout,
        index: usize,
        first: u32,
        snapshot: Snapshot,
        copy: bool,
    ) -> bool {
        let Some(sector) = layout.journal().get(index) else {
            return false;
        };
        for position in first..positions(sector) {
            self.sequence = self.sequence.saturating_add(1);
            if self.current == Some(index) {
                self.position = position.saturating_add(1);
            }
            let record = Record { snapshot, sequence: self.sequence, copy };
            if program(flash, place(sector, position), &record.encode()).is_ok() {
                self.current = Some(index);
                self.position = position.saturating_add(1);
                return true;
            }
        }
        false
    }
}

fn program<F: Flash>(
    flash: &mut F,
    address: u32,
    bytes: &[u8; RECORD_BYTES],
) -> Result<(), FlashError> {
    flash.program(address, bytes)?;
    let mut back = [0; RECORD_BYTES];
    flash.read(address, &mut back)?;
    (back == *bytes).then_some(()).ok_or(FlashError::Program)
}

fn place(sector: &Region, position: u32) -> u32 {
    sector.at(position.saturating_mul(RECORD_BYTES as u32))
}

/// One sector, read.
struct Scan {
    newest: Option<Record>,
    /// First place behind everything that is not erased.
    next: u32,
    /// Places with neither a whole record nor erased bytes.
    bad: u32,
}

impl Scan {
    fn of<F: Flash>(flash: &mut F, layout: &Layout, sector: &Region) -> Self {
        let mut scan = Self { newest: None, next: 0, bad: 0 };
        for position in 0..positions(sector) {
            let found = look(flash, layout.erased(), place(sector, position));
            if found == Place::Erased {
                continue;
            }
            scan.next = position.saturating_add(1);
            match found {
                Place::Whole(record) => {
                    if scan.newest.is_none_or(|best| record.sequence >= best.sequence) {
                        scan.newest = Some(record);
                    }
                }
                Place::Erased | Place::Bad => scan.bad = scan.bad.saturating_add(1),
            }
        }
        scan
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Erased,
    Whole(Record),
    Bad,
}

/// A place is bad only when no read of it was whole or erased.
fn look<F: Flash>(flash: &mut F, erased: u8, address: u32) -> Place {
    for _ in 0..READS_MAX {
        let mut bytes = [0; RECORD_BYTES];
        if flash.read(address, &mut bytes).is_err() {
            continue;
        }
        if let Some(record) = Record::decode(&bytes) {
            return Place::Whole(record);
        }
        if bytes.iter().all(|&byte| byte == erased) {
            return Place::Erased;
        }
    }
    Place::Bad
}
