//! A drive judged: three detectors on every frame, a gate for each.

use anyhow::{Context, Result};
use gradgate_bundle::header::Policy;
use gradgate_detect::events::{Rate, Replay};
use gradgate_engine::Engine;
use gradgate_engine::detector::predicted;
use gradgate_frame::{CheckLimits, FrozenWatch, check_frame};
use gradgate_gate::verdict::{Cause, Limits};
use gradgate_gate::{Verdict, decide};
use rayon::prelude::*;

use super::drive::{Camera, Shown, Stretch, Truth};
use super::rivals::{Rivals, softmax_score, statistics};

/// Who judges, in the order of all arrays of three.
pub const JUDGES: [&str; 3] = ["gradgate", "softmax", "statistics"];

/// Confidence of bounds on events an hour.
const CONFIDENCE: f64 = 0.95;

/// What the network and the pre-checks say of one frame, before any threshold.
#[derive(Clone, Debug)]
struct Look {
    class: u32,
    truth: Truth,
    score: f32,
    ours: Verdict,
    softmax: f32,
    statistics: [f32; 10],
    /// What pre-checks say of the picture.
    sensor: Option<String>,
}

/// One frame of a drive, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Predicted class.
    pub class: u32,
    /// What would have been right.
    pub truth: Truth,
    /// Of [`JUDGES`]; NaN without one.
    pub scores: [f32; 3],
    /// Of [`JUDGES`].
    pub verdicts: [Verdict; 3],
    /// Whether the gate is open after the frame, of [`JUDGES`].
    pub open: [bool; 3],
    /// Time since the drive began, in microseconds.
    pub time_us: u64,
    /// What pre-checks say of the picture; all verdicts are UNKNOWN then.
    pub sensor: Option<String>,
}

impl Judged {
    /// Whether the class is the true one; `None` where no truth is known.
    pub fn is_right(&self) -> Option<bool> {
        match self.truth {
            Truth::Class(label) => Some(label == i64::from(self.class)),
            Truth::None => Some(false),
            Truth::Unknown => None,
        }
    }
}

/// What came of one stretch.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its frames.
    pub frames: Vec<Judged>,
    /// Whether each gate was open when it began.
    pub open_before: [bool; 3],
}

impl Played {
    /// Time from the stretch's first frame until an open gate closed, in seconds; 0 where it was
    /// closed before and never opened. `None`: it was open, or opened, and did not close.
    pub fn closed_after(&self, judge: usize) -> Option<f64> {
        let start = self.frames.first()?.time_us;
        let first_open = match self.open_before[judge] {
            true => 0,
            false => match self.frames.iter().position(|frame| frame.open[judge]) {
                Some(opened) => opened,
                None => return Some(0.0),
            },
        };
        let closed = self.frames[first_open..].iter().find(|frame| !frame.open[judge])?;
        Some(closed.time_us.saturating_sub(start) as f64 / 1e6)
    }

    /// Whether an open gate closed in the stretch.
    pub fn fell(&self, judge: usize) -> bool {
        self.closed_after(judge).is_some() && !self.stayed_closed(judge)
    }

    /// Share of the frames after which a gate was open.
    pub fn open_share(&self, judge: usize) -> f64 {
        let open = self.frames.iter().filter(|frame| frame.open[judge]).count();
        open as f64 / self.frames.len().max(1) as f64
    }

    /// Whether a gate was closed when the stretch began and did not open in it.
    pub fn stayed_closed(&self, judge: usize) -> bool {
        !self.open_before[judge] && self.frames.iter().all(|frame| !frame.open[judge])
    }
}

/// What normal tracks say of the three.
pub struct Normal {
    /// Rivals whose thresholds block what ours blocks of the first half of the tracks.
    pub rivals: Rivals,
    /// Frames of the first half, and the share that ours blocks.
    pub set_on: (usize, f64),
    /// Of the second half: frames, and those that each blocks.
    pub frames: usize,
    /// See `frames`.
    pub blocked: [usize; 3],
    /// Of the second half: gate events.
    pub events: [Rate; 3],
}

fn look_all(engine: &Engine<'_>, limits: &Limits, frames: &[&Shown]) -> Result<Vec<Look>> {
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let arena = || vec![0.0; engine.arena_elements()];
    let one = |arena: &mut Vec<f32>, frame: &&Shown| {
        let elements = shape.iter().product();
        let check = check_frame(&frame.pixels, elements, shape[2], CheckLimits::default());
        let (features, judgement) =
            engine.judge(gradgate_engine::Frame::U8(&frame.pixels), arena)?;
        let judgement = judgement.context("the bundle holds no detector")?;
        Ok(Look {
            class: predicted(features.logits),
            truth: frame.truth,
            score: judgement.as_ref().map_or(f32::NAN, |judgement| judgement.score),
            ours: decide(&judgement, limits),
            softmax: softmax_score(features.logits),
            statistics: statistics(&frame.pixels, shape)?,
            sensor: check.err().map(|fault| fault.to_string()),
        })
    };
    frames.par_iter().map_init(arena, one).collect()
}

/// Judges frames in their order, with gates that go on from frame to frame.
struct Gates<'r> {
    rivals: &'r Rivals,
    watch: FrozenWatch,
    frozen: u8,
    replays: [Replay; 3],
}

impl<'r> Gates<'r> {
    fn new(policy: &Policy, rivals: &'r Rivals) -> Result<Gates<'r>> {
        let replay = || Replay::new(policy);
        Ok(Gates {
            rivals,
            watch: FrozenWatch::new(),
            frozen: policy.frozen_frames,
            replays: [replay()?, replay()?, replay()?],
        })
    }

    fn next_sequence(&mut self) {
        self.watch = FrozenWatch::new();
        self.replays.iter_mut().for_each(Replay::next_sequence);
    }

    fn open(&self, last: Option<&Judged>) -> [bool; 3] {
        last.map_or([false; 3], |judged| judged.open)
    }

    fn judge(&mut self, look: &Look, shown: &Shown) -> Judged {
        let [softmax, statistics] = self.rivals.scores(look.softmax, &look.statistics);
        let mut sensor = look.sensor.clone();
        if let Err(fault) = self.watch.observe(&shown.pixels, self.frozen) {
            sensor.get_or_insert_with(|| fault.to_string());
        }
        let rival = |score: f32, threshold: f32| match score.partial_cmp(&threshold) {
            None => Verdict::Unknown { cause: Cause::Judgement },
            Some(std::cmp::Ordering::Greater) => Verdict::Block,
            Some(_) => Verdict::Pass,
        };
        let [first, second] = self.rivals.thresholds;
        let mut verdicts = [look.ours, rival(softmax, first), rival(statistics, second)];
        if sensor.is_some() {
            verdicts = [Verdict::Unknown { cause: Cause::Sensor }; 3];
        }
        let mut open = [false; 3];
        let mut time_us = 0;
        for (at, replay) in self.replays.iter_mut().enumerate() {
            let seen = replay.observe(shown.time_ns, verdicts[at]);
            (open[at], time_us) = (seen.state.is_open(), seen.time_us);
        }
        Judged {
            class: look.class,
            truth: look.truth,
            scores: [look.score, softmax, statistics],
            verdicts,
            open,
            time_us,
            sensor,
        }
    }
}

/// Fits the rivals on ordinary frames, sets them on half of the normal tracks and counts false
/// alarms on the other half; every track begins with a new gate.
pub fn judge_all(engine: &Engine<'_>, limits: &Limits, camera: &Camera) -> Result<Normal> {
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let ordinary = camera.ordinary.par_iter().map(|frame| statistics(&frame.pixels, shape));
    let ordinary: Vec<[f32; 10]> = ordinary.collect::<Result<_>>()?;
    let (first, second) = camera.tracks.split_at(camera.tracks.len() / 2);
    let all: Vec<&Shown> = first.iter().flatten().collect();
    let looks = look_all(engine, limits, &all)?;
    let blocked = looks.iter().filter(|look| look.ours == Verdict::Block).count();
    let rate = blocked as f64 / looks.len().max(1) as f64;
    let softmax: Vec<f32> = looks.iter().map(|look| look.softmax).collect();
    let rows: Vec<[f32; 10]> = looks.iter().map(|look| look.statistics).collect();
    let rivals = Rivals::at_rate(&ordinary, &softmax, &rows, rate)?;
    let policy = engine.bundle().header().policy;
    let (mut blocked, mut frames) = ([0; 3], 0);
    let mut gates = Gates::new(&policy, &rivals)?;
    for track in second {
        let shown: Vec<&Shown> = track.iter().collect();
        gates.next_sequence();
        for (look, shown) in look_all(engine, limits, &shown)?.iter().zip(track) {
            let judged = gates.judge(look, shown);
            frames += 1;
            for (count, verdict) in blocked.iter_mut().zip(judged.verdicts) {
                *count += usize::from(verdict != Verdict::Pass);
            }
        }
    }
    let events = gates.replays.clone().map(|replay| replay.tally().rate(CONFIDENCE));
    Ok(Normal { set_on: (looks.len(), rate), rivals, frames, blocked, events })
}

/// Plays a drive: one sequence, the gates go on from stretch to stretch.
pub fn play(
    engine: &Engine<'_>,
    limits: &Limits,
    rivals: &Rivals,
    stretches: &[Stretch],
    mut observe: impl FnMut(&Stretch, &Played) -> Result<()>,
) -> Result<Vec<Played>> {
    let mut gates = Gates::new(&engine.bundle().header().policy, rivals)?;
    let mut all: Vec<Played> = vec![];
    for stretch in stretches {
        let shown: Vec<&Shown> = stretch.frames.iter().collect();
        let looks = look_all(engine, limits, &shown)?;
        let open_before = gates.open(all.last().and_then(|played| played.frames.last()));
        let pairs = looks.iter().zip(&stretch.frames);
        let frames = pairs.map(|(look, shown)| gates.judge(look, shown)).collect();
        let played = Played { frames, open_before };
        observe(stretch, &played)?;
        all.push(played);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(open_before: bool, gate: &str) -> Played {
        let frame = |(at, state): (usize, char)| Judged {
            class: 0,
            truth: Truth::Unknown,
            scores: [0.0; 3],
            verdicts: [Verdict::Pass; 3],
            open: [state == '.'; 3],
            time_us: 7_000_000 + 100_000 * at as u64,
            sensor: None,
        };
        let frames = gate.chars().enumerate().map(frame).collect();
        Played { frames, open_before: [open_before; 3] }
    }

    #[test]
    fn closings_by_table() {
        let cases = [
            (true, "....", None, false),
            (true, "..##", Some(0.2), false),
            (true, "####", Some(0.0), false),
            (false, "####", Some(0.0), true),
            (false, "##..", None, false),
            (false, "#.#.", Some(0.2), false),
        ];
        for (before, gate, after, stayed) in cases {
            let played = played(before, gate);
            assert_eq!(played.closed_after(1), after, "{before} {gate}");
            assert_eq!(played.stayed_closed(1), stayed, "{before} {gate}");
            assert_eq!(played.fell(1), after.is_some() && !stayed, "{before} {gate}");
        }
    }
}
