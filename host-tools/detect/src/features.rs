//! Features of many frames of one network, with all that says how they were computed.

mod file;
mod kinds;
mod select;
mod times;

pub use file::write_atomic;
pub use kinds::Kinds;
pub use times::NO_TIME;

use std::collections::BTreeMap;

use gradgate_bundle::detector::FeatureShape;
use gradgate_engine::detector::FrameFeatures;
use sha2::{Digest, Sha256};

use crate::DetectError;

/// Version of the feature file's layout.
pub const SCHEMA_VERSION: &str = "1";

/// What frames must share to be used together; only `frames` may differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Names of the parameter tensors, in the order of `squared_norms`; no commas.
    pub parameters: Vec<String>,
    /// Names of the layers, in the order of `activation_norms`; no commas.
    pub layers: Vec<String>,
    /// Names of the weights, in the order of `alignments`; no commas.
    pub alignments: Vec<String>,
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
    /// Where the frames come from.
    pub frames: String,
}

impl Metadata {
    /// All that must agree, named.
    fn shared(&self) -> [(&'static str, String); 10] {
        [
            ("parameters", self.parameters.join(",")),
            ("layers", self.layers.join(",")),
            ("alignments", self.alignments.join(",")),
            ("preprocessing", self.preprocessing.clone()),
            ("label", self.label.clone()),
            ("executor", self.executor.clone()),
            ("numerics", self.numerics.clone()),
            ("model_digest", self.model_digest.clone()),
            ("schema_digest", self.schema_digest.clone()),
            ("references_digest", self.references_digest.clone()),
        ]
    }

    /// Refuses a set computed in another way.
    ///
    /// # Errors
    /// The first difference, with both values.
    pub fn check_same(&self, other: &Metadata) -> Result<(), DetectError> {
        for ((field, ours), (_, theirs)) in self.shared().into_iter().zip(other.shared()) {
            if ours != theirs {
                return Err(DetectError::Mixture {
                    field,
                    first: (self.frames.clone(), shorten(&ours)),
                    second: (other.frames.clone(), shorten(&theirs)),
                });
            }
        }
        Ok(())
    }

    /// SHA-256 over the names of all features, in hex: what `schema_digest` holds for features
    /// that have no other source.
    pub fn names_digest(&self) -> String {
        let mut hash = Sha256::new();
        for (kind, names) in
            [("norm", &self.parameters), ("forward", &self.layers), ("alignment", &self.alignments)]
        {
            for name in names {
                hash.update(format!("{kind} {name}\n"));
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Values in an error message are cut so that 62 names do not fill the screen.
fn shorten(text: &str) -> String {
    const KEPT: usize = 60;
    if text.chars().count() <= KEPT {
        return format!("\"{text}\"");
    }
    let start: String = text.chars().take(KEPT).collect();
    format!("\"{start}..\" ({} characters)", text.chars().count())
}

/// Features of n frames; arrays are row-major, a frame a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureSet {
    /// How they were computed.
    pub metadata: Metadata,
    /// Logits of a frame.
    pub classes: usize,
    /// Length of the penultimate vector, 0 without one.
    pub penultimate_length: usize,
    /// `[n, classes]`
    pub logits: Vec<f32>,
    /// `[n, parameters]`, squared L2 norms of the gradients.
    pub squared_norms: Vec<f64>,
    /// `[n, layers]`, squared L2 norms of the activations.
    pub activation_norms: Vec<f64>,
    /// `[n, penultimate_length]`
    pub penultimate: Vec<f32>,
    /// `[n, alignments]`, cosines of weight gradients against their references.
    pub alignments: Vec<f32>,
    /// True class, -1 where it is unknown.
    pub labels: Vec<i64>,
    /// Image, track or sequence that a frame belongs to; twins of one image share it, across
    /// files too.
    pub source: Vec<i64>,
    /// When each frame was taken, in nanoseconds, [`NO_TIME`] where it is unknown; empty where no
    /// frame has a time.
    pub time_ns: Vec<i64>,
    /// Names of the sequences, by source: a recording's file and topic, a track. Sources that are
    /// pictures without order have none.
    pub sequences: BTreeMap<i64, String>,
    /// What was made of each frame, where it is not as it was found.
    pub kinds: Kinds,
    /// `[n, 10]`, [`crate::image_statistics`] of the pixels; empty where they are not known.
    pub image_statistics: Vec<f32>,
}

/// One frame's features in the device's precision.
#[derive(Clone, Debug, Default)]
pub struct FrameBuffer {
    norms: Vec<f32>,
    layers: Vec<f32>,
    logits: Vec<f32>,
    penultimate: Vec<f32>,
    alignments: Vec<f32>,
}

impl FrameBuffer {
    /// What the engine's detector reads.
    pub fn view(&self) -> FrameFeatures<'_> {
        FrameFeatures {
            norms: &self.norms,
            layers: &self.layers,
            logits: &self.logits,
            penultimate: &self.penultimate,
            alignments: &self.alignments,
        }
    }
}

impl FeatureSet {
    /// Number of frames.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    /// Lengths of one frame's features.
    pub fn shape(&self) -> FeatureShape {
        FeatureShape {
            norms: self.metadata.parameters.len() as u32,
            layers: self.metadata.layers.len() as u32,
            alignments: self.metadata.alignments.len() as u32,
            classes: self.classes as u32,
            penultimate: self.penultimate_length as u32,
        }
    }

    /// One frame's features, norms rounded to f32 (the engine's precision), in `buffer`.
    pub fn load(&self, frame: usize, buffer: &mut FrameBuffer) {
        fn row<T: Copy>(values: &[T], length: usize, frame: usize) -> &[T] {
            &values[frame * length..(frame + 1) * length]
        }
        let narrow = |place: &mut Vec<f32>, values: &[f64], length: usize| {
            place.clear();
            place.extend(row(values, length, frame).iter().map(|value| *value as f32));
        };
        narrow(&mut buffer.norms, &self.squared_norms, self.metadata.parameters.len());
        narrow(&mut buffer.layers, &self.activation_norms, self.metadata.layers.len());
        let copy = |place: &mut Vec<f32>, values: &[f32], length: usize| {
            place.clear();
            place.extend_from_slice(row(values, length, frame));
        };
        copy(&mut buffer.logits, &self.logits, self.classes);
        copy(&mut buffer.penultimate, &self.penultimate, self.penultimate_length);
        copy(&mut buffer.alignments, &self.alignments, self.metadata.alignments.len());
    }

    /// Adds the frames of another set; origins are listed one after the other.
    ///
    /// # Errors
    /// The other set was computed in another way.
    pub fn append(&mut self, other: FeatureSet) -> Result<(), DetectError> {
        self.metadata.check_same(&other.metadata)?;
        self.check_lengths(&other)?;
        self.append_made(&other)?;
        self.append_times(&other);
        self.logits.extend(other.logits);
        self.squared_norms.extend(other.squared_norms);
        self.activation_norms.extend(other.activation_norms);
        self.penultimate.extend(other.penultimate);
        self.alignments.extend(other.alignments);
        self.labels.extend(other.labels);
        self.source.extend(other.source);
        self.sequences.extend(other.sequences);
        let origins = [self.metadata.frames.as_str(), other.metadata.frames.as_str()];
        self.metadata.frames = origins.join(", ");
        Ok(())
    }

    /// Refuses a set with other numbers of logits or of penultimate values.
    pub fn check_lengths(&self, other: &FeatureSet) -> Result<(), DetectError> {
        let pairs = [
            ("the number of logits", self.classes, other.classes),
            ("the penultimate length", self.penultimate_length, other.penultimate_length),
        ];
        for (field, ours, theirs) in pairs {
            if ours != theirs {
                return Err(DetectError::Mixture {
                    field,
                    first: (self.metadata.frames.clone(), ours.to_string()),
                    second: (other.metadata.frames.clone(), theirs.to_string()),
                });
            }
        }
        Ok(())
    }

    /// Joins sets computed in the same way.
    ///
    /// # Errors
    /// No sets, or sets that differ in more than the origin of their frames.
    pub fn concat(sets: Vec<FeatureSet>) -> Result<FeatureSet, DetectError> {
        let mut sets = sets.into_iter();
        let mut all = sets.next().ok_or_else(|| DetectError::Data("no feature files".into()))?;
        for set in sets {
            all.append(set)?;
        }
        Ok(all)
    }

    /// Checks lengths, names, labels and that every value is finite in the device's precision.
    ///
    /// # Errors
    /// The first problem, with tensor and frame.
    pub fn validate(&self) -> Result<(), DetectError> {
        let bad = |problem: String| Err(DetectError::Data(problem));
        let n = self.len();
        if n == 0 || self.classes == 0 {
            return bad("no frames or no logits; compute the features again".into());
        }
        self.validate_names()?;
        let norms: Vec<(&str, &[f64], usize)> = vec![
            ("squared_norms", &self.squared_norms, self.metadata.parameters.len()),
            ("activation_norms", &self.activation_norms, self.metadata.layers.len()),
        ];
        for (name, values, length) in norms {
            check_tensor(name, values.len(), n, length)?;
            // Beyond f32 the device would see infinity.
            let wrong = |value: &f64| !(*value as f32).is_finite() || *value < 0.0;
            if let Some(at) = values.iter().position(wrong) {
                let (frame, column) = (at / length, at % length);
                let value = values[at];
                return bad(format!(
                    "{name} of frame {frame}, column {column} is {value}; leave the frame out"
                ));
            }
        }
        let plain: Vec<(&str, &[f32], usize)> = vec![
            ("logits", &self.logits, self.classes),
            ("penultimate", &self.penultimate, self.penultimate_length),
            ("alignments", &self.alignments, self.metadata.alignments.len()),
        ];
        for (name, values, length) in plain {
            check_tensor(name, values.len(), n, length)?;
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                let (frame, value) = (at / length, values[at]);
                return bad(format!("{name} of frame {frame} holds {value}; leave the frame out"));
            }
        }
        if !self.image_statistics.is_empty() {
            let columns = crate::image_statistics::NAMES.len();
            check_tensor("image_statistics", self.image_statistics.len(), n, columns)?;
        }
        self.kinds.validate(n)?;
        let times = if self.time_ns.is_empty() { n } else { self.time_ns.len() };
        check_tensor("time_ns", times, n, 1)?;
        check_tensor("labels", self.labels.len(), n, 1)
    }

    fn validate_names(&self) -> Result<(), DetectError> {
        let meta = &self.metadata;
        for name in meta.parameters.iter().chain(&meta.layers).chain(&meta.alignments) {
            if name.is_empty() || name.contains([',', '\n']) {
                return Err(DetectError::Data(format!(
                    "\"{name}\" cannot name a feature: names are not empty and hold no comma or \
                     line break; rename it in the model"
                )));
            }
        }
        if meta.alignments.is_empty() != meta.references_digest.is_empty() {
            return Err(DetectError::Data(
                "alignments and the digest of their references belong together; compute the \
                 features again"
                    .into(),
            ));
        }
        Ok(())
    }
}

fn check_tensor(name: &str, have: usize, n: usize, length: usize) -> Result<(), DetectError> {
    let need = n.checked_mul(length);
    if need == Some(have) {
        return Ok(());
    }
    Err(DetectError::Data(format!("{name} holds {have} values instead of {n} x {length}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::random::Random;

    /// Normal frames of a made-up network of 4 classes, 6 parameters, 3 layers, 2 alignments;
    /// `shift` plants an anomaly that touches every head. One source per `frames_per_source`
    /// frames, ids from 0.
    pub fn synthetic(n: usize, shift: f64, seed: u64, frames_per_source: usize) -> FeatureSet {
        let mut random = Random::new(seed, "synthetic");
        let names = |kind: &str, n| (0..n).map(|i| format!("{kind}{i}")).collect::<Vec<_>>();
        let mut set = FeatureSet {
            metadata: Metadata {
                parameters: names("w", 6),
                layers: names("layer", 3),
                alignments: names("w", 2),
                references_digest: "cc".into(),
                preprocessing: "range=0,1".into(),
                label: "ones".into(),
                executor: "engine".into(),
                numerics: "exact".into(),
                model_digest: "aa".into(),
                schema_digest: "bb".into(),
                frames: format!("synthetic {shift} {seed}"),
            },
            classes: 4,
            penultimate_length: 8,
            ..FeatureSet::default()
        };
        for frame in 0..n {
            let class = random.below(4);
            let common = random.normal();
            for at in 0..6 {
                let log = 0.5 * common + 0.4 * random.normal() + class as f64 * 0.3;
                let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
                set.squared_norms.push((log + sign * shift).exp());
            }
            for _ in 0..3 {
                set.activation_norms.push((0.3 * random.normal() + 0.5 * shift).exp());
            }
            for logit in 0..4 {
                let top = if logit == class { 6.0 - 1.6 * shift } else { 0.0 };
                set.logits.push((top + 0.5 * random.normal()) as f32);
            }
            for at in 0..8 {
                let direction = if at == class { 3.0 } else { 0.0 };
                let stray = if at >= 4 { shift * 2.0 } else { 0.0 };
                set.penultimate.push((direction + stray + 0.4 * random.normal()) as f32);
            }
            for _ in 0..2 {
                set.alignments.push((0.5 - 0.3 * shift + 0.1 * random.normal()) as f32);
            }
            set.labels.push(class as i64);
            set.source.push((frame / frames_per_source) as i64);
        }
        set
    }

    #[test]
    fn mixtures_are_refused_by_name() {
        let first = synthetic(5, 0.0, 1, 1);
        type Change = (&'static str, fn(&mut Metadata));
        let changes: [Change; 10] = [
            ("parameters", |m| m.parameters[0].push('x')),
            ("layers", |m| m.layers[0].push('x')),
            ("alignments", |m| m.alignments.push("a".into())),
            ("preprocessing", |m| m.preprocessing.push('x')),
            ("label", |m| m.label.push('x')),
            ("executor", |m| m.executor.push('x')),
            ("numerics", |m| m.numerics.push('x')),
            ("model_digest", |m| m.model_digest.push('x')),
            ("schema_digest", |m| m.schema_digest.push('x')),
            ("references_digest", |m| m.references_digest.push('x')),
        ];
        for (field, change) in changes {
            let mut other = first.clone();
            change(&mut other.metadata);
            let error = FeatureSet::concat(vec![first.clone(), other]).unwrap_err();
            assert!(error.to_string().contains(field), "{field}: {error}");
        }
        let mut other = first.clone();
        other.metadata.frames = "elsewhere".into();
        let all = FeatureSet::concat(vec![first, other]).unwrap();
        assert_eq!(all.len(), 10);
        assert!(all.metadata.frames.ends_with("elsewhere"));
        all.validate().unwrap();
    }

    #[test]
    fn every_bad_value_is_found() {
        let good = synthetic(5, 0.0, 1, 1);
        good.validate().unwrap();
        type Change = (&'static str, fn(&mut FeatureSet));
        let changes: [Change; 14] = [
            ("squared_norms of frame 2", |s| s.squared_norms[13] = f64::NAN),
            ("squared_norms of frame 0", |s| s.squared_norms[0] = 1e39),
            ("squared_norms of frame 0", |s| s.squared_norms[1] = -1.0),
            ("activation_norms of frame 1", |s| s.activation_norms[3] = f64::INFINITY),
            ("logits of frame 4", |s| s.logits[19] = f32::NAN),
            ("penultimate of frame 0", |s| s.penultimate[7] = f32::NEG_INFINITY),
            ("alignments of frame 1", |s| s.alignments[2] = f32::NAN),
            ("alignments", |s| s.alignments.truncate(9)),
            ("belong together", |s| s.metadata.references_digest.clear()),
            ("labels", |s| s.labels.truncate(4)),
            ("time_ns", |s| s.time_ns = vec![1; 4]),
            ("logits", |s| s.logits.truncate(4)),
            ("cannot name a feature", |s| s.metadata.layers[0] = "a,b".into()),
            ("no frames", |s| *s = FeatureSet::default()),
        ];
        for (wanted, change) in changes {
            let mut set = good.clone();
            change(&mut set);
            let error = set.validate().unwrap_err().to_string();
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }
}
