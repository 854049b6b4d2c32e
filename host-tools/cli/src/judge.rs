//! One frame to what is said of it: pre-checks, network, detector, verdict.
//!
//! `run` and whoever else judges frames share it. Frames come here one by one and in any order;
//! what takes their order (frozen frames, the gate) is in [`crate::gated`].

use anyhow::Result;
use gradgate_bundle::detector::{Judgement, Reason};
use gradgate_detect::events::Seen;
use gradgate_engine::detector::predicted;
use gradgate_frame::{CheckLimits, check_frame};
use gradgate_frames::{Frame, FramesError, Pixels};
use gradgate_gate::verdict::{Cause, Limits};
use gradgate_gate::{Verdict, decide};
use serde_json::{Value, json};

use crate::executor::Worker;
use crate::output::plain;

/// What is said of one frame.
pub struct Judged {
    /// As its file calls it.
    pub name: String,
    /// When it was taken.
    pub time_ns: Option<i64>,
    /// Its source's number among the frames of one opening; `None` for one that cannot be read.
    pub source: Option<i64>,
    /// The sequence that it belongs to; `None` for a picture without order.
    pub sequence: Option<String>,
    /// True class, where it is known.
    pub label: Option<i64>,
    /// Predicted class.
    pub class: Option<u32>,
    /// The detector's word; `None` where it has none.
    pub judgement: Option<Judgement>,
    /// UNKNOWN for a picture that is unusable.
    pub verdict: Verdict,
    /// What is wrong with the picture itself.
    pub sensor: Option<String>,
    /// Empty for a frame that cannot be read.
    pub pixels: Pixels,
}

/// Runs a frame through checks, network and detector. A file that holds no picture is a picture
/// that cannot be judged; other errors are returned.
pub fn judge(
    worker: &mut Worker<'_, '_>,
    limits: &Limits,
    shape: [usize; 3],
    frame: Result<Frame, FramesError>,
) -> Result<Judged> {
    let frame = match frame {
        Ok(frame) => frame,
        Err(error) => return unreadable(error),
    };
    let bytes = frame.pixels.to_u8();
    let check = check_frame(&bytes, shape.iter().product(), shape[2], CheckLimits::default());
    let mut judged = Judged {
        name: frame.name,
        time_ns: frame.time_ns,
        source: Some(frame.source),
        sequence: None,
        label: frame.label,
        class: None,
        judgement: None,
        verdict: Verdict::Unknown { cause: Cause::NoDetector },
        sensor: None,
        pixels: frame.pixels,
    };
    if let Err(fault) = check {
        judged.spoil(fault.to_string());
        return Ok(judged);
    }
    let (features, judgement) = worker.judge(&judged.pixels)?;
    if let Some(judgement) = judgement {
        judged.verdict = decide(&judgement, limits);
        judged.judgement = judgement.ok();
    }
    if features.logits.iter().all(|logit| logit.is_finite()) {
        judged.class = Some(predicted(features.logits));
    }
    Ok(judged)
}

fn unreadable(error: FramesError) -> Result<Judged> {
    let text = error.to_string();
    let path = match error {
        FramesError::Io { path, .. }
        | FramesError::Unrecognised { path, .. }
        | FramesError::Malformed { path, .. } => path,
        other => return Err(other.into()),
    };
    let name = path.display().to_string();
    let cause = text.strip_prefix(&name).unwrap_or(&text).trim_start_matches([':', ',', ' ']);
    Ok(Judged {
        time_ns: None,
        source: None,
        sequence: None,
        label: None,
        class: None,
        judgement: None,
        verdict: Verdict::Unknown { cause: Cause::Sensor },
        sensor: Some(format!("cannot be read: {cause}")),
        pixels: Pixels::U8(Vec::new()),
        name,
    })
}

impl Judged {
    /// The picture is found unusable: UNKNOWN, whatever the detector said. The first fault stays.
    pub fn spoil(&mut self, fault: String) {
        self.sensor.get_or_insert(fault);
        self.verdict = Verdict::Unknown { cause: Cause::Sensor };
    }

    /// When the gate sees it: a frame that cannot be read has no stamp, and when it was logged is
    /// another clock.
    pub fn gate_time_ns(&self) -> Option<i64> {
        self.time_ns.filter(|_| !self.is_unreadable())
    }

    /// Whether its file held no picture.
    pub fn is_unreadable(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The score; `None` where the detector has none.
    pub fn score(&self) -> Option<f32> {
        self.judgement.map(|judgement| judgement.score)
    }

    /// SENSOR, SHIFT or DOUBT; for a frame that passes, what speaks most against it.
    pub fn reason(&self) -> Option<&'static str> {
        match (&self.sensor, self.judgement) {
            (Some(_), _) => Some("SENSOR"),
            (None, Some(judgement)) => Some(match judgement.reason {
                Reason::Sensor => "SENSOR",
                Reason::Shift => "SHIFT",
                Reason::Doubt => "DOUBT",
            }),
            (None, None) => None,
        }
    }

    /// All that is said of it, for programs; `index` counts the frames, `seen` is the gate.
    pub fn json(
        &self,
        index: usize,
        seen: Option<Seen>,
        classes: &[&str],
        limits: &Limits,
    ) -> Value {
        json!({
            "frame": index,
            "name": self.name,
            "time_ns": self.time_ns,
            "sequence": self.sequence,
            "label": self.label,
            "class": self.class,
            "class_name": self.class.and_then(|class| classes.get(class as usize)),
            "score": self.score(),
            "threshold": limits.threshold,
            "caution": limits.caution,
            "p_value": self.judgement.map(|judgement| judgement.p_value),
            "verdict": self.verdict.to_string(),
            "reason": self.reason(),
            "cause": self.cause(),
            "time": seen.map(|seen| seen.time_us as f64 / 1e6),
            "gate": seen.map(|seen| seen.state.name()),
            "gate_reason": seen.and_then(|seen| seen.state.reason()).map(|reason| reason.name()),
        })
    }

    /// Why the verdict is UNKNOWN.
    pub fn cause(&self) -> Option<String> {
        if let Some(fault) = &self.sensor {
            return Some(fault.clone());
        }
        let Verdict::Unknown { cause } = self.verdict else { return None };
        Some(match cause {
            Cause::Caution => "the score lies between caution threshold and threshold".to_owned(),
            Cause::Fault(fault) => format!("the network gives no usable numbers ({fault:?})"),
            Cause::Judgement => "score or p-value is not usable".to_owned(),
            Cause::Limits => "the thresholds are not usable".to_owned(),
            Cause::NoDetector => "there is no detector".to_owned(),
            Cause::Sensor => "the picture is unusable".to_owned(),
        })
    }
}

/// Verdicts so far.
#[derive(Default)]
pub struct Counts {
    pass: usize,
    block: usize,
    unknown: usize,
    /// Files that hold no picture, among the UNKNOWN.
    pub unreadable: usize,
    right: usize,
    labelled: usize,
}

impl Counts {
    /// Counts one frame.
    pub fn add(&mut self, judged: &Judged) {
        match judged.verdict {
            Verdict::Pass => self.pass += 1,
            Verdict::Block => self.block += 1,
            Verdict::Unknown { .. } => self.unknown += 1,
        }
        self.unreadable += usize::from(judged.is_unreadable());
        if let (Some(label), Some(class)) = (judged.label, judged.class) {
            self.labelled += 1;
            self.right += usize::from(label == i64::from(class));
        }
    }

    /// How many were counted.
    pub fn total(&self) -> usize {
        self.pass + self.block + self.unknown
    }

    /// Shares of the verdicts, and how often the class was right.
    pub fn text(&self) -> String {
        let Counts { pass, block, unknown, right, labelled, .. } = self;
        let total = self.total();
        let share = |n: &usize| 100.0 * *n as f64 / total.max(1) as f64;
        let mut text = format!(
            "{total} frames: PASS {pass} ({:.1} %), BLOCK {block} ({:.1} %), UNKNOWN {unknown} \
             ({:.1} %)\n",
            share(pass),
            share(block),
            share(unknown)
        );
        if *labelled > 0 {
            let rate = 100.0 * *right as f64 / *labelled as f64;
            text.push_str(&format!(
                "class as the frame's label says: {right} of {labelled} ({rate:.1} %)\n"
            ));
        }
        text
    }
}

/// Number and, if known, name of a class.
pub fn class_text(classes: &[&str], class: usize) -> String {
    let name = classes.get(class).copied().map(plain).unwrap_or_default();
    format!("{class} {name}").trim_end().to_owned()
}
