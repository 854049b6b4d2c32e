//! The bundle in use is hashed again and again, a piece a round: memory that loses a bit closes the
//! gate.
//!
//! A pass takes half a frame period and, as a verdict may come between two pieces, a verdict longer
//! at most: a bit which changes right behind the hash is found by the end of the next pass, within
//! two periods where a verdict takes up to half of one. Where verdicts leave less time, passes take
//! longer, a piece a frame at least.

use gradgate_bundle::digest::sha256;
use gradgate_bundle::manifest::PREFIX_BYTES;
use gradgate_bundle::signature::StreamCheck;

use crate::verify::Admitted;

/// Longest time for one pass: half of the longest period that a policy may have.
pub const PASS_US_MAX: u64 = 5_000_000;
/// Bytes hashed in one round at most, so that a round stays short.
const PIECE_BYTES: usize = 4096;

/// Where the pass is.
#[derive(Default)]
pub struct Rehash {
    pass_us: u64,
    began_us: u64,
    stream: Option<StreamCheck>,
    position: usize,
    found_whole: u32,
}

impl Rehash {
    /// A first pass begins now; each takes half a frame period.
    pub fn new(now_us: u64, frame_period_us: u32) -> Self {
        let pass_us = u64::from(frame_period_us / 2).min(PASS_US_MAX);
        Self { pass_us, began_us: now_us, ..Self::default() }
    }

    /// Passes that found the bundle whole.
    pub fn found_whole(&self) -> u32 {
        self.found_whole
    }

    /// Hashes what is due; `false` when `bytes` are not the bundle any more.
    pub fn step(&mut self, now_us: u64, admitted: &Admitted, bytes: &[u8]) -> bool {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.position = PREFIX_BYTES;
                self.began_us = now_us;
                let prefix = bytes.get(..PREFIX_BYTES);
                if prefix.is_none_or(|prefix| sha256(prefix) != admitted.identity()) {
                    return false;
                }
                admitted.stream()
            }
        };
        let elapsed = now_us.saturating_sub(self.began_us).min(self.pass_us);
        let all = bytes.len() as u64;
        let due = all.saturating_mul(elapsed).checked_div(self.pass_us).unwrap_or(all);
        if (self.position as u64) < due {
            let rest = bytes.get(self.position..).unwrap_or_default();
            let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
            if stream.update(piece).is_err() {
                return false;
            }
            self.position = self.position.saturating_add(piece.len());
            if self.position == bytes.len() {
                self.found_whole = self.found_whole.saturating_add(1);
                return stream.finish().is_ok();
            }
        }
        self.stream = Some(stream);
        true
    }
}
