//! Numbers of a device in words. All are frozen and append-only on the device; one that is newer
//! than this table is shown as a number.

use gradgate_link::message::{Event, Verdict};

/// Codes of the log, from 1 on.
const LOG: [&str; 18] = [
    "started",
    "bundle runs",
    "fail state: no bundle runs",
    "bundle refused",
    "gate opened",
    "gate closed",
    "upload began",
    "bundle staged",
    "bundle on trial",
    "bundle confirmed",
    "back to the confirmed bundle",
    "slot erased",
    "flash failed",
    "frame unfit",
    "numbers at fault",
    "bundle damaged in memory",
    "provisioned",
    "link overflow",
];

/// Log code: the device started.
pub const STARTED: u16 = 1;
/// Log code: flash or journal failed.
pub const STORAGE: u16 = 13;
/// Log code: the numbers of a frame are at fault.
pub const FAULT: u16 = 15;
/// Log code: the bundle in memory is no longer the one that was loaded.
pub const DAMAGED: u16 = 16;

/// Why a device started, from 0 on.
const RESETS: [&str; 8] =
    ["unknown", "power", "request", "watchdog", "panic", "processor fault", "stack", "reset pin"];

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
    let at = usize::from(event.code).checked_sub(1);
    let known = at.and_then(|at| LOG.get(at));
    known.map_or_else(|| format!("code {}", event.code), |&word| word.to_owned())
}

/// Why a device started.
pub fn reset(number: u8) -> String {
    word(&RESETS, usize::from(number), "reset")
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
