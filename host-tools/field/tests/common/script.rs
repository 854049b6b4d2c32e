//! What a fake device does wrong.

use gradgate_field::keys::LinkKey;
use gradgate_link::Refusal;
use gradgate_link::message::Digest;

/// The fake chip's number.
pub const SERIAL: [u8; 16] = [0xA5; 16];
/// The fake device's name.
pub const NAME: &str = "dock-7";

/// What it does wrong.
#[derive(Clone, Debug)]
pub struct Script {
    pub key: LinkKey,
    pub name: String,
    pub serial: [u8; 16],
    /// Refused instead of verifying.
    pub verify: Option<Refusal>,
    /// Refused instead of activating; the bundle is rejected.
    pub activate: Option<Refusal>,
    /// Refused instead of beginning an upload.
    pub begin: Option<Refusal>,
    /// So often NotNow before an upload begins.
    pub erasing: u32,
    /// Hears nothing for so long from when it is asked to verify; what comes meanwhile waits.
    pub verifies_ms: u64,
    /// NotNow for ever.
    pub always_busy: bool,
    /// Restarts after so many chunks, once; `keeps` what it had.
    pub dies_after: Option<u32>,
    pub keeps: bool,
    /// Tells of an upload of this bundle that came so far, whatever it has.
    pub tells_of: Option<(Digest, u32)>,
    /// Falls back by itself after so many milliseconds of trial.
    pub falls_back_ms: Option<u64>,
    /// This log entry comes so many milliseconds into the trial.
    pub logs: Option<(u64, u16, u32)>,
    /// No frame is ever judged.
    pub blind: bool,
    /// Says nothing at all.
    pub silent: bool,
    /// So many bytes of noise before each answer.
    pub garbage: usize,
    /// Answers to these requests are lost once, and the device restarts: the request was done.
    pub loses_answer_to: Option<&'static str>,
    /// Says nothing any more once it has done this request.
    pub silent_after: Option<&'static str>,
    /// So often it answers that it restarts, and does not.
    pub stays_up: u32,
    /// Refused instead of being provisioned, with everything written.
    pub provision: Option<Refusal>,
    pub device_class: u32,
    pub arena_bytes: u32,
    pub slot_bytes: u32,
    pub security_counter: u64,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            key: LinkKey::UNPROVISIONED,
            name: NAME.to_owned(),
            serial: SERIAL,
            verify: None,
            activate: None,
            begin: None,
            erasing: 0,
            verifies_ms: 0,
            always_busy: false,
            dies_after: None,
            keeps: true,
            tells_of: None,
            falls_back_ms: None,
            logs: None,
            blind: false,
            silent: false,
            garbage: 0,
            loses_answer_to: None,
            silent_after: None,
            stays_up: 0,
            provision: None,
            device_class: 1,
            arena_bytes: 4096,
            slot_bytes: 1 << 20,
            security_counter: 0,
        }
    }
}
