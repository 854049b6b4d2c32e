//! NOR flash as the slots see it: reads that may fail, words written once, sectors erased.
//!
//! A word that lost power while it was programmed may raise a fault when it is read (STM32H7's
//! error correction does that), may read differently twice, or may look erased and not be. Nothing
//! read from here is believed before a check over all of it.

use embedded_storage::nor_flash::NorFlash;

use crate::record::RECORD_BYTES;
use crate::settings::SETTINGS_BYTES;

/// Longest word that is programmed at once, in bytes.
pub const WORD_BYTES_MAX: u32 = 32;

/// What a flash could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// A word that cannot be read, as after a torn program.
    Read,
    /// A program that failed, or whose bytes read back otherwise.
    Program,
    /// An erase that failed.
    Erase,
}

/// A flash that a board gives. Addresses and lengths are multiples of the layout's word.
pub trait Flash {
    /// Reads whole words.
    ///
    /// # Errors
    /// [`FlashError::Read`]; a board turns the fault that such a word raises into this.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError>;

    /// Programs whole words, each erased before, in rising order.
    ///
    /// # Errors
    /// [`FlashError::Program`]; any part of the words may then be programmed.
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError>;

    /// Erases the one sector of this length at this address.
    ///
    /// # Errors
    /// [`FlashError::Erase`]; the sector may then hold anything.
    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError>;
}

impl<T: Flash> Flash for &mut T {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        (**self).read(address, bytes)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        (**self).program(address, bytes)
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        (**self).erase(address, length)
    }
}

/// A flash of the `embedded-storage` kind; addresses are its offsets.
pub struct Nor<T>(pub T);

impl<T: NorFlash> Flash for Nor<T> {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.0.read(address, bytes).map_err(|_| FlashError::Read)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.write(address, bytes).map_err(|_| FlashError::Program)
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        let end = address.checked_add(length).ok_or(FlashError::Erase)?;
        self.0.erase(address, end).map_err(|_| FlashError::Erase)
    }
}

/// Neighbouring sectors of equal length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub address: u32,
    /// Length of a sector in bytes.
    pub sector_bytes: u32,
    /// How many.
    pub sectors: u32,
}

impl Region {
    /// Length in bytes; `u32::MAX` for what no layout admits.
    pub fn bytes(&self) -> u32 {
        self.sector_bytes.saturating_mul(self.sectors)
    }

    /// Sectors that `length` bytes from the region's beginning reach into.
    pub fn sectors_of(&self, length: u32) -> u32 {
        // A region without sectors is in no layout.
        length.div_ceil(self.sector_bytes.max(1))
    }

    /// Address of the byte at `offset`; saturates beyond what a layout admits.
    pub fn at(&self, offset: u32) -> u32 {
        self.address.saturating_add(offset)
    }

    fn end(&self) -> Option<u32> {
        self.address.checked_add(self.sector_bytes.checked_mul(self.sectors)?)
    }
}

/// Why a layout was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The word is no power of two up to [`WORD_BYTES_MAX`].
    Word,
    /// A region is empty, too long, or not of whole words.
    Region,
    /// A sector for journal or settings is not one sector, or too short for four records.
    Journal,
    /// Two regions share bytes.
    Overlap,
}

/// Where journal, slots and settings lie; a value that exists has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    word_bytes: u32,
    erased: u8,
    journal: [Region; 2],
    slots: [Region; 2],
    settings: Option<[Region; 2]>,
}

impl Layout {
    /// `word_bytes`: what is programmed at once; `erased`: the byte that erased flash reads as.
    ///
    /// # Errors
    /// See [`LayoutError`].
    pub fn new(
        word_bytes: u32,
        erased: u8,
        journal: [Region; 2],
        slots: [Region; 2],
    ) -> Result<Self, LayoutError> {
        if !word_bytes.is_power_of_two() || word_bytes > WORD_BYTES_MAX {
            return Err(LayoutError::Word);
        }
        let layout = Self { word_bytes, erased, journal, slots, settings: None };
        check_log(&journal, RECORD_BYTES)?;
        layout.check_regions()?;
        Ok(layout)
    }

    /// With two sectors for settings.
    ///
    /// # Errors
    /// See [`LayoutError`].
    pub fn with_settings(self, settings: [Region; 2]) -> Result<Self, LayoutError> {
        let layout = Self { settings: Some(settings), ..self };
        check_log(&settings, SETTINGS_BYTES)?;
        layout.check_regions()?;
        Ok(layout)
    }

    /// All of them.
    pub(crate) fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        let settings = self.settings.into_iter().flatten();
        self.journal.into_iter().chain(self.slots).chain(settings)
    }

    fn check_regions(&self) -> Result<(), LayoutError> {
        for region in self.regions() {
            let whole = region.sector_bytes.is_multiple_of(self.word_bytes)
                && region.address.is_multiple_of(self.word_bytes);
            if !whole || region.bytes() == 0 || region.end().is_none() {
                return Err(LayoutError::Region);
            }
        }
        for (index, one) in self.regions().enumerate() {
            for other in self.regions().skip(index.saturating_add(1)) {
                if Some(one.address) < other.end() && Some(other.address) < one.end() {
                    return Err(LayoutError::Overlap);
                }
            }
        }
        Ok(())
    }

    /// What is programmed at once, in bytes.
    pub fn word_bytes(&self) -> u32 {
        self.word_bytes
    }

    /// The byte that erased flash reads as.
    pub fn erased(&self) -> u8 {
        self.erased
    }

    /// The journal's two sectors.
    pub fn journal(&self) -> &[Region; 2] {
        &self.journal
    }

    /// The two sectors for settings.
    pub fn settings(&self) -> Option<&[Region; 2]> {
        self.settings.as_ref()
    }

    /// Where a slot lies.
    pub fn slot(&self, slot: crate::record::Slot) -> Region {
        let [a, b] = self.slots;
        match slot {
            crate::record::Slot::A => a,
            crate::record::Slot::B => b,
        }
    }
}

/// A journal writes into sectors that hold four records or more.
fn check_log(sectors: &[Region; 2], record_bytes: usize) -> Result<(), LayoutError> {
    let short = |sector: &Region| {
        crate::journal::positions(sector, record_bytes) < 4 || sector.sectors != 1
    };
    if sectors.iter().any(short) { Err(LayoutError::Journal) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_that_cannot_work_are_refused() {
        let region = |address, sector_bytes, sectors| Region { address, sector_bytes, sectors };
        let journal = [region(0, 512, 1), region(512, 512, 1)];
        let slots = [region(1024, 1024, 2), region(4096, 512, 3)];
        assert!(Layout::new(32, 0xFF, journal, slots).is_ok());
        let cases = [
            (3, journal, slots, LayoutError::Word),
            (64, journal, slots, LayoutError::Word),
            (32, journal, [slots[0], region(4096, 500, 3)], LayoutError::Region),
            (32, journal, [slots[0], region(4100, 512, 3)], LayoutError::Region),
            (32, journal, [slots[0], region(4096, 512, 0)], LayoutError::Region),
            (32, journal, [slots[0], region(u32::MAX - 511, 512, 2)], LayoutError::Region),
            (32, [journal[0], region(512, 352, 1)], slots, LayoutError::Journal),
            (32, [journal[0], region(512, 512, 2)], slots, LayoutError::Journal),
            (32, journal, [slots[0], region(2560, 512, 3)], LayoutError::Overlap),
            (32, [journal[0], journal[0]], slots, LayoutError::Overlap),
        ];
        for (word, journal, slots, error) in cases {
            assert_eq!(Layout::new(word, 0xFF, journal, slots), Err(error));
        }
        let layout = Layout::new(32, 0xFF, journal, slots).unwrap();
        let free = [region(8192, 512, 1), region(8704, 512, 1)];
        assert_eq!(layout.with_settings(free).unwrap().settings(), Some(&free));
        let cases = [
            ([journal[0], free[1]], LayoutError::Overlap),
            ([free[0], free[0]], LayoutError::Overlap),
            ([free[0], region(8704, 512, 2)], LayoutError::Journal),
            ([free[0], region(8704, 480, 1)], LayoutError::Journal),
            ([free[0], region(8700, 512, 1)], LayoutError::Region),
        ];
        for (settings, error) in cases {
            assert_eq!(layout.with_settings(settings), Err(error));
        }
    }
}
