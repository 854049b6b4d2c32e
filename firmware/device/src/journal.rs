//! A log of states in two sectors: nothing is changed in place, the newest whole record counts.
//!
//! A state is written twice, one after the other. A record torn by a power cut may read whole at
//! one start and not at the next; the second writing begins only when the first was read back, so
//! where a copy is seen the state cannot fall back. [`Journal::open`] says when it is not seen,
//! and whoever opens writes the state again before acting on it.
//!
//! What could not be read may be a newer record that another start would read: an operation that
//! seemed undone would come back by itself. So where a place behind the newest record reads as
//! neither a record nor erased, the state counts as not settled either, and is written again with a
//! number above all that such places can hold.
//! Not where no record is read at all: erasing then could destroy what a passing fault hides. So
//! the very first record, torn, may still appear at a later start.
//!
//! Records go into one sector until it is full; then the other is erased and takes the next one.
//! The sector with the newest record is never erased. A record that is torn, unreadable or fails
//! its checksum is passed over, and so is its place.

use crate::flash::{Flash, FlashError, Region};
use crate::record::{Record, State};

/// How often a place that reads neither whole nor erased is read: a fault that passes must not make
/// an older state the newest.
const READS_MAX: usize = 8;

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
    /// There is one, but several places of the other sector are used and none of them can be read:
    /// the state may be an older one.
    Doubtful,
    /// Something, but no whole record: what was remembered is forgotten.
    Lost,
}

/// What [`Journal::open`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<S> {
    /// The newest state; the default one without a whole record.
    pub state: S,
    /// The state cannot change by itself; without this it is written again before it is acted on.
    pub settled: bool,
    /// What the sectors hold.
    pub health: Health,
    /// Places that are neither erased nor a whole record; each may hold a newer state.
    pub unread: u32,
}

/// Where the next record goes. `BYTES` is the length of a record: whole words of every length.
#[derive(Clone, Copy, Debug)]
pub struct Journal<const BYTES: usize> {
    sectors: [Region; 2],
    /// Sector with the newest record; `None` before the first.
    current: Option<usize>,
    position: u32,
    sequence: u64,
}

/// How many records a sector takes.
pub fn positions(sector: &Region, record_bytes: usize) -> u32 {
    sector.sector_bytes.checked_div(record_bytes as u32).unwrap_or(0)
}

impl<const BYTES: usize> Journal<BYTES> {
    /// Reads both sectors and writes nothing. `erased`: the byte that erased flash reads as.
    pub fn open<S: State<BYTES>, F: Flash>(
        flash: &mut F,
        sectors: [Region; 2],
        erased: u8,
    ) -> (Self, Found<S>) {
        let scans = sectors.each_ref().map(|sector| Scan::<S>::of(flash, erased, sector));
        let mut newest: Option<(usize, Record<S>)> = None;
        for (index, scan) in scans.iter().enumerate() {
            if let Some(record) = scan.newest
                && newest.is_none_or(|(_, best)| record.sequence > best.sequence)
            {
                newest = Some((index, record));
            }
        }
        let bad: u32 = scans.iter().map(|scan| scan.bad).fold(0, u32::saturating_add);
        let used = scans.iter().any(|scan| scan.next != 0);
        // Every place passed over may be a record that reads whole another time; each was written
        // with a number not above this sum.
        let sequence = newest.map_or(0, |(_, record)| record.sequence);
        let sequence = sequence.saturating_add(u64::from(bad));
        let mut journal = Self { sectors, current: None, position: 0, sequence };
        let Some((index, record)) = newest else {
            let health = if used { Health::Lost } else { Health::Blank };
            return (journal, Found { state: S::default(), settled: true, health, unread: bad });
        };
        journal.current = Some(index);
        let [first, second] = &scans;
        let (scan, other) = if index == 0 { (first, second) } else { (second, first) };
        journal.position = scan.next;
        // The next record went into the other sector if this one took no more.
        let full = scan.next >= positions(&scan.sector, BYTES);
        let hidden = scan.bad_behind || (full || other.newest.is_none()) && other.bad > 0;
        let settled = record.copy && !hidden;
        // One such place is what a power cut leaves.
        let unread = other.newest.is_none() && other.bad > 1;
        let health = if unread { Health::Doubtful } else { Health::Whole };
        (journal, Found { state: record.state, settled, health, unread: bad })
    }

    /// Remembers a state. Once this returns without an error every later start sees it, or a newer.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn append<S: State<BYTES>, F: Flash>(
        &mut self,
        flash: &mut F,
        state: S,
    ) -> Result<(), JournalError> {
        self.write(flash, state, false)?;
        // The first is whole. Without its copy the next start writes both again.
        let _ = self.write(flash, state, true);
        Ok(())
    }

    /// Tries the places left in this sector, then all of the other one.
    fn write<S: State<BYTES>, F: Flash>(
        &mut self,
        flash: &mut F,
        state: S,
        copy: bool,
    ) -> Result<(), JournalError> {
        if let Some(index) = self.current
            && self.fill(flash, index, self.position, state, copy)
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
            let Some(sector) = self.sectors.get(index).copied() else {
                continue;
            };
            if flash.erase(sector.address, sector.sector_bytes).is_err() {
                continue;
            }
            if self.fill(flash, index, 0, state, copy) {
                return Ok(());
            }
            error = JournalError::Program;
        }
        Err(error)
    }

    /// Whether a place from `first` on took the record.
    fn fill<S: State<BYTES>, F: Flash>(
        &mut self,
        flash: &mut F,
        index: usize,
        first: u32,
        state: S,
        copy: bool,
    ) -> bool {
        let Some(sector) = self.sectors.get(index).copied() else {
            return false;
        };
        for position in first..positions(&sector, BYTES) {
            self.sequence = self.sequence.saturating_add(1);
            if self.current == Some(index) {
                self.position = position.saturating_add(1);
            }
            let record = Record { state, sequence: self.sequence, copy };
            if program(flash, place(&sector, position, BYTES), &S::encode(&record)).is_ok() {
                self.current = Some(index);
                self.position = position.saturating_add(1);
                return true;
            }
        }
        false
    }
}

fn program<F: Flash, const BYTES: usize>(
    flash: &mut F,
    address: u32,
    bytes: &[u8; BYTES],
) -> Result<(), FlashError> {
    flash.program(address, bytes)?;
    let mut back = [0; BYTES];
    flash.read(address, &mut back)?;
    (back == *bytes).then_some(()).ok_or(FlashError::Program)
}

fn place(sector: &Region, position: u32, record_bytes: usize) -> u32 {
    sector.at(position.saturating_mul(record_bytes as u32))
}

/// One sector, read.
struct Scan<S> {
    sector: Region,
    newest: Option<Record<S>>,
    /// First place behind everything that is not erased.
    next: u32,
    /// Places with neither a whole record nor erased bytes.
    bad: u32,
    /// One of them lies behind the newest record, or there is none.
    bad_behind: bool,
}

impl<S> Scan<S> {
    fn of<F: Flash, const BYTES: usize>(flash: &mut F, erased: u8, sector: &Region) -> Self
    where
        S: State<BYTES>,
    {
        let mut scan = Self { sector: *sector, newest: None, next: 0, bad: 0, bad_behind: false };
        for position in 0..positions(sector, BYTES) {
            match look::<S, F, BYTES>(flash, erased, place(sector, position, BYTES)) {
                Place::Erased => continue,
                Place::Whole(record) => {
                    if scan.newest.is_none_or(|best| record.sequence >= best.sequence) {
                        scan.newest = Some(record);
                        scan.bad_behind = false;
                    }
                }
                Place::Bad => {
                    scan.bad = scan.bad.saturating_add(1);
                    scan.bad_behind = true;
                }
            }
            scan.next = position.saturating_add(1);
        }
        scan
    }
}

enum Place<S> {
    Erased,
    Whole(Record<S>),
    Bad,
}

/// A place is bad only when no read of it was whole or erased.
fn look<S: State<BYTES>, F: Flash, const BYTES: usize>(
    flash: &mut F,
    erased: u8,
    address: u32,
) -> Place<S> {
    for _ in 0..READS_MAX {
        let mut bytes = [0; BYTES];
        if flash.read(address, &mut bytes).is_err() {
            continue;
        }
        if let Some(record) = S::decode(&bytes) {
            return Place::Whole(record);
        }
        if bytes.iter().all(|&byte| byte == erased) {
            return Place::Erased;
        }
    }
    Place::Bad
}
