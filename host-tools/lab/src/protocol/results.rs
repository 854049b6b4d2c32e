//! What a run found, as results.json holds it.

use gradgate_detect::metrics::{Figures, Interval};
use serde::{Deserialize, Serialize};

use crate::baseline::{Budget, LabelBudget};
use crate::error::LabError;

use super::definition::{Definition, SetKind};

/// Version of the layout of results.json.
pub const FORMAT: u32 = 1;

/// All of it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// Of the program.
    pub version: String,
    /// What was asked.
    pub definition: Definition,
    /// The classifier.
    pub model: ModelFacts,
    /// SHA-256 over all splits: every detector of this run had the same ones.
    pub split_digest: String,
    /// The normal frames, then each set.
    pub sets: Vec<SetFacts>,
    /// One a detector, set and training set.
    pub comparisons: Vec<Comparison>,
    /// Detectors of others that could not be fitted.
    pub not_run: Vec<NotRun>,
    /// How often harmless changes are flagged.
    pub controls: Vec<ControlRow>,
    /// Which norms are larger than on normal frames.
    pub directions: Vec<Direction>,
    /// Attacks by somebody who knows the detectors; every frame's fate is in adaptive.csv.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<crate::adaptive::Results>,
}

/// The classifier.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ModelFacts {
    /// File name.
    pub name: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// Tensors whose gradients are measured.
    pub parameters: Vec<String>,
    /// Layers whose activations are measured.
    pub layers: Vec<String>,
    /// Classes.
    pub classes: usize,
    /// Whether the exporter had folded batch normalisation away: another set of features.
    pub folded: bool,
}

/// A set of frames.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct SetFacts {
    /// Its name.
    pub name: String,
    /// What sort of anomaly; none for the normal frames.
    pub kind: Option<SetKind>,
    /// SHA-256 over the pixels.
    pub digest: String,
    /// Frames.
    pub frames: usize,
    /// Images, tracks or sequences.
    pub sources: usize,
    /// Frames that the classifier is right about, and frames with a label.
    pub right: Option<[usize; 2]>,
    /// Of an attack.
    pub attack: Option<AttackFacts>,
}

/// What an attack did.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct AttackFacts {
    /// Frames that the classifier had right before: the attacked ones.
    pub attacked: usize,
    /// Of these, those that it gets wrong after it.
    pub success: usize,
    /// Mean over all frames of the largest difference of a pixel in 0..1.
    pub mean_l_inf: f64,
    /// Mean over all frames of the root of the sum of squared differences.
    pub mean_l2: f64,
}

/// One detector against one set.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Comparison {
    /// The set.
    pub set: String,
    /// Its sort; none where the classifier's own errors are the set.
    pub kind: Option<SetKind>,
    /// The detector.
    pub detector: String,
    /// Sets that it learnt from; none for detectors of normal frames.
    pub learnt_from: Vec<String>,
    /// What its source fits it on; ours by whether it learns from anomalies.
    pub label_budget: LabelBudget,
    /// What it was fitted on here.
    pub budget: Budget,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Split seeds that the figures are means over.
    pub seeds: usize,
    /// AUROC of each seed.
    pub auroc_of_seed: Vec<f64>,
    /// Means over the seeds with 95 % cluster-bootstrap intervals; threshold 0 is where 5 % of the
    /// normal validation frames are flagged.
    pub figures: Figures<Interval>,
    /// Share of tested frames judged rightly at equal odds; of networks alone.
    pub accuracy_half: Option<f64>,
    /// AUROC of frames that the attack made wrong against normal frames that are right.
    pub auroc_of_successes: Option<Interval>,
    /// Over pairs that are alike in plain image statistics, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<Matched>,
    /// AUROC less that of the first of our detectors that asks for as much (anomalies or none),
    /// paired; where both were tested on the same frames.
    pub minus_first: Option<Interval>,
    /// The published AUROC that stands beside it.
    pub published: Option<f64>,
    /// Whether ten plain image statistics come within two points of the first detector.
    pub confounded: bool,
}

/// Over pairs of a normal and an anomalous frame that are alike in plain image statistics.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Matched {
    /// Pairs, over all splits.
    pub pairs: usize,
    /// AUROC of their frames.
    pub auroc: Interval,
}

/// A detector that has no figure, and why.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct NotRun {
    /// The detector.
    pub detector: String,
    /// What it was to be fitted on.
    pub budget: Budget,
    /// The set.
    pub set: String,
    /// What it lacked.
    pub reason: String,
}

impl NotRun {
    /// What an error leaves.
    pub fn new(detector: &str, budget: Budget, set: &str, error: &LabError) -> NotRun {
        let (detector, set) = (detector.to_owned(), set.to_owned());
        NotRun { detector, budget, set, reason: error.to_string() }
    }
}

/// A detector on frames that should pass.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ControlRow {
    /// The harmless set.
    pub control: String,
    /// The detector.
    pub detector: String,
    /// Sets that it learnt from.
    pub learnt_from: Vec<String>,
    /// Tested frames, over all seeds.
    pub frames: usize,
    /// Share of them above the threshold that flags 5 % of the normal validation frames.
    pub flagged: f64,
    /// Share of the normal tested frames above it.
    pub normal_flagged: f64,
    /// AUROC of the anomalous set that it learnt from against this control, where it is one set.
    pub anomalous_against_control: Option<f64>,
}

/// Norms of a set beside those of normal frames.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Direction {
    /// The set.
    pub set: String,
    /// Tensors whose median squared gradient norm is larger than on normal frames, of all.
    pub norms_above: [usize; 2],
    /// The same of activations.
    pub activations_above: [usize; 2],
    /// Mean over tensors of the share of frames above the normal median.
    pub mean_share_above: f64,
    /// Lower quartile, median and upper quartile of each tensor's squared gradient norm, to six
    /// digits.
    pub norm_quartiles: Vec<[f64; 3]>,
    /// The same of each layer's squared activation norm.
    pub activation_quartiles: Vec<[f64; 3]>,
}
