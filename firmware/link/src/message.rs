//! What a host asks and a device answers: postcard, variants numbered in their order here.
//!
//! Variants and their fields are append-only: a new one goes to the end of its enum, and a field of
//! a variant never changes, for old hosts meet new devices. SPEC.md has golden bytes of each.

mod report;

use serde::{Deserialize, Serialize};

pub use report::{Evidence, HISTOGRAM_BINS, Status};

/// A SHA-256.
pub type Digest = [u8; 32];

/// Opens a session; the same in every version of the link, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest version of the link that the host speaks.
    pub version_min: u8,
    /// Newest one.
    pub version_max: u8,
    /// Drawn at random for this hello; the welcome repeats it, so that an old welcome is none.
    pub nonce: u64,
}

/// Answers a hello; the session stands in the packet's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The newest version that both speak; 0: none.
    pub version: u8,
    /// That of the hello.
    pub nonce: u64,
    /// Requests that may be unanswered at a time.
    pub window: u8,
    /// Longest packet that the device takes, in bytes.
    pub packet_bytes_max: u16,
    /// The chip's own number, as in [`Identity`]: a host finds the device's key by it, and knows by
    /// the tag whether it was the right one.
    pub serial: [u8; 16],
}

/// What a host asks of a device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Who are you; answered by [`Reply::Identity`].
    Identify,
    /// What lies in the slots; answered by [`Reply::Slots`].
    ListSlots,
    /// Begin or resume an upload into the slot that is not active; answered by [`Reply::Upload`].
    UploadBegin {
        /// Length of the bundle.
        total_bytes: u32,
        /// Of the whole bundle: what it must be in the end, and what tells uploads apart.
        digest: Digest,
        /// The bundle's first bytes, manifest and signature: checked before a slot is emptied.
        #[serde(borrow)]
        prefix: &'a [u8],
    },
    /// A piece of the bundle; answered by [`Reply::Upload`].
    UploadChunk {
        /// Where it belongs.
        offset: u32,
        /// At least one byte.
        #[serde(borrow)]
        bytes: &'a [u8],
    },
    /// All was sent: compare digests; answered by [`Reply::Done`].
    UploadFinish,
    /// Signature, class, counter, digests and self-test of a slot; answered by [`Reply::Done`].
    Verify {
        /// 0 or 1.
        slot: u8,
    },
    /// Start the slot on trial; answered by [`Reply::Done`].
    Activate {
        /// 0 or 1.
        slot: u8,
    },
    /// Keep the slot that is on trial; answered by [`Reply::Done`].
    Confirm,
    /// Go back to the confirmed slot; answered by [`Reply::Done`].
    Revert,
    /// Empty the slot that is not active; answered by [`Reply::Done`].
    EraseInactive,
    /// A piece of a camera frame to be judged; [`Reply::Done`], after the last piece
    /// [`Reply::Judged`].
    SendFrame {
        /// Number of the frame; another one drops the pieces so far.
        frame: u32,
        /// Where the piece belongs.
        offset: u32,
        /// Length of the whole frame.
        total_bytes: u32,
        /// Pixels as the bundle's manifest has them.
        #[serde(borrow)]
        bytes: &'a [u8],
    },
    /// Send every n-th verdict as telemetry; answered by [`Reply::Done`].
    SetStream {
        /// 1: each, 0: none.
        every: u16,
    },
    /// Entries of the log; answered by [`Reply::Log`].
    ReadLog {
        /// Number of the first wanted entry.
        from: u32,
    },
    /// Answered by [`Reply::Counters`].
    ReadCounters,
    /// Start anew once the answer is out; answered by [`Reply::Done`].
    Reboot,
    /// The frame whose pieces follow comes as a camera makes it: all checks of a camera's frame are
    /// made, and it is brought to the model's size. Answered by [`Reply::Done`].
    StartFrame {
        /// Number of the frame, as in the pieces.
        frame: u32,
        /// How long ago it was captured, in microseconds.
        age_us: u32,
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
        /// Numbered as `gradgate_frame::PixelFormat`.
        format: u8,
    },
    /// What the detector saw of the last frame; answered by [`Reply::Features`].
    ReadFeatures {
        /// First wanted value.
        from: u16,
    },
    /// Why the gate closed once; answered by [`Reply::Evidence`].
    ReadEvidence {
        /// Number of the event.
        event: u32,
        /// First wanted byte.
        offset: u32,
    },
    /// How often which scores were; answered by [`Reply::Histogram`].
    ReadHistogram,
    /// Begins the histogram anew; answered by [`Reply::Done`].
    SetHistogram {
        /// Lower edge of the first bin.
        low: f32,
        /// Upper edge of the last bin.
        high: f32,
    },
    /// How the device is; answered by [`Reply::Status`].
    ReadStatus,
    /// Who the device is and whom it trusts, from its next start on; answered by [`Reply::Done`].
    /// The keys are not encrypted: over a cable that nobody else reads.
    Provision {
        /// The device's name, 1 to 32 bytes.
        #[serde(borrow)]
        name: &'a str,
        /// Ed25519 key of who signs its bundles.
        public_key: [u8; 32],
        /// Key of this link.
        link_key: [u8; 32],
    },
    /// How far an upload came that was not finished; answered by [`Reply::Unfinished`], or refused
    /// with [`Refusal::State`] where there is none.
    ReadUpload,
}

/// What a device answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// As many requests wait as may: not executed, the same packet is welcome later.
    Busy,
    /// Not done.
    Refused(Refusal),
    /// Done.
    Done,
    /// Who it is.
    Identity(#[serde(borrow)] Identity<'a>),
    /// The slots.
    Slots {
        /// The slot that judges frames.
        active: Option<u8>,
        /// Both.
        slots: [Slot; 2],
    },
    /// Up to where the upload stands: the next chunk starts here.
    Upload {
        /// In bytes.
        offset: u32,
    },
    /// The verdict on a frame that was sent.
    Judged(Judged),
    /// Entries of the log, oldest first.
    Log {
        /// Number of the first entry here; later than asked where older ones are gone.
        first: u32,
        /// What to ask for next.
        next: u32,
        /// [`Event`]s one after another; [`events`] reads them.
        #[serde(borrow)]
        events: &'a [u8],
    },
    /// The counters.
    Counters(Counters),
    /// Values that the detector saw: logits, squared norms, activation norms, penultimate values,
    /// alignments, in this order.
    Features {
        /// The frame.
        frame: u32,
        /// Number of the first value here.
        first: u16,
        /// How many there are in all.
        total: u16,
        /// `f32`, little-endian.
        #[serde(borrow)]
        values: &'a [u8],
    },
    /// Why the gate closed once.
    Evidence(#[serde(borrow)] Evidence<'a>),
    /// How often which scores were.
    Histogram {
        /// Lower edge of the first bin.
        low: f32,
        /// Upper edge of the last bin.
        high: f32,
        /// Scores above it are BLOCK; not a number without a bundle.
        threshold: f32,
        /// `u32`, little-endian: scores below `low`, [`HISTOGRAM_BINS`] bins of equal width, scores
        /// from `high` on, frames without a score.
        #[serde(borrow)]
        counts: &'a [u8],
    },
    /// How the device is.
    Status(#[serde(borrow)] Status<'a>),
    /// A part of a bundle in a slot that [`Reply::Slots`] calls empty.
    Unfinished {
        /// 0 or 1.
        slot: u8,
        /// Names the bundle, as in [`Slot`].
        identity: Digest,
        /// How many bytes are there, about: after a restart the sectors before the last one with
        /// anything in it.
        offset: u32,
        /// Length of the bundle; 0: not known.
        total_bytes: u32,
    },
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This device does not know the request.
    Unknown,
    /// Not in this state: there is no trial, no upload, no confirmed slot.
    State,
    /// The device is at work on it; ask again later.
    NotNow,
    /// A slot, an offset or a length that cannot be.
    Range,
    /// What was received is not what was announced.
    Digest,
    /// Flash could not be erased, written or read.
    Storage,
    /// The bundle's signature, or an unsigned bundle.
    Signature,
    /// The bundle is for another class of devices, or wants more memory.
    Device,
    /// The bundle's security counter is below the confirmed one.
    Counter,
    /// The bundle cannot be loaded.
    Bundle,
    /// The self-test's bits differ.
    SelfTest,
}

/// Who a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity<'a> {
    /// The board, such as `mps2-an386`.
    pub board: &'a str,
    /// Version of the firmware.
    pub firmware: &'a str,
    /// The chip's own number.
    pub serial: [u8; 16],
    /// Class of devices, numbered as in bundles.
    pub device_class: u32,
    /// Newest container version that it reads.
    pub container_version: u32,
    /// Memory for a bundle's arena, in bytes.
    pub arena_bytes: u32,
    /// Room for a bundle in a slot, in bytes.
    pub slot_bytes: u32,
    /// Bundles below it are refused.
    pub security_counter: u64,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// How far it came.
    pub state: SlotState,
    /// Length of the bundle; 0: none.
    pub total_bytes: u32,
    /// SHA-256 of the bundle's first 320 bytes, manifest and signature, which through the digests
    /// in them names every byte; zeros: none.
    pub identity: Digest,
    /// The bundle's security counter.
    pub security_counter: u64,
}

/// How far a slot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotState {
    /// Nothing, or a part of an upload.
    Empty,
    /// A whole bundle, not yet on trial.
    Staged,
    /// Judges frames until it is confirmed or fails.
    Trial,
    /// What a device goes back to.
    Confirmed,
    /// Failed; not tried again.
    Rejected,
}

/// A verdict with its score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Number of the frame.
    pub frame: u32,
    /// Device time at the verdict, in microseconds.
    pub time_us: u64,
    /// Classifier's class.
    pub class: u16,
    /// PASS, BLOCK or UNKNOWN.
    pub verdict: Verdict,
    /// Why not PASS: 1 the picture itself is unusable, 2 it is unlike normal ones, 3 the classifier
    /// is likely wrong, 4 device or bundle are at fault; 0: PASS.
    pub reason: u8,
    /// Larger is more anomalous; not a number where there is none.
    pub score: f32,
    /// Share of normal frames with such a score or a larger one; not a number where there is none.
    pub p_value: f32,
}

/// What is said of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Score at or under the threshold.
    Pass,
    /// Score above it.
    Block,
    /// Nothing can be promised of this frame.
    Unknown,
}

/// An entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Device time in microseconds.
    pub time_us: u64,
    /// What happened, numbered by the device.
    pub code: u16,
    /// What the number means depends on the code.
    pub value: u32,
}

/// What a device counted since it started; counts stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Device time in microseconds.
    pub time_us: u64,
    /// Frames judged PASS.
    pub passed: u32,
    /// Frames judged BLOCK.
    pub blocked: u32,
    /// Frames judged UNKNOWN.
    pub unknown: u32,
    /// How often the gate closed.
    pub closed: u32,
    /// Frames that came late or not at all.
    pub missed: u32,
    /// Link frames taken.
    pub link_good: u32,
    /// Link frames dropped for their length, stuffing or CRC.
    pub link_bad: u32,
    /// Commands refused for their tag or session.
    pub link_refused: u32,
    /// Telemetry dropped because the queue was full.
    pub telemetry_dropped: u32,
}

/// The events of a [`Reply::Log`]; ends at the first that cannot be read.
pub fn events(mut bytes: &[u8]) -> impl Iterator<Item = Event> + '_ {
    core::iter::from_fn(move || {
        let (event, rest) = postcard::take_from_bytes(bytes).ok()?;
        bytes = rest;
        Some(event)
    })
}

/// Appends `event` to the events in `out`, of which `length` bytes are taken; the new length,
/// `None` where there is no room.
pub fn push_event(event: &Event, out: &mut [u8], length: usize) -> Option<usize> {
    let taken = postcard::to_slice(event, out.get_mut(length..)?).ok()?.len();
    length.checked_add(taken)
}
