//! The bundle in use is hashed again and again, a piece a round: memory that loses a bit is found
//! before the next lease after the pass that sees it.

use gradgate_bundle::manifest::PREFIX_BYTES;
use gradgate_bundle::signature::StreamCheck;

use crate::verify::Admitted;

/// Time for one pass.
pub const PASS_US: u64 = 5_000_000;
/// Bytes hashed in one round at most, so that a round stays short.
const PIECE_BYTES: usize = 1024;

/// Where the pass is.
#[derive(Default)]
pub struct Rehash {
    began_us: u64,
    stream: Option<StreamCheck>,
    position: usize,
    found_whole: u32,
}

impl Rehash {
    /// A first pass begins now.
    pub fn new(now_us: u64) -> Self {
        Self { began_us: now_us, ..Self::default() }
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
                // The prefix was read when the bundle was loaded and is not used again.
                admitted.stream()
            }
        };
        let elapsed = now_us.saturating_sub(self.began_us).min(PASS_US);
        let due = (bytes.len() as u64).saturating_mul(elapsed).checked_div(PASS_US).unwrap_or(0);
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
