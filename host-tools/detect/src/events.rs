//! Gate events per hour: the gate replayed on sequences, and what the count shows.
//!
//! An *event* is a change of the gate from OPEN to CLOSED, whatever the reason, and a sequence long
//! enough to open the gate (n frames) in which it never opens: who looks at normal frames would
//! call both a false alarm. BLOCKs on a gate that is closed are no further events.
//! *Hours* are those in which the gate was open, for a closed gate cannot close: time until it
//! opens, and closed time after an event, shows nothing. Every sequence begins with a new gate.
//! A gap in a recording is silence to the lease, and closes the gate like any silence; its time is
//! no part of the hours. Frames without a time come a frame period after one another; in a sequence
//! whose frames have times, one without (it could not be read) comes with the frame before it: the
//! two clocks are never mixed, and silence is the lease's matter.

use gradgate_bundle::header::Policy;
use gradgate_gate::gate::lease_us;
use gradgate_gate::{Change, Gate, PolicyError, Reason, State, Verdict};

use crate::poisson;

/// Microseconds of an hour.
const HOUR_US: f64 = 3.6e9;

/// Where a sequence begins on the gate's clock: recorded times may lie before and after it.
const ORIGIN_US: u64 = 1 << 62;

/// The gate over one sequence after another.
#[derive(Clone, Debug)]
pub struct Replay {
    policy: Policy,
    fresh: Gate,
    gate: Gate,
    /// Of the sequence: time of its first and of its last frame.
    first_us: u64,
    last_us: Option<u64>,
    /// From recorded times to the gate's clock, once one was seen.
    shift_us: Option<u64>,
    frames: u64,
    opened: bool,
    tally: Tally,
}

/// What a replay counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sequences with at least one frame.
    pub sequences: u64,
    /// Frames.
    pub frames: u64,
    /// BLOCK among them.
    pub blocked: u64,
    /// Time covered by frames, gaps left out, in microseconds.
    pub seen_us: u64,
    /// The part of it in which the gate was open.
    pub open_us: u64,
    /// Times that the gate opened.
    pub opened: u64,
    /// Times that it closed, by [`Reason::ALL`].
    pub closed: [u64; Reason::ALL.len()],
    /// Sequences of at least n frames in which it never opened.
    pub never_opened: u64,
}

/// What a frame did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Time since the sequence began, in microseconds.
    pub time_us: u64,
    /// The gate after the frame.
    pub state: State,
    /// Changes since the frame before: one by silence, one by this frame.
    pub changes: [Option<Change>; 2],
}

impl Seen {
    /// Whether the gate closed since the frame before.
    pub fn closed(&self) -> bool {
        self.changes.iter().flatten().any(|change| !change.state.is_open())
    }
}

impl Replay {
    /// No sequence yet.
    ///
    /// # Errors
    /// A policy that no gate could follow.
    pub fn new(policy: &Policy) -> Result<Replay, PolicyError> {
        let gate = Gate::new(policy)?;
        Ok(Replay {
            policy: *policy,
            fresh: gate,
            gate,
            first_us: 0,
            last_us: None,
            shift_us: None,
            frames: 0,
            opened: false,
            tally: Tally::default(),
        })
    }

    /// The next frame belongs to another sequence: the gate begins anew.
    pub fn next_sequence(&mut self) {
        self.tally = self.tally();
        (self.gate, self.last_us, self.shift_us) = (self.fresh, None, None);
        (self.frames, self.opened) = (0, false);
    }

    /// Takes a frame of the sequence; without a time it comes as the top of this file says.
    pub fn observe(&mut self, time_ns: Option<i64>, verdict: Verdict) -> Seen {
        let now = self.now_us(time_ns);
        let last = *self.last_us.get_or_insert(now);
        if self.frames == 0 {
            self.first_us = now;
        }
        self.spend(last, now);
        let silent = self.gate.deadline_us().filter(|deadline| *deadline <= now);
        let silent = silent.and_then(|deadline| self.gate.tick(deadline));
        let own = self.gate.observe(now, verdict);
        for change in [silent, own].into_iter().flatten() {
            match change.state {
                State::Open => self.tally.opened += 1,
                State::Closed(reason) => self.tally.closed[reason as usize] += 1,
            }
            self.opened |= change.state.is_open();
        }
        self.last_us = Some(now);
        self.frames += 1;
        self.tally.frames += 1;
        self.tally.blocked += u64::from(verdict == Verdict::Block);
        Seen {
            time_us: now.saturating_sub(self.first_us),
            state: self.gate.state(),
            changes: [silent, own],
        }
    }

    /// When a frame comes, on the gate's clock.
    fn now_us(&mut self, time_ns: Option<i64>) -> u64 {
        let last = self.last_us.unwrap_or(ORIGIN_US);
        match (time_ns.map(from_ns), self.last_us) {
            (Some(time), _) => {
                let shift = *self.shift_us.get_or_insert(last.wrapping_sub(time));
                time.wrapping_add(shift)
            }
            (None, Some(_)) if self.shift_us.is_none() => {
                last.saturating_add(u64::from(self.policy.frame_period_us))
            }
            (None, _) => last,
        }
    }

    /// The time between two frames, if it is no gap; after a jump back there is none.
    fn spend(&mut self, last: u64, now: u64) {
        let spent = now.saturating_sub(last);
        if spent > lease_us(&self.policy) {
            return;
        }
        self.tally.seen_us += spent;
        if self.gate.state().is_open() {
            self.tally.open_us += spent;
        }
    }

    /// What was counted so far, the sequence at hand included.
    pub fn tally(&self) -> Tally {
        let long = self.frames >= u64::from(self.policy.n);
        Tally {
            sequences: self.tally.sequences + u64::from(self.frames > 0),
            never_opened: self.tally.never_opened + u64::from(long && !self.opened),
            ..self.tally
        }
    }
}

/// Nanoseconds of any clock as microseconds that keep their order.
fn from_ns(ns: i64) -> u64 {
    (ns.wrapping_sub(i64::MIN) as u64) / 1_000
}

impl Tally {
    /// See the top of this file.
    pub fn events(&self) -> u64 {
        self.never_opened + self.closed.iter().sum::<u64>()
    }

    /// Hours in which the gate was open.
    pub fn open_hours(&self) -> f64 {
        self.open_us as f64 / HOUR_US
    }

    /// Hours covered by frames.
    pub fn seen_hours(&self) -> f64 {
        self.seen_us as f64 / HOUR_US
    }

    /// What the count shows with this confidence.
    pub fn rate(&self, confidence: f64) -> Rate {
        Rate { events: self.events(), hours: self.open_hours(), confidence }
    }

    /// Why there were events: `BLOCKS 3, LEASE 1, never opened 1`; empty without any.
    pub fn causes(&self) -> String {
        let closed = Reason::ALL.iter().zip(self.closed).map(|(reason, n)| (reason.name(), n));
        let all = closed.chain([("never opened", self.never_opened)]);
        let counted: Vec<String> =
            all.filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name} {n}")).collect();
        counted.join(", ")
    }
}

/// Events in hours, with a confidence for bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Counted events.
    pub events: u64,
    /// In so many hours of an open gate.
    pub hours: f64,
    /// Confidence of the bounds, one-sided.
    pub confidence: f64,
}

impl Rate {
    /// Events an hour as counted; `None` without time.
    pub fn counted(&self) -> Option<f64> {
        (self.hours > 0.0).then(|| self.events as f64 / self.hours)
    }

    /// Events an hour that are not exceeded, with the confidence; infinite without time.
    pub fn upper(&self) -> f64 {
        if self.hours > 0.0 {
            poisson::upper(self.events, self.confidence) / self.hours
        } else {
            f64::INFINITY
        }
    }

    /// Whether at most so many events an hour are shown.
    pub fn shows(&self, per_hour: f64) -> bool {
        self.upper() <= per_hour
    }

    /// Further hours without an event that would show it; 0 when it is shown.
    pub fn missing_hours(&self, per_hour: f64) -> f64 {
        let missing = poisson::upper(self.events, self.confidence) / per_hour - self.hours;
        if missing > 0.0 { missing } else { 0.0 }
    }

    /// For people: `1 event in 2.50 h: 0.40 an hour, at most 1.90 with 95 % confidence`.
    pub fn text(&self) -> String {
        let Rate { events, hours, confidence } = self;
        let noun = if *events == 1 { "event" } else { "events" };
        let Some(counted) = self.counted() else {
            return format!("{events} gate {noun}, and the gate was never open");
        };
        let percent = (1e5 * confidence).round() / 1e3;
        format!(
            "{events} gate {noun} in {hours:.2} h of an open gate: {counted:.2} an hour, at most \
             {:.2} with {percent} % confidence",
            self.upper()
        )
    }

    /// Whether a promise is shown, and what is missing, for people.
    pub fn promise_text(&self, per_hour: f64) -> String {
        if self.shows(per_hour) {
            return format!("promise of at most {per_hour} an hour: shown");
        }
        let missing = self.missing_hours(per_hour);
        format!(
            "promise of at most {per_hour} an hour: NOT SHOWN, {missing:.2} further hours without \
             an event are missing"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_gate::{Cause, DEFAULT_POLICY};

    const UNKNOWN: Verdict = Verdict::Unknown { cause: Cause::Sensor };

    /// Opens after 2 PASS, closes at 2 BLOCK of 3; 10 frames a second, lease of 2.
    fn policy() -> Policy {
        Policy { k: 2, m: 3, n: 2, ..DEFAULT_POLICY }
    }

    fn verdict(letter: u8) -> Verdict {
        match letter {
            b'P' => Verdict::Pass,
            b'B' => Verdict::Block,
            _ => UNKNOWN,
        }
    }

    fn played(sequences: &[&str]) -> Tally {
        let mut replay = Replay::new(&policy()).unwrap();
        for (index, text) in sequences.iter().enumerate() {
            if index > 0 {
                replay.next_sequence();
            }
            for letter in text.bytes() {
                replay.observe(None, verdict(letter));
            }
        }
        replay.tally()
    }

    #[test]
    fn events_by_table() {
        // Sequences; events, why, tenths of a second open, tenths seen.
        let cases: [(&[&str], u64, &str, u64, u64); 11] = [
            (&[], 0, "", 0, 0),
            (&["PPPP"], 0, "", 2, 3),
            (&["PPBPP"], 0, "", 3, 4),
            (&["PPBB"], 1, "BLOCKS 1", 2, 3),
            // Further BLOCKs on a closed gate are the same event.
            (&["PPBBBBBB"], 1, "BLOCKS 1", 2, 7),
            (&["PPBBPPBB"], 2, "BLOCKS 2", 4, 7),
            (&["PPUUU"], 1, "LEASE 1", 3, 4),
            (&["BBBB"], 1, "never opened 1", 0, 3),
            // Too short to open: neither event nor hours.
            (&["B"], 0, "", 0, 0),
            // A new sequence begins with a closed gate.
            (&["PPPP", "P", "PPPP"], 0, "", 4, 6),
            (&["PPBB", "BB", "PP"], 2, "BLOCKS 1, never opened 1", 2, 5),
        ];
        for (sequences, events, causes, open, seen) in cases {
            let tally = played(sequences);
            let found = (tally.events(), tally.causes(), tally.open_us, tally.seen_us);
            let wanted = (events, causes.to_owned(), open * 100_000, seen * 100_000);
            assert_eq!(found, wanted, "{sequences:?}");
            let filled = sequences.iter().filter(|text| !text.is_empty()).count();
            assert_eq!(tally.sequences as usize, filled);
        }
    }

    #[test]
    fn times_of_a_recording_count_and_gaps_do_not() {
        // Offsets in milliseconds; PASS at each. Events, open milliseconds.
        let cases: [(&[i64], u64, u64); 6] = [
            (&[0, 100, 200, 300], 0, 200),
            (&[0, 50, 100, 150], 0, 100),
            // The lease allows 200 ms.
            (&[0, 100, 300, 400], 0, 300),
            (&[0, 100, 301, 401], 1, 0),
            // A gap of a minute is no minute without an event.
            (&[0, 100, 60_000, 60_100, 60_200], 1, 100),
            // Time that runs backwards closes the gate.
            (&[0, 100, 50, 150, 250, 350], 1, 100),
        ];
        for base in [0, -5_000_000_000, 1_700_000_000_000_000_000, i64::MIN] {
            for (times, events, open_ms) in cases {
                let mut replay = Replay::new(&policy()).unwrap();
                for ms in times {
                    replay.observe(Some(base + ms * 1_000_000), Verdict::Pass);
                }
                let tally = replay.tally();
                assert_eq!((tally.events(), tally.open_us), (events, open_ms * 1_000), "{times:?}");
            }
        }
    }

    #[test]
    fn a_frame_without_time_never_passes_the_next() {
        // Milliseconds, `None` for a frame that cannot be read, which is UNKNOWN; the policy's
        // period is 100 ms, its lease 200. Why there were events, and open milliseconds.
        let cases: [(&[Option<i64>], &str, u64); 7] = [
            (&[Some(0), Some(33), Some(66), None, Some(133), Some(166)], "", 133),
            (&[Some(0), Some(33), None, None, None, Some(100), Some(133)], "", 100),
            (&[Some(0), Some(100), None, Some(301), Some(400)], "LEASE 1", 0),
            (&[Some(0), Some(100), Some(200), None, None], "", 100),
            // Unreadable ones at the beginning.
            (&[None, None, Some(0), Some(33), Some(66)], "", 33),
            // Without any times a lost frame takes its period.
            (&[None, None, None], "never opened 1", 0),
            (&[Some(0), Some(100), None, Some(99), Some(200)], "CLOCK 1", 0),
        ];
        for base in [0, -5_000_000_000, 1_700_000_000_000_000_000, i64::MIN] {
            for (times, causes, open_ms) in cases {
                let mut replay = Replay::new(&policy()).unwrap();
                for ms in times {
                    let verdict = if ms.is_some() { Verdict::Pass } else { UNKNOWN };
                    replay.observe(ms.map(|ms| base + ms * 1_000_000), verdict);
                }
                let tally = replay.tally();
                let found = (tally.causes(), tally.open_us);
                assert_eq!(found, (causes.to_owned(), open_ms * 1_000), "{base} {times:?}");
            }
        }
    }

    #[test]
    fn a_frame_tells_time_state_and_changes() {
        let mut replay = Replay::new(&policy()).unwrap();
        let seconds = |s: f64| Some((s * 1e9) as i64 + 77_000_000_000);
        let first = replay.observe(seconds(0.0), Verdict::Pass);
        assert_eq!((first.time_us, first.state), (0, State::Closed(Reason::Start)));
        let second = replay.observe(seconds(0.1), Verdict::Pass);
        assert!(second.state.is_open() && !second.closed());
        // Silence closes it at its own time, and the frame afterwards begins a row.
        let third = replay.observe(seconds(1.0), Verdict::Pass);
        let closing = third.changes[0].map(|change| change.state);
        assert_eq!(closing, Some(State::Closed(Reason::Lease)));
        assert!(third.closed() && third.time_us == 1_000_000);
        assert!(replay.observe(seconds(1.1), Verdict::Pass).state.is_open());
    }

    #[test]
    fn promises_by_table() {
        // Events, hours; whether at most 1 an hour is shown at 95 %, hours missing.
        let cases = [
            (0, 0.0, false, 2.9957),
            (0, 2.99, false, 0.0057),
            (0, 3.0, true, 0.0),
            (1, 3.0, false, 1.7439),
            (1, 4.75, true, 0.0),
            (5, 20.0, true, 0.0),
        ];
        for (events, hours, shown, missing) in cases {
            let rate = Rate { events, hours, confidence: 0.95 };
            assert_eq!(rate.shows(1.0), shown, "{rate:?}");
            let found = rate.missing_hours(1.0);
            assert!((found - missing).abs() < 1e-4, "{rate:?}: {found}");
            assert_eq!(rate.promise_text(1.0).contains("NOT SHOWN"), !shown);
        }
        assert!(Rate { events: 0, hours: 0.0, confidence: 0.95 }.upper().is_infinite());
    }
}
