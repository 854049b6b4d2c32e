//! AUROC over several anomalous sets at once, with its bootstrap draws kept: two scorings of the
//! same frames are compared draw by draw.

use super::bootstrap::{Interval, percentiles, weighted};
use super::error::MetricsError;
use super::side::Weights;
use super::sources::{Resampling, Scored, Sets};

/// A mean AUROC with what resampled sources make of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resampled {
    /// Mean over the anomalous sets, on all frames.
    pub value: f64,
    /// The same on each draw; equal sources, seed and number of draws give equal draws.
    draws: Vec<f64>,
}

impl Resampled {
    /// Mean AUROC of `normal` against each of `anomalous`.
    ///
    /// # Errors
    /// A set is empty or there is none, a score is not finite, a score without source, a
    /// confidence outside 0..1.
    pub fn new<S: Copy + Into<f64>>(
        normal: Scored<'_, S>,
        anomalous: &[Scored<'_, S>],
        how: &Resampling,
    ) -> Result<Resampled, MetricsError> {
        let sets = Sets::new(normal, anomalous, how)?;
        let mean = |weights: Weights<'_>| {
            let each = |set| weighted(&sets.normal, set, weights);
            sets.anomalous.iter().map(each).sum::<f64>() / sets.anomalous.len() as f64
        };
        Ok(Resampled { value: mean(None), draws: sets.draws("resampled", mean) })
    }

    /// A value with its draws.
    pub(super) fn of(value: f64, draws: Vec<f64>) -> Resampled {
        Resampled { value, draws }
    }

    /// Percentile interval.
    pub fn interval(&self, confidence: f64) -> Interval {
        percentiles(self.value, self.draws.clone(), confidence)
    }

    /// How much larger this is than another, paired; both over the same frames, draws and seed.
    /// [`auroc_difference`](super::auroc_difference) sees to that itself.
    pub fn minus(&self, other: &Resampled, confidence: f64) -> Interval {
        let pairs = self.draws.iter().zip(&other.draws);
        percentiles(self.value - other.value, pairs.map(|(a, b)| a - b).collect(), confidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{auroc, auroc_interval};
    use crate::random::Random;

    const HOW: Resampling = Resampling { resamples: 500, confidence: 0.95, seed: 7, twins: false };

    type Owned = (Vec<f32>, Vec<i64>);

    fn drawn(n: usize, shift: f64, seed: u64) -> Owned {
        let mut random = Random::new(seed, "scored");
        let scores = (0..n).map(|_| (shift + random.normal()) as f32);
        (scores.collect(), (0..n as i64).collect())
    }

    fn scored(owned: &Owned) -> Scored<'_> {
        Scored { scores: &owned.0, sources: &owned.1 }
    }

    #[test]
    fn the_value_is_the_mean_of_plain_aurocs() {
        let (normal, near, far) = (drawn(80, 0.0, 1), drawn(50, 0.5, 2), drawn(70, 2.0, 3));
        let plain = |other: &Owned| auroc(&normal.0, &other.0).unwrap();
        let wanted = (plain(&near) + plain(&far)) / 2.0;
        let got = Resampled::new(scored(&normal), &[scored(&near), scored(&far)], &HOW).unwrap();
        assert!((got.value - wanted).abs() < 1e-12);
    }

    #[test]
    fn one_source_has_the_usual_interval() {
        let (normal, other) = (drawn(200, 0.0, 1), drawn(200, 1.0, 2));
        let how = Resampling { resamples: 2_000, ..HOW };
        let got = Resampled::new(scored(&normal), &[scored(&other)], &how).unwrap();
        let got = got.interval(0.95);
        let wanted = auroc_interval(scored(&normal), scored(&other), &how).unwrap();
        // Other draws of the same distribution: ends agree within a tenth of the width.
        assert!((got.low - wanted.low).abs() < 0.1 * (wanted.high - wanted.low));
        assert!((got.high - wanted.high).abs() < 0.1 * (wanted.high - wanted.low));
    }

    #[test]
    fn pairing_sees_what_intervals_hide() {
        let (normal, other) = (drawn(200, 0.0, 1), drawn(200, 1.0, 2));
        // The same scores with the anomalous ones a little higher.
        let raised: Owned = (other.0.iter().map(|s| s + 0.2).collect(), other.1.clone());
        let of = |set: &Owned| Resampled::new(scored(&normal), &[scored(set)], &HOW).unwrap();
        let (base, better) = (of(&other), of(&raised));
        assert!(better.interval(0.95).low < base.interval(0.95).high);
        assert!(better.minus(&base, 0.95).low > 0.0);
        let same = base.minus(&base, 0.95);
        assert_eq!((same.low, same.value, same.high), (0.0, 0.0, 0.0));
        assert_eq!(Resampled::new(scored(&normal), &[], &HOW), Err(MetricsError::NoSets));
    }
}
