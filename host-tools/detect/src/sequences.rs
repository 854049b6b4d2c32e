//! Threshold and k of m from normal sequences, and the audit of that choice on other sequences.
//!
//! Sequences go whole into one of two parts. On the *calibration* part every k of m in
//! [`CANDIDATES`] gets the lowest threshold that keeps gate events [`MARGIN`] times rarer than
//! promised; where the hours are too few to see events that rare, the threshold is carried on above
//! the last event by the slope of the rarest ones, as if they thinned out exponentially. The first
//! candidate, in the order of how fast it closes, whose threshold still lets [`SENSITIVITY`] of the
//! frames be BLOCK is taken; without one, that with the lowest threshold. This is a choice and no
//! promise: what is promised is what the *audit* part shows, which chose nothing. Rates per frame
//! are never multiplied, since neighbours in a sequence are not independent.

use gradgate_bundle::header::Policy;
use gradgate_gate::verdict::Limits;
use gradgate_gate::{Cause, Verdict};

use crate::events::{Replay, Tally};
use crate::pace::Pace;
use crate::random::Random;
use crate::{DetectError, FeatureSet};

/// Pairs of k and m that are tried, the fastest to close first.
pub const CANDIDATES: [(u8, u8); 6] = [(1, 1), (2, 3), (3, 5), (4, 7), (6, 10), (8, 14)];

/// Events are kept so many times rarer on the calibration part than promised: fresh sequences have
/// more of them than those that the threshold was chosen on.
pub const MARGIN: f64 = 10.0;

/// Share of normal frames that may be BLOCK, when the gate tolerates single ones.
pub const SENSITIVITY: f64 = 0.01;

/// Share of all frames that calibrates; the audit needs most of the hours.
const CALIBRATION_SHARE: f64 = 1.0 / 3.0;

/// Thresholds tried, from the largest score downwards.
const KNOTS: usize = 160;

/// No threshold is tried that lets more than this share of frames be BLOCK.
const BLOCKED_MAX: f64 = 0.2;

/// Events that the slope above the last one is taken from.
const SLOPE_EVENTS: u64 = 8;

/// The slope is trusted to make events so many times rarer than the last one that was seen; fewer
/// hours than that takes end with a threshold that may be too low, and the audit says so.
const REACH: f64 = 30.0;

/// Before the number of a recording's group, as gradgate-frames names it.
const GROUP: &str = " group ";

/// A frame of a sequence: its time, and its score or why it has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequenceFrame {
    /// When it was taken, where that is known.
    pub time_ns: Option<i64>,
    /// Finite.
    pub score: Result<f32, Cause>,
}

/// Frames in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequence {
    /// Recording, track.
    pub name: String,
    /// In the order of their times.
    pub frames: Vec<SequenceFrame>,
}

/// Threshold and policy, as chosen on the calibration part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// PASS at or under it.
    pub threshold: f32,
    /// With k and m as chosen.
    pub policy: Policy,
    /// Whether it lies above every event of the calibration part by extrapolation.
    pub extrapolated: bool,
}

/// What is to be chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// Gate events an hour at most.
    pub per_hour: f64,
    /// k and m stay as they are in the policy.
    pub keep_window: bool,
    /// Scores between it and the threshold are UNKNOWN.
    pub caution: Option<f32>,
}

/// Sequences of a feature set's frames: sources with several frames. `scores` are those of
/// `frames`.
pub fn of_features(set: &FeatureSet, frames: &[usize], scores: &[f32]) -> Vec<Sequence> {
    let mut all: Vec<(i64, Sequence)> = Vec::new();
    for (frame, score) in frames.iter().zip(scores) {
        let source = set.source[*frame];
        if all.last().is_none_or(|(last, _)| *last != source) {
            let name = set.sequences.get(&source).cloned();
            let name = name.unwrap_or_else(|| format!("source {source}"));
            all.push((source, Sequence { name, frames: Vec::new() }));
        }
        if let Some((_, sequence)) = all.last_mut() {
            sequence.frames.push(SequenceFrame { time_ns: set.time_ns(*frame), score: Ok(*score) });
        }
    }
    let long = all.into_iter().map(|(_, sequence)| sequence);
    long.filter(|sequence| sequence.frames.len() > 1).collect()
}

/// Calibration and audit part, whole sequences, those of one origin in one part.
///
/// # Errors
/// Fewer than two sequences with a score.
pub fn split(
    sequences: Vec<Sequence>,
    seed: u64,
) -> Result<(Vec<Sequence>, Vec<Sequence>), DetectError> {
    let mut order: Vec<Vec<Sequence>> = Vec::new();
    for sequence in sequences.into_iter().filter(|sequence| sequence.scores().next().is_some()) {
        let kin = order.iter_mut().find(|kin| kin[0].origin() == sequence.origin());
        match kin {
            Some(kin) => kin.push(sequence),
            None => order.push(vec![sequence]),
        }
    }
    if order.len() < 2 {
        return Err(DetectError::TooFew {
            purpose: "calibrating the gate on some sequences and auditing it on others".into(),
            have: order.len(),
            need: 2,
            unit: "normal sequences (recordings, tracks, --group N of pictures; the groups of one \
                   recording are not independent, and count as one)",
        });
    }
    Random::new(seed, "calibrate").shuffle(&mut order);
    let frames = |kin: &[Sequence]| kin.iter().map(|sequence| sequence.frames.len()).sum::<usize>();
    let total: usize = order.iter().map(|kin| frames(kin)).sum();
    let (mut calibration, mut audit) = (Vec::new(), Vec::new());
    let mut filled = 0;
    let last = order.len() - 1;
    for (index, kin) in order.into_iter().enumerate() {
        let length = frames(&kin);
        let due = CALIBRATION_SHARE * total as f64 >= filled as f64 + length as f64 / 2.0;
        if index == 0 || (due && index < last) {
            filled += length;
            calibration.extend(kin);
        } else {
            audit.extend(kin);
        }
    }
    Ok((calibration, audit))
}

/// The pace of their frames, and the first of them that is earlier than the one before it, as
/// sequence and frame.
pub fn pace(sequences: &[Sequence]) -> (Pace, Option<(&str, usize)>) {
    let (mut pace, mut first) = (Pace::default(), None);
    for sequence in sequences {
        pace.next_sequence();
        for (index, frame) in sequence.frames.iter().enumerate() {
            if pace.observe(frame.time_ns) {
                first = first.or(Some((sequence.name.as_str(), index)));
            }
        }
    }
    (pace, first)
}

/// The frame period of a policy for this pace, in microseconds; `None` where no sequence has times.
pub fn frame_period_us(pace: &Pace) -> Option<u32> {
    let median = pace.median_us();
    median.map(|us| u32::try_from(us.clamp(1, 10_000_000)).unwrap_or(10_000_000))
}

/// The gate over sequences.
///
/// # Errors
/// A policy that no gate could follow.
pub fn replay(
    policy: &Policy,
    limits: &Limits,
    sequences: &[Sequence],
) -> Result<Tally, DetectError> {
    let mut replay =
        Replay::new(policy).map_err(|error| DetectError::Options(format!("policy: {error}")))?;
    for sequence in sequences {
        replay.next_sequence();
        for frame in &sequence.frames {
            replay.observe(frame.time_ns, frame.verdict(limits));
        }
    }
    Ok(replay.tally())
}

/// Chooses on the calibration part.
///
/// # Errors
/// A policy that no gate could follow, a goal that no promise can be made of.
pub fn choose(
    policy: &Policy,
    calibration: &[Sequence],
    goal: &Goal,
) -> Result<Choice, DetectError> {
    if !(goal.per_hour.is_finite() && goal.per_hour > 0.0) {
        return Err(DetectError::Options(format!(
            "{} gate events an hour cannot be promised: give a number above 0",
            goal.per_hour
        )));
    }
    let mut scores: Vec<f32> = calibration.iter().flat_map(Sequence::scores).collect();
    scores.sort_by(f32::total_cmp);
    let n = scores.len();
    if n == 0 {
        return Err(DetectError::Data("no frame of the calibration part has a score".into()));
    }
    let sensitive = scores[((1.0 - SENSITIVITY) * (n - 1) as f64).floor() as usize];
    let own = [(policy.k, policy.m)];
    let candidates = if goal.keep_window { &own[..] } else { &CANDIDATES[..] };
    let mut best: Option<Choice> = None;
    for (k, m) in candidates {
        let policy = Policy { k: *k, m: *m, ..*policy };
        let choice = lowest_threshold(&policy, calibration, &scores, goal)?;
        if choice.threshold <= sensitive {
            return Ok(choice);
        }
        if best.is_none_or(|best| choice.threshold < best.threshold) {
            best = Some(choice);
        }
    }
    best.ok_or_else(|| DetectError::Options("no k of m to choose from".into()))
}

/// Thresholds from the largest score downwards, the closer together the rarer the scores are.
fn knots(sorted: &[f32]) -> Vec<f32> {
    let n = sorted.len();
    let far = (BLOCKED_MAX * n as f64).max(1.0);
    let ratio = far.ln() / (KNOTS - 1) as f64;
    let count = |knot: usize| ((ratio * knot as f64).exp().round() as usize).clamp(1, n);
    let mut knots: Vec<f32> = (0..KNOTS).map(|knot| sorted[n - count(knot)]).collect();
    knots.dedup();
    knots
}

fn lowest_threshold(
    policy: &Policy,
    calibration: &[Sequence],
    sorted: &[f32],
    goal: &Goal,
) -> Result<Choice, DetectError> {
    let knots = knots(sorted);
    let at = |threshold: f32| {
        let limits = Limits { threshold, caution: goal.caution.filter(|low| *low <= threshold) };
        replay(policy, &limits, calibration)
    };
    let bare = at(knots[0])?;
    // Events of silence and faults, which no threshold prevents.
    let unavoidable = bare.events();
    let aim = goal.per_hour / MARGIN * bare.open_hours();
    let mut lowest = knots[0];
    let mut slope_at = None;
    let mut quiet = true;
    for threshold in knots.iter().copied().skip(1) {
        let events = at(threshold)?.events().saturating_sub(unavoidable);
        quiet &= events as f64 <= aim;
        if quiet {
            lowest = threshold;
        }
        if events > 0 {
            slope_at = Some((threshold, events));
        }
        if events >= SLOPE_EVENTS && !quiet {
            break;
        }
    }
    // Hours enough to see events as rare as they shall be.
    if aim >= 1.0 {
        return Ok(Choice { threshold: lowest, policy: *policy, extrapolated: false });
    }
    let scale = match slope_at {
        Some((threshold, events)) if events > 1 => {
            f64::from(lowest - threshold) / (events as f64).ln()
        }
        _ => 0.0,
    };
    // One event in these hours at the lowest threshold without any; aim events are wanted.
    let rarer = (1.0 / aim.max(1.0 / REACH)).ln();
    let raised = (f64::from(lowest) + scale.max(0.0) * rarer) as f32;
    let threshold = if raised.is_finite() && raised >= lowest { raised } else { lowest };
    Ok(Choice { threshold, policy: *policy, extrapolated: threshold > lowest })
}

impl Sequence {
    /// Scores of the frames that have one.
    pub fn scores(&self) -> impl Iterator<Item = f32> + '_ {
        self.frames.iter().filter_map(|frame| frame.score.ok())
    }

    /// What it is a group of (`drive.mcap:/camera` of `drive.mcap:/camera group 3`), else its name:
    /// groups of one recording are neighbours.
    pub fn origin(&self) -> &str {
        let number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match self.name.rsplit_once(GROUP) {
            Some((origin, group)) if number(group) => origin,
            _ => &self.name,
        }
    }

    /// Whether every frame with a score has a time, so that its hours passed as counted.
    pub fn is_recorded(&self) -> bool {
        self.frames.iter().all(|frame| frame.time_ns.is_some() || frame.score.is_err())
    }

    /// Frames with a score, and those above a threshold.
    pub fn alarms(&self, threshold: f32) -> [usize; 2] {
        let above = self.scores().filter(|score| *score > threshold).count();
        [self.scores().count(), above]
    }
}

impl SequenceFrame {
    fn verdict(&self, limits: &Limits) -> Verdict {
        match (self.score, limits.caution) {
            (Err(cause), _) => Verdict::Unknown { cause },
            (Ok(score), _) if score > limits.threshold => Verdict::Block,
            (Ok(score), Some(caution)) if score > caution => {
                Verdict::Unknown { cause: Cause::Caution }
            }
            (Ok(_), _) => Verdict::Pass,
        }
    }
}

#[cfg(test)]
#[path = "sequences_tests.rs"]
mod tests;
