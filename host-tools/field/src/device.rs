//! What a device says of itself, kept after its packet is gone.

use std::fmt;

use gradgate_bundle::manifest::DeviceClass;
use gradgate_link::message::{self, Digest, Slot, SlotState};
use serde::Serialize;

use crate::keys::Serial;

/// Who a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The board, such as `mps2-an386`.
    pub board: String,
    /// Version of the firmware.
    pub firmware: String,
    /// The chip's own number.
    pub serial: Serial,
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

impl From<message::Identity<'_>> for Identity {
    fn from(identity: message::Identity<'_>) -> Identity {
        Identity {
            board: plain(identity.board),
            firmware: plain(identity.firmware),
            serial: identity.serial,
            device_class: identity.device_class,
            container_version: identity.container_version,
            arena_bytes: identity.arena_bytes,
            slot_bytes: identity.slot_bytes,
            security_counter: identity.security_counter,
        }
    }
}

impl Identity {
    /// The class's name, or its number where this version does not know it.
    pub fn class(&self) -> String {
        class_name(self.device_class)
    }
}

/// A class's name, or its number where this version does not know it.
pub fn class_name(number: u32) -> String {
    DeviceClass::from_number(number)
        .map_or_else(|| format!("class {number}"), |class| class.name().to_owned())
}

/// How a device is.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Device time in microseconds since the start.
    pub time_us: u64,
    /// Its name; empty before it was given one.
    pub name: String,
    /// Whether it has keys of its own.
    pub provisioned: bool,
    /// First bytes of the SHA-256 of the key whose bundles it takes.
    pub key_id: [u8; 8],
    /// Starts so far.
    pub boots: u32,
    /// Why it started last, see [`crate::words::reset`].
    pub reset: u8,
    /// Whether the gate is OPEN.
    pub open: bool,
    /// Why it closed, see [`crate::words::closed`]; 0: open.
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

impl From<message::Status<'_>> for Status {
    fn from(status: message::Status<'_>) -> Status {
        Status {
            time_us: status.time_us,
            name: plain(status.name),
            provisioned: status.provisioned,
            key_id: status.key_id,
            boots: status.boots,
            reset: status.reset,
            open: status.open,
            reason: status.reason,
            enforce: status.enforce,
            threshold: status.threshold,
            frame_period_us: status.frame_period_us,
            verdict_us: status.verdict_us,
            rehashes: status.rehashes,
            stack_bytes: status.stack_bytes,
            stack_used: status.stack_used,
        }
    }
}

/// How often which scores were.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Lower edge of the first bin.
    pub low: f32,
    /// Upper edge of the last bin.
    pub high: f32,
    /// Scores above it are BLOCK; not a number without a bundle.
    pub threshold: f32,
    /// Scores below `low`, the bins of equal width, scores from `high` on, frames without a score.
    pub counts: Vec<u32>,
}

impl Histogram {
    /// Rows of lower edge, upper edge and count; the edges are infinite at both ends and not
    /// numbers for frames without a score.
    pub fn rows(&self) -> Vec<(f32, f32, u32)> {
        let bins = self.counts.len().saturating_sub(3);
        let edge = |at: usize| self.low + (self.high - self.low) * at as f32 / bins as f32;
        let row = |(at, &count): (usize, &u32)| match at {
            0 => (f32::NEG_INFINITY, self.low, count),
            at if at <= bins => (edge(at - 1), edge(at), count),
            at if at == bins + 1 => (self.high, f32::INFINITY, count),
            _ => (f32::NAN, f32::NAN, count),
        };
        self.counts.iter().enumerate().map(row).collect()
    }
}

/// What lies in the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// The slot that judges frames.
    pub active: Option<u8>,
    /// Both.
    pub slots: [Slot; 2],
}

impl Slots {
    /// The slot that judges frames.
    pub fn running(&self) -> Option<&Slot> {
        self.slots.get(usize::from(self.active?))
    }

    /// Number of the slot that holds this bundle.
    pub fn find(&self, identity: &Digest) -> Option<u8> {
        let holds = |slot: &Slot| slot.state != SlotState::Empty && slot.identity == *identity;
        self.slots.iter().position(holds).map(|at| at as u8)
    }

    /// Number of the slot in this state.
    pub fn with(&self, state: SlotState) -> Option<u8> {
        self.slots.iter().position(|slot| slot.state == state).map(|at| at as u8)
    }

    /// The slot of this number.
    pub fn slot(&self, number: u8) -> Option<&Slot> {
        self.slots.get(usize::from(number))
    }
}

/// A part of a bundle in a slot that is empty otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// Number of the slot.
    #[serde(skip)]
    pub slot: u8,
    /// How much is there, about, in bytes.
    pub bytes: u32,
    /// Length of the bundle in bytes; 0: not known.
    pub total_bytes: u32,
    /// Name of the bundle, hexadecimal.
    pub identity: String,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "upload unfinished, {} of ", self.bytes)?;
        match self.total_bytes {
            0 => out.write_str("unknown bytes"),
            total => write!(out, "{total} bytes"),
        }
    }
}

/// The state's name.
pub fn state_name(state: SlotState) -> &'static str {
    match state {
        SlotState::Empty => "empty",
        SlotState::Staged => "staged",
        SlotState::Trial => "trial",
        SlotState::Confirmed => "confirmed",
        SlotState::Rejected => "rejected",
    }
}

/// Both numbers, as other programs read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotRow {
    /// Number of the slot.
    pub slot: usize,
    /// Its state.
    pub state: &'static str,
    /// Whether it judges frames.
    pub active: bool,
    /// Length of the bundle in bytes.
    pub bytes: u32,
    /// Name of the bundle, hexadecimal; empty without one.
    pub identity: String,
    /// The bundle's security counter.
    pub security_counter: u64,
    /// What an upload left here that was not finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Unfinished>,
}

/// The slots as rows, with what an upload left.
pub fn rows_with(slots: &Slots, unfinished: Option<&Unfinished>) -> Vec<SlotRow> {
    let mut rows = rows(slots);
    if let Some(unfinished) = unfinished
        && let Some(row) = rows.get_mut(usize::from(unfinished.slot))
    {
        row.unfinished = Some(unfinished.clone());
    }
    rows
}

/// The slots as rows.
pub fn rows(slots: &Slots) -> Vec<SlotRow> {
    let rows = slots.slots.iter().enumerate().map(|(number, slot)| SlotRow {
        slot: number,
        state: state_name(slot.state),
        active: slots.active.map(usize::from) == Some(number),
        bytes: slot.total_bytes,
        identity: if slot.identity == [0; 32] { String::new() } else { hex(&slot.identity) },
        security_counter: slot.security_counter,
        unfinished: None,
    });
    rows.collect()
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text of a device without what could drive a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
