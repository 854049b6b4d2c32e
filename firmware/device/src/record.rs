//! One journal record: the state of both slots at a time, in 96 bytes with a checksum.
//!
//! | byte | field | meaning |
//! | --- | --- | --- |
//! | 0 | magic | `GGJ1` |
//! | 4 | states | u8 x 2, slots A and B |
//! | 6 | boots | u8, how often the bundle on trial was started |
//! | 7 | copy | u8, 1 for the second writing of a state |
//! | 8 | sequence | u64, the newest record is the state |
//! | 16 | floor | u64, largest security counter ever confirmed |
//! | 24 | identities | 32 bytes x 2, SHA-256 of each slot's manifest and signature, or zeros |
//! | 88 | reserved | zeros |
//! | 92 | checksum | CRC-32/AUTOSAR of what is before |
//!
//! Little-endian. 96 bytes are whole words for every word up to 32 bytes, and far below the 4,092
//! bytes up to which this checksum finds any five wrong bits.

/// Length of a record in bytes.
pub const RECORD_BYTES: usize = 96;

const MAGIC: [u8; 4] = *b"GGJ1";

/// SHA-256 of the 320 bytes of manifest and signature; through the digests in it, of every byte.
pub type Identity = [u8; 32];

/// One of the two places for a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Both.
    pub const ALL: [Slot; 2] = [Slot::A, Slot::B];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What a slot holds. Numbers are frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlotState {
    /// Nothing of use; may be erased at any time.
    #[default]
    Empty = 0,
    /// Was erased as a whole and takes the bytes of the bundle that is named.
    Filling = 1,
    /// A whole bundle, signature and digests right, that never ran.
    Staged = 2,
    /// Runs until it is confirmed, rejected, or started too often.
    Trial = 3,
    /// The bundle to fall back to.
    Confirmed = 4,
    /// Failed its trial or a check; never started again.
    Rejected = 5,
}

impl SlotState {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Empty,
            1 => Self::Filling,
            2 => Self::Staged,
            3 => Self::Trial,
            4 => Self::Confirmed,
            5 => Self::Rejected,
            _ => return None,
        })
    }
}

/// A slot's state and the bundle that it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The state.
    pub state: SlotState,
    /// Which bundle; zeros for an empty slot.
    pub identity: Identity,
}

/// All that is remembered: what one record says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Slot A.
    pub a: Content,
    /// Slot B.
    pub b: Content,
    /// How often the bundle on trial was started.
    pub boots: u8,
    /// Largest security counter ever confirmed.
    pub floor: u64,
}

impl Snapshot {
    /// What a slot holds.
    pub fn content(&self, slot: Slot) -> Content {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }

    /// The slot in that state, the first if both are.
    pub fn find(&self, state: SlotState) -> Option<Slot> {
        Slot::ALL.into_iter().find(|&slot| self.content(slot).state == state)
    }

    /// As it is, but for one slot.
    #[must_use]
    pub fn with(mut self, slot: Slot, state: SlotState, identity: Identity) -> Self {
        let content = Content { state, identity };
        match slot {
            Slot::A => self.a = content,
            Slot::B => self.b = content,
        }
        self
    }

    /// At most one slot is on trial, and one confirmed.
    fn consistent(&self) -> bool {
        let single = |state| self.a.state != state || self.b.state != state;
        single(SlotState::Trial) && single(SlotState::Confirmed)
    }
}

/// A state with its place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<S> {
    /// The state.
    pub state: S,
    /// Larger is newer.
    pub sequence: u64,
    /// Written after a record of the same state was whole in flash.
    pub copy: bool,
}

/// What a [`crate::journal::Journal`] remembers, in records of `BYTES` bytes.
pub trait State<const BYTES: usize>: Copy + Default {
    /// The bytes of a record.
    fn encode(record: &Record<Self>) -> [u8; BYTES];

    /// A whole record, or `None` for anything else; erased bytes are none.
    fn decode(bytes: &[u8; BYTES]) -> Option<Record<Self>>;
}

impl State<RECORD_BYTES> for Snapshot {
    fn encode(record: &Record<Self>) -> [u8; RECORD_BYTES] {
        let Snapshot { a, b, boots, floor } = record.state;
        let states = [a.state as u8, b.state as u8, boots, u8::from(record.copy)];
        sealed(&[
            &MAGIC,
            &states,
            &record.sequence.to_le_bytes(),
            &floor.to_le_bytes(),
            &a.identity,
            &b.identity,
        ])
    }

    fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record<Self>> {
        let (magic, rest) = unsealed(bytes)?.split_first_chunk::<4>()?;
        let (&[a, b, boots, copy], rest) = rest.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (floor, rest) = rest.split_first_chunk::<8>()?;
        let (identity_a, rest) = rest.split_first_chunk::<32>()?;
        let (identity_b, reserved) = rest.split_first_chunk::<32>()?;
        if *magic != MAGIC || copy > 1 || reserved.iter().any(|&byte| byte != 0) {
            return None;
        }
        let state = Snapshot {
            a: Content { state: SlotState::from_number(a)?, identity: *identity_a },
            b: Content { state: SlotState::from_number(b)?, identity: *identity_b },
            boots,
            floor: u64::from_le_bytes(*floor),
        };
        let sequence = u64::from_le_bytes(*sequence);
        state.consistent().then_some(Record { state, sequence, copy: copy == 1 })
    }
}

/// The parts one after the other, zeros, and the checksum in the last four bytes.
pub(crate) fn sealed<const BYTES: usize>(parts: &[&[u8]]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let body = parts.iter().flat_map(|part| part.iter());
    bytes.iter_mut().zip(body).for_each(|(to, from)| *to = *from);
    if let Some((body, checksum)) = bytes.split_last_chunk_mut::<4>() {
        *checksum = crc32(body).to_le_bytes();
    }
    bytes
}

/// What is before a right checksum.
pub(crate) fn unsealed<const BYTES: usize>(bytes: &[u8; BYTES]) -> Option<&[u8]> {
    let (body, checksum) = bytes.split_last_chunk::<4>()?;
    (crc32(body).to_le_bytes() == *checksum).then_some(body)
}

/// CRC-32/AUTOSAR, bit by bit: records are few.
fn crc32(bytes: &[u8]) -> u32 {
    /// The polynomial 0xF4ACFB13, reflected.
    const POLYNOMIAL: u32 = 0xC8DF_352F;
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<Snapshot> {
        let state = Snapshot { boots: 2, floor: 0x0102_0304_0506_0708, ..Snapshot::default() }
            .with(Slot::A, SlotState::Confirmed, [0xAA; 32])
            .with(Slot::B, SlotState::Trial, [0xBB; 32]);
        Record { state, sequence: 77, copy: true }
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // The check value of CRC-32/AUTOSAR in the catalogue of CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0x1697_D06A);
    }

    #[test]
    fn records_come_back_and_any_wrong_bit_is_seen() {
        let bytes = Snapshot::encode(&record());
        assert_eq!(bytes[..8], *b"GGJ1\x04\x03\x02\x01");
        assert_eq!(Snapshot::decode(&bytes), Some(record()));
        for bit in 0..RECORD_BYTES * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Snapshot::decode(&wrong), None, "bit {bit}");
        }
    }

    #[test]
    fn states_that_cannot_be_are_no_records() {
        let both =
            |state| record().state.with(Slot::A, state, [1; 32]).with(Slot::B, state, [2; 32]);
        for (state, whole) in [
            (SlotState::Confirmed, false),
            (SlotState::Trial, false),
            (SlotState::Rejected, true),
            (SlotState::Empty, true),
        ] {
            let record = Record { state: both(state), ..record() };
            assert_eq!(Snapshot::decode(&Snapshot::encode(&record)).is_some(), whole, "{state:?}");
        }
        assert_eq!(Snapshot::decode(&[0; RECORD_BYTES]), None);
        assert_eq!(Snapshot::decode(&[0xFF; RECORD_BYTES]), None);
    }
}
