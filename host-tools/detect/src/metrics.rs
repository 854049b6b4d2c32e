//! How well scores tell anomalous frames from normal ones. Larger scores are more anomalous.
//!
//! One sort, one curve of exact integer counts, every figure from it:
//!
//! - **Ties.** Equal scores are one step of the curve, so no figure depends on the order of frames;
//!   -0 equals 0. A pair that ties counts half in the AUROC. [`Counts`] says how many pairs tie.
//! - **Interpolation.** AUROC is the trapezoid under the ROC curve. AUPR is the step sum (average
//!   precision), not the trapezoid, which invents precision between far steps. FPR95 and TNR95 are
//!   read at a step of the curve, the first that reaches 95 %, never between two.
//! - **Class balance.** AUPR and plain accuracy depend on the mixture of the two sets: compare them
//!   only at equal prevalence, which stands beside them. The others do not.
//! - **Positive class.** The anomalous frames, but for `aupr_normal` and `tnr95`.
//!
//! [`DEFINITIONS`] holds the rule of each figure for printing; [`Convention`] holds the rules of
//! published code. Scores are `f32` or `f64`; NaN, an infinity or an empty set is an error.

mod bootstrap;
mod convention;
mod curve;
mod error;
mod figures;
mod folds;
mod hanley_mcneil;
mod resampled;
mod side;
mod sources;

pub use bootstrap::{Interval, auroc_difference, auroc_interval};
pub use convention::Convention;
pub use curve::{Curve, RocPoint, Step};
pub use error::{Kind, MetricsError};
pub use figures::{AtThreshold, Counts, DEFINITIONS, Definition, Figures};
pub use folds::Fold;
pub use hanley_mcneil::{hanley_mcneil, hanley_mcneil_interval};
pub use resampled::Resampled;
pub use sources::{Resampling, Scored};

/// Probability that an anomalous frame scores above a normal one, ties counting half.
///
/// # Errors
/// A set is empty, a score is not finite.
pub fn auroc<S: Copy + Into<f64>>(normal: &[S], anomalous: &[S]) -> Result<f64, MetricsError> {
    Ok(Curve::new(normal, anomalous)?.auroc())
}

/// Share of scores above the threshold.
pub fn share_above(scores: &[f32], threshold: f32) -> f64 {
    scores.iter().filter(|score| **score > threshold).count() as f64 / scores.len() as f64
}
