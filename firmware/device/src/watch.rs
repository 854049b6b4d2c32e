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

    /// What to tell next.
    pub fn telemetry(&mut self) -> Option<Telemetry> {
        let dropped = self.telemetry.dropped();
        if dropped != self.told_dropped {
            self.told_dropped = dropped;
            return Some(Telemetry::Dropped { count: dropped });
        }
        self.telemetry.pop().or_else(|| self.log.tell().map(Telemetry::Logged))
    }

    /// The counts, but for the link's.
    pub fn counters(&self) -> Counters {
        Counters { telemetry_dropped: self.telemetry.dropped(), ..self.counters }
    }

    /// Time that the last verdict took.
    pub fn verdict_us(&self) -> u32 {
        self.verdict_us
    }
}
