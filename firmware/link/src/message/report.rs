//! Answers that tell how a device is and why its gate closed.

use serde::{Deserialize, Serialize};

use super::Verdict;

/// Bins of a histogram between its edges.
pub const HISTOGRAM_BINS: usize = 64;

/// Why the gate closed once: the frame at that time, and a piece of what was seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence<'a> {
    /// Oldest event that is kept.
    pub first: u32,
    /// Number that the next event will have.
    pub next: u32,
    /// Number of this one.
    pub event: u32,
    /// Device time of the closing, in microseconds.
    pub time_us: u64,
    /// Why the gate closed, numbered as in telemetry.
    pub closed: u8,
    /// The frame that was judged last.
    pub frame: u32,
    /// What was said of it.
    pub verdict: Verdict,
    /// Why not PASS, as in [`super::Judged`].
    pub reason: u8,
    /// Classifier's class.
    pub class: u16,
    /// Its score.
    pub score: f32,
    /// Values before the model input, four bytes each.
    pub features: u16,
    /// Bytes of the model input behind them.
    pub input_bytes: u32,
    /// Place of `bytes` among all of these.
    pub offset: u32,
    /// Values (`f32`, little-endian, as in [`super::Reply::Features`]), then the model input.
    #[serde(borrow)]
    pub bytes: &'a [u8],
}

/// How a device is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status<'a> {
    /// Device time in microseconds since the start.
    pub time_us: u64,
    /// Its name; empty before it was given one.
    pub name: &'a str,
    /// Whether it has keys of its own.
    pub provisioned: bool,
    /// First bytes of the SHA-256 of the key whose bundles it takes.
    pub key_id: [u8; 8],
    /// Starts so far.
    pub boots: u32,
    /// Why it started last, numbered by the device.
    pub reset: u8,
    /// Whether the gate is OPEN.
    pub open: bool,
    /// Why it closed, numbered as in telemetry; 0: open.
    pub reason: u8,
    /// Whether the pin follows the gate.
    pub enforce: bool,
    /// Scores above it are BLOCK; not a number without a bundle.
    pub threshold: f32,
    /// Nominal time between frames, in microseconds; 0 without a bundle.
    pub frame_period_us: u32,
    /// Time that the last verdict took, in microseconds.
    pub verdict_us: u32,
    /// How often the bundle in use was hashed again and found whole.
    pub rehashes: u32,
    /// Room for the stack, in bytes; 0: not known.
    pub stack_bytes: u32,
    /// Most of it that was ever used.
    pub stack_used: u32,
}
