//! What a device tells unasked. Nobody waits for it and it carries no tag: a host shows it and
//! decides nothing by it.

use serde::{Deserialize, Serialize};

use crate::message::{Event, Judged};

/// Variants are numbered in their order and append-only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Telemetry {
    /// A verdict of the stream.
    Judged(Judged),
    /// The gate changed, or still is so.
    Gate {
        /// Device time in microseconds.
        time_us: u64,
        /// OPEN.
        open: bool,
        /// Why it is closed, numbered as `gradgate_gate::Reason` from 1 on; 0: open.
        reason: u8,
    },
    /// A new entry of the log.
    Logged(Event),
    /// Telemetry that was lost before this one, because the queue was full.
    Dropped {
        /// Since the device started.
        count: u32,
    },
}
