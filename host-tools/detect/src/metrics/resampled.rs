//! AUROC over several anomalous sources at once, with its bootstrap draws kept: two scorings of the
//! same frames are compared draw by draw, which is far sharper than comparing their intervals.

use super::bootstrap::{Clusters, Interval, weighted};
use crate::random::Random;

/// Scores of frames with the source of each.
pub type Scored = (Vec<f32>, Vec<i64>);

/// A mean AUROC with what resampled sources make of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resampled {
    /// Mean over the anomalous sources, on all frames.
    pub value: f64,
    /// The same on each draw; equal frames and seed give equal draws.
    draws: Vec<f64>,
}

impl Resampled {
    /// Mean AUROC of `normal` against each of `anomalous`; `None` when a set is empty.
    pub fn new(
        normal: &Scored,
        anomalous: &[Scored],
        resamples: usize,
        seed: u64,
    ) -> Option<Resampled> {
        let normal = Clusters::new(&normal.0, &normal.1);
        let anomalous: Vec<Clusters> =
            anomalous.iter().map(|(scores, source)| Clusters::new(scores, source)).collect();
        let empty = anomalous.iter().any(|set| set.sources == 0);
        if normal.sources == 0 || anomalous.is_empty() || empty {
            return None;
        }
        let mean = |ours: &[u32], theirs: &mut dyn FnMut(&Clusters) -> Vec<u32>| {
            let each = |set: &Clusters| weighted(&normal, set, [ours, &theirs(set)]);
            anomalous.iter().map(each).sum::<f64>() / anomalous.len() as f64
        };
        let value = mean(&vec![1; normal.sources], &mut |set| vec![1; set.sources]);
        let mut random = Random::new(seed, "resampled");
        let draws = (0..resamples).map(|_| {
            let ours = normal.draw(&mut random);
            mean(&ours, &mut |set| set.draw(&mut random))
        });
        Some(Resampled { value, draws: draws.collect() })
    }

    /// Percentile interval.
    pub fn interval(&self, confidence: f64) -> Interval {
        percentiles(self.value, self.draws.clone(), confidence)
    }

    /// How much larger this is than another, paired; both over the same frames, draws and seed.
    pub fn minus(&self, other: &Resampled, confidence: f64) -> Interval {
        let pairs = self.draws.iter().zip(&other.draws);
        percentiles(self.value - other.value, pairs.map(|(a, b)| a - b).collect(), confidence)
    }
}

fn percentiles(value: f64, mut draws: Vec<f64>, confidence: f64) -> Interval {
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| match draws.len() {
        0 => value,
        n => draws[((share * n as f64) as usize).min(n - 1)],
    };
    let tail = (1.0 - confidence) / 2.0;
    Interval { value, low: at(tail), high: at(1.0 - tail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{auroc, auroc_interval};

    fn scored(n: usize, shift: f64, seed: u64) -> Scored {
        let mut random = Random::new(seed, "scored");
        let scores = (0..n).map(|_| (shift + random.normal()) as f32);
        (scores.collect(), (0..n as i64).collect())
    }

    #[test]
    fn the_value_is_the_mean_of_plain_aurocs() {
        let (normal, near, far) = (scored(80, 0.0, 1), scored(50, 0.5, 2), scored(70, 2.0, 3));
        let wanted = (auroc(&normal.0, &near.0) + auroc(&normal.0, &far.0)) / 2.0;
        let got = Resampled::new(&normal, &[near, far], 10, 1).unwrap();
        assert!((got.value - wanted).abs() < 1e-12);
    }

    #[test]
    fn one_source_has_the_usual_interval() {
        let (normal, other) = (scored(200, 0.0, 1), scored(200, 1.0, 2));
        let got = Resampled::new(&normal, std::slice::from_ref(&other), 2_000, 1).unwrap();
        let got = got.interval(0.95);
        let wanted =
            auroc_interval((&normal.0, &normal.1), (&other.0, &other.1), 2_000, 0.95, 1).unwrap();
        // Other draws of the same distribution: ends agree within a tenth of the width.
        assert!((got.low - wanted.low).abs() < 0.1 * (wanted.high - wanted.low));
        assert!((got.high - wanted.high).abs() < 0.1 * (wanted.high - wanted.low));
    }

    #[test]
    fn pairing_sees_what_intervals_hide() {
        let (normal, other) = (scored(200, 0.0, 1), scored(200, 1.0, 2));
        // The same scores with the anomalous ones a little higher.
        let raised: Scored = (other.0.iter().map(|s| s + 0.2).collect(), other.1.clone());
        let base = Resampled::new(&normal, &[other], 500, 7).unwrap();
        let better = Resampled::new(&normal, &[raised], 500, 7).unwrap();
        assert!(better.interval(0.95).low < base.interval(0.95).high);
        assert!(better.minus(&base, 0.95).low > 0.0);
        let same = base.minus(&base, 0.95);
        assert_eq!((same.low, same.value, same.high), (0.0, 0.0, 0.0));
        assert!(Resampled::new(&normal, &[], 10, 1).is_none());
    }
}
