//! A wire that fails as wires do, for tests and for trying a tool on a bad day. Same seed, same
//! faults.
//!
//! Bytes go in a frame at a time and come out as one stream. Time is passed in; what is delayed
//! comes out once its time has come.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

mod damage;
mod faults;
mod random;

pub use damage::Damage;
pub use faults::{Faults, FaultsError};
pub use random::Random;

/// How often each fault befell a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames and bytes that went in.
    pub frames: u64,
    /// Bytes that went in.
    pub bytes: u64,
    /// Frames lost.
    pub dropped: u64,
    /// Frames that came twice.
    pub duplicated: u64,
    /// Frames that came after the next one.
    pub reordered: u64,
    /// Frames with wrong bits, lost ends, or run into the next.
    pub damaged: u64,
}

/// One direction of a wire.
#[derive(Clone, Debug)]
pub struct Channel {
    faults: Faults,
    random: Random,
    /// Time in milliseconds and bytes, by time.
    under_way: VecDeque<(u64, Vec<u8>)>,
    /// Waits for the next frame to overtake it.
    held: Option<Vec<u8>>,
    /// The frame before lost its end: this one loses its start.
    glue: bool,
    tally: Tally,
}

impl Channel {
    /// A wire with these faults.
    pub fn new(seed: u64, faults: Faults) -> Channel {
        let random = Random::new(seed);
        let (under_way, held, tally) = (VecDeque::new(), None, Tally::default());
        Channel { faults, random, under_way, held, glue: false, tally }
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Forgets what is under way, as a plug that is pulled.
    pub fn cut(&mut self) {
        self.under_way.clear();
        self.held = None;
    }

    /// Sends the bytes of one frame.
    pub fn send(&mut self, now_ms: u64, frame: &[u8]) {
        self.tally.frames += 1;
        self.tally.bytes += frame.len() as u64;
        if self.random.chance(self.faults.drop) {
            self.tally.dropped += 1;
            return;
        }
        let mut bytes = frame.to_vec();
        self.spoil(&mut bytes);
        let twice = self.random.chance(self.faults.duplicate).then(|| bytes.clone());
        self.tally.duplicated += u64::from(twice.is_some());
        let overtaken = self.held.take();
        if overtaken.is_none() && self.random.chance(self.faults.reorder) {
            self.tally.reordered += 1;
            self.held = Some(bytes);
        } else {
            self.depart(now_ms, bytes);
        }
        for bytes in [overtaken, twice].into_iter().flatten() {
            self.depart(now_ms, bytes);
        }
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        let before = bytes.clone();
        if core::mem::take(&mut self.glue) && bytes.first() == Some(&0) {
            bytes.remove(0);
        }
        let damages = [
            (self.faults.burst, Damage::Burst),
            (self.faults.truncate, Damage::Truncate),
            (self.faults.zero, Damage::Zero),
        ];
        for (chance, damage) in damages {
            if self.random.chance(chance) {
                damage.apply(bytes, &mut self.random);
            }
        }
        if self.random.chance(self.faults.glue) && bytes.last() == Some(&0) {
            bytes.pop();
            self.glue = true;
        }
        self.flip(bytes);
        self.tally.damaged += u64::from(*bytes != before);
    }

    fn flip(&mut self, bytes: &mut [u8]) {
        if self.faults.flip <= 0.0 {
            return;
        }
        // Two wrong bits in a byte are rarer than the faults that this stands for.
        let byte_chance = self.faults.flip * 8.0;
        for byte in bytes {
            if self.random.chance(byte_chance) {
                *byte ^= 1 << self.random.below(8);
            }
        }
    }

    fn depart(&mut self, now_ms: u64, bytes: Vec<u8>) {
        let delay = match self.faults.delay_ms {
            0 => 0,
            most => self.random.below(most.saturating_add(1)),
        };
        let due = now_ms.saturating_add(delay);
        let after = self.under_way.partition_point(|(time, _)| *time <= due);
        self.under_way.insert(after, (due, bytes));
    }

    /// What has arrived by now, in the order of its arrival.
    pub fn receive(&mut self, now_ms: u64) -> Vec<u8> {
        let mut arrived = Vec::new();
        while let Some((_, bytes)) = self.under_way.pop_front_if(|(due, _)| *due <= now_ms) {
            arrived.extend(bytes);
        }
        arrived
    }

    /// When the next bytes arrive, in milliseconds.
    pub fn next_ms(&self) -> Option<u64> {
        self.under_way.front().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(faults: &str, frames: u8) -> (Vec<u8>, Tally) {
        let mut channel = Channel::new(1, faults.parse().unwrap());
        for number in 1..=frames {
            channel.send(u64::from(number), &[0, number, number, number, 0]);
        }
        (channel.receive(u64::MAX), channel.tally())
    }

    #[test]
    fn a_wire_without_faults_changes_nothing() {
        let (bytes, tally) = sent("", 2);
        assert_eq!(bytes, [0, 1, 1, 1, 0, 0, 2, 2, 2, 0]);
        assert_eq!(tally, Tally { frames: 2, bytes: 10, ..Tally::default() });
    }

    #[test]
    fn certain_faults_befall_every_frame() {
        let table: [(&str, &[u8]); 4] = [
            ("drop=1", &[]),
            ("duplicate=1", &[0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 2, 2, 2, 0, 0, 2, 2, 2, 0]),
            ("reorder=1", &[0, 2, 2, 2, 0, 0, 1, 1, 1, 0]),
            ("glue=1", &[0, 1, 1, 1, 2, 2, 2]),
        ];
        for (faults, expected) in table {
            assert_eq!(sent(faults, 2).0, expected, "{faults}");
        }
        assert_eq!(sent("drop=1", 9).1.dropped, 9);
        for faults in ["flip=0.125", "burst=1", "truncate=1", "zero=1"] {
            assert_eq!(sent(faults, 9).1.damaged, 9, "{faults}");
        }
    }

    #[test]
    fn delayed_bytes_come_in_their_time() {
        let mut channel = Channel::new(2, "delay=50".parse().unwrap());
        (0..20).for_each(|number| channel.send(0, &[number]));
        assert_eq!(channel.next_ms(), Some(channel.next_ms().unwrap().min(50)));
        let early = channel.receive(20).len();
        let late = channel.receive(50).len();
        assert!(early > 0 && late > 0 && early + late == 20, "{early} and {late}");
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let faults = "drop=0.1,duplicate=0.1,reorder=0.1,flip=0.01,burst=0.1,zero=0.1,delay=9";
        assert_eq!(sent(faults, 200), sent(faults, 200));
    }
}
