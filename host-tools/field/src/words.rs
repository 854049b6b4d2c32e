//! Numbers of a device in words. All are frozen and append-only on the device; one that is newer
//! than this table is shown as a number.

use gradgate_link::events::{Code, Reset};
use gradgate_link::message::{Event, Verdict};

/// Why the gate is closed, from 0 on.
const CLOSED: [&str; 7] = ["OPEN", "START", "BLOCKS", "LEASE", "CLOCK", "FAULT", "UPDATE"];

/// Why a frame is not PASS, from 0 on.
const JUDGED: [&str; 5] = ["none", "sensor", "shift", "doubt", "fault"];

/// Why a frame is not PASS.
pub fn judged(number: u8) -> String {
    word(&JUDGED, usize::from(number), "reason")
}

fn word(table: &[&str], number: usize, what: &str) -> String {
    table.get(number).map_or_else(|| format!("{what} {number}"), |&word| word.to_owned())
}

/// What happened, by the log's code.
pub fn event(event: &Event) -> String {
    let known = Code::from_number(event.code);
    known.map_or_else(|| format!("code {}", event.code), |code| code.name().to_owned())
}

/// Why a device started.
pub fn reset(number: u8) -> String {
    match Reset::from_number(number) {
        Reset::Unknown if number > 0 => format!("reset {number}"),
        reset => reset.name().to_owned(),
    }
}

/// Why the gate is closed.
pub fn closed(number: u8) -> String {
    word(&CLOSED, usize::from(number), "reason")
}

/// PASS, BLOCK or UNKNOWN.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Block => "BLOCK",
        Verdict::Unknown => "UNKNOWN",
    }
}
