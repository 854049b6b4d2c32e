//! Plain detectors that cost next to nothing: where one of them wins, ours has to be told so.

use gradgate_engine::detector::energy;

use crate::DetectError;
use crate::heads::Scaling;
use crate::image_statistics::NAMES;
use crate::linear::{cholesky, invert_lower, shrunk_covariance, triangle};

const COLUMNS: usize = NAMES.len();

/// The largest probability of the classes, or of both sides of a single logit; one minus it is the
/// score of maximum softmax.
pub fn largest_probability(logits: &[f32]) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    match logits {
        [logit] => (-energy(&[-logit.abs(), 0.0])).exp(),
        _ => (largest - energy(logits)).exp(),
    }
}

/// Statistics of normal pictures as one Gaussian.
#[derive(Clone, Debug)]
pub struct StatisticsGaussian {
    scaling: Scaling,
    /// Inverse of the covariance's Cholesky factor, rows of a triangle.
    whitening: Vec<f64>,
}

impl StatisticsGaussian {
    /// Mean, deviation and shrunk covariance of `[n][10]` statistics.
    ///
    /// # Errors
    /// Pictures that are all alike, or none.
    pub fn fit(rows: &[f32]) -> Result<StatisticsGaussian, DetectError> {
        let scaling = Scaling::fit(rows, COLUMNS);
        let mut rows = rows.to_vec();
        scaling.apply(&mut rows);
        let rows: Vec<f64> = rows.into_iter().map(f64::from).collect();
        let (covariance, _) = shrunk_covariance(&rows, COLUMNS);
        let factor = cholesky(&covariance, COLUMNS).ok_or_else(|| {
            DetectError::Data("the training frames are all alike; give more frames".into())
        })?;
        Ok(StatisticsGaussian { scaling, whitening: invert_lower(&factor, COLUMNS) })
    }

    /// Squared Mahalanobis distances of `[n][10]` statistics; larger is more anomalous.
    pub fn scores(&self, rows: &[f32]) -> Vec<f32> {
        let mut rows = rows.to_vec();
        self.scaling.apply(&mut rows);
        rows.chunks_exact(COLUMNS).map(|row| self.distance(row)).collect()
    }

    /// Squared length after whitening.
    fn distance(&self, row: &[f32]) -> f32 {
        let component = |i: usize| {
            let weights = &self.whitening[triangle(i, 0)..=triangle(i, i)];
            weights.iter().zip(row).map(|(weight, value)| weight * f64::from(*value)).sum::<f64>()
        };
        (0..COLUMNS).map(|i| component(i).powi(2)).sum::<f64>() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_by_table() {
        let cases: [(&[f32], f32); 4] = [
            (&[0.0, 0.0], 0.5),
            (&[1.0, 1.0, 1.0, 1.0], 0.25),
            (&[0.0], 0.5),
            // sigmoid(2) = 0.880797 on either side.
            (&[-2.0], 0.880_797),
        ];
        for (logits, wanted) in cases {
            assert!((largest_probability(logits) - wanted).abs() < 1e-6, "{logits:?}");
        }
    }

    #[test]
    fn a_gaussian_scores_what_it_was_fitted_on_by_its_dimension() {
        let mut random = crate::random::Random::new(5, "statistics");
        let mut rows: Vec<f32> = vec![];
        for _ in 0..4_000 {
            let common = random.normal();
            rows.extend((0..COLUMNS).map(|at| (at as f64 + common + 0.3 * random.normal()) as f32));
        }
        let gaussian = StatisticsGaussian::fit(&rows).unwrap();
        let mean = gaussian.scores(&rows).iter().sum::<f32>() / 4_000.0;
        assert!((mean - 10.0).abs() < 1.0, "{mean}");
        let mut odd = rows[..COLUMNS].to_vec();
        odd[3] += 4.0;
        assert!(gaussian.scores(&odd)[0] > 50.0);
        assert!(StatisticsGaussian::fit(&[1.0; 9 * COLUMNS]).is_err());
    }
}
