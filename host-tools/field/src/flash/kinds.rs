//! What is wanted of an errand, where it is, and how it ended.

use serde::Serialize;

use super::trial::Confirm;

/// Bytes of the bundle in a packet: 0.1 s at 115,200 baud.
pub const CHUNK_BYTES: usize = 1024;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Check, and change nothing.
    pub dry_run: bool,
    /// Stop once the bundle waits in its slot, verified.
    pub stage_only: bool,
    /// Watch the trial, then keep the bundle; without, it stays on trial.
    pub confirm: Option<Confirm>,
    /// Send a bundle that this device has rejected before.
    pub retry_rejected: bool,
    /// Bytes of the bundle in a packet.
    pub chunk_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            dry_run: false,
            stage_only: false,
            confirm: None,
            retry_rejected: false,
            chunk_bytes: CHUNK_BYTES,
        }
    }
}

/// Where the errand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Who is it, does the bundle suit it.
    Check,
    /// The device empties a slot.
    Erase,
    /// Bytes go over.
    Upload,
    /// Digests are compared, signature and self-test checked, there.
    Verify,
    /// The bundle is started.
    Activate,
    /// It judges frames and is watched.
    Trial,
    /// It is kept.
    Confirm,
    /// The confirmed one is brought back.
    Revert,
    /// Nothing is left to do.
    Done,
}

/// How it ended, short of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It suits, nothing was changed.
    Suits,
    /// It was there already, confirmed.
    Already,
    /// It waits in its slot.
    Staged,
    /// It runs on trial.
    OnTrial,
    /// It runs, confirmed.
    Confirmed,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Bytes that the device had already.
    pub resumed_at: u32,
    /// Bytes that it has.
    pub sent: u32,
    /// Bytes in all.
    pub total: u32,
    /// Verdicts of the trial, PASS and BLOCK.
    pub judged: u32,
    /// UNKNOWN of the trial.
    pub unknown: u32,
    /// Verdicts wanted.
    pub wanted: u32,
}
