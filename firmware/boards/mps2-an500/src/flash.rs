//! PSRAM as NOR flash: words are written once, sectors are erased to ones.
//!
//! QEMU keeps it in a file of the host that survives a power cut; the file begins with zeros, which
//! no flash does: sectors that were never erased count as programmed.

use core::ptr;

use gradgate_device::flash::{Flash, FlashError, Layout, LayoutError, Region};

use crate::budget::{
    FLASH_JOURNAL_SECTORS, FLASH_ORIGIN, FLASH_SECTOR_BYTES, FLASH_SETTINGS_SECTORS,
    FLASH_SLOT_SECTORS, FLASH_WORD_BYTES,
};

const SECTORS: u32 = FLASH_SETTINGS_SECTORS + FLASH_JOURNAL_SECTORS + 2 * FLASH_SLOT_SECTORS;
const BYTES: u32 = SECTORS * FLASH_SECTOR_BYTES;
const ERASED: u8 = 0xFF;

/// The flash.
pub struct Psram;

/// Settings, journal, slots.
pub fn layout() -> Result<Layout, LayoutError> {
    let region = |sector: u32, sectors| Region {
        address: sector * FLASH_SECTOR_BYTES,
        sector_bytes: FLASH_SECTOR_BYTES,
        sectors,
    };
    let journal = FLASH_SETTINGS_SECTORS;
    let slots = journal + FLASH_JOURNAL_SECTORS;
    let layout = Layout::new(
        FLASH_WORD_BYTES,
        ERASED,
        [region(journal, 1), region(journal + 1, 1)],
        [region(slots, FLASH_SLOT_SECTORS), region(slots + FLASH_SLOT_SECTORS, FLASH_SLOT_SECTORS)],
    )?;
    layout.with_settings([region(0, 1), region(1, 1)])
}

/// A pointer to `length` bytes of the flash.
fn place(address: u32, length: usize) -> Option<*mut u8> {
    let end = address.checked_add(u32::try_from(length).ok()?)?;
    (end <= BYTES).then(|| ptr::with_exposed_provenance_mut((FLASH_ORIGIN + address) as usize))
}

impl Flash for Psram {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let place = place(address, bytes.len()).ok_or(FlashError::Read)?;
        for (index, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: `place` lies in PSRAM, which holds nothing else, with all these bytes.
            *byte = unsafe { ptr::read_volatile(place.add(index)) };
        }
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let place = place(address, bytes.len()).ok_or(FlashError::Program)?;
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: as in `read`.
            let before = unsafe { ptr::read_volatile(place.add(index)) };
            if before != ERASED {
                return Err(FlashError::Program);
            }
            // SAFETY: as in `read`.
            unsafe { ptr::write_volatile(place.add(index), *byte) };
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        let place = place(address, length as usize).ok_or(FlashError::Erase)?;
        for index in 0..length as usize {
            // SAFETY: as in `read`.
            unsafe { ptr::write_volatile(place.add(index), ERASED) };
        }
        Ok(())
    }
}
