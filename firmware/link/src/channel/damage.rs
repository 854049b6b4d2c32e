//! What can happen to the bytes of one frame.

use alloc::vec::Vec;

use super::Random;

/// A kind of damage; where it strikes is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One to six wrong bits.
    Flips,
    /// Up to 16 bytes in a row are noise.
    Burst,
    /// The end is lost, a byte at least.
    Truncate,
    /// A byte is lost.
    Lose,
    /// A zero comes in.
    Zero,
    /// A byte of noise comes in.
    Insert,
    /// Two bytes change places.
    Swap,
}

impl Damage {
    /// All of them.
    pub const ALL: [Damage; 7] = [
        Damage::Flips,
        Damage::Burst,
        Damage::Truncate,
        Damage::Lose,
        Damage::Zero,
        Damage::Insert,
        Damage::Swap,
    ];

    /// Damages `bytes`; a swap of equal bytes and a burst of the same noise change nothing.
    pub fn apply(self, bytes: &mut Vec<u8>, random: &mut Random) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len() as u64;
        let at = random.below(length) as usize;
        match self {
            Damage::Flips => {
                for _ in 0..=random.below(6) {
                    let bit = random.below(length * 8);
                    if let Some(byte) = bytes.get_mut(bit as usize / 8) {
                        *byte ^= 1 << (bit % 8);
                    }
                }
            }
            Damage::Burst => {
                let long = 1 + random.below(16) as usize;
                for byte in bytes.iter_mut().skip(at).take(long) {
                    *byte ^= 1 + random.below(255) as u8;
                }
            }
            Damage::Truncate => bytes.truncate(at),
            Damage::Lose => {
                bytes.remove(at);
            }
            Damage::Zero => bytes.insert(at, 0),
            Damage::Insert => bytes.insert(at, random.bits() as u8),
            Damage::Swap => bytes.swap(at, random.below(length) as usize),
        }
    }
}
