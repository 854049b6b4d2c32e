//! Attacks that know no detector, but what normal images look like: steps by signs in the logits.

use crate::attack::loss::{argmax, cross_entropy_direction, margin, runner_up};
use crate::error::LabError;
use crate::random::Random;

use super::context::{Attacked, Context, Found, Keeper};
use super::score::{energy, softmax};

/// What the logits shall become.
pub(crate) enum Objective {
    /// The image's class leads by minus kappa.
    Margin(f64),
    /// Misclassified by `margin` at least, and of this energy.
    Energy {
        /// In logits.
        margin: f64,
        /// Energy.
        wanted: f64,
    },
    /// These.
    Logits(Vec<f32>),
}

impl Objective {
    /// How far away the logits are.
    fn distance(&self, logits: &[f32], class: usize) -> f64 {
        match self {
            Objective::Margin(kappa) => (margin(logits, class) + kappa).abs(),
            Objective::Energy { wanted, .. } => (energy(logits) - wanted).abs(),
            Objective::Logits(wanted) => {
                let pairs = logits.iter().zip(wanted);
                pairs.map(|(&z, &w)| f64::from(z - w).powi(2)).sum::<f64>().sqrt()
            }
        }
    }

    /// A distance at which there is nothing left to do.
    fn near(&self) -> f64 {
        match self {
            Objective::Margin(kappa) => 0.02 * (1.0 + kappa),
            Objective::Energy { .. } => 0.02,
            Objective::Logits(_) => 0.1,
        }
    }

    /// A direction in the logits along which the distance grows.
    fn ascent(&self, logits: &[f32], class: usize) -> Vec<f32> {
        let mut direction = vec![0.0; logits.len()];
        match self {
            Objective::Margin(kappa) => {
                let sign = if margin(logits, class) + kappa > 0.0 { 1.0 } else { -1.0 };
                direction[class] = sign;
                direction[runner_up(logits, class)] = -sign;
            }
            Objective::Energy { margin: least, .. } if margin(logits, class) >= -least => {
                cross_entropy_direction(logits, class, &mut direction);
                direction.iter_mut().for_each(|x| *x = -*x);
            }
            Objective::Energy { wanted, .. } => {
                let sign = if energy(logits) > *wanted { 1.0 } else { -1.0 };
                direction = softmax(logits).iter().map(|share| (sign * share) as f32).collect();
            }
            Objective::Logits(wanted) => {
                let pairs = logits.iter().zip(wanted);
                direction = pairs.map(|(z, w)| z - w).collect();
            }
        }
        direction
    }
}

impl Context<'_> {
    /// Logits of a normal image of the class that comes second for this one; of the next class
    /// where there is no such image. `None` without normal images of other classes.
    pub fn other_logits(&self, logits: &[f32], attacked: &Attacked<'_>) -> Option<Vec<f32>> {
        let mut order: Vec<usize> = (0..logits.len()).filter(|&at| at != attacked.label).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let pool = order.iter().map(|&class| &self.normal.logits[class]).find(|p| !p.is_empty())?;
        let mut random = Random::new(self.options.seed, "target", attacked.index());
        Some(pool[random.below(pool.len())].clone())
    }

    /// The image whose logits come nearest to the objective, among the misclassified ones.
    pub fn match_logits(
        &self,
        attacked: Attacked<'_>,
        objective: &Objective,
    ) -> Result<Found, LabError> {
        let class = attacked.label;
        let mut keeper = Keeper::new(self, attacked);
        for restart in 0..self.options.restarts {
            let mut image = attacked.ball.start(restart, self.options.seed, attacked.index());
            let mut best = f64::INFINITY;
            for step in 0..=self.options.steps {
                let shown = attacked.ball.shown(&image);
                let logits = self.engines.logits(&shown)?;
                let distance = objective.distance(&logits, class);
                let last = step == self.options.steps;
                if last || (argmax(&logits) != class && distance < best) {
                    best = distance;
                    let key =
                        keeper.offer(&shown, |judged| objective.distance(&judged.logits, class))?;
                    if last || key.is_some_and(|key| key <= objective.near()) {
                        break;
                    }
                }
                let ascent = objective.ascent(&logits, class);
                let gradient = self.engines.slope(&shown, &ascent)?;
                let length = self.options.step_share(step) * attacked.ball.eps;
                attacked.ball.descend(&mut image, &gradient, length);
            }
        }
        keeper.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_lead_away_from_the_objective() {
        let logits = [1.0, 2.0, -0.5];
        let objectives = [
            Objective::Margin(3.0),
            Objective::Margin(0.5),
            Objective::Energy { margin: 0.1, wanted: 1.0 },
            Objective::Energy { margin: 0.1, wanted: 9.0 },
            Objective::Logits(vec![3.0, 0.0, 0.0]),
        ];
        for class in [0, 1] {
            for (at, objective) in objectives.iter().enumerate() {
                if class == 1 && matches!(objective, Objective::Energy { .. }) {
                    continue;
                }
                let ascent = objective.ascent(&logits, class);
                let moved = |by: f32| -> Vec<f32> {
                    logits.iter().zip(&ascent).map(|(z, d)| z + by * d).collect()
                };
                let distance = |by| objective.distance(&moved(by), class);
                assert!(distance(1e-2) > distance(-1e-2), "{at} of class {class}");
            }
        }
    }

    #[test]
    fn an_image_that_is_still_right_goes_away_from_its_class_first() {
        let objective = Objective::Energy { margin: 0.1, wanted: 1.0 };
        let ascent = objective.ascent(&[1.0, 2.0, -0.5], 1);
        assert!(ascent[1] > 0.0 && ascent[0] < 0.0, "{ascent:?}");
    }
}
