//! A flash whose power fails, on the host: strict NOR rules, torn words, everything from one seed.
//!
//! Each programmed word and each erased sector is one operation; [`SimFlash::cut_at`] lets one of
//! them end as a [`Torn`] one, after which nothing works until [`SimFlash::restart`]. It breaks its
//! own rules nowhere: programming a word that was programmed since it was erased, or touching the
//! guarded bytes, is counted as a violation and refused.

#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::expect_used)]

use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

use crate::flash::{Flash, FlashError, Layout, Region};

mod bundle;
mod served;
pub use bundle::{SIM_CLASS, sim_bundle, sim_key};
pub use served::{
    SERVED_CAMERA, SERVED_LINK_KEY, Served, served_flash, served_layout, served_setup,
};

/// How an operation ends that loses power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Torn {
    /// It had not begun.
    Nothing,
    /// It was done.
    All,
    /// The first bytes of a word, the first words of a sector.
    Prefix,
    /// Any bits of those that change.
    Bits,
    /// The word faults when it is read, or some words of the sector do.
    Fault,
    /// Reads as before, as wanted, or as a mixture, another way every time.
    Unstable,
    /// Looks as before, but takes no program any more (a word), or takes none though it looks
    /// erased (some words of a sector).
    Weak,
}

impl Torn {
    /// All of them.
    pub const ALL: [Torn; 7] = [
        Torn::Nothing,
        Torn::All,
        Torn::Prefix,
        Torn::Bits,
        Torn::Fault,
        Torn::Unstable,
        Torn::Weak,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Erased,
    Programmed,
    Fault,
    Unstable,
    Weak,
}

/// Faults that need no power cut, in parts per million of the words touched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Reads that fail, though the next may not.
    pub read: u32,
    /// Reads with one wrong bit.
    pub flip: u32,
    /// Programs that fail and leave any bits.
    pub program: u32,
    /// Erases that fail and leave anything.
    pub erase: u32,
}

/// How a sector fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nothing can be read.
    Reads,
    /// No program and no erase succeeds; what was there stays.
    Writes,
}

/// The flash.
#[derive(Clone)]
pub struct SimFlash {
    /// Faults without a cut.
    pub rates: Rates,
    regions: Vec<Region>,
    broken: Vec<(Range<u32>, Broken)>,
    word_bytes: usize,
    erased: u8,
    bytes: Vec<u8>,
    /// What an unstable word may read as instead.
    other: Vec<u8>,
    words: Vec<Word>,
    random: Random,
    operations: u64,
    cut: Option<(u64, Torn)>,
    dead: bool,
    violations: u64,
    guarded: Cell<(usize, usize)>,
}

impl SimFlash {
    /// A flash that holds the layout's regions, all erased.
    pub fn new(layout: &Layout, seed: u64) -> Self {
        let regions: Vec<_> = layout.regions().collect();
        let ends = regions.iter().map(|region| (region.address + region.bytes()) as usize);
        let length = ends.max().unwrap_or(0);
        let word_bytes = layout.word_bytes() as usize;
        Self {
            rates: Rates::default(),
            regions,
            broken: Vec::new(),
            word_bytes,
            erased: layout.erased(),
            bytes: vec![layout.erased(); length],
            other: vec![layout.erased(); length],
            words: vec![Word::Erased; length / word_bytes],
            random: Random(seed),
            operations: 0,
            cut: None,
            dead: false,
            violations: 0,
            guarded: Cell::default(),
        }
    }

    /// Power fails at that operation, counted from now on, which ends so.
    pub fn cut_at(&mut self, operation: u64, torn: Torn) {
        self.cut = Some((self.operations + operation, torn));
    }

    /// Other faults from here on.
    pub fn reseed(&mut self, seed: u64) {
        self.random = Random(seed);
    }

    /// Power is back, and stays.
    pub fn restart(&mut self) {
        self.dead = false;
        self.cut = None;
    }

    /// Whether power failed since the last restart.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Words programmed and sectors erased so far.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Broken rules so far.
    pub fn violations(&self) -> u64 {
        self.violations
    }

    /// From now on writing into this region is a violation; `None` for no region.
    pub fn guard(&self, region: Option<Region>) {
        self.guarded.set(region.map_or((0, 0), |region| {
            (region.address as usize, (region.address + region.bytes()) as usize)
        }));
    }

    /// What lies there when every word of it was programmed or erased whole.
    pub fn solid(&self, address: u32, length: u32) -> Option<&[u8]> {
        let range = address as usize..(address + length) as usize;
        let words = range.start / self.word_bytes..range.end.div_ceil(self.word_bytes);
        let whole = |word: &Word| matches!(word, Word::Erased | Word::Programmed);
        self.words[words].iter().all(whole).then(|| &self.bytes[range])
    }

    /// From now on these bytes, whole sectors, fail for good.
    pub fn break_sectors(&mut self, region: Region, how: Broken) {
        self.broken.push((region.address..region.address + region.bytes(), how));
    }

    fn fails(&self, address: u32, how: Broken) -> bool {
        self.broken.iter().any(|(bytes, which)| *which == how && bytes.contains(&address))
    }

    /// Fills a region with noise, some of it torn.
    pub fn spoil(&mut self, region: Region) {
        let first = region.address as usize / self.word_bytes;
        for index in first..first + region.bytes() as usize / self.word_bytes {
            let range = self.range(index);
            for place in range {
                self.bytes[place] = self.random.next() as u8;
            }
            self.words[index] = match self.random.below(8) {
                0 => Word::Fault,
                1 => Word::Unstable,
                _ => Word::Programmed,
            };
        }
    }

    fn range(&self, word: usize) -> Range<usize> {
        word * self.word_bytes..(word + 1) * self.word_bytes
    }

    fn chance(&mut self, rate: u32) -> bool {
        rate != 0 && self.random.below(1_000_000) < u64::from(rate)
    }

    /// `Some(how)` for the operation at which power fails.
    fn tick(&mut self) -> Option<Torn> {
        let now = self.operations;
        self.operations += 1;
        let (_, torn) = self.cut.filter(|(at, _)| *at == now)?;
        self.dead = true;
        Some(torn)
    }

    fn touch(&mut self, address: usize, length: usize) -> bool {
        let end = address + length;
        let (first, last) = self.guarded.get();
        let guarded = address < last && first < end;
        self.violations += u64::from(guarded);
        !guarded
    }

    fn program_word(&mut self, index: usize, bytes: &[u8]) -> Result<(), FlashError> {
        let torn = self.tick();
        match self.words[index] {
            Word::Erased => {}
            Word::Programmed => {
                self.violations += 1;
                return Err(FlashError::Program);
            }
            Word::Fault | Word::Unstable | Word::Weak => {
                // Looked erased, and was not: what comes out is noise.
                self.tear_word(index, bytes, Torn::Bits);
                self.words[index] = Word::Fault;
                let silent = self.random.below(2) == 0;
                return if silent && torn.is_none() { Ok(()) } else { Err(FlashError::Program) };
            }
        }
        if torn.is_none() && self.chance(self.rates.program) {
            self.tear_word(index, bytes, Torn::Bits);
            return Err(FlashError::Program);
        }
        self.tear_word(index, bytes, torn.unwrap_or(Torn::All));
        torn.map_or(Ok(()), |_| Err(FlashError::Program))
    }

    fn tear_word(&mut self, index: usize, wanted: &[u8], torn: Torn) {
        let range = self.range(index);
        let kept = match torn {
            Torn::Prefix => self.random.below(self.word_bytes as u64) as usize,
            _ => 0,
        };
        for (place, &to) in range.clone().zip(wanted) {
            let from = self.bytes[place];
            self.other[place] = from;
            self.bytes[place] = match torn {
                Torn::Nothing | Torn::Weak => from,
                Torn::All | Torn::Unstable => to,
                Torn::Prefix if place - range.start < kept => to,
                Torn::Prefix => from,
                Torn::Bits | Torn::Fault => self.random.mix(from, to),
            };
        }
        let erased = self.erased;
        let blank = self.bytes[range].iter().all(|&byte| byte == erased);
        self.words[index] = match torn {
            Torn::Nothing => Word::Erased,
            Torn::All => Word::Programmed,
            Torn::Prefix | Torn::Bits if blank => Word::Weak,
            Torn::Prefix | Torn::Bits => Word::Programmed,
            Torn::Fault => Word::Fault,
            Torn::Unstable => Word::Unstable,
            Torn::Weak => Word::Weak,
        };
    }

    fn tear_sector(&mut self, words: Range<usize>, torn: Torn) {
        let half = words.start + self.random.below(words.len() as u64) as usize;
        for index in words {
            let some = self.random.below(3) == 0;
            let done = match torn {
                Torn::Nothing => false,
                Torn::All | Torn::Weak | Torn::Fault => true,
                Torn::Prefix => index < half,
                Torn::Bits | Torn::Unstable => some,
            };
            for place in self.range(index) {
                let from = self.bytes[place];
                self.other[place] = from;
                self.bytes[place] = match torn {
                    _ if done => self.erased,
                    Torn::Bits => self.random.mix(from, self.erased),
                    _ => from,
                };
            }
            self.words[index] = match (torn, some) {
                (Torn::Weak, true) => Word::Weak,
                (Torn::Fault, true) => Word::Fault,
                (Torn::Unstable, true) => Word::Unstable,
                _ if done => Word::Erased,
                (Torn::Bits, _) => Word::Unstable,
                _ => self.words[index],
            };
        }
    }

    fn read_word(&mut self, index: usize, bytes: &mut [u8]) -> Result<(), FlashError> {
        if self.words[index] == Word::Fault || self.chance(self.rates.read) {
            return Err(FlashError::Read);
        }
        let way = match self.words[index] {
            Word::Unstable => self.random.below(4),
            _ => 0,
        };
        for (place, byte) in self.range(index).zip(bytes.iter_mut()) {
            let (now, other) = (self.bytes[place], self.other[place]);
            *byte = match way {
                0 => now,
                1 => other,
                _ => self.random.mix(now, other),
            };
        }
        if self.chance(self.rates.flip) {
            let bit = self.random.below(8 * self.word_bytes as u64) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Ok(())
    }

    fn whole_words(&self, address: u32, length: usize) -> Option<usize> {
        let address = address as usize;
        let inside = self.regions.iter().any(|region| {
            let first = region.address as usize;
            first <= address && address + length <= first + region.bytes() as usize
        });
        let whole =
            address.is_multiple_of(self.word_bytes) && length.is_multiple_of(self.word_bytes);
        (inside && whole).then_some(address / self.word_bytes)
    }
}

impl Flash for SimFlash {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let Some(first) = self.whole_words(address, bytes.len()) else {
            self.violations += 1;
            return Err(FlashError::Read);
        };
        if self.dead || self.fails(address, Broken::Reads) {
            return Err(FlashError::Read);
        }
        for (index, word) in (first..).zip(bytes.chunks_mut(self.word_bytes)) {
            self.read_word(index, word)?;
        }
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let Some(first) = self.whole_words(address, bytes.len()) else {
            self.violations += 1;
            return Err(FlashError::Program);
        };
        if self.dead || !self.touch(address as usize, bytes.len()) {
            return Err(FlashError::Program);
        }
        if self.fails(address, Broken::Writes) {
            return Err(FlashError::Program);
        }
        for (index, word) in (first..).zip(bytes.chunks(self.word_bytes)) {
            self.program_word(index, word)?;
        }
        Ok(())
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        let is_sector = self.regions.iter().any(|region| {
            region.sector_bytes == length
                && (region.address..region.address + region.bytes()).contains(&address)
                && (address - region.address).is_multiple_of(length)
        });
        if !is_sector {
            self.violations += 1;
            return Err(FlashError::Erase);
        }
        if self.dead || !self.touch(address as usize, length as usize) {
            return Err(FlashError::Erase);
        }
        if self.fails(address, Broken::Writes) {
            return Err(FlashError::Erase);
        }
        let first = address as usize / self.word_bytes;
        let words = first..first + length as usize / self.word_bytes;
        let failed = self.chance(self.rates.erase);
        let torn = self.tick().or(failed.then_some(Torn::Bits));
        self.tear_sector(words, torn.unwrap_or(Torn::All));
        torn.map_or(Ok(()), |_| Err(FlashError::Erase))
    }
}

/// SplitMix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Each bit from one or the other.
    fn mix(&mut self, from: u8, to: u8) -> u8 {
        let mask = self.next() as u8;
        (from & mask) | (to & !mask)
    }
}
