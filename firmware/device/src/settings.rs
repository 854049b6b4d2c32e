//! What a device is given once and keeps over every power cut: its name, the key that signs its
//! bundles, its link key, and the number of this start.
//!
//! They lie in two sectors of their own, as records of a [`crate::journal`]: nothing is changed in
//! place, and once something was acknowledged every later start sees it or something newer.
//!
//! The boot number starts the numbers of link sessions, and a number that comes twice with one link
//! key lets somebody replay what was recorded under it. So it is raised, and the raised one read
//! back, before [`Settings::open`] returns; where flash does not take it there is no number, and a
//! device without one must not answer on its link.
//!
//! Where nothing can be read (a new device, or sectors that were lost, see [`Settings::health`])
//! the device is not provisioned: anybody may speak to it under the key that everybody knows, and
//! numbers begin at the caller's seed. Whoever then gives it the link key that it had before, as
//! keys derived from a site's are, opens it to replays of sessions whose numbers come again; a seed
//! from a random source makes that a matter of chance, a fixed seed a certainty. Bundles stay safe:
//! their signature and counter depend on nothing here but the signer's key.
//!
//! Where some records cannot be read, numbers are raised past all that these can hold. A link key
//! that stood in them alone, flash having failed after it was acknowledged, is lost, and the one
//! before counts again; [`Health::Doubtful`] tells.
//!
//! A record is 128 bytes, little-endian:
//!
//! | byte | field | meaning |
//! | --- | --- | --- |
//! | 0 | magic | `GGS1` |
//! | 4 | copy | u8, 1 for the second writing of a state |
//! | 5 | provisioned | u8, 0 or 1 |
//! | 6 | length | u8, of the name in bytes |
//! | 7 | reserved | zero |
//! | 8 | sequence | u64, the newest record is the state |
//! | 16 | boot | u32 |
//! | 20 | name | 32 bytes, UTF-8, then zeros |
//! | 52 | signer | 32 bytes, Ed25519 public key |
//! | 84 | link key | 32 bytes |
//! | 116 | reserved | zeros |
//! | 124 | checksum | CRC-32/AUTOSAR of what is before |

use core::fmt;

use gradgate_bundle::signature::VerifyingKey;

use crate::copy;
use crate::flash::{Flash, Layout};
use crate::journal::{Health, Journal, JournalError};
use crate::record::{Record, State, sealed, unsealed};

/// Length of a record in bytes.
pub const SETTINGS_BYTES: usize = 128;

/// Longest name in bytes.
pub const NAME_BYTES_MAX: usize = 32;

const MAGIC: [u8; 4] = *b"GGS1";

/// A device's name: UTF-8, at most [`NAME_BYTES_MAX`] bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; NAME_BYTES_MAX],
    length: u8,
}

impl Name {
    /// `None` for a name that is too long.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; NAME_BYTES_MAX];
        copy(bytes.get_mut(..name.len())?, name.as_bytes());
        Some(Self { bytes, length: name.len() as u8 })
    }

    /// The name.
    pub fn text(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text(), f)
    }
}

/// What a device is given. Its debug form does not show the link key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// What the device is called.
    pub name: Name,
    /// Ed25519 public key of whoever signs its bundles.
    pub signer: [u8; 32],
    /// Secret of the link.
    pub link_key: [u8; 32],
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, signer, link_key: _ } = self;
        f.debug_struct("Given").field("name", name).field("signer", signer).finish_non_exhaustive()
    }
}

/// Why a device does not keep what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// The layout has no sectors for settings.
    NoPlace,
    /// The signer's key is no point of the curve, or anybody could sign for it.
    Signer,
    /// The link key of zeros, which everybody knows.
    LinkKey,
    /// Flash did not take it. It may be seen at the next start all the same.
    Journal(JournalError),
}

/// All that is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kept {
    boot: u32,
    given: Option<Given>,
}

/// What a device keeps.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    journal: Option<Journal<SETTINGS_BYTES>>,
    kept: Kept,
    health: Health,
    numbered: bool,
}

impl Settings {
    /// Reads what was given and raises the boot number. `seed`: the first one where nothing can be
    /// read, less its highest bit; without sectors for settings the only one.
    pub fn open<F: Flash>(flash: &mut F, layout: &Layout, seed: u32) -> Self {
        let first = Kept { boot: seed & (u32::MAX >> 1), given: None };
        let Some(sectors) = layout.settings() else {
            return Self { journal: None, kept: first, health: Health::Blank, numbered: true };
        };
        let (mut journal, found) = Journal::open::<Kept, F>(flash, *sectors, layout.erased());
        let next = match found.health {
            // Each record that cannot be read may hold one number more.
            Health::Whole | Health::Doubtful => {
                let boot =
                    found.unread.checked_add(1).and_then(|add| found.state.boot.checked_add(add));
                boot.map(|boot| Kept { boot, ..found.state })
            }
            Health::Blank | Health::Lost => Some(first),
        };
        let numbered = next.is_some_and(|next| journal.append(flash, next).is_ok());
        let kept = next.unwrap_or(found.state);
        Self { journal: Some(journal), kept, health: found.health, numbered }
    }

    /// Number of this start, never given out before with this link key; `None` where it could not
    /// be raised, because flash failed or after 2^31 starts.
    pub fn boot(&self) -> Option<u32> {
        self.numbered.then_some(self.kept.boot)
    }

    /// What was given; `None` for a device that is not provisioned.
    pub fn given(&self) -> Option<&Given> {
        self.kept.given.as_ref()
    }

    /// How the sectors were found.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Keeps what the device is given, instead of what it had. The boot number goes on.
    ///
    /// # Errors
    /// See [`SettingsError`]; nothing is written for a key that is refused.
    pub fn provision<F: Flash>(
        &mut self,
        flash: &mut F,
        given: Given,
    ) -> Result<(), SettingsError> {
        let signer = VerifyingKey::from_bytes(&given.signer);
        if !signer.is_ok_and(|key| !key.is_weak()) {
            return Err(SettingsError::Signer);
        }
        if given.link_key == [0; 32] {
            return Err(SettingsError::LinkKey);
        }
        let journal = self.journal.as_mut().ok_or(SettingsError::NoPlace)?;
        let next = Kept { given: Some(given), ..self.kept };
        journal.append(flash, next).map_err(SettingsError::Journal)?;
        self.kept = next;
        Ok(())
    }
}

impl State<SETTINGS_BYTES> for Kept {
    fn encode(record: &Record<Self>) -> [u8; SETTINGS_BYTES] {
        const NONE: Given =
            Given { name: Name { bytes: [0; 32], length: 0 }, signer: [0; 32], link_key: [0; 32] };
        let Kept { boot, given } = record.state;
        let Given { name, signer, link_key } = given.unwrap_or(NONE);
        let flags = [u8::from(record.copy), u8::from(given.is_some()), name.length, 0];
        sealed(&[
            &MAGIC,
            &flags,
            &record.sequence.to_le_bytes(),
            &boot.to_le_bytes(),
            &name.bytes,
            &signer,
            &link_key,
        ])
    }

    fn decode(bytes: &[u8; SETTINGS_BYTES]) -> Option<Record<Self>> {
        let (magic, rest) = unsealed(bytes)?.split_first_chunk::<4>()?;
        let (&[copy, provisioned, length, zero], rest) = rest.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (boot, rest) = rest.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_first_chunk::<NAME_BYTES_MAX>()?;
        let (signer, rest) = rest.split_first_chunk::<32>()?;
        let (link_key, reserved) = rest.split_first_chunk::<32>()?;
        let known = *magic == MAGIC && copy <= 1 && provisioned <= 1 && zero == 0;
        if !known || reserved.iter().any(|&byte| byte != 0) {
            return None;
        }
        let text = core::str::from_utf8(name.get(..usize::from(length))?).ok()?;
        let given = Given { name: Name::new(text)?, signer: *signer, link_key: *link_key };
        let boot = u32::from_le_bytes(*boot);
        let state = Kept { boot, given: (provisioned == 1).then_some(given) };
        Some(Record { state, sequence: u64::from_le_bytes(*sequence), copy: copy == 1 })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::flash::Region;
    use crate::sim::SimFlash;

    fn record() -> Record<Kept> {
        let name = Name::new("dock é").unwrap();
        let given = Given { name, signer: [0xAA; 32], link_key: [0xBB; 32] };
        let state = Kept { boot: 0x0102_0304, given: Some(given) };
        Record { state, sequence: 9, copy: true }
    }

    #[test]
    fn records_come_back_and_any_wrong_bit_is_seen() {
        let bytes = Kept::encode(&record());
        assert_eq!(bytes[..8], *b"GGS1\x01\x01\x07\x00");
        assert_eq!(bytes[16..28], *b"\x04\x03\x02\x01dock \xC3\xA9\x00");
        assert_eq!(Kept::decode(&bytes), Some(record()));
        let bare = Record { state: Kept { boot: 7, given: None }, ..record() };
        assert_eq!(Kept::decode(&Kept::encode(&bare)), Some(bare));
        for bit in 0..SETTINGS_BYTES * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Kept::decode(&wrong), None, "bit {bit}");
        }
        assert_eq!(Kept::decode(&[0; SETTINGS_BYTES]), None);
        assert_eq!(Kept::decode(&[0xFF; SETTINGS_BYTES]), None);
    }

    #[test]
    fn names_have_a_length() {
        let longest = "n".repeat(NAME_BYTES_MAX);
        assert_eq!(Name::new(&longest).map(|name| name.text() == longest), Some(true));
        assert_eq!(Name::new(&"n".repeat(NAME_BYTES_MAX + 1)), None);
        assert_eq!(Name::new("").unwrap().text(), "");
    }

    #[test]
    fn the_link_key_is_not_printed() {
        let shown = format!("{:?}", record().state.given);
        assert!(shown.contains("dock") && shown.contains("170"), "{shown}");
        assert!(!shown.contains("187") && !shown.to_lowercase().contains("bb"), "{shown}");
    }
    #[test]
    fn boot_numbers_end_instead_of_coming_again() {
        let region = |address, sectors| Region { address, sector_bytes: 512, sectors };
        let layout = Layout::new(
            32,
            0xFF,
            [region(0, 1), region(512, 1)],
            [region(1024, 1), region(1536, 1)],
        )
        .unwrap()
        .with_settings([region(2048, 1), region(2560, 1)])
        .unwrap();
        let mut flash = SimFlash::new(&layout, 1);
        let sectors = *layout.settings().unwrap();
        let (mut journal, _) = Journal::open::<Kept, _>(&mut flash, sectors, 0xFF);
        let last = Kept { boot: u32::MAX - 1, ..record().state };
        journal.append(&mut flash, last).unwrap();
        for boot in [Some(u32::MAX), None, None] {
            let settings = Settings::open(&mut flash, &layout, 5);
            assert_eq!(settings.boot(), boot);
            assert_eq!(settings.given(), last.given.as_ref());
        }
    }
}
