//! What stands between a simulated device and its flash: nothing, or a mistake.

use gradgate_device::flash::{Flash, FlashError, Layout};
use gradgate_device::sim::SimFlash;

/// A mistake between device and flash that the sweep must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// The journal makes room by erasing both sectors.
    BothSectors,
    /// Bytes of a slot are kept back until the end: the journal is ahead of the data.
    WriteBack,
}

/// Device, mistake, flash.
pub struct Between<'a> {
    pub flash: &'a mut SimFlash,
    pub flaw: Flaw,
    pub pending: Vec<(u32, Vec<u8>)>,
    pub layout: Layout,
}

impl Between<'_> {
    pub fn flush(&mut self) -> Result<(), FlashError> {
        for (address, bytes) in self.pending.drain(..) {
            self.flash.program(address, &bytes)?;
        }
        Ok(())
    }

    fn in_journal(&self, address: u32) -> bool {
        self.layout
            .journal()
            .iter()
            .any(|sector| sector.at(0) <= address && address < sector.at(sector.bytes()))
    }
}

impl Flash for Between<'_> {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.flash.read(address, bytes)?;
        let end = address + bytes.len() as u32;
        for (at, pending) in &self.pending {
            for (place, byte) in (*at..).zip(pending) {
                if (address..end).contains(&place) {
                    bytes[(place - address) as usize] = *byte;
                }
            }
        }
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        if self.flaw == Flaw::WriteBack && !self.in_journal(address) {
            self.pending.push((address, bytes.to_vec()));
            return Ok(());
        }
        self.flash.program(address, bytes)
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        if self.flaw == Flaw::BothSectors && self.in_journal(address) {
            for sector in *self.layout.journal() {
                self.flash.erase(sector.address, sector.sector_bytes)?;
            }
            return Ok(());
        }
        self.flash.erase(address, length)
    }
}
