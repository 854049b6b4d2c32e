//! What the fit was worth: for each set of inputs worth comparing, per anomalous source, worst
//! first.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::options::input_names;
use super::{Audit, Data, FitOptions, HeadKind, KindsReport, LeftOut as Without};
use crate::file::{Counting, DetectorFile, Model};
use crate::heads::Part;
use crate::metrics::{Interval, Scored, auroc, auroc_difference, auroc_interval, share_above};
use crate::{DetectError, Inputs, binomial};

/// Confidence of the intervals in the report.
const INTERVAL: f64 = 0.95;

/// A fitted detector and its measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// The detector, as it is written.
    pub detector: DetectorFile,
    /// One for each set of inputs: norm, forward, forward + norm, forward + alignment, all (as far
    /// as the features hold them), and the detector's own.
    pub inputs: Vec<InputsReport>,
    /// Time that fitting and calibrating the detector for its own inputs took.
    pub fit_seconds: f64,
    /// Kind by kind, where anomalous frames have kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<KindsReport>,
}

/// The same head on one set of inputs, with its own threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputsReport {
    /// Names, comma-separated.
    pub inputs: String,
    /// Threshold for the same promise.
    pub threshold: f32,
    /// Alarms among the audit frames.
    pub audit: Audit,
    /// Worst (lowest AUROC) first.
    pub sources: Vec<SourceReport>,
}

/// Measured on frames of one anomalous source that trained nothing, against the audit frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The source's name.
    pub name: String,
    /// Frames measured.
    pub frames: usize,
    /// AUROC with its cluster-bootstrap interval.
    pub auroc: Interval,
    /// AUROC minus that of forward inputs alone, on the same draws of sources; absent for forward
    /// itself.
    pub gain: Option<Interval>,
    /// Share of frames above the threshold.
    pub detected: f64,
    /// The same with an MLP that never saw this source.
    pub left_out: Option<LeftOut>,
}

/// Measured with the source left out of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// AUROC.
    pub auroc: f64,
    /// Share of frames above that model's own threshold.
    pub detected: f64,
}

/// Fits the head on each set of inputs and measures every source.
pub(super) fn measure(
    data: &Data<'_>,
    kind: HeadKind,
    file: DetectorFile,
    options: &FitOptions,
    fit_seconds: f64,
) -> Result<FitReport, DetectError> {
    let own = file.detector.inputs;
    let mut fitted = vec![];
    for inputs in choices(data, kind, own) {
        let model = if inputs == own {
            file.detector.clone()
        } else {
            data.calibrate(data.fit_model(kind, inputs, options, None)?, options)?.0
        };
        fitted.push((Scores::new(data, &model)?, model));
    }
    let forward = fitted.iter().find(|(_, model)| model.inputs == Inputs::FORWARD);
    let forward = forward.map(|(scores, _)| scores);
    let measured = fitted
        .iter()
        .map(|(scores, model)| measure_inputs(data, kind, model, (scores, forward), options));
    let inputs = measured.collect::<Result<_, _>>()?;
    let kinds = data.measure_kinds(kind, &file.detector, options)?;
    Ok(FitReport { detector: file, inputs, fit_seconds, kinds })
}

/// Scores of the frames that a report is measured on.
struct Scores {
    /// Audit frames.
    normal: Vec<f32>,
    /// Test frames of each anomalous set.
    anomalous: Vec<Vec<f32>>,
}

impl Scores {
    fn new(data: &Data<'_>, model: &Model) -> Result<Scores, DetectError> {
        let shape = data.normal.shape();
        let anomalous = (0..data.anomalous.len())
            .map(|index| data.anomalous_part(index, |parts| &parts.test).scores(model, shape));
        Ok(Scores {
            normal: data.part(&data.parts.audit).scores(model, shape)?,
            anomalous: anomalous.collect::<Result<_, _>>()?,
        })
    }

    /// Normal scores and those of one anomalous set.
    fn of(&self, set: usize) -> (&[f32], &[f32]) {
        (&self.normal, &self.anomalous[set])
    }
}

/// Sets of inputs worth comparing for this head and these features.
fn choices(data: &Data<'_>, kind: HeadKind, own: Inputs) -> Vec<Inputs> {
    let (norm, forward, alignment) = (Inputs::NORM, Inputs::FORWARD, Inputs::ALIGNMENT);
    let shape = data.normal.shape();
    let reads_inputs = kind.narrow(norm) == norm;
    let mut choices = vec![forward];
    if reads_inputs && shape.norms > 0 {
        choices = vec![norm, forward, norm.with(forward)];
    }
    if reads_inputs && shape.alignments > 0 {
        choices.extend([forward.with(alignment), norm.with(forward).with(alignment)]);
    }
    if !choices.contains(&own) {
        choices.push(own);
    }
    choices
}

fn measure_inputs(
    data: &Data<'_>,
    kind: HeadKind,
    model: &Model,
    (own, forward): (&Scores, Option<&Scores>),
    options: &FitOptions,
) -> Result<InputsReport, DetectError> {
    let normal_source = data.part(&data.parts.audit).source();
    let how = options.resampling(INTERVAL);
    let mut sources = vec![];
    for (index, scores) in own.anomalous.iter().enumerate() {
        if scores.is_empty() || own.normal.is_empty() {
            continue;
        }
        let part = data.anomalous_part(index, |parts| &parts.test);
        let source = part.source();
        let normal = Scored { scores: &own.normal, sources: &normal_source };
        let auroc = auroc_interval(normal, Scored { scores, sources: &source }, &how)?;
        let forward = forward.filter(|_| model.inputs != Inputs::FORWARD);
        let gain = forward.map(|forward| {
            let (ours, theirs) = (own.of(index), forward.of(index));
            auroc_difference(ours, theirs, (&normal_source, &source), &how)
        });
        sources.push(SourceReport {
            name: data.anomalous[index].name.clone(),
            frames: scores.len(),
            auroc,
            gain: gain.transpose()?,
            detected: share_above(scores, model.threshold),
            left_out: leave_out(data, kind, model.inputs, &part, index, options)?,
        });
    }
    sources.sort_by(|a, b| a.auroc.value.total_cmp(&b.auroc.value).then(a.name.cmp(&b.name)));
    Ok(InputsReport {
        inputs: input_names(model.inputs),
        threshold: model.threshold,
        audit: data.audit(model)?,
        sources,
    })
}

/// An MLP trained without one of several sources, measured on it.
fn leave_out(
    data: &Data<'_>,
    kind: HeadKind,
    inputs: Inputs,
    part: &Part<'_>,
    index: usize,
    options: &FitOptions,
) -> Result<Option<LeftOut>, DetectError> {
    if kind != HeadKind::Mlp || data.anomalous.len() < 2 {
        return Ok(None);
    }
    let shape = data.normal.shape();
    let model = data.fit_model(kind, inputs, options, Some(Without::Set(index)))?;
    let (model, _) = data.calibrate(model, options)?;
    let scores = part.scores(&model, shape)?;
    let normal = data.part(&data.parts.audit).scores(&model, shape)?;
    let detected = share_above(&scores, model.threshold);
    Ok(Some(LeftOut { auroc: auroc(&normal, &scores)?, detected }))
}

impl FitReport {
    /// For machines.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn to_json(&self) -> Result<String, DetectError> {
        serde_json::to_string_pretty(self)
            .map_err(|error| DetectError::Data(format!("report: {error}")))
    }

    /// For people: the promise, then a table.
    pub fn to_text(&self) -> String {
        let mut text = self.promise_text();
        for inputs in &self.inputs {
            inputs.write_text(&mut text);
        }
        if let Some(kinds) = &self.kinds {
            kinds.write_text(&mut text);
        }
        text
    }

    fn promise_text(&self) -> String {
        let (file, evidence) = (&self.detector, &self.detector.evidence);
        let mut text = String::new();
        let head = file.detector.head.name();
        let inputs = input_names(file.detector.inputs);
        let _ =
            writeln!(text, "head {head}, inputs {inputs}, threshold {}", file.detector.threshold);
        if let Some(caution) = file.detector.caution {
            let _ = writeln!(text, "caution above {caution}");
        }
        let confidence = 100.0 * evidence.confidence;
        match evidence.promised_rate {
            Some(rate) => {
                let _ = writeln!(
                    text,
                    "promise: at most {:.3} % false alarms at {confidence:.3} % confidence, from \
                     {} calibration frames ({} alarms) of {} sources",
                    100.0 * rate,
                    evidence.calibration_frames,
                    evidence.calibration_alarms,
                    evidence.calibration_sources,
                );
            }
            None => text.push_str("promise: none (no calibration frames were kept apart)\n"),
        }
        if evidence.counting == Counting::Sources {
            text.push_str(
                "frames share sources: a source counts once, as an alarm when any frame is one\n",
            );
        }
        let (alarms, frames) = (evidence.audit_alarms, evidence.audit_frames);
        let _ = writeln!(text, "held out: {}", rate_text(alarms as usize, frames as usize));
        text
    }
}

fn rate_text(alarms: usize, frames: usize) -> String {
    let (low, high) = binomial::interval(alarms as u64, frames as u64, INTERVAL);
    let rate = 100.0 * alarms as f64 / frames as f64;
    let (low, high) = (100.0 * low, 100.0 * high);
    format!("{alarms} alarms among {frames} audit frames, {rate:.2} % [{low:.2}, {high:.2}]")
}

impl InputsReport {
    fn write_text(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "\ninputs {}: {}",
            self.inputs,
            rate_text(self.audit.alarms, self.audit.frames)
        );
        if self.sources.is_empty() {
            return;
        }
        let width =
            self.sources.iter().map(|source| source.name.chars().count()).max().unwrap_or(0);
        let width = width.max("anomalous source".len());
        let _ = writeln!(
            text,
            "{:width$}  frames  AUROC %  [95 % interval]  minus forward  [95 %]  detected %  \
             left out: AUROC %  detected %",
            "anomalous source"
        );
        for source in &self.sources {
            let auroc = source.auroc;
            let range = format!("[{:.2}, {:.2}]", 100.0 * auroc.low, 100.0 * auroc.high);
            let gain = source.gain.map_or("            -".into(), |gain| {
                let [value, low, high] = [gain.value, gain.low, gain.high].map(|x| 100.0 * x);
                format!("{value:+6.2} [{low:+.2}, {high:+.2}]")
            });
            let left_out =
                source.left_out.map_or("                 -           -".into(), |other| {
                    format!("{:18.2}  {:10.2}", 100.0 * other.auroc, 100.0 * other.detected)
                });
            let _ = writeln!(
                text,
                "{:width$}  {:6}  {:7.2}  {range:15}  {gain:21}  {:10.2}  {left_out}",
                source.name,
                source.frames,
                100.0 * auroc.value,
                100.0 * source.detected,
            );
        }
    }
}
