//! The detector's wire types: from features to one score, and the judgement that comes of it.
//!
//! Arrays are [`BlobRef`]s into the bundle's blobs. Field order and variant order are the wire
//! order: append only. Larger scores are more anomalous, always. All arithmetic is in
//! gradgate-engine.

use serde::{Deserialize, Serialize};

use crate::header::BlobRef;

/// Which taps feed the detector; order in the input vector is norm, forward, alignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs(pub u8);

impl Inputs {
    /// `ln(max(f, 1e-30))` of every squared gradient norm.
    pub const NORM: Inputs = Inputs(1);
    /// `ln(max(a, 1e-30))` of every squared activation norm, the largest logits in descending
    /// order, the energy.
    pub const FORWARD: Inputs = Inputs(2);
    /// Cosines against the reference directions of the predicted class, as they are.
    pub const ALIGNMENT: Inputs = Inputs(4);
    /// Kinds with their names, in input order.
    pub const NAMES: [(Inputs, &'static str); 3] =
        [(Inputs::NORM, "norm"), (Inputs::FORWARD, "forward"), (Inputs::ALIGNMENT, "alignment")];

    /// Whether every kind in `other` is in `self`.
    pub fn has(self, other: Inputs) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub fn with(self, other: Inputs) -> Inputs {
        Inputs(self.0 | other.0)
    }
}

/// How many of each feature a network gives; a detector is fitted for one shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureShape {
    /// Squared gradient norms.
    pub norms: u32,
    /// Squared activation norms.
    pub layers: u32,
    /// Alignment cosines.
    pub alignments: u32,
    /// Logits, at least 1.
    pub classes: u32,
    /// Length of the penultimate vector, 0 without one.
    pub penultimate: u32,
}

/// At most this many of the sorted logits are inputs.
pub const SORTED_LOGITS: u32 = 32;

/// Upper bound of any single length; keeps all products of two lengths inside u64 and honest.
pub const LENGTH_LIMIT: u32 = 1 << 20;

impl FeatureShape {
    /// Length of the input vector, `None` beyond [`LENGTH_LIMIT`].
    pub fn inputs(&self, inputs: Inputs) -> Option<u32> {
        let mut total = 0u32;
        if inputs.has(Inputs::NORM) {
            total = total.checked_add(self.norms)?;
        }
        if inputs.has(Inputs::FORWARD) {
            let forward = self.sorted_logits().checked_add(1)?;
            total = total.checked_add(self.layers)?.checked_add(forward)?;
        }
        if inputs.has(Inputs::ALIGNMENT) {
            total = total.checked_add(self.alignments)?;
        }
        (total <= LENGTH_LIMIT).then_some(total)
    }

    /// How many sorted logits are inputs.
    pub fn sorted_logits(&self) -> u32 {
        if self.classes < SORTED_LOGITS { self.classes } else { SORTED_LOGITS }
    }

    /// Predicted classes to tell apart: a single logit has two.
    pub fn groups(&self) -> u32 {
        if self.classes == 1 { 2 } else { self.classes }
    }
}

/// From features to score, with thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    /// Which taps.
    pub inputs: Inputs,
    /// What it was fitted for.
    pub shape: FeatureShape,
    /// Subtracted from each input.
    pub mean: BlobRef,
    /// Then multiplied: one over the standard deviation floored at 1e-6.
    pub inverse_std: BlobRef,
    /// The score's formula.
    pub head: Head,
    /// p-values of the score on normal frames that fitted nothing else; read as a step function.
    pub p_values: Table,
    /// PASS iff `score <= threshold`.
    pub threshold: f32,
    /// Scores in `(caution, threshold]` are UNKNOWN.
    pub caution: Option<f32>,
}

/// Survival function of a score: `levels[i] = -ln p` at `scores[i]`, both ascending, equal lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Scores at the knots, strictly ascending.
    pub scores: BlobRef,
    /// `-ln p` there, not descending, the first not below 0.
    pub levels: BlobRef,
}

/// The score's formula.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Head {
    /// One hidden ReLU layer; the score is the output logit.
    Mlp(Mlp),
    /// Squared Mahalanobis distance to the predicted class.
    Gaussian(Gaussian),
    /// One minus the largest cosine between the penultimate vector and the predicted class's
    /// prototypes.
    Prototypes(Prototypes),
    /// Two-sided distance of the energy from its normal median.
    Energy(Energy),
    /// Sum of `-ln p` over the components.
    Composite(Composite),
}

/// `w2 . relu(w1 x + b1) + b2`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mlp {
    /// Hidden units.
    pub hidden: u32,
    /// `[hidden][inputs]`
    pub w1: BlobRef,
    /// `[hidden]`
    pub b1: BlobRef,
    /// `[hidden]`
    pub w2: BlobRef,
    /// Output bias.
    pub b2: f32,
}

/// `|L (x - mean_c)|^2`, L lower triangular.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gaussian {
    /// `[groups][inputs]`, of standardised inputs.
    pub means: BlobRef,
    /// L by rows: 1, 2, .. `inputs` entries.
    pub whitening: BlobRef,
}

/// Unit vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prototypes {
    /// Prototypes of each class.
    pub per_class: u32,
    /// `[groups][per_class][penultimate]`
    pub vectors: BlobRef,
}

/// `(median - e) * below` under the median, `(e - median) * above` over it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// Median energy (logsumexp of the logits) of normal frames.
    pub median: f32,
    /// One over the lower side's scale.
    pub below: f32,
    /// One over the upper side's scale.
    pub above: f32,
}

/// Components of the sum; each has its own table, read with linear interpolation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Composite {
    /// The inputs against their normal distribution.
    pub gaussian: Option<(Gaussian, Table)>,
    /// The penultimate vector against its class.
    pub prototypes: Option<(Prototypes, Table)>,
    /// Energy, two-sided.
    pub energy: Option<(Energy, Table)>,
    /// Minus the logarithm of the largest softmax probability.
    pub confidence: Option<Table>,
}

/// Why a frame looks anomalous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The picture itself is unusable (pre-checks).
    Sensor,
    /// The input is unlike the normal ones.
    Shift,
    /// The classifier is likely wrong.
    Doubt,
}

/// What the detector says of one frame; all values are finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Larger is more anomalous.
    pub score: f32,
    /// Share of normal frames that score at least this high, never below what the table can
    /// support.
    pub p_value: f32,
    /// What speaks most against the frame.
    pub reason: Reason,
    /// Index of the largest logit (of a single logit: 1 above zero).
    pub class: u32,
}

/// Why there is no judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// A feature slice or the scratch has another length than the detector needs.
    Length,
    /// A squared gradient norm is NaN or infinite.
    Norm(u32),
    /// A squared activation norm is NaN or infinite.
    Activation(u32),
    /// A logit is NaN or infinite.
    Logit(u32),
    /// A penultimate value is NaN or infinite.
    Penultimate(u32),
    /// A value between features and score is NaN or infinite.
    Intermediate,
    /// The score is NaN or infinite.
    Score,
    /// An alignment is NaN or infinite.
    Alignment(u32),
}

/// A detector that does not fit its bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectorError {
    /// No inputs, or inputs of an unknown kind.
    Inputs,
    /// Fitted for other numbers of features than the network gives.
    Shape,
    /// The named array has another length than the shape asks for, or lies outside the blobs.
    Array(&'static str),
    /// The named array or number is NaN, infinite or out of its range.
    Value(&'static str),
    /// A composite without components.
    Empty,
}

/// Lengths of `x`, and of what a head needs besides, in f32 elements.
impl Detector {
    /// Scratch that evaluation needs, in f32 elements; `None` beyond [`LENGTH_LIMIT`].
    pub fn scratch_elements(&self) -> Option<usize> {
        let inputs = self.shape.inputs(self.inputs)?;
        let extra = match &self.head {
            Head::Mlp(mlp) => mlp.hidden,
            Head::Gaussian(_) | Head::Composite(_) => inputs,
            Head::Prototypes(_) | Head::Energy(_) => 0,
        };
        let total = inputs.checked_add(extra)?;
        (total <= 2 * LENGTH_LIMIT).then_some(total as usize)
    }
}
