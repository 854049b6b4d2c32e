//! Fitting: split, head, threshold with its evidence, and the report.

pub mod kinds;
pub mod options;
pub mod report;
pub(crate) mod subset;

use std::collections::BTreeSet;
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use kinds::KindsReport;
pub use options::{FitOptions, HeadKind};
pub use report::{FitReport, InputsReport, SourceReport};

use crate::calibrate::{p_value_table, plain_quantile, threshold, units};
use crate::file::arrays::HeadArrays;
use crate::file::{Counting, DetectorFile, FORMAT, FileEvidence, FittedFor, Model};
use crate::heads::mlp::{Rows, balanced_weights, train as train_mlp};
use crate::heads::{Part, Scaling, clean};
use crate::split::{AnomalousParts, NormalParts, SplitMode, split_anomalous, split_normal};
use crate::{DetectError, FeatureSet, Inputs};

/// Anomalous frames with the name of where they come from.
#[derive(Clone, Debug)]
pub struct Anomalous {
    /// Name for the report.
    pub name: String,
    /// The frames.
    pub set: FeatureSet,
}

/// Anomalous frames that a supervised head must not learn from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LeftOut<'a> {
    /// A set, by its place.
    Set(usize),
    /// A kind, by its name, in every set.
    Kind(&'a str),
}

/// Checked sets with their parts.
pub struct Data<'a> {
    normal: &'a FeatureSet,
    parts: NormalParts,
    anomalous: &'a [Anomalous],
    anomalous_parts: Vec<AnomalousParts>,
}

/// A threshold and its audit, on one model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Audit frames.
    pub frames: usize,
    /// Alarms among them.
    pub alarms: usize,
    /// Sources among them.
    pub sources: usize,
}

/// Fits a detector and measures it.
///
/// # Errors
/// Options that contradict each other, sets that do not belong together, too few frames for the
/// promise.
pub fn fit(
    normal: &FeatureSet,
    anomalous: &[Anomalous],
    options: &FitOptions,
) -> Result<FitReport, DetectError> {
    let start = Instant::now();
    let data = Data::new(normal, anomalous, options)?;
    let kind = options.head.unwrap_or(HeadKind::Composite);
    let inputs = data.usable_inputs(kind.narrow(options.inputs))?;
    let model = data.fit_model(kind, inputs, options, None)?;
    let (model, evidence) = data.calibrate(model, options)?;
    let file = DetectorFile {
        format: FORMAT,
        fitted_for: FittedFor::new(&normal.metadata, &normal.shape()),
        detector: model,
        evidence,
        options: options.clone(),
    };
    report::measure(&data, kind, file, options, start.elapsed().as_secs_f64())
}

impl<'a> Data<'a> {
    /// Checks and splits.
    ///
    /// # Errors
    /// As [`fit`].
    pub fn new(
        normal: &'a FeatureSet,
        anomalous: &'a [Anomalous],
        options: &FitOptions,
    ) -> Result<Data<'a>, DetectError> {
        options.check()?;
        normal.validate()?;
        for other in anomalous {
            other.set.validate()?;
            normal.metadata.check_same(&other.set.metadata)?;
            normal.check_lengths(&other.set)?;
        }
        if options.head == Some(HeadKind::Mlp) && anomalous.is_empty() {
            return Err(DetectError::Options(
                "the mlp head learns from anomalous frames: give --anomalous, or choose another"
                    .into(),
            ));
        }
        let (parts, assigned) = split_normal(&normal.source, options.split, options.seed);
        let anomalous_parts = anomalous
            .iter()
            .map(|other| split_anomalous(&other.set.source, &assigned, options.seed))
            .collect();
        let data = Data { normal, parts, anomalous, anomalous_parts };
        data.check_parts(options)?;
        if options.head == Some(HeadKind::Mlp) && data.taught(|parts| &parts.train, None).is_empty()
        {
            return Err(DetectError::Options(
                "the mlp head learns from anomalous frames, and none of these shows in a single \
                 frame: give others with --anomalous, or choose another head"
                    .into(),
            ));
        }
        Ok(data)
    }

    fn check_parts(&self, options: &FitOptions) -> Result<(), DetectError> {
        let parts = &self.parts;
        let mut needed = vec![(&parts.train, "train"), (&parts.early, "early-stop")];
        needed.push((&parts.audit, "audit"));
        if options.split == SplitMode::Promise {
            needed.push((&parts.calibration, "calibration"));
        }
        for (part, name) in needed {
            if part.len() < 2 {
                return Err(DetectError::TooFew {
                    purpose: format!("the {name} part"),
                    have: part.len(),
                    need: 2,
                    unit: "normal frames from different sources",
                });
            }
        }
        for (other, parts) in self.anomalous.iter().zip(&self.anomalous_parts) {
            if parts.train.is_empty() || parts.test.is_empty() {
                return Err(DetectError::TooFew {
                    purpose: format!("splitting the anomalous frames of {}", other.name),
                    have: crate::split::count_sources(&other.set.source, &all_frames(&other.set)),
                    need: 5,
                    unit: "different sources",
                });
            }
        }
        Ok(())
    }

    /// The kinds of inputs among those asked for that the features hold.
    fn usable_inputs(&self, wanted: Inputs) -> Result<Inputs, DetectError> {
        let shape = self.normal.shape();
        if wanted.has(Inputs::NORM) && shape.norms == 0 {
            return Err(DetectError::Options(
                "the features hold no gradient norms; fit with --inputs forward".into(),
            ));
        }
        if wanted.has(Inputs::ALIGNMENT) && shape.alignments == 0 {
            return Err(DetectError::Options(
                "the features hold no alignments; compute them with `features --references`, or \
                 leave alignment out of --inputs"
                    .into(),
            ));
        }
        match shape.inputs(wanted) {
            Some(columns) if columns > 0 => Ok(wanted),
            _ => Err(DetectError::Options("the features are too many or none".into())),
        }
    }

    fn part(&self, frames: &'a [usize]) -> Part<'a> {
        Part { set: self.normal, frames }
    }

    fn train_part(&self) -> Part<'_> {
        self.part(&self.parts.train)
    }

    fn anomalous_part(&self, index: usize, pick: fn(&AnomalousParts) -> &[usize]) -> Part<'_> {
        Part { set: &self.anomalous[index].set, frames: pick(&self.anomalous_parts[index]) }
    }

    /// Fits a head, without thresholds. An MLP leaves the anomalous frames `left_out` aside.
    pub(crate) fn fit_model(
        &self,
        kind: HeadKind,
        inputs: Inputs,
        options: &FitOptions,
        left_out: Option<LeftOut<'_>>,
    ) -> Result<Model, DetectError> {
        if kind == HeadKind::Mlp {
            return self.fit_mlp(inputs, options, left_out);
        }
        let train = self.train_part();
        let columns = self.normal.shape().inputs(inputs).unwrap_or(0) as usize;
        let mut rows = train.rows(inputs)?;
        let scaling = Scaling::fit(&rows, columns);
        scaling.apply(&mut rows);
        let head = match kind {
            HeadKind::Gaussian => {
                HeadArrays::Gaussian(clean::gaussian(&train, &rows, columns, options.ridge)?)
            }
            HeadKind::Prototypes => {
                HeadArrays::Prototypes(clean::prototype_arrays(&train, options)?)
            }
            HeadKind::Energy => HeadArrays::Energy(clean::energy_numbers(&train)),
            HeadKind::Composite | HeadKind::Mlp => {
                let early = self.part(&self.parts.early);
                clean::composite(&train, &early, inputs, &scaling, &rows, options)?
            }
        };
        Ok(scaling.model(inputs, head))
    }

    fn fit_mlp(
        &self,
        inputs: Inputs,
        options: &FitOptions,
        left_out: Option<LeftOut<'_>>,
    ) -> Result<Model, DetectError> {
        let columns = self.normal.shape().inputs(inputs).unwrap_or(0) as usize;
        let gather = |normal: &Part<'_>, pick: fn(&AnomalousParts) -> &[usize]| {
            let mut values = normal.rows(inputs)?;
            let mut groups = vec![0usize; normal.frames.len()];
            for (index, (set, frames)) in self.taught(pick, left_out).into_iter().enumerate() {
                values.extend(Part { set, frames: &frames }.rows(inputs)?);
                groups.resize(groups.len() + frames.len(), index + 1);
            }
            let anomalous = groups.iter().map(|group| *group > 0).collect();
            let weights = balanced_weights(&groups);
            Ok::<Rows, DetectError>(Rows { values, anomalous, weights })
        };
        let mut train = gather(&self.train_part(), |parts| &parts.train)?;
        let mut early = gather(&self.part(&self.parts.early), |parts| &parts.early)?;
        let scaling = Scaling::fit(&train.values, columns);
        scaling.apply(&mut train.values);
        scaling.apply(&mut early.values);
        let mlp = train_mlp(&train, &early, columns, &options.training());
        Ok(scaling.model(inputs, HeadArrays::Mlp(mlp)))
    }

    /// Threshold, caution threshold, p-values from the calibration part; held-out rate from the
    /// audit part.
    pub(crate) fn calibrate(
        &self,
        mut model: Model,
        options: &FitOptions,
    ) -> Result<(Model, FileEvidence), DetectError> {
        let promise = options.split == SplitMode::Promise;
        // Without a calibration part the early-stop part sets the threshold, and nothing is
        // promised.
        let part = self.part(if promise { &self.parts.calibration } else { &self.parts.early });
        let shape = self.normal.shape();
        let scores = part.scores(&model, shape)?;
        let source = part.source();
        model.p_values = p_value_table(&scores);
        if promise {
            let set = |rate| threshold(&scores, &source, rate, options.confidence);
            model.threshold = set(options.false_alarm_rate)?.value;
            let caution = options.caution_rate.map(set).transpose()?;
            model.caution = caution.map(|caution| caution.value);
        } else {
            model.threshold = plain_quantile(&scores, options.false_alarm_rate);
            model.caution = options.caution_rate.map(|rate| plain_quantile(&scores, rate));
        }
        let audit = self.audit(&model)?;
        let (unit_scores, counting) = units(&scores, &source);
        let above =
            |scores: &[f32]| scores.iter().filter(|score| **score > model.threshold).count() as u32;
        let evidence = FileEvidence {
            promised_rate: promise.then_some(options.false_alarm_rate),
            confidence: options.confidence,
            caution_rate: options.caution_rate,
            counting,
            calibration_frames: if promise { scores.len() as u32 } else { 0 },
            calibration_alarms: if promise { above(&scores) } else { 0 },
            calibration_sources: if promise { unit_scores.len() as u32 } else { 0 },
            calibration_source_alarms: if promise { above(&unit_scores) } else { 0 },
            audit_frames: audit.frames as u32,
            audit_alarms: audit.alarms as u32,
            audit_sources: audit.sources as u32,
            frames: self.normal.metadata.frames.clone(),
        };
        debug_assert!(counting == Counting::Sources || unit_scores.len() == scores.len());
        Ok((model, evidence))
    }

    pub(crate) fn audit(&self, model: &Model) -> Result<Audit, DetectError> {
        let part = self.part(&self.parts.audit);
        let scores = part.scores(model, self.normal.shape())?;
        let alarms = scores.iter().filter(|score| **score > model.threshold).count();
        let sources = part.source().into_iter().collect::<BTreeSet<_>>().len();
        Ok(Audit { frames: scores.len(), alarms, sources })
    }
}

fn all_frames(set: &FeatureSet) -> Vec<usize> {
    (0..set.len()).collect()
}

#[cfg(test)]
mod tests;
