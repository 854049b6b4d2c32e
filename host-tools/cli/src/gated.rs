//! What takes the order of frames: frozen pictures, the gate, drift, and the events of a run.
//!
//! The gate is replayed per sequence; a picture without order has none. Events are told at the end,
//! the worst first, with the tensors that moved the score of the frame most.

use std::collections::VecDeque;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use gradgate_bundle::Bundle;
use gradgate_bundle::events::EventEvidence;
use gradgate_bundle::header::names;
use gradgate_detect::attribution::attribution;
use gradgate_detect::drift::{Martingale, RATE, Spacing};
use gradgate_detect::events::{Rate, Replay, Seen, Tally};
use gradgate_detect::pace::Pace;
use gradgate_engine::Engine;
use gradgate_frame::FrozenWatch;
use gradgate_frames::Pixels;
use gradgate_gate::{Reason, State, Verdict};

use crate::executor::engine_frame;
use crate::judge::{Judged, class_text};
use crate::output::plain;

/// Events that are told in full.
const WORST: usize = 5;
/// Tensors told of each.
const TENSORS: usize = 3;
/// What is looked for where the bundle promises nothing: events an hour, confidence.
const USUAL: (f64, f64) = (1.0, 0.95);
/// Microseconds of an hour.
const HOUR_US: f64 = 3.6e9;
/// Fewer bets of a recording than this can hardly raise the alarm.
const BETS_MIN: u64 = 20;

/// Gate, drift and events over one frame after another.
pub struct Gated {
    frozen: FrozenWatch,
    frozen_frames: u8,
    window: usize,
    replay: Replay,
    sequence: Option<String>,
    /// Of the sequence at hand: names may be equal where sources are not.
    source: Option<i64>,
    pace: Pace,
    /// What the gate's window holds: the last verdicts since the gate opened, frames of BLOCKs.
    verdicts: VecDeque<Option<Suspect>>,
    worst: Vec<Event>,
    /// Events of the last frame.
    latest: Vec<Event>,
    /// Pictures without order.
    unordered: u64,
    drift: Drift,
}

/// A frame that may have to be explained.
#[derive(Clone)]
struct Suspect {
    time_us: u64,
    name: String,
    class: Option<u32>,
    score: Option<f32>,
    /// What is wrong with the picture itself.
    sensor: Option<String>,
    pixels: Pixels,
}

/// A closing of the gate.
#[derive(Clone)]
pub struct Event {
    sequence: String,
    reason: Reason,
    /// When the gate was found closed, since the sequence began.
    time_us: u64,
    /// The worst frame of the window; for other reasons than BLOCKS the frame that met it.
    frame: Suspect,
}

/// Test martingales, one a recording.
struct Drift {
    calibration_frames: u64,
    martingale: Martingale,
    spacing: Spacing,
    /// Sequences long enough to tell, and those that drifted.
    told: u64,
    short: u64,
    alarms: Vec<(String, u64, f64)>,
}

impl Gated {
    /// For a bundle with a detector.
    pub fn new(bundle: &Bundle<'_>) -> Result<Gated> {
        let policy = bundle.header().policy;
        let replay = Replay::new(&policy).context("the bundle's policy")?;
        let calibration_frames = calibration_frames(bundle);
        Ok(Gated {
            frozen: FrozenWatch::new(),
            frozen_frames: policy.frozen_frames,
            window: usize::from(policy.m),
            replay,
            sequence: None,
            source: None,
            pace: Pace::default(),
            verdicts: VecDeque::new(),
            worst: Vec::new(),
            latest: Vec::new(),
            unordered: 0,
            drift: Drift {
                calibration_frames,
                martingale: Martingale::new(calibration_frames),
                spacing: Spacing::default(),
                told: 0,
                short: 0,
                alarms: Vec::new(),
            },
        })
    }

    /// Takes the next frame, which it may find frozen. `None`: a picture without order.
    pub fn take(&mut self, judged: &mut Judged) -> Option<Seen> {
        self.latest.clear();
        if !judged.is_unreadable()
            && let Err(fault) = self.frozen.observe(&judged.pixels.to_u8(), self.frozen_frames)
        {
            judged.spoil(fault.to_string());
        }
        // A file that cannot be read knows no sequence: it is a lost frame of the one at hand.
        if judged.is_unreadable() && self.sequence.is_some() {
            judged.sequence.clone_from(&self.sequence);
        } else {
            let source = judged.source.filter(|_| judged.sequence.is_some());
            if source != self.source {
                self.end_sequence();
                self.sequence.clone_from(&judged.sequence);
                self.source = source;
            }
        }
        if self.sequence.is_none() {
            self.unordered += 1;
            return None;
        }
        let time_ns = judged.gate_time_ns();
        self.pace.observe(time_ns);
        let seen = self.replay.observe(time_ns, judged.verdict);
        self.note(judged, &seen);
        if let Some(judgement) = judged.judgement
            && self.drift.spacing.admits(seen.time_us)
        {
            self.drift.martingale.observe(judgement.p_value);
        }
        Some(seen)
    }

    /// Keeps what an event would have to be explained with.
    fn note(&mut self, judged: &Judged, seen: &Seen) {
        let suspect = || Suspect {
            time_us: seen.time_us,
            name: judged.name.clone(),
            class: judged.class,
            score: judged.score(),
            sensor: judged.sensor.clone(),
            pixels: judged.pixels.clone(),
        };
        if !matches!(judged.verdict, Verdict::Unknown { .. }) {
            if self.verdicts.len() >= self.window {
                self.verdicts.pop_front();
            }
            self.verdicts.push_back((judged.verdict == Verdict::Block).then(suspect));
        }
        for change in seen.changes.into_iter().flatten() {
            if let State::Closed(reason) = change.state {
                let blocks = self.verdicts.iter().flatten();
                let worst = blocks.max_by(|a, b| by_score(a, b)).cloned();
                let worst = worst.filter(|_| reason == Reason::Blocks);
                let sequence = self.sequence.clone().unwrap_or_default();
                let frame = worst.unwrap_or_else(suspect);
                self.keep(Event { sequence, reason, time_us: seen.time_us, frame });
            }
            self.verdicts.clear();
        }
    }

    /// Events of the frame that was taken last.
    pub fn latest(&self) -> &[Event] {
        &self.latest
    }

    fn keep(&mut self, event: Event) {
        self.latest.push(event.clone());
        let rank = |event: &Event| (event.reason == Reason::Blocks, event.frame.score);
        let below = |kept: &Event| {
            let (ours, theirs) = (rank(&event), rank(kept));
            ours.0.cmp(&theirs.0).then(order(ours.1, theirs.1)).is_gt()
        };
        let place = self.worst.iter().position(below).unwrap_or(self.worst.len());
        self.worst.insert(place, event);
        self.worst.truncate(WORST);
    }

    fn end_sequence(&mut self) {
        self.replay.next_sequence();
        self.pace.next_sequence();
        self.source = None;
        self.verdicts.clear();
        let fresh = Martingale::new(self.drift.calibration_frames);
        let ended = std::mem::replace(&mut self.drift.martingale, fresh);
        self.drift.spacing = Spacing::default();
        let Some(name) = self.sequence.take() else { return };
        match (ended.alarmed_at(), ended.bets() >= BETS_MIN && ended.can_tell()) {
            (Some(bet), _) => {
                self.drift.told += 1;
                self.drift.alarms.push((name, bet, ended.highest()));
            }
            (None, true) => self.drift.told += 1,
            (None, false) => self.drift.short += 1,
        }
    }

    /// Events an hour against the promise, drift, the worst events.
    pub fn finish(mut self, engine: &Engine<'_>) -> Result<String> {
        self.end_sequence();
        let bundle = engine.bundle();
        let tally = self.replay.tally();
        let mut text = String::new();
        if tally.frames > 0 {
            text.push_str(&rate_text(&tally, &self.pace, bundle));
            text.push_str(&self.drift.text());
        } else if self.unordered > 0 {
            text.push_str(
                "pictures without order: no gate, and no events an hour; frames of a sequence in \
                 order: --group N\n",
            );
        }
        if !self.worst.is_empty() {
            let _ = writeln!(text, "worst events:");
        }
        for event in &self.worst {
            text.push_str(&event.text(engine)?);
        }
        Ok(text)
    }
}

fn order(a: Option<f32>, b: Option<f32>) -> std::cmp::Ordering {
    a.unwrap_or(f32::NEG_INFINITY).total_cmp(&b.unwrap_or(f32::NEG_INFINITY))
}

fn by_score(a: &Suspect, b: &Suspect) -> std::cmp::Ordering {
    order(a.score, b.score)
}

/// Frames behind the detector's p-values: the table's smallest is 2 / (n + 1), or larger where the
/// largest scores are equal.
fn calibration_frames(bundle: &Bundle<'_>) -> u64 {
    let table = bundle.header().detector.as_ref().map(|detector| detector.p_values.levels);
    let highest = table.and_then(|levels| bundle.floats(levels)?.last().copied());
    (2.0 * f64::from(highest.unwrap_or(0.0)).exp() - 1.0).max(0.0) as u64
}

fn rate_text(tally: &Tally, pace: &Pace, bundle: &Bundle<'_>) -> String {
    let policy = bundle.header().policy;
    let (_, evidence) = EventEvidence::of(bundle.header().evidence.source);
    let promised = evidence.map(|evidence| (evidence.per_hour, evidence.confidence));
    let (per_hour, confidence) = promised.unwrap_or(USUAL);
    let rate: Rate = tally.rate(confidence);
    let mut text = format!(
        "gate: {} sequences, opened {} times, open {:.2} of {:.2} h",
        tally.sequences,
        tally.opened,
        tally.open_hours(),
        tally.seen_hours()
    );
    if tally.seen_us > 0 {
        let hourly = tally.blocked as f64 / tally.seen_hours();
        let _ = write!(text, "; BLOCK frames: {}, {hourly:.1} an hour", tally.blocked);
    }
    let (step, how) = match pace.median_us() {
        Some(median) => (median, "as recorded, median"),
        None => (u64::from(policy.frame_period_us), "by the policy, without times"),
    };
    let hourly = HOUR_US / step.max(1) as f64;
    let _ = write!(text, "\na frame every {step} us ({how}): {hourly:.0} frames an hour\n");
    text.push_str(&pace.warning(&policy));
    let causes = match tally.causes() {
        causes if causes.is_empty() => causes,
        causes => format!(" ({causes})"),
    };
    let _ = writeln!(text, "{}{causes}", rate.text());
    let origin = match evidence {
        Some(_) => "on these frames, were they all normal, the bundle's ",
        None => "the bundle promises nothing per hour (gradgate calibrate); a ",
    };
    let _ = writeln!(text, "{origin}{}", rate.promise_text(per_hour));
    text
}

impl Drift {
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, bet, highest) in &self.alarms {
            let _ = writeln!(
                text,
                "drift: {}: scores above those of the calibration frames, noticed after {bet} \
                 frames a second apart (capital {highest:.3e})",
                plain(name)
            );
        }
        if self.alarms.is_empty() && self.told > 0 {
            let _ = writeln!(
                text,
                "drift: none noticed in {} sequences (false alarms: {} % of independent frames' \
                 sequences at most)",
                self.told,
                100.0 * RATE
            );
        }
        if self.told == 0 && self.short > 0 {
            let _ = writeln!(
                text,
                "drift: cannot be told: no sequence has {BETS_MIN} frames a second apart, or the \
                 bundle has too few calibration frames ({})",
                self.calibration_frames
            );
        }
        text
    }
}

impl Event {
    /// The frame that stands for it.
    pub fn name(&self) -> &str {
        &self.frame.name
    }

    /// Of that frame; empty where it could not be read.
    pub fn pixels(&self) -> &Pixels {
        &self.frame.pixels
    }

    /// Why that frame's picture is unusable, where it is.
    pub fn sensor(&self) -> Option<&str> {
        self.frame.sensor.as_deref()
    }

    /// When and why the gate closed.
    pub fn about(&self) -> String {
        let [closed, frame] = [self.time_us, self.frame.time_us].map(|us| us as f64 / 1e6);
        format!(
            "Gate CLOSED, {}: {} at {closed:.2} s; this frame came at {frame:.2} s.",
            self.reason,
            plain(&self.sequence)
        )
    }

    fn text(&self, engine: &Engine<'_>) -> Result<String> {
        let header = engine.bundle().header();
        let classes: Vec<&str> = names(header.classes).collect();
        let Suspect { time_us, name, class, score, pixels, .. } = &self.frame;
        let class = class.map_or("-".to_owned(), |class| class_text(&classes, class as usize));
        let threshold = header.detector.as_ref().map_or(f32::NAN, |detector| detector.threshold);
        let score_text = score.map_or("-".to_owned(), |score| format!("{score:.4}"));
        let mut text = format!(
            "  {} at {:.2} s, {}: {} at {:.2} s  class {class}  score {score_text}  threshold \
             {threshold:.4}\n",
            self.reason,
            self.time_us as f64 / 1e6,
            plain(&self.sequence),
            plain(name),
            *time_us as f64 / 1e6,
        );
        if self.reason == Reason::Blocks {
            let _ = writeln!(text, "    moved by {}", moved(engine, pixels)?);
        }
        Ok(text)
    }
}

/// The tensors that moved a frame's score most.
fn moved(engine: &Engine<'_>, pixels: &Pixels) -> Result<String> {
    let mut arena = vec![0.0; engine.arena_elements()];
    let features = engine.run(engine_frame(pixels), &mut arena)?;
    let tensors = attribution(engine, &features.input())?.tensors;
    let most: Vec<String> = tensors
        .iter()
        .take(TENSORS)
        .filter(|tensor| tensor.change != 0.0)
        .map(|tensor| {
            let kinds = gradgate_detect::Inputs::NAMES;
            let kind = kinds.iter().find(|(kind, _)| *kind == tensor.kind).map_or("", |(_, n)| n);
            format!("{} ({kind}) {:+.3}", plain(&tensor.name), tensor.change)
        })
        .collect();
    Ok(if most.is_empty() { "no tensor: by logits alone".to_owned() } else { most.join(", ") })
}
