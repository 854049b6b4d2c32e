//! What a device makes of verdicts: the gate and its pin, counts, log, evidence, telemetry.

use gradgate_bundle::header::Policy;
use gradgate_gate as gate;
use gradgate_gate::{Change, Gate, Reason, State};
use gradgate_link::Telemetry;
use gradgate_link::message::{Counters, Judged};
use gradgate_link::queue::Queue;

use crate::board::Level;
use crate::history::{Histogram, History};
use crate::log::{Code, Log, reason_number};

/// Telemetry that waits; the oldest is dropped for a new one.
const TELEMETRY_QUEUED: usize = 16;

/// A verdict with what the link says of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// For the gate.
    pub verdict: gate::Verdict,
    /// For the host.
    pub judged: Judged,
}

/// See the module.
pub struct Watch<'m> {
    gate: Option<Gate>,
    policy: Option<Policy>,
    threshold: f32,
    /// The link's share is filled in by who reads them.
    counters: Counters,
    /// What happened.
    pub log: Log,
    /// Frames that closed the gate.
    pub history: History<'m>,
    /// Scores.
    pub histogram: Histogram,
    telemetry: Queue<Telemetry, TELEMETRY_QUEUED>,
    told_dropped: u32,
    /// What was told last is how many were dropped.
    told_last: bool,
    stream_every: u16,
    stream_skipped: u16,
    verdict_us: u32,
}

impl<'m> Watch<'m> {
    /// No bundle, nothing judged. `memory` is for evidence.
    pub fn new(memory: &'m mut [u8]) -> Self {
        Self {
            gate: None,
            policy: None,
            threshold: f32::NAN,
            counters: Counters::default(),
            log: Log::new(),
            history: History::new(memory),
            histogram: Histogram::around(0.0),
            telemetry: Queue::new(),
            told_dropped: 0,
            told_last: false,
            stream_every: 0,
            stream_skipped: 0,
            verdict_us: 0,
        }
    }

    /// Another bundle runs, or none: the gate starts CLOSED with its policy.
    pub fn begin(&mut self, policy: Option<&Policy>, threshold: f32) {
        // A policy that no gate could follow leaves no gate, which is the fail state.
        self.gate = policy.and_then(|policy| Gate::new(policy).ok());
        self.policy = policy.copied();
        self.threshold = threshold;
        self.histogram = Histogram::around(threshold);
        self.history.begin();
    }

    /// What the gate is; CLOSED for a fault where there is none.
    pub fn state(&self) -> State {
        self.gate.as_ref().map_or(State::Closed(Reason::Fault), Gate::state)
    }

    /// The policy of the bundle that runs.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// The threshold of the bundle that runs, or not a number.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// What the pin must show. Without a gate the board's fail state, which no mode overrides.
    pub fn level(&self) -> Level {
        let Some((gate, policy)) = self.gate.as_ref().zip(self.policy.as_ref()) else {
            return Level::Closed;
        };
        match (policy.enforce, gate.state().is_open()) {
            (false, _) => Level::Idle,
            (true, true) => Level::Open { until_us: gate.deadline_us().unwrap_or(u64::MAX) },
            (true, false) => Level::Closed,
        }
    }

    /// Takes a judged frame with what was seen of it.
    pub fn judged<'v>(
        &mut self,
        now_us: u64,
        outcome: Outcome,
        took_us: u64,
        features: impl Iterator<Item = &'v f32>,
        input: &[u8],
    ) {
        self.verdict_us = u32::try_from(took_us).unwrap_or(u32::MAX);
        self.history.judged(outcome.judged, features, input);
        self.histogram.count(outcome.judged.score);
        if let gate::Verdict::Unknown { cause } = outcome.verdict
            && cause.is_fault()
        {
            self.log.push(now_us, Code::Fault, outcome.judged.frame);
        }
        self.observe(now_us, outcome);
    }

    /// Takes a frame that the network never saw.
    pub fn unfit(&mut self, now_us: u64, outcome: Outcome, fault: u32) {
        self.log.push(now_us, Code::Unfit, fault);
        self.histogram.count(f32::NAN);
        self.counters.missed = self.counters.missed.saturating_add(1);
        self.observe(now_us, outcome);
    }

    fn observe(&mut self, now_us: u64, outcome: Outcome) {
        let count = match outcome.verdict {
            gate::Verdict::Pass => &mut self.counters.passed,
            gate::Verdict::Block => &mut self.counters.blocked,
            gate::Verdict::Unknown { .. } => &mut self.counters.unknown,
        };
        *count = count.saturating_add(1);
        #[cfg(feature = "defmt")]
        defmt::debug!(
            "frame {=u32}: verdict {=u8}, class {=u16}, score {=f32} of {=f32}, {=u32} us",
            outcome.judged.frame,
            outcome.judged.verdict as u8,
            outcome.judged.class,
            outcome.judged.score,
            self.threshold,
            self.verdict_us
        );
        let change = self.gate.as_mut().and_then(|gate| gate.observe(now_us, outcome.verdict));
        self.changed(change);
        if self.stream_every > 0 {
            self.stream_skipped = self.stream_skipped.saturating_add(1);
            if self.stream_skipped >= self.stream_every {
                self.stream_skipped = 0;
                self.tell(Telemetry::Judged(outcome.judged));
            }
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now_us: u64) {
        let change = self.gate.as_mut().and_then(|gate| gate.tick(now_us));
        self.changed(change);
    }

    /// Closes the gate at once.
    pub fn close(&mut self, now_us: u64, reason: Reason) {
        let change = self.gate.as_mut().and_then(|gate| gate.close(reason));
        // The gate tells the time of its last call.
        self.changed(change.map(|change| Change { at_us: now_us, ..change }));
    }

    /// Something happened besides verdicts.
    pub fn event(&mut self, now_us: u64, code: Code, value: u32) {
        self.log.push(now_us, code, value);
    }

    fn changed(&mut self, change: Option<Change>) {
        let Some(Change { state, at_us }) = change else { return };
        let reason = reason_number(state);
        let code = if state.is_open() { Code::Opened } else { Code::Closed };
        self.log.push(at_us, code, u32::from(reason));
        if !state.is_open() {
            self.counters.closed = self.counters.closed.saturating_add(1);
            self.history.closed(at_us, reason);
        }
        self.tell(Telemetry::Gate { time_us: at_us, open: state.is_open(), reason });
    }

    fn tell(&mut self, telemetry: Telemetry) {
        self.telemetry.push_newest(telemetry);
    }

    /// Every `every`-th verdict is told from now on; 0: none.
    pub fn stream(&mut self, every: u16) {
        (self.stream_every, self.stream_skipped) = (every, 0);
    }

    /// What to tell next. Where more is dropped all the time, its number is every other one.
    pub fn telemetry(&mut self) -> Option<Telemetry> {
        let count = self.dropped();
        if count != self.told_dropped && !self.told_last {
            (self.told_dropped, self.told_last) = (count, true);
            return Some(Telemetry::Dropped { count });
        }
        self.told_last = false;
        self.telemetry.pop().or_else(|| self.log.tell().map(Telemetry::Logged))
    }

    /// What was never told: telemetry for which the queue was too short, events for which the log
    /// was.
    fn dropped(&self) -> u32 {
        self.telemetry.dropped().saturating_add(self.log.dropped())
    }

    /// The counts, but for the link's.
    pub fn counters(&self) -> Counters {
        Counters { telemetry_dropped: self.dropped(), ..self.counters }
    }

    /// Time that the last verdict took.
    pub fn verdict_us(&self) -> u32 {
        self.verdict_us
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;
    use crate::log::LOG_EVENTS;

    fn all(watch: &mut Watch<'_>) -> Vec<Telemetry> {
        std::iter::from_fn(|| watch.telemetry()).collect()
    }

    /// Of everything that happened, what is told and what is said to be dropped are the sum.
    #[test]
    fn telemetry_adds_up() {
        for (gates, events) in [(0_u32, 0), (3, 5), (16, 64), (17, 64), (16, 65), (40, 200)] {
            let mut watch = Watch::new(&mut []);
            for _ in 0..gates {
                watch.tell(Telemetry::Gate { time_us: 0, open: false, reason: 1 });
            }
            (0..events).for_each(|value| watch.event(0, Code::Unfit, value));
            let lost = gates.saturating_sub(TELEMETRY_QUEUED as u32)
                + events.saturating_sub(LOG_EVENTS as u32);
            assert_eq!(watch.counters().telemetry_dropped, lost, "{gates} {events}");
            let told = all(&mut watch);
            let dropped = told.iter().find_map(|told| match told {
                Telemetry::Dropped { count } => Some(*count),
                _ => None,
            });
            assert_eq!(dropped, (lost > 0).then_some(lost), "{gates} {events}");
            let others = told.len() as u32 - u32::from(lost > 0);
            assert_eq!(others + lost, gates + events, "{gates} {events}");
        }
    }

    #[test]
    fn dropping_all_the_time_does_not_keep_the_rest_back() {
        let mut watch = Watch::new(&mut []);
        let mut told = Vec::new();
        for value in 0..300 {
            watch.event(0, Code::Unfit, value);
            watch.event(0, Code::Unfit, value);
            told.extend(watch.telemetry());
        }
        let events = told.iter().filter(|told| matches!(told, Telemetry::Logged(_))).count();
        assert!(events > 140, "{events} of {}", told.len());
    }
}
