//! When the gate opens and closes, by the device's own clock.
//!
//! Times are those of its log and of its verdicts, which are authenticated; telemetry tells the
//! same times. What a pin does can only be measured with wires: the log is written in the same
//! round of the event loop in which the pin is set.

use gradgate_link::events::Code;
use gradgate_link::message::{Event, Judged, Verdict};

use super::{GateCase, Outcome, Ran, Rig, Source, Start};
use crate::error::Error;
use crate::wire::Wire;
use crate::words;

/// Reasons of a closing, as in [`words::closed`].
const BLOCKS: u32 = 2;
const LEASE: u32 = 3;
/// What is said of a bundle whose pin does not follow the gate.
const MONITORS: &str = "the bundle monitors: these are the gate's times, the pin stays idle";
/// What to do where frames come too slowly for the gate.
const TOO_SLOW: &str = "link or board are too slow for this policy: time the gate on a copy of the \
                        bundle with a longer frame_period_us or more lease_periods (--policy)";
/// Between two looks at the log, in milliseconds.
const LOOK_MS: u64 = 10;
/// A gate that has not opened after so many PASS will not: as often as the policy wants, at least.
const PASSES_MAX: u32 = 40;

/// The bundle's policy, as far as it is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// PASS in a row that open the gate.
    pub n: u32,
    /// BLOCK of a window that close it.
    pub k: u32,
    /// Verdicts of the window.
    pub m: u32,
    /// Time without a PASS or a tolerated BLOCK after which it closes, in microseconds.
    pub lease_us: u64,
    /// Between two frames, in microseconds.
    pub frame_period_us: u64,
}

/// How a case is run.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The case's name.
    pub name: &'a str,
    /// What is timed.
    pub case: GateCase,
    /// How it begins.
    pub start: Start,
    /// Longest time, in milliseconds.
    pub timeout_ms: u64,
    /// Time that closing may take; `None`: as [`super::Gate::within_ms`] says.
    pub within_ms: Option<u32>,
    /// The bundle's.
    pub policy: Policy,
}

impl Settings<'_> {
    fn within_us(&self) -> u64 {
        let period_us = self.policy.frame_period_us;
        let usual = match self.case {
            GateCase::Silence => period_us / 2,
            GateCase::Latency => 2 * period_us,
        };
        self.within_ms.map_or(usual, |within| u64::from(within) * 1000)
    }
}

/// Runs a case with frames that PASS, and for [`GateCase::Latency`] frames that BLOCK: others of
/// the sources are passed over.
pub fn run<W: Wire>(
    rig: &mut Rig<W>,
    settings: &Settings<'_>,
    pass: &mut dyn Source,
    block: Option<&mut dyn Source>,
) -> Ran {
    let mut ran = Ran::new(settings.name);
    let start_ms = rig.now_ms();
    ran.outcome = match timed(rig, settings, pass, block, &mut ran) {
        Ok(()) => Outcome::Passed,
        Err(outcome) => outcome,
    };
    ran.milliseconds = rig.now_ms().saturating_sub(start_ms);
    ran
}

fn error(error: Error) -> Outcome {
    Outcome::Error(error.to_string())
}

fn timed<W: Wire>(
    rig: &mut Rig<W>,
    settings: &Settings<'_>,
    pass: &mut dyn Source,
    block: Option<&mut dyn Source>,
    ran: &mut Ran,
) -> Result<(), Outcome> {
    rig.start(settings.start).map_err(error)?;
    let end_ms = rig.now_ms() + settings.timeout_ms;
    let status = rig.client().status().map_err(error)?;
    if !status.enforce {
        ran.notes.push(MONITORS.to_owned());
    }
    let last = open(rig, settings, pass, status.open, ran, end_ms)?;
    match (settings.case, block) {
        (GateCase::Latency, Some(block)) => latency(rig, settings, block, &last, ran, end_ms),
        (GateCase::Latency, None) => Err(Outcome::Error("no frames that BLOCK".to_owned())),
        (GateCase::Silence, _) => silence(rig, settings, &last, ran, end_ms),
    }
}

/// Sends PASS frames until the gate opens, or until nothing else is in the window of one that was
/// open before; the last verdict.
fn open<W: Wire>(
    rig: &mut Rig<W>,
    settings: &Settings<'_>,
    pass: &mut dyn Source,
    mut was_open: bool,
    ran: &mut Ran,
    end_ms: u64,
) -> Result<Judged, Outcome> {
    let Policy { n, m, lease_us, .. } = settings.policy;
    let (mut at, mut last, mut longest_us, mut shortest_us) = (0, None::<Judged>, 0, u64::MAX);
    for _ in 0..n.saturating_mul(4).max(PASSES_MAX) {
        let given = next_of(pass, &mut at, Verdict::Pass)?;
        let judged = rig.send(&given).map_err(error)?;
        check(&judged, Verdict::Pass, ran)?;
        let log = look(rig, ran, end_ms)?;
        if let Some(last) = last {
            let apart_us = judged.time_us.saturating_sub(last.time_us);
            (longest_us, shortest_us) = (longest_us.max(apart_us), shortest_us.min(apart_us));
        }
        last = Some(judged);
        was_open &= find(&log, Code::Closed).is_none();
        if find(&log, Code::Opened).is_some() || (was_open && ran.frames() >= m) {
            return Ok(judged);
        }
        if ran.frames() > n && shortest_us > lease_us {
            break;
        }
    }
    let text = format!(
        "the gate did not open in {} PASS: verdicts came up to {:.0} ms apart, the lease is {:.0} \
         ms",
        ran.frames(),
        longest_us as f64 / 1000.0,
        lease_us as f64 / 1000.0
    );
    Err(match longest_us > lease_us {
        true => Outcome::Skipped(format!("{text}: {TOO_SLOW}")),
        false => Outcome::Failed(text),
    })
}

fn silence<W: Wire>(
    rig: &mut Rig<W>,
    settings: &Settings<'_>,
    last: &Judged,
    ran: &mut Ran,
    end_ms: u64,
) -> Result<(), Outcome> {
    loop {
        let log = look(rig, ran, end_ms)?;
        let Some(closed) = find(&log, Code::Closed) else {
            rig.client().listen(LOOK_MS);
            continue;
        };
        if closed.value != LEASE {
            return Err(Outcome::Failed(instead(closed, LEASE)));
        }
        let (lease_us, within_us) = (settings.policy.lease_us, settings.within_us());
        let after_us = closed.time_us.saturating_sub(last.time_us);
        let text = format!(
            "closed {:.1} ms after the last PASS; the lease is {:.1} ms, {:.1} ms more are allowed",
            after_us as f64 / 1000.0,
            lease_us as f64 / 1000.0,
            within_us as f64 / 1000.0
        );
        ran.notes.push(text.clone());
        let good = (lease_us..=lease_us + within_us).contains(&after_us);
        return if good { Ok(()) } else { Err(Outcome::Failed(text)) };
    }
}

fn latency<W: Wire>(
    rig: &mut Rig<W>,
    settings: &Settings<'_>,
    block: &mut dyn Source,
    last: &Judged,
    ran: &mut Ran,
    end_ms: u64,
) -> Result<(), Outcome> {
    let (mut at, mut renewed_us) = (0, last.time_us);
    for sent in 1..=settings.policy.k {
        let given = next_of(block, &mut at, Verdict::Block)?;
        let judged = rig.send(&given).map_err(error)?;
        check(&judged, Verdict::Block, ran)?;
        let log = look(rig, ran, end_ms)?;
        let Some(closed) = find(&log, Code::Closed) else {
            renewed_us = judged.time_us;
            continue;
        };
        if closed.value != BLOCKS {
            let ran_out = closed.time_us.saturating_sub(renewed_us) > settings.policy.lease_us;
            return Err(too_slow(closed, ran_out));
        }
        // From the frame's last byte on: a verdict's time is that of its end.
        let verdict_us = u64::from(rig.client().status().map_err(error)?.verdict_us);
        let whole_us = judged.time_us.saturating_sub(verdict_us);
        let (after_us, within_us) = (closed.time_us.saturating_sub(whole_us), settings.within_us());
        let text = format!(
            "closed at BLOCK {sent} of {}, {:.1} ms after that frame was whole; {:.1} ms are \
             allowed; the verdict took {:.1} ms of them",
            settings.policy.k,
            after_us as f64 / 1000.0,
            within_us as f64 / 1000.0,
            verdict_us as f64 / 1000.0
        );
        ran.notes.push(text.clone());
        let good = sent == settings.policy.k && after_us <= within_us;
        return if good { Ok(()) } else { Err(Outcome::Failed(text)) };
    }
    Err(Outcome::Failed(format!("the gate is still open after {} BLOCK", settings.policy.k)))
}

/// The log since the last look, which is kept.
fn look<W: Wire>(rig: &mut Rig<W>, ran: &mut Ran, end_ms: u64) -> Result<Vec<Event>, Outcome> {
    if rig.now_ms() >= end_ms {
        return Err(Outcome::Error("no end in the time of this case: raise timeout_s".to_owned()));
    }
    let log = rig.log().map_err(error)?;
    ran.log.extend(&log);
    Ok(log)
}

/// The next frame of which this verdict is expected; the first again behind the last.
fn next_of(
    source: &mut dyn Source,
    at: &mut usize,
    wanted: Verdict,
) -> Result<super::Given, Outcome> {
    for _ in 0..source.len() {
        let given = source.frame(*at % source.len()).map_err(error)?;
        *at += 1;
        if given.expected.verdict == wanted {
            return Ok(given);
        }
    }
    let word = words::verdict(wanted);
    Err(Outcome::Error(format!("none of the frames is {word} by the host engine: name others")))
}

fn check(judged: &Judged, wanted: Verdict, ran: &mut Ran) -> Result<(), Outcome> {
    ran.count(judged.verdict);
    if judged.verdict == wanted {
        return Ok(());
    }
    let text = format!(
        "the device says {} where the host engine says {}",
        words::verdict(judged.verdict),
        words::verdict(wanted)
    );
    Err(match judged.verdict {
        Verdict::Unknown => Outcome::Error(text),
        Verdict::Pass | Verdict::Block => Outcome::Failed(text),
    })
}

fn find(log: &[Event], code: Code) -> Option<&Event> {
    log.iter().find(|event| event.code == code as u16)
}

fn instead(closed: &Event, wanted: u32) -> String {
    let word = |number: u32| words::closed(u8::try_from(number).unwrap_or(u8::MAX));
    format!("it closed for {} instead of {}", word(closed.value), word(wanted))
}

/// Frames that come too slowly say nothing of the gate; a lease that ends too early does.
fn too_slow(closed: &Event, lease_ran_out: bool) -> Outcome {
    let text = instead(closed, BLOCKS);
    match closed.value == LEASE && lease_ran_out {
        true => Outcome::Skipped(format!("{text}: {TOO_SLOW}")),
        false => Outcome::Failed(text),
    }
}
