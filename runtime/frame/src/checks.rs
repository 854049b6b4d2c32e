//! Pre-checks: faults of the camera that need no network to see (verdict reason SENSOR).
//!
//! All are functions of the frame's bytes, before any resize makes a dead pixel or a frozen line
//! harder to see; they are cheap next to one layer of a network.

/// What is wrong with a frame, before the network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameFault {
    /// Not the expected number of bytes.
    WrongLength,
    /// Every pixel is the same: a covered or dead sensor, or a test pattern.
    Constant,
    /// No channel spreads more than the limit: nothing to be seen but noise.
    Blank,
    /// The same bytes as the frames before: the stream stands still.
    Frozen,
}

impl core::fmt::Display for FrameFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            FrameFault::WrongLength => "the frame has the wrong length",
            FrameFault::Constant => "every pixel of the frame is the same",
            FrameFault::Blank => "the frame shows nothing but noise",
            FrameFault::Frozen => "the frame is the same as those before it",
        })
    }
}

impl core::error::Error for FrameFault {}

/// Limits of the pre-checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckLimits {
    /// A frame whose largest sample minus smallest sample is at most this in every channel is
    /// blank; 0 leaves only constant frames.
    pub blank_spread: u8,
}

impl Default for CheckLimits {
    fn default() -> Self {
        CheckLimits { blank_spread: 4 }
    }
}

/// Checks one frame of `expected_len` bytes, `channels` (1 to 4) samples a pixel.
pub fn check_frame(
    frame: &[u8],
    expected_len: usize,
    channels: usize,
    limits: CheckLimits,
) -> Result<(), FrameFault> {
    let whole = matches!(channels, 1..=4) && frame.len().is_multiple_of(channels);
    if frame.is_empty() || frame.len() != expected_len || !whole {
        return Err(FrameFault::WrongLength);
    }
    let mut spread = Spread::new(channels);
    spread.add(frame);
    spread.check(limits)
}

/// How far the samples of each channel spread, over a frame that comes in rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    channels: usize,
    low: [u8; 4],
    high: [u8; 4],
}

impl Spread {
    /// Nothing seen yet, of 1 to 4 channels; none are taken for one.
    pub const fn new(channels: usize) -> Self {
        Spread { channels, low: [u8::MAX; 4], high: [u8::MIN; 4] }
    }

    /// Sees more whole pixels.
    pub fn add(&mut self, pixels: &[u8]) {
        for pixel in pixels.chunks_exact(self.channels.max(1)) {
            for ((l, h), &v) in self.low.iter_mut().zip(&mut self.high).zip(pixel) {
                *l = (*l).min(v);
                *h = (*h).max(v);
            }
        }
    }

    /// Constant or blank, or fit as far as this goes.
    pub fn check(&self, limits: CheckLimits) -> Result<(), FrameFault> {
        let ranges = self.low.iter().zip(&self.high);
        let spread = ranges.map(|(&l, &h)| h.saturating_sub(l)).max().unwrap_or(0);
        if spread == 0 {
            return Err(FrameFault::Constant);
        }
        if spread <= limits.blank_spread { Err(FrameFault::Blank) } else { Ok(()) }
    }
}

/// FNV-1a, 64 bits, of bytes that come in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Of no bytes.
    pub const EMPTY: Digest = Digest(0xcbf2_9ce4_8422_2325);

    /// Of these bytes after those before.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    }

    /// The digest of all bytes so far.
    pub fn value(&self) -> u64 {
        self.0
    }
}

/// FNV-1a, 64 bits, of the frame's bytes: tells a repeated frame from a new one without keeping it.
pub fn digest(frame: &[u8]) -> u64 {
    let mut digest = Digest::EMPTY;
    digest.add(frame);
    digest.value()
}

/// Counts how many frames in a row were the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrozenWatch {
    last: u64,
    run: u8,
}

impl FrozenWatch {
    /// No frame seen yet.
    pub const fn new() -> Self {
        FrozenWatch { last: 0, run: 0 }
    }

    /// Takes the next frame; `Err(Frozen)` when it is at least the `limit`-th of a run of equal
    /// frames. A `limit` of 0 or 1 means: never frozen.
    pub fn observe(&mut self, frame: &[u8], limit: u8) -> Result<(), FrameFault> {
        self.observe_digest(digest(frame), limit)
    }

    /// The same where only the frame's [`digest`] is at hand.
    pub fn observe_digest(&mut self, digest: u64, limit: u8) -> Result<(), FrameFault> {
        let same = self.run > 0 && digest == self.last;
        self.run = if same { self.run.saturating_add(1) } else { 1 };
        self.last = digest;
        if limit > 1 && self.run >= limit { Err(FrameFault::Frozen) } else { Ok(()) }
    }

    /// Equal frames in a row up to now; saturates at 255.
    pub fn run(&self) -> u8 {
        self.run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_by_table() {
        let limits = CheckLimits { blank_spread: 2 };
        type Case = (&'static [u8], usize, usize, Result<(), FrameFault>);
        let cases: [Case; 11] = [
            (&[1, 9, 4, 4, 4, 4], 6, 3, Ok(())),
            (&[], 0, 3, Err(FrameFault::WrongLength)),
            (&[1, 2, 3], 6, 3, Err(FrameFault::WrongLength)),
            (&[1, 2, 3, 4], 4, 3, Err(FrameFault::WrongLength)),
            (&[1, 2, 3], 3, 0, Err(FrameFault::WrongLength)),
            (&[1, 2, 3, 1, 2, 3], 6, 3, Err(FrameFault::Constant)),
            (&[1, 2, 3, 1, 2, 3], 6, 1, Err(FrameFault::Blank)),
            (&[1, 2, 3, 3, 2, 5], 6, 3, Err(FrameFault::Blank)),
            (&[1, 2, 3, 4, 2, 3], 6, 3, Ok(())),
            (&[0, 0, 0, 0, 0, 0], 6, 1, Err(FrameFault::Constant)),
            (&[255, 255], 2, 1, Err(FrameFault::Constant)),
        ];
        for (frame, len, channels, expected) in cases {
            assert_eq!(check_frame(frame, len, channels, limits), expected, "{frame:?} {channels}");
        }
    }

    #[test]
    fn frozen_from_the_limit_on_and_only_in_a_row() {
        let mut watch = FrozenWatch::new();
        let frames: [(&[u8], bool); 8] = [
            (b"a", false),
            (b"a", false),
            (b"a", true),
            (b"a", true),
            (b"b", false),
            (b"a", false),
            (b"a", false),
            (b"a", true),
        ];
        for (i, (frame, frozen)) in frames.into_iter().enumerate() {
            assert_eq!(watch.observe(frame, 3).is_err(), frozen, "frame {i}");
        }
        for limit in [0, 1] {
            let mut watch = FrozenWatch::new();
            for _ in 0..300 {
                assert_eq!(watch.observe(b"x", limit), Ok(()));
            }
            assert_eq!(watch.run(), 255);
        }
    }

    #[test]
    fn first_frame_is_never_a_repeat() {
        // An empty watch must not take a frame whose digest happens to be 0 for a repeat.
        let mut watch = FrozenWatch { last: digest(b"z"), run: 0 };
        assert_eq!(watch.observe(b"z", 2), Ok(()));
    }

    #[test]
    fn digest_is_fnv1a() {
        // Test vectors of the reference implementation (Fowler, Noll, Vo).
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8);
        let mut pieces = Digest::EMPTY;
        for piece in ["fo", "", "ob", "ar"] {
            pieces.add(piece.as_bytes());
        }
        assert_eq!(pieces.value(), 0x8594_4171_f739_67e8);
    }
}
