//! Memory that loses a bit while the device runs.
//!
//! The device has lent its memory to the bundle that runs, so nothing in this program could write
//! there: the bit is changed from outside, through the file in which Linux shows a process its own
//! memory.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use super::catalog::ARENA_ELEMENTS;
use super::{Flaw, World};

/// Rounds for one bit.
const FLIP_EVERY: u64 = 400;

/// This process's memory.
pub struct Memory {
    file: Option<File>,
    /// Where the bundle in use lies.
    pub bundle: usize,
    /// Where the arena lies.
    pub arena: usize,
}

impl Memory {
    /// Nothing is there yet.
    pub fn new() -> Memory {
        let file = OpenOptions::new().read(true).write(true).open("/proc/self/mem").ok();
        Memory { file, bundle: 0, arena: 0 }
    }

    fn flip(&self, address: usize, bit: u64) -> bool {
        let Some(file) = &self.file else { return false };
        let (mut byte, address) = ([0], address as u64);
        file.read_exact_at(&mut byte, address).is_ok()
            && file.write_all_at(&[byte[0] ^ 1 << bit], address).is_ok()
    }
}

impl World {
    /// The device panicked, which a board answers with a restart and a closed pin. It may where the
    /// plan in use is wrong and overflows are checked, as here; a board's image has no such check.
    pub(super) fn crashed(&mut self) {
        match self.checker.is_damaged() {
            true => self.supply.fail(),
            false => self.broken = Some("the device panics, and its memory is right".into()),
        }
    }

    /// Sometimes one bit changes, of the bundle in use or of the arena.
    pub(super) fn flip(&mut self) {
        if self.finishing || self.random.below(FLIP_EVERY) != 0 {
            return;
        }
        let Some(length) = self.checker.bytes_in_use() else { return };
        let (place, bit) = (self.random.bits(), self.random.below(8));
        let in_bundle = self.random.below(4) > 0;
        let address = match in_bundle {
            true => self.memory.bundle + (place % length) as usize,
            false => self.memory.arena + (place % (4 * ARENA_ELEMENTS as u64)) as usize,
        };
        // A device that looks at other bytes than those in use would find as little.
        if self.options.flaw == Flaw::OtherBytes || self.memory.flip(address, bit) {
            let now_us = self.supply.now_us();
            let place = if in_bundle { "the bundle" } else { "the arena" };
            self.trace.say(self.base_us + now_us, || format!("a bit of {place} flips"));
            self.checker.flipped(in_bundle, now_us);
        }
    }
}
