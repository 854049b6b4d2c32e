//! A bundle on trial is watched: the slots, the log and the counters, over and over.
//!
//! It stands its trial when it judged so many frames and nothing went wrong: no fault in the
//! numbers, no damage, no restart that nobody asked for.

use gradgate_link::events::{Code, Reset};
use gradgate_link::message::{Counters, Digest, Event, SlotState, events};
use gradgate_link::{Reply, Request};

use crate::device::Slots;
use crate::error::Error;
use crate::link::doing;
use crate::words;

/// Between two rounds, in milliseconds.
const EVERY_MS: u64 = 500;
/// Answers of the log in one round: a log that fills faster than it is read must not hold the rest
/// up.
const LOG_ANSWERS: u32 = 32;

/// When a trial is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// So many frames were judged PASS or BLOCK.
    pub after_frames: u32,
    /// It failed if they were not within this time, in milliseconds; 0: as the bundle's frame
    /// period lets expect, four times over, and a minute.
    pub within_ms: u64,
}

/// What a round came to.
pub(super) enum Round {
    /// Go on.
    Goes,
    /// Enough was judged.
    Stood,
    /// Bring the confirmed bundle back, for this reason.
    Failed(String),
    /// It no longer runs, for this reason.
    Gone(String, Slots),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Slots,
    Log,
    Counters,
    Pause { until_ms: u64 },
}

/// The state of the watch.
pub(super) struct Trial {
    confirm: Confirm,
    identity: Digest,
    period_us: u32,
    ask: Ask,
    /// What to ask the log for; `None`: what was before the trial is not known yet.
    log_from: Option<u32>,
    log_seen: u32,
    log_answers: u32,
    counters: Option<Counters>,
    judged: u32,
    unknown: u32,
    since_ms: Option<u64>,
}

impl Default for Trial {
    fn default() -> Trial {
        Trial::new(Confirm { after_frames: 0, within_ms: 0 }, [0; 32], 0)
    }
}

impl Trial {
    pub(super) fn new(confirm: Confirm, identity: Digest, period_us: u32) -> Trial {
        Trial {
            confirm,
            identity,
            period_us,
            ask: Ask::Slots,
            log_from: None,
            log_seen: 0,
            log_answers: 0,
            counters: None,
            judged: 0,
            unknown: 0,
            since_ms: None,
        }
    }

    /// Judged and unknown.
    pub(super) fn counts(&self) -> (u32, u32) {
        (self.judged, self.unknown)
    }

    pub(super) fn request(&self) -> Option<Request<'_>> {
        match self.ask {
            Ask::Slots => Some(Request::ListSlots),
            Ask::Log => Some(Request::ReadLog { from: self.log_from.unwrap_or(self.log_seen) }),
            Ask::Counters => Some(Request::ReadCounters),
            Ask::Pause { .. } => None,
        }
    }

    pub(super) fn pause_ms(&self) -> u64 {
        match self.ask {
            Ask::Pause { until_ms } => until_ms,
            Ask::Slots | Ask::Log | Ask::Counters => 0,
        }
    }

    pub(super) fn resume(&mut self) {
        self.ask = Ask::Slots;
    }

    pub(super) fn answered(&mut self, reply: &Reply<'_>, now_ms: u64) -> Result<Round, Error> {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        match (self.ask, *reply) {
            (Ask::Slots, Reply::Slots { active, slots }) => {
                self.ask = Ask::Log;
                Ok(self.runs(Slots { active, slots }))
            }
            (Ask::Log, Reply::Log { next, events: bytes, .. }) => {
                let round = self.read(next, bytes);
                self.log_answers += 1;
                if self.log_answers >= LOG_ANSWERS && self.ask == Ask::Log {
                    self.log_from.get_or_insert(next);
                    self.ask = Ask::Counters;
                }
                Ok(round)
            }
            (Ask::Counters, Reply::Counters(counters)) => {
                self.count(counters);
                self.log_answers = 0;
                self.ask = Ask::Pause { until_ms: now_ms + EVERY_MS };
                Ok(self.decide(now_ms.saturating_sub(since_ms)))
            }
            _ => {
                let doing = self.request().as_ref().map_or("watching the trial", doing);
                Err(Error::Answer { doing })
            }
        }
    }

    fn runs(&self, slots: Slots) -> Round {
        let ours = slots.running().filter(|slot| slot.identity == self.identity);
        match ours.map(|slot| slot.state) {
            Some(SlotState::Trial | SlotState::Confirmed) => Round::Goes,
            _ => Round::Gone("the device went back by itself".to_owned(), slots),
        }
    }

    /// Entries before the trial are skipped, later ones looked at.
    fn read(&mut self, next: u32, bytes: &[u8]) -> Round {
        let Some(from) = self.log_from else {
            match next > self.log_seen && bytes.is_empty().eq(&false) {
                true => self.log_seen = next,
                false => (self.log_from, self.ask) = (Some(next), Ask::Counters),
            }
            return Round::Goes;
        };
        if next < from {
            // A log that begins anew after a restart.
            self.log_from = Some(0);
            return Round::Goes;
        }
        if let Some(bad) = events(bytes).find(is_bad) {
            return Round::Failed(format!("{} (value {})", words::event(&bad), bad.value));
        }
        if next == from || bytes.is_empty() {
            self.ask = Ask::Counters;
        }
        self.log_from = Some(next);
        Round::Goes
    }

    /// Counters begin anew at a restart.
    fn count(&mut self, now: Counters) {
        let before = self.counters.replace(now).unwrap_or(now);
        let more = |now: u32, before: u32| if now < before { now } else { now - before };
        self.judged = self
            .judged
            .saturating_add(more(now.passed, before.passed))
            .saturating_add(more(now.blocked, before.blocked));
        self.unknown = self.unknown.saturating_add(more(now.unknown, before.unknown));
    }

    fn decide(&self, waited_ms: u64) -> Round {
        let wanted = self.confirm.after_frames;
        if self.judged >= wanted {
            return Round::Stood;
        }
        let usual_ms = u64::from(self.period_us.max(10_000)) * u64::from(wanted) / 250 + 60_000;
        let within_ms = if self.confirm.within_ms == 0 { usual_ms } else { self.confirm.within_ms };
        if waited_ms < within_ms {
            return Round::Goes;
        }
        Round::Failed(format!(
            "{} of {wanted} frames were judged within {:.0} s ({} UNKNOWN): do frames arrive?",
            self.judged,
            waited_ms as f64 / 1000.0,
            self.unknown
        ))
    }
}

fn is_bad(event: &Event) -> bool {
    match Code::from_number(event.code) {
        Some(Code::Fault | Code::Damaged | Code::Storage) => true,
        Some(Code::Started) => event.value != Reset::Request as u32,
        _ => false,
    }
}
