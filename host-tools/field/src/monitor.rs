//! What is seen of a device that judges: verdicts as they come, rates, health.
//!
//! [`Monitor`] gathers what telemetry and answers tell, and makes lines of it; it knows no terminal
//! and no clock. Telemetry is not authenticated: it is shown, and nothing is decided by it.

mod plain;
mod view;

use std::collections::VecDeque;

use gradgate_link::Request;
use gradgate_link::message::{Counters, Judged, Verdict};

use crate::device::{Identity, Status};

/// What a device tells unasked.
pub use gradgate_link::Telemetry;

/// Asks for every n-th verdict as telemetry; 0: none.
pub fn stream(every: u16) -> Request<'static> {
    Request::SetStream { every }
}

/// Verdicts that are kept: the widest screen.
const KEPT: usize = 512;
/// Closings and log entries that are kept.
const NEWS: usize = 64;
/// Microseconds of an hour.
const HOUR_US: f64 = 3.6e9;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    device: String,
    identity: Option<Identity>,
    status: Option<Status>,
    counters: Option<Counters>,
    /// Why nobody answers at present.
    lost: Option<String>,
    judged: VecDeque<Judged>,
    /// Lines of what happened beside verdicts, the newest last.
    news: VecDeque<String>,
    verdicts: [u64; 3],
    closings: u64,
    /// The gate as telemetry told it last.
    open: Option<bool>,
    /// Device time of the first and the last verdict since it started.
    seen_us: Option<(u64, u64)>,
    /// Device time over which was watched, before its last start.
    before_us: u64,
    sequence: Option<u32>,
    /// Telemetry that did not arrive.
    missed: u64,
    /// How often the link was lost.
    losses: u64,
}

impl Monitor {
    /// Nothing seen yet of the device at this port.
    pub fn new(device: &str) -> Monitor {
        Monitor {
            device: device.to_owned(),
            identity: None,
            status: None,
            counters: None,
            lost: None,
            judged: VecDeque::new(),
            news: VecDeque::new(),
            verdicts: [0; 3],
            closings: 0,
            open: None,
            seen_us: None,
            before_us: 0,
            sequence: None,
            missed: 0,
            losses: 0,
        }
    }

    /// It answers.
    pub fn met(&mut self, identity: Identity) {
        self.identity = Some(identity);
        (self.lost, self.sequence) = (None, None);
    }

    /// How it is.
    pub fn polled(&mut self, status: Status, counters: Counters) {
        self.open = Some(status.open);
        (self.status, self.counters) = (Some(status), Some(counters));
        self.lost = None;
    }

    /// It does not answer, for this reason.
    pub fn lose(&mut self, reason: &str) {
        if self.lost.is_none() {
            self.losses += 1;
        }
        self.lost = Some(crate::device::plain(reason));
    }

    /// It told something, under this number.
    pub fn hear(&mut self, sequence: u32, telemetry: &Telemetry) {
        if let Some(last) = self.sequence {
            self.missed += u64::from(sequence.wrapping_sub(last).saturating_sub(1).min(1 << 20));
        }
        self.sequence = Some(sequence);
        match telemetry {
            Telemetry::Judged(judged) => self.judge(judged),
            Telemetry::Gate { open, .. } => {
                self.closings += u64::from(!*open && self.open != Some(false));
                self.open = Some(*open);
                self.tell(plain::line(telemetry, None));
            }
            Telemetry::Logged(_) => self.tell(plain::line(telemetry, None)),
            Telemetry::Dropped { .. } => {}
        }
    }

    fn judge(&mut self, judged: &Judged) {
        if self.judged.len() == KEPT {
            self.judged.pop_front();
        }
        self.judged.push_back(*judged);
        self.verdicts[place(judged.verdict)] += 1;
        self.seen_us = match self.seen_us {
            Some((first, last)) if judged.time_us >= last => Some((first, judged.time_us)),
            // It started anew.
            Some((first, last)) => {
                self.before_us += last - first;
                Some((judged.time_us, judged.time_us))
            }
            None => Some((judged.time_us, judged.time_us)),
        };
    }

    fn tell(&mut self, line: String) {
        if self.news.len() == NEWS {
            self.news.pop_front();
        }
        self.news.push_back(line);
    }

    /// Why nobody answers, while nobody does.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// The threshold, once known.
    pub fn threshold(&self) -> Option<f32> {
        self.status.as_ref().map(|status| status.threshold)
    }

    /// Device time that was watched, in hours.
    fn hours(&self) -> f64 {
        let now = self.seen_us.map_or(0, |(first, last)| last - first);
        (self.before_us + now) as f64 / HOUR_US
    }

    /// A line of telemetry for people.
    pub fn line(&self, telemetry: &Telemetry) -> String {
        plain::line(telemetry, self.threshold())
    }

    /// A line of how it is, for people.
    pub fn health_line(&self) -> String {
        plain::health(self)
    }

    /// Telemetry as JSON in one line.
    pub fn json(&self, telemetry: &Telemetry) -> String {
        plain::json(telemetry).to_string()
    }

    /// How it is, as JSON in one line.
    pub fn health_json(&self) -> String {
        plain::health_json(self).to_string()
    }

    /// The whole view, in lines of at most `width` characters, at most `height` of them.
    pub fn view(&self, width: usize, height: usize) -> Vec<String> {
        view::view(self, width, height)
    }
}

fn place(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Block => 1,
        Verdict::Unknown => 2,
    }
}

#[cfg(test)]
#[path = "monitor/tests.rs"]
mod tests;
