//! Small damage to a seed, for runs without a fuzzer: no coverage guides it.

use crate::rng::Rng;

/// Numbers at the borders of types and checks.
const BORDERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fc0_0000, // NaN
    0x7f80_0000, // infinity
    1 << 63,
    u64::MAX,
];

/// The seed with one to four places changed; never empty unless the seed is.
pub fn mutated(seed: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.range(1, 4) {
        if !bytes.is_empty() {
            change(&mut bytes, rng);
        }
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let last = bytes.len() - 1;
    let at = rng.range(0, last);
    match rng.range(0, 7) {
        0 => bytes[at] = rng.bits() as u8,
        1 => bytes[at] ^= 1 << rng.range(0, 7),
        2 | 3 => {
            let border = BORDERS[rng.range(0, BORDERS.len() - 1)].to_le_bytes();
            let width = [1, 2, 4, 8][rng.range(0, 3)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&border[..width]);
        }
        4 => bytes.truncate(at.max(1)),
        5 => {
            let end = rng.range(at, last.min(at + 32));
            let copy = bytes[at..=end].to_vec();
            let to = rng.range(0, bytes.len());
            bytes.splice(to..to, copy);
        }
        6 if bytes.len() > 1 => {
            let end = rng.range(at, last.min(at + 32));
            bytes.drain(at..=end);
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        _ => {
            let from = rng.range(0, last);
            let width = rng.range(1, 16).min(bytes.len() - at.max(from));
            bytes.copy_within(from..from + width, at);
        }
    }
}
