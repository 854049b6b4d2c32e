//! Energy of the logits (Liu et al., 2020).

use serde::{Deserialize, Serialize};

use crate::baseline::msp::argmax;
use crate::baseline::{Baseline, FitData, LabelBudget, Observed};
use crate::error::LabError;

/// `-T log(sum(exp(z / T)))`, which is high for anomalous images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Energy {
    /// T; the source uses 1.
    pub temperature: f64,
}

impl Default for Energy {
    fn default() -> Self {
        Self { temperature: 1.0 }
    }
}

impl Baseline for Energy {
    fn name(&self) -> &'static str {
        "energy"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::None
    }

    fn fit(&mut self, _: &FitData<'_>) -> Result<(), LabError> {
        check_temperature("energy", self.temperature)
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        check_temperature("energy", self.temperature)?;
        Ok(queries.logits()?.map(|logits| -log_sum_exp(logits, self.temperature)))
    }
}

/// Refuses a temperature that divides logits into nothing.
pub(crate) fn check_temperature(method: &str, temperature: f64) -> Result<(), LabError> {
    if temperature > 0.0 && temperature.is_finite() {
        return Ok(());
    }
    Err(LabError::Options(format!("{method}: temperature {temperature}; it is above 0")))
}

/// `T log(sum(exp(z / T)))`
pub fn log_sum_exp(logits: &[f64], temperature: f64) -> f64 {
    let largest = logits[argmax(logits)];
    let sum: f64 = logits.iter().map(|logit| ((logit - largest) / temperature).exp()).sum();
    largest + temperature * sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_sum_exp_is_the_formula_and_does_not_overflow() {
        let wanted = 2.0 * (0.5f64.exp() + 1.5f64.exp()).ln();
        assert!((log_sum_exp(&[1.0, 3.0], 2.0) - wanted).abs() < 1e-15);
        assert!((log_sum_exp(&[1000.0, 1000.0], 1.0) - (1000.0 + 2f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn a_temperature_without_sense_is_refused() {
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(check_temperature("energy", temperature).is_err(), "{temperature}");
        }
    }
}
