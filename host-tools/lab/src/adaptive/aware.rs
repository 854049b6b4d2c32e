//! White-box attacks on classifier and detector together.
//!
//! Sources: selective and orthogonal projected gradient descent of Bryniarski et al. 2021
//! (arXiv 2106.15023). An image of which the class is still right moves away from the class; a
//! misclassified one moves down the detector's score. Kept is the misclassified image of the
//! lowest score, as a device computes it. Gradients are taken at the rounded image, as if rounding
//! were not there (straight through).

use crate::attack::loss::{argmax, cross_entropy_direction, margin};
use crate::error::LabError;

use super::context::{Attacked, Context, Found, Keeper};

impl Context<'_> {
    /// Attacks a detector; ends as soon as the image passes at every rate.
    pub fn attack_aware(
        &self,
        attacked: Attacked<'_>,
        detector: usize,
        orthogonal: bool,
    ) -> Result<Found, LabError> {
        let (slope, label) = (self.slopes[detector], attacked.label);
        let enough = f64::from(self.detectors[detector].strictest());
        let mut keeper = Keeper::new(self, attacked);
        for restart in 0..self.options.restarts {
            let mut image = attacked.ball.start(restart, self.options.seed, attacked.index());
            let mut best = f64::INFINITY;
            for step in 0..=self.options.steps {
                let shown = attacked.ball.shown(&image);
                let seen = self.engines.see(&shown)?;
                let score = slope.score(&seen);
                let last = step == self.options.steps;
                let wrong = argmax(&seen.logits) != label;
                if last || (wrong && (score.value < best || score.value <= enough)) {
                    best = best.min(score.value);
                    let key = keeper.offer(&shown, |judged| key(judged.scores[detector]))?;
                    if last || key.is_some_and(|key| key <= enough) {
                        break;
                    }
                }
                let crossed = margin(&seen.logits, label) < -self.options.margin;
                let mut descent = Vec::new();
                if !crossed || orthogonal {
                    descent.push(self.towards_class(&shown, &seen.logits, label)?);
                }
                if crossed || orthogonal {
                    let gradient = slope.gradient(self.engines, &shown, &seen, &score)?;
                    descent.insert(0, gradient);
                }
                let direction = match &mut descent[..] {
                    [score, class] if crossed => without(score, class),
                    [score, class] => without(class, score),
                    [one] => one,
                    _ => unreachable!("one or two directions"),
                };
                let length = self.options.step_share(step) * attacked.ball.eps;
                attacked.ball.descend(&mut image, direction, length);
            }
            if keeper.passes(detector, enough) {
                break;
            }
        }
        keeper.finish()
    }

    /// Direction in the pixels along which the class becomes more likely.
    fn towards_class(
        &self,
        image: &[f32],
        logits: &[f32],
        label: usize,
    ) -> Result<Vec<f32>, LabError> {
        let mut cotangent = vec![0.0; logits.len()];
        cross_entropy_direction(logits, label, &mut cotangent);
        cotangent.iter_mut().for_each(|x| *x = -*x);
        self.engines.slope(image, &cotangent)
    }
}

/// A missing score never passes.
pub(crate) fn key(score: Option<f32>) -> f64 {
    score.map_or(f64::MAX, f64::from)
}

/// `direction` without its part along `other`.
fn without<'d>(direction: &'d mut [f32], other: &[f32]) -> &'d [f32] {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let square = dot(other, other);
    if square > 0.0 {
        let share = dot(direction, other) / square;
        for (x, &o) in direction.iter_mut().zip(other) {
            *x = (f64::from(*x) - share * f64::from(o)) as f32;
        }
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_orthogonal() {
        let mut direction = [3.0, 4.0, 1.0];
        let left = without(&mut direction, &[0.0, 2.0, 0.0]);
        assert_eq!(left, [3.0, 0.0, 1.0]);
        let mut direction = [3.0, 4.0, 1.0];
        assert_eq!(without(&mut direction, &[0.0; 3]), [3.0, 4.0, 1.0]);
        assert!(key(None) > key(Some(f32::MAX)));
    }
}
