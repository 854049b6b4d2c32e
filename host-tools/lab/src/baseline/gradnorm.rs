//! GradNorm (Huang, Geng and Li, 2021).

use serde::{Deserialize, Serialize};

use crate::baseline::msp::softmax;
use crate::baseline::{Baseline, FitData, LabelBudget, Observed};
use crate::error::LabError;

/// The L1 norm of the last weight's gradient for a uniform target, its sign turned: the source
/// expects larger gradients from normal images.
///
/// The target is 1 for each of N classes, as in the source, so a logit's cotangent is `N p - 1`,
/// the weight's gradient is its product with the penultimate vector h, and the norm is
/// `|h|_1 * sum |N p - 1|`: no backward pass is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradNorm {}

impl Baseline for GradNorm {
    fn name(&self) -> &'static str {
        "gradnorm"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::None
    }

    fn fit(&mut self, _: &FitData<'_>) -> Result<(), LabError> {
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let (features, logits) = (queries.penultimate()?, queries.logits()?);
        let score = |(feature, logits): (&[f64], &[f64])| -l1(feature) * l1(&cotangent(logits));
        Ok(features.iter().zip(logits.iter()).map(score).collect())
    }
}

fn l1(values: &[f64]) -> f64 {
    values.iter().map(|x| x.abs()).sum()
}

fn cotangent(logits: &[f64]) -> Vec<f64> {
    let classes = logits.len() as f64;
    softmax(logits, 1.0).into_iter().map(|p| classes * p - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cotangent_is_the_slope_of_the_loss() {
        let logits = [0.5, -1.0, 2.0];
        let loss = |logits: &[f64]| -softmax(logits, 1.0).iter().map(|p| p.ln()).sum::<f64>();
        for (class, slope) in cotangent(&logits).into_iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = logits;
                moved[class] += by;
                loss(&moved)
            };
            assert!((slope - (moved(1e-5) - moved(-1e-5)) / 2e-5).abs() < 1e-8, "{class}");
        }
        assert_eq!(l1(&[1.0, -2.0, 0.5]), 3.5);
    }
}
