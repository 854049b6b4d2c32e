//! The gradient of the detector's score along the pixels, first derivatives only.
//!
//! The score reads squared norms of parameter gradients, so its slope is a mixed second derivative
//! of the loss J: with a_l the score's derivative by the squared norm of g_l and v all a_l g_l one
//! after the other, it is `2 (d2 J / dx dtheta) v`. That is the difference of two image gradients,
//! at parameters moved along v and against it:
//! `|v| (grad J(x; theta + h v/|v|) - grad J(x; theta - h v/|v|)) / h`.
//! What the score reads of the forward pass has an ordinary gradient, which is added.

use gradgate_bundle::detector::FeatureShape;
use gradgate_detect::file::Model;

use crate::error::LabError;

use super::network::{Engines, Seen};
use super::score::{Score, score};

/// Length of the step in the parameters. Measured beside float64 differentiated twice, the cosine
/// is 0.9997 or better from 1e-3 to 1e-2, its median 0.99999; smaller steps drown in f32.
pub const PARAMETER_STEP: f64 = 1e-2;

/// A detector that can be followed downhill.
#[derive(Clone, Copy)]
pub(crate) struct Slope<'m> {
    pub model: &'m Model,
    pub shape: FeatureShape,
    /// Length of the step in the parameters.
    pub step: f64,
}

impl Slope<'_> {
    /// The score and its derivatives by the features.
    pub fn score(&self, seen: &Seen) -> Score {
        score(self.model, &self.shape, seen)
    }

    /// Gradient of the score along the pixels, where `seen` was seen.
    pub fn gradient(
        &self,
        engines: &Engines<'_>,
        pixels: &[f32],
        seen: &Seen,
        score: &Score,
    ) -> Result<Vec<f32>, LabError> {
        let mut gradient = vec![0.0; pixels.len()];
        let parts =
            [self.by_norms(engines, pixels, seen, score)?, by_forward(engines, pixels, score)?];
        for part in parts.into_iter().flatten() {
            gradient.iter_mut().zip(part).for_each(|(to, from)| *to += from);
        }
        Ok(gradient)
    }

    fn by_norms(
        &self,
        engines: &Engines<'_>,
        pixels: &[f32],
        seen: &Seen,
        score: &Score,
    ) -> Result<Option<Vec<f32>>, LabError> {
        let parts = engines.network.perturbable.as_ref().zip(engines.loss.as_ref());
        let Some((perturbable, original)) = parts else { return Ok(None) };
        let mut direction: Vec<f64> = seen.gradients.iter().map(|&g| g.into()).collect();
        for (tap, by) in engines.network.tapped.iter().zip(&score.norms) {
            direction[tap.first..][..tap.elements].iter_mut().for_each(|g| *g *= by);
        }
        let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length == 0.0 {
            return Ok(None);
        }
        let unit: Vec<f32> = direction.iter().map(|v| (v / length) as f32).collect();
        let frame = engines.network.prepared(pixels)?;
        let ends = perturbable.gradients(original, &frame, &unit, &[self.step, -self.step])?;
        let factor = length / self.step;
        let difference =
            |(up, down): (&f32, &f32)| (factor * (f64::from(*up) - f64::from(*down))) as f32;
        let slope: Vec<f32> = ends[0].iter().zip(&ends[1]).map(difference).collect();
        Ok(Some(engines.network.along_pixels(&slope)))
    }
}

fn by_forward(
    engines: &Engines<'_>,
    pixels: &[f32],
    score: &Score,
) -> Result<Option<Vec<f32>>, LabError> {
    let mut numbers: Vec<f32> = [&score.logits[..], &score.layers, &score.penultimate]
        .into_iter()
        .flatten()
        .map(|&by| by as f32)
        .collect();
    let Some(last) = numbers.iter().rposition(|&by| by != 0.0) else { return Ok(None) };
    numbers.truncate(last + 1);
    engines.slope(pixels, &numbers).map(Some)
}
