//! The detector file (`D.json`): a fitted detector, what it was fitted for, and on what evidence.

pub mod arrays;

use std::fs;
use std::path::Path;

use gradgate_bundle::detector::{Detector, FeatureShape, Inputs};
use gradgate_bundle::header::{BlobRef, Evidence};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::features::{Metadata, write_atomic};
use crate::fit::FitOptions;
use crate::scorer::Scorer;
use crate::{DetectError, exact};
use arrays::{HeadArrays, TableArrays};

/// Version of the file's layout.
pub const FORMAT: u32 = 1;

/// What a detector was fitted for; a bundle with any other value is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedFor {
    /// Parameter tensors behind the norms.
    pub parameters: Vec<String>,
    /// Layers behind the activation norms.
    pub layers: Vec<String>,
    /// Weights behind the alignments.
    pub alignments: Vec<String>,
    /// Logits.
    pub classes: u32,
    /// Length of the penultimate vector.
    pub penultimate: u32,
    /// From pixels to the input tensor, as text.
    pub preprocessing: String,
    /// Confounding label, as text.
    pub label: String,
    /// `engine` or `interp`.
    pub executor: String,
    /// `exact` or `fast`.
    pub numerics: String,
    /// SHA-256 of the model, in hex.
    pub model_digest: String,
    /// SHA-256 of the feature schema, in hex.
    pub schema_digest: String,
    /// SHA-256 of the references behind the alignments, in hex; empty without alignments.
    pub references_digest: String,
}

impl FittedFor {
    /// From a feature set's metadata.
    pub fn new(metadata: &Metadata, shape: &FeatureShape) -> FittedFor {
        FittedFor {
            parameters: metadata.parameters.clone(),
            layers: metadata.layers.clone(),
            alignments: metadata.alignments.clone(),
            classes: shape.classes,
            penultimate: shape.penultimate,
            preprocessing: metadata.preprocessing.clone(),
            label: metadata.label.clone(),
            executor: metadata.executor.clone(),
            numerics: metadata.numerics.clone(),
            model_digest: metadata.model_digest.clone(),
            schema_digest: metadata.schema_digest.clone(),
            references_digest: metadata.references_digest.clone(),
        }
    }

    /// Lengths of one frame's features.
    pub fn shape(&self) -> FeatureShape {
        FeatureShape {
            norms: self.parameters.len() as u32,
            layers: self.layers.len() as u32,
            alignments: self.alignments.len() as u32,
            classes: self.classes,
            penultimate: self.penultimate,
        }
    }
}

/// From features to score, with thresholds; arrays owned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Kinds of inputs, by name, comma-separated.
    #[serde(with = "arrays::input_names")]
    pub inputs: Inputs,
    /// Subtracted from each input.
    #[serde(with = "exact::list")]
    pub mean: Vec<f32>,
    /// Then multiplied.
    #[serde(with = "exact::list")]
    pub inverse_std: Vec<f32>,
    /// The score's formula.
    pub head: HeadArrays,
    /// p-values of the score on normal frames.
    pub p_values: TableArrays,
    /// PASS iff `score <= threshold`.
    #[serde(with = "exact::one")]
    pub threshold: f32,
    /// Scores in `(caution, threshold]` are UNKNOWN.
    #[serde(with = "exact::option")]
    pub caution: Option<f32>,
}

impl Model {
    /// The wire type; `add` stores an array and says where.
    pub fn to_wire(&self, shape: FeatureShape, add: &mut dyn FnMut(&[f32]) -> BlobRef) -> Detector {
        Detector {
            inputs: self.inputs,
            shape,
            mean: add(&self.mean),
            inverse_std: add(&self.inverse_std),
            head: self.head.to_wire(add),
            p_values: self.p_values.to_wire(add),
            threshold: self.threshold,
            caution: self.caution,
        }
    }
}

/// What the threshold promises, and on what evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEvidence {
    /// Promised false-alarm rate per frame; absent when nothing is promised.
    pub promised_rate: Option<f64>,
    /// Confidence of the promise.
    pub confidence: f64,
    /// Rate behind the caution threshold.
    pub caution_rate: Option<f64>,
    /// What was counted as one independent unit.
    pub counting: Counting,
    /// Calibration frames.
    pub calibration_frames: u32,
    /// Alarms among them.
    pub calibration_alarms: u32,
    /// Sources among them.
    pub calibration_sources: u32,
    /// Sources with an alarm.
    pub calibration_source_alarms: u32,
    /// Audit frames, used for nothing else.
    pub audit_frames: u32,
    /// Alarms among them.
    pub audit_alarms: u32,
    /// Sources among them.
    pub audit_sources: u32,
    /// Origin of the normal frames.
    pub frames: String,
}

impl FileEvidence {
    /// As it stands in a bundle's header.
    pub fn to_bundle(&self) -> Evidence<'_> {
        Evidence {
            false_alarm_rate: self.promised_rate.map_or(f32::NAN, |rate| rate as f32),
            confidence: self.confidence as f32,
            calibration: [self.calibration_frames, self.calibration_alarms],
            calibration_sources: self.calibration_sources,
            audit: [self.audit_frames, self.audit_alarms],
            source: &self.frames,
        }
    }
}

/// What counts as one independent unit of a binomial statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    /// Every frame has a source of its own.
    Frames,
    /// Frames share sources: a source alarms when any of its frames does, and the promise is for
    /// a frame of a random source. Conservative.
    Sources,
}

/// A detector file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorFile {
    /// [`FORMAT`].
    pub format: u32,
    /// What it is for.
    pub fitted_for: FittedFor,
    /// The detector.
    pub detector: Model,
    /// The promise.
    pub evidence: FileEvidence,
    /// How it was fitted.
    pub options: FitOptions,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl DetectorFile {
    /// Reads and checks a detector file.
    ///
    /// # Errors
    /// The file cannot be read, has an unknown version or field, or arrays that do not fit.
    pub fn read(path: &Path) -> Result<DetectorFile, DetectError> {
        let text = fs::read_to_string(path).map_err(|error| DetectError::io(path, error))?;
        DetectorFile::from_json(&text).map_err(|error| match error {
            DetectError::Data(problem) => DetectError::file(path, problem),
            other => other,
        })
    }

    /// As [`DetectorFile::read`], from text.
    ///
    /// # Errors
    /// An unknown version or field, or arrays that do not fit.
    pub fn from_json(text: &str) -> Result<DetectorFile, DetectError> {
        let broken = |error| DetectError::Data(format!("not a detector file: {error}"));
        let version: Version = serde_json::from_str(text).map_err(broken)?;
        if version.format != FORMAT {
            return Err(DetectError::Data(format!(
                "detector file version {}; this tool reads version {FORMAT}: fit it again",
                version.format
            )));
        }
        let file: DetectorFile = serde_json::from_str(text).map_err(broken)?;
        Scorer::new(&file.detector, file.fitted_for.shape())?;
        file.options.check()?;
        Ok(file)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// What the system says, or values that are not finite.
    pub fn write(&self, path: &Path) -> Result<(), DetectError> {
        write_atomic(path, self.to_json()?.as_bytes())
    }

    /// The file's text; equal detectors give equal text.
    ///
    /// # Errors
    /// Values that are not finite.
    pub fn to_json(&self) -> Result<String, DetectError> {
        let mut text = serde_json::to_string(self)
            .map_err(|error| DetectError::Data(format!("detector: {error}")))?;
        text.push('\n');
        Ok(text)
    }

    /// SHA-256 of the file's text.
    ///
    /// # Errors
    /// As [`DetectorFile::to_json`].
    pub fn digest(&self) -> Result<[u8; 32], DetectError> {
        Ok(Sha256::digest(self.to_json()?.as_bytes()).into())
    }

    /// The wire type, its arrays appended to `blobs` at multiples of 16 bytes, little-endian.
    pub fn to_bundle(&self, blobs: &mut Vec<u8>) -> Detector {
        self.detector.to_wire(self.fitted_for.shape(), &mut |values| {
            blobs.resize(blobs.len().next_multiple_of(16), 0);
            let at = BlobRef { offset: blobs.len() as u32, elements: values.len() as u32 };
            blobs.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            at
        })
    }

    /// Refuses features that were computed in another way than the detector's.
    ///
    /// # Errors
    /// The first difference, with both values.
    pub fn check_features(&self, metadata: &Metadata) -> Result<(), DetectError> {
        let ours = &self.fitted_for;
        Metadata {
            parameters: ours.parameters.clone(),
            layers: ours.layers.clone(),
            alignments: ours.alignments.clone(),
            preprocessing: ours.preprocessing.clone(),
            label: ours.label.clone(),
            executor: ours.executor.clone(),
            numerics: ours.numerics.clone(),
            model_digest: ours.model_digest.clone(),
            schema_digest: ours.schema_digest.clone(),
            references_digest: ours.references_digest.clone(),
            frames: "the detector".into(),
        }
        .check_same(metadata)
    }
}

#[cfg(test)]
mod tests;
