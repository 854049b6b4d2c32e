//! ODIN (Liang, Li and Srikant, 2018): temperature, and a step towards the predicted class.

use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::baseline::energy::check_temperature;
use crate::baseline::msp::{argmax, doubt, softmax};
use crate::baseline::observed::rows_of;
use crate::baseline::select::{Criterion, best_of};
use crate::baseline::step::Direction;
use crate::baseline::{Baseline, FitData, LabelBudget, Observed};
use crate::error::LabError;

/// One choice of its two options.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What logits are divided by.
    pub temperature: f64,
    /// Length of the step in units of pixels 0..1. The sources step in normalised pixels and divide
    /// by the standard deviation of the channel, which is the same step.
    pub epsilon: f64,
}

/// The published choice for CIFAR-10 and sets of resized images.
pub const FIXED: Setting = Setting { temperature: 1000.0, epsilon: 0.0014 };

/// `1 - max softmax(z(x') / T)` at `x' = x - epsilon * sign(gradient of the loss)`, where the loss
/// is the cross-entropy of `z(x) / T` and the predicted class.
///
/// The sign of a gradient of zero is +1, and `x'` is not clipped, as in the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Odin {
    /// Temperatures to choose from; default those of Lee et al. (2018).
    pub temperatures: Vec<f64>,
    /// Steps to choose from; default those of Lee et al. (2018).
    pub epsilons: Vec<f64>,
    /// What they are chosen by.
    pub criterion: Criterion,
    /// What is used: [`FIXED`] until a fit on anomalous images chooses.
    pub setting: Setting,
    /// Whether a fit chose it.
    pub chosen: bool,
}

impl Default for Odin {
    fn default() -> Self {
        Self {
            temperatures: vec![1.0, 10.0, 100.0, 1000.0],
            epsilons: vec![0.0, 0.0005, 0.001, 0.0014, 0.002, 0.0024, 0.005, 0.01, 0.05, 0.1, 0.2],
            criterion: Criterion::Tnr95,
            setting: FIXED,
            chosen: false,
        }
    }
}

impl Baseline for Odin {
    fn name(&self) -> &'static str {
        "odin"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::PerSet
    }

    /// Chooses on all contrasts together; without one, [`FIXED`] stays.
    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        (self.setting, self.chosen) = (FIXED, false);
        let contrasts = data.contrasts();
        if contrasts.is_empty() {
            return Ok(());
        }
        let grid: Vec<Setting> = self
            .temperatures
            .iter()
            .flat_map(|&temperature| {
                self.epsilons.iter().map(move |&epsilon| Setting { temperature, epsilon })
            })
            .collect();
        let mut sides = Vec::new();
        for contrast in &contrasts {
            sides.extend([Side::new(contrast.normal), Side::new(contrast.anomalous)]);
        }
        self.setting = best_of("odin", &grid, |setting| {
            let mut scores = [Vec::new(), Vec::new()];
            for (index, side) in sides.iter_mut().enumerate() {
                scores[index % 2].extend(side.scores(*setting)?);
            }
            self.criterion.measure(&scores[0], &scores[1])
        })?
        .0;
        self.chosen = true;
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        Side::new(queries).scores(self.setting)
    }

    fn notes(&self) -> Vec<String> {
        let Setting { temperature, epsilon } = self.setting;
        let how = if self.chosen { "chosen on the set" } else { "fixed" };
        vec![format!("T {temperature}, epsilon {epsilon}, {how}")]
    }
}

/// Images whose gradient is computed once a temperature.
struct Side<'a> {
    queries: &'a Observed<'a>,
    direction: Option<(f64, Direction)>,
}

impl<'a> Side<'a> {
    fn new(queries: &'a Observed<'a>) -> Self {
        Self { queries, direction: None }
    }

    fn scores(&mut self, setting: Setting) -> Result<Vec<f64>, LabError> {
        let Setting { temperature, epsilon } = setting;
        check_temperature("odin", temperature)?;
        let queries = self.queries;
        if epsilon == 0.0 {
            return Ok(queries.logits()?.map(|logits| doubt(logits, temperature)));
        }
        let direction = match self.direction.take() {
            Some((known, direction)) if known == temperature => direction,
            _ => direction(queries, temperature)?,
        };
        let stepped = direction.step(queries.images(), epsilon)?;
        self.direction = Some((temperature, direction));
        let logits = [queries.layers().logits];
        let rows = rows_of(queries.classifier(), &stepped, &logits)?.swap_remove(0);
        Ok(rows.map(|logits| doubt(logits, temperature)))
    }
}

fn direction(queries: &Observed<'_>, temperature: f64) -> Result<Direction, LabError> {
    let logits = [queries.layers().logits];
    let gradient = queries.classifier().gradient(queries.images(), &logits, &mut |values| {
        vec![cotangent(&values[0], temperature)]
    })?;
    Direction::of(&gradient.images)
}

/// T times the gradient of the loss by the logits: only its sign is used, and 1/T would take digits
/// from small gradients.
fn cotangent(logits: &Array, temperature: f64) -> Array {
    let mut cotangent = Array::zeros(logits.shape());
    for frame in 0..logits.frames() {
        let wide: Vec<f64> = logits.frame(frame).iter().map(|&x| f64::from(x)).collect();
        let best = argmax(&wide);
        let target = cotangent.frame_mut(frame);
        for (class, p) in softmax(&wide, temperature).into_iter().enumerate() {
            target[class] = (p - f64::from(u8::from(class == best))) as f32;
        }
    }
    cotangent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cotangent_lowers_the_loss_of_the_predicted_class() {
        let cotangent = cotangent(&Array::new([2, 2], vec![0.0, 3f32.ln(), 1.0, 1.0]), 1.0);
        let wanted = [0.25, -0.25, -0.5, 0.5];
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(cotangent.data().iter().zip(&wanted).all(close), "{cotangent:?}");
    }
}
