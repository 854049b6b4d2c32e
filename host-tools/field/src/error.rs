//! What can go wrong between host and device: what happened, and what to do.

use std::fmt;

use gradgate_link::Refusal;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The host's: a file, a port, a bundle that does not suit.
    Host,
    /// The device took the request and refused it.
    Refused,
    /// Nobody answers, or not with the right key.
    Link,
    /// The new bundle did not stand its trial; the confirmed one runs.
    FellBack,
    /// Somebody asked for an end.
    Stopped,
}

/// Why an errand did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// There is no device: nothing is plugged in, or nobody answers of those that could be it.
    Absent {
        /// Where was looked, and what to do.
        message: String,
    },
    /// The port is there and cannot be opened.
    Open {
        /// The system's words.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// Another program has the port.
    Locked,
    /// No answer came.
    Silent {
        /// For how long, in milliseconds.
        waited_ms: u64,
        /// What the port said, if it failed.
        trouble: Option<String>,
        /// Frames that came in, damaged or not for us.
        noise: u32,
    },
    /// A device answers under a key that we do not have.
    Key {
        /// The chip's number, as the device says it.
        serial: [u8; 16],
        /// It was given no key yet.
        unprovisioned: bool,
    },
    /// The device speaks no version of the link that we speak.
    Versions,
    /// The device was busy for too long.
    Busy {
        /// What was asked.
        doing: &'static str,
        /// For how long, in milliseconds.
        waited_ms: u64,
    },
    /// The device refused.
    Refused {
        /// What was asked.
        doing: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// An answer of another kind than the question.
    Answer {
        /// What was asked.
        doing: &'static str,
    },
    /// A request longer than the device takes.
    Long {
        /// What was asked.
        doing: &'static str,
    },
    /// The bundle does not suit the device.
    Unsuitable {
        /// Every reason.
        reasons: Vec<String>,
    },
    /// The bundle did not stand its trial.
    FellBack {
        /// What was seen.
        reason: String,
        /// What runs now.
        now: String,
    },
    /// Something was begun that may be done again.
    Halfway {
        /// What went wrong, if it was told.
        cause: Option<Box<Error>>,
        /// How things are now, and what to do.
        now: &'static str,
    },
    /// Somebody asked for an end.
    Stopped {
        /// How things were left, and what to do.
        left: String,
    },
    /// A file that is not as it should be.
    File {
        /// Which, where, and what to do.
        message: String,
    },
}

impl Error {
    /// Whose turn it is.
    pub fn class(&self) -> Class {
        match self {
            Error::Absent { .. }
            | Error::Open { .. }
            | Error::Locked
            | Error::Long { .. }
            | Error::Unsuitable { .. }
            | Error::File { .. } => Class::Host,
            Error::Refused { .. } | Error::Answer { .. } | Error::Busy { .. } => Class::Refused,
            Error::Silent { .. } | Error::Key { .. } | Error::Versions => Class::Link,
            Error::FellBack { .. } => Class::FellBack,
            Error::Stopped { .. } => Class::Stopped,
            Error::Halfway { cause, .. } => cause.as_deref().map_or(Class::Refused, Error::class),
        }
    }
}

/// What a refusal means, and what to do.
pub fn refusal_text(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unknown => "its firmware does not know this request: update the firmware",
        Refusal::State => {
            "not in this state (no trial to end? restarted?): `gradgate slots` shows it"
        }
        Refusal::NotNow => "it is at work: try again",
        Refusal::Range => {
            "a number or a length that cannot be: a bundle too long, edges in the wrong order"
        }
        Refusal::Digest => "what arrived is not what was sent: flash again",
        Refusal::Storage => {
            "its flash cannot be erased, written or read: flash again, then replace it"
        }
        Refusal::Signature => {
            "not signed by the key that it trusts: sign with that key, or `provision` another"
        }
        Refusal::Device => "for another class of devices, or it wants more memory than there is",
        Refusal::Counter => "its security counter is below the confirmed one: pack it anew, higher",
        Refusal::Bundle => {
            "its firmware cannot load the bundle: `gradgate verify` it, update firmware"
        }
        Refusal::SelfTest => {
            "the self-test's bits differ on the device: do not use it there, report it"
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Absent { message } | Error::File { message } => out.write_str(message),
            Error::Open { reason, advice } => write!(out, "cannot be opened: {reason} ({advice})"),
            Error::Locked => out.write_str(
                "another program talks to this board: end it first (one at a time, or bytes mix)",
            ),
            Error::Silent { waited_ms, trouble, noise } => {
                silent(out, *waited_ms, trouble.as_deref(), *noise)
            }
            Error::Key { serial, unprovisioned } => key(out, serial, *unprovisioned),
            Error::Versions => out.write_str(
                "speaks no version of the link that this gradgate speaks: update the older of both",
            ),
            Error::Busy { doing, waited_ms } => {
                let seconds = *waited_ms as f64 / 1000.0;
                write!(out, "{doing}: still busy after {seconds:.1} s: try again, then restart it")
            }
            Error::Refused { doing, refusal } => {
                write!(out, "{doing}: the device refused: {}", refusal_text(*refusal))
            }
            Error::Answer { doing } => write!(
                out,
                "{doing}: the device answered something else: are firmware and gradgate of one age?"
            ),
            Error::Long { doing } => {
                write!(out, "{doing}: longer than this device takes in one packet")
            }
            Error::Unsuitable { reasons } => {
                write!(out, "the bundle does not suit this device: {}", reasons.join("; "))
            }
            Error::FellBack { reason, now } => {
                write!(out, "the new bundle did not stand its trial: {reason}; now {now}")
            }
            Error::Halfway { cause: Some(cause), now } => write!(out, "{cause}; {now}"),
            Error::Halfway { cause: None, now } => write!(out, "it did not start anew: {now}"),
            Error::Stopped { left } => write!(out, "stopped: {left}"),
        }
    }
}

fn silent(
    out: &mut fmt::Formatter<'_>,
    waited_ms: u64,
    trouble: Option<&str>,
    noise: u32,
) -> fmt::Result {
    write!(out, "no answer in {:.1} s", waited_ms as f64 / 1000.0)?;
    match (trouble, noise) {
        (Some(trouble), _) => write!(out, ": the port failed ({trouble}): is it still plugged in?"),
        (None, 0) => out.write_str(
            ": is it powered, is this its port, is nobody else connected, does --baud fit?",
        ),
        (None, noise) => write!(
            out,
            ", only {noise} frames that are damaged or not for us: does --baud fit, is the cable \
             good?"
        ),
    }
}

fn key(out: &mut fmt::Formatter<'_>, serial: &[u8; 16], unprovisioned: bool) -> fmt::Result {
    let serial: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    write!(out, "the device (chip {serial}) answers under another key: ")?;
    out.write_str(match unprovisioned {
        true => "it was given none yet: leave --link-key out, or `provision` it",
        false => {
            "no key given is its own: give its --link-key or its site's --site-key (`provision` \
             takes the key that it has now as --old-key)"
        }
    })
}

impl std::error::Error for Error {}
