//! Maximum softmax probability (Hendrycks and Gimpel, 2017).

use serde::{Deserialize, Serialize};

use crate::baseline::{Baseline, FitData, LabelBudget, Observed};
use crate::error::LabError;

/// One minus the largest softmax probability.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Msp {}

impl Baseline for Msp {
    fn name(&self) -> &'static str {
        "msp"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::None
    }

    fn fit(&mut self, _: &FitData<'_>) -> Result<(), LabError> {
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        Ok(queries.logits()?.map(|logits| doubt(logits, 1.0)))
    }
}

/// `1 - max softmax(logits / temperature)` without cancellation, so that confident images, which
/// all have probability 1 in f32, keep their order.
pub fn doubt(logits: &[f64], temperature: f64) -> f64 {
    let best = argmax(logits);
    let weight = |class: usize| ((logits[class] - logits[best]) / temperature).exp();
    let others: f64 = (0..logits.len()).filter(|&class| class != best).map(weight).sum();
    others / (1.0 + others)
}

/// Index of the largest logit, the first of equal ones.
pub fn argmax(logits: &[f64]) -> usize {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    best
}

/// `softmax(logits / temperature)`
pub fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let largest = logits[argmax(logits)];
    let weights: Vec<f64> =
        logits.iter().map(|logit| ((logit - largest) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_is_one_minus_the_largest_probability() {
        for (logits, temperature) in
            [(vec![1.0, 2.0, 0.5], 1.0), (vec![-100.0, -99.0], 1.0), (vec![5.0, 1.0, 1.0], 1000.0)]
        {
            let largest = softmax(&logits, temperature).into_iter().fold(0.0, f64::max);
            assert!((doubt(&logits, temperature) - (1.0 - largest)).abs() < 1e-15);
        }
    }

    #[test]
    fn confident_images_keep_their_order() {
        let (surer, sure) = (doubt(&[60.0, 0.0], 1.0), doubt(&[50.0, 0.0], 1.0));
        assert!(0.0 < surer && surer < sure, "{surer} {sure}");
        assert!(doubt(&[3.0; 4], 1.0) == 0.75 && argmax(&[3.0; 4]) == 0);
    }
}
