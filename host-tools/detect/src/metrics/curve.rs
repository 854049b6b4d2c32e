//! The curve of counts over all thresholds, and every figure that is read from it.

use super::error::{Kind, MetricsError};
use super::side::{Side, Weights, merge};

/// A distinct score with the frames at or above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The score.
    pub score: f64,
    /// Normal frames scoring this or more.
    pub normal: u64,
    /// Anomalous frames scoring this or more.
    pub anomalous: u64,
}

/// A point of the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// Frames at or above it are flagged; infinite at the first point, where none is.
    pub threshold: f64,
    /// Share of normal frames flagged.
    pub fpr: f64,
    /// Share of anomalous frames flagged.
    pub tpr: f64,
}

/// The best threshold by balanced accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Best {
    pub accuracy: f64,
    /// Frames above it are flagged, as a gate would.
    pub threshold: f64,
}

/// Steps from the highest score down; the last holds all frames, some of each kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve(Vec<Step>);

/// Area under the ROC curve from its steps, in integers up to the last division.
#[derive(Default)]
pub(super) struct Area {
    twice: u128,
    last: (u64, u64),
}

impl Area {
    pub fn add(&mut self, step: Step) {
        let width = u128::from(step.normal - self.last.0);
        self.twice += width * u128::from(step.anomalous + self.last.1);
        self.last = (step.normal, step.anomalous);
    }

    pub fn share(&self) -> f64 {
        self.twice as f64 / 2.0 / (self.last.0 as f64 * self.last.1 as f64)
    }
}

/// Whether `part` is at least 95 % of `all`, without rounding.
fn reaches_95(part: u64, all: u64) -> bool {
    20 * u128::from(part) >= 19 * u128::from(all)
}

impl Curve {
    /// The curve of two sets of scores.
    ///
    /// # Errors
    /// A set is empty, a score is not finite.
    pub fn new<S: Copy + Into<f64>>(normal: &[S], anomalous: &[S]) -> Result<Curve, MetricsError> {
        let side = |kind, scores| Side::new(kind, scores, std::iter::repeat(0));
        let normal = side(Kind::Normal, normal)?;
        Ok(Curve::merged(&normal, &side(Kind::Anomalous(0), anomalous)?, None))
    }

    /// The curve with sources weighted; some frame of each kind must count.
    pub(super) fn merged(normal: &Side, anomalous: &Side, weights: Weights<'_>) -> Curve {
        let mut steps: Vec<Step> = vec![];
        merge(normal, anomalous, weights, |step| {
            let last = steps.last().map_or((0, 0), |last| (last.normal, last.anomalous));
            if last != (step.normal, step.anomalous) {
                steps.push(step);
            }
        });
        Curve(steps)
    }

    /// Its steps, from the highest score down.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Numbers of normal and of anomalous frames.
    pub fn totals(&self) -> (u64, u64) {
        self.0.last().map_or((0, 0), |step| (step.normal, step.anomalous))
    }

    /// The same frames with the kinds exchanged and the scores negated: normal frames are positive.
    pub(super) fn flipped(&self) -> Curve {
        let (normal, anomalous) = self.totals();
        let before = self.0.iter().rev().skip(1).map(|step| (step.normal, step.anomalous));
        let steps = self.0.iter().rev().zip(before.chain([(0, 0)]));
        let flip = |(step, (above, found)): (&Step, (u64, u64))| Step {
            score: 0.0 - step.score,
            normal: anomalous - found,
            anomalous: normal - above,
        };
        Curve(steps.map(flip).collect())
    }

    /// Points from (0, 0) to (1, 1), one a distinct score.
    pub fn roc(&self) -> Vec<RocPoint> {
        let (normal, anomalous) = self.totals();
        let point = |step: &Step| RocPoint {
            threshold: step.score,
            fpr: step.normal as f64 / normal as f64,
            tpr: step.anomalous as f64 / anomalous as f64,
        };
        let start = RocPoint { threshold: f64::INFINITY, fpr: 0.0, tpr: 0.0 };
        std::iter::once(start).chain(self.0.iter().map(point)).collect()
    }

    /// Area under the ROC curve.
    pub fn auroc(&self) -> f64 {
        let mut area = Area::default();
        self.0.iter().for_each(|step| area.add(*step));
        area.share()
    }

    /// Share of (normal, anomalous) pairs with equal scores.
    pub(super) fn tied_pairs(&self) -> f64 {
        let mut last = (0, 0);
        let mut pairs = 0u128;
        for step in &self.0 {
            pairs += u128::from(step.normal - last.0) * u128::from(step.anomalous - last.1);
            last = (step.normal, step.anomalous);
        }
        let (normal, anomalous) = self.totals();
        pairs as f64 / (normal as f64 * anomalous as f64)
    }

    /// Average precision with the anomalous frames positive.
    pub(super) fn average_precision(&self) -> f64 {
        // Neumaier's sum: a million small terms must not drift.
        let (mut sum, mut lost, mut last) = (0.0f64, 0.0, 0);
        for step in &self.0 {
            let precision = step.anomalous as f64 / (step.normal + step.anomalous) as f64;
            let term = (step.anomalous - last) as f64 * precision;
            let next = sum + term;
            lost += if sum >= term { (sum - next) + term } else { (term - next) + sum };
            (sum, last) = (next, step.anomalous);
        }
        (sum + lost) / self.totals().1 as f64
    }

    /// Share of normal frames flagged at the highest threshold that flags at least 95 % of the
    /// anomalous ones.
    pub(super) fn fpr95(&self) -> f64 {
        let (normal, anomalous) = self.totals();
        let enough = self.0.iter().find(|step| reaches_95(step.anomalous, anomalous));
        enough.map_or(1.0, |step| step.normal as f64 / normal as f64)
    }

    /// Best balanced accuracy over all thresholds; of equal ones the highest.
    pub(super) fn best_balanced(&self) -> Best {
        let (normal, anomalous) = self.totals();
        let margin = |step: &Step| {
            i128::from(step.anomalous) * i128::from(normal)
                - i128::from(step.normal) * i128::from(anomalous)
        };
        let mut best = (0, 0);
        for (index, step) in self.0.iter().enumerate() {
            if margin(step) > best.0 {
                best = (margin(step), index + 1);
            }
        }
        // Flagged are the first `best.1` steps. All of them gain nothing, so one is left.
        let flagged = best.1.checked_sub(1).map(|index| self.0[index]);
        let accuracy = flagged.map_or(0.5, |step| {
            balanced(share(step.anomalous, anomalous), share(step.normal, normal))
        });
        Best { accuracy, threshold: self.0[best.1].score }
    }

    /// Frames scoring above a threshold: (normal, anomalous).
    pub(super) fn above(&self, threshold: f64) -> (u64, u64) {
        let count = self.0.partition_point(|step| step.score > threshold);
        match count.checked_sub(1) {
            Some(index) => (self.0[index].normal, self.0[index].anomalous),
            None => (0, 0),
        }
    }
}

pub(super) fn share(part: u64, all: u64) -> f64 {
    part as f64 / all as f64
}

/// Mean of the shares of anomalous frames flagged and normal frames passed.
pub(super) fn balanced(tpr: f64, fpr: f64) -> f64 {
    (tpr + 1.0 - fpr) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn scores_that_mean_nothing_are_refused() {
        type Case = (&'static [f64], &'static [f64], &'static str);
        let cases: [Case; 5] = [
            (&[], &[1.0], "no normal frames"),
            (&[1.0], &[], "no anomalous frames"),
            (&[0.0, f64::NAN], &[1.0], "score 1 of the normal frames is NaN"),
            (&[0.0], &[1.0, 2.0, f64::INFINITY], "score 2 of the anomalous frames is inf"),
            (&[f64::NEG_INFINITY], &[1.0], "score 0 of the normal frames is -inf"),
        ];
        for (normal, anomalous, wanted) in cases {
            let error = Curve::new(normal, anomalous).unwrap_err().to_string();
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }

    #[test]
    fn thresholds_flag_what_the_curve_says() {
        let curve = Curve::new(&[1.0, 2.0, 3.0, 4.0], &[3.0, 5.0, 6.0]).unwrap();
        // Above 2: 3 and 4 of the normal frames, all of the anomalous ones.
        let cases = [(2.0, (2, 3)), (3.0, (1, 2)), (9.0, (0, 0)), (-1.0, (4, 3)), (5.5, (0, 1))];
        for (threshold, wanted) in cases {
            assert_eq!(curve.above(threshold), wanted, "{threshold}");
        }
        // 5 and 6 flagged: (2 / 3 + 1) / 2; passing up to 4.
        let best = curve.best_balanced();
        assert_eq!((best.threshold, best.accuracy), (4.0, (2.0 / 3.0 + 1.0) / 2.0));
        // Nothing gained: nothing is flagged.
        let reversed = Curve::new(&[2.0f32], &[1.0]).unwrap().best_balanced();
        assert_eq!((reversed.threshold, reversed.accuracy), (2.0, 0.5));
    }

    #[test]
    fn flipping_exchanges_the_kinds() {
        let (normal, anomalous) = ([1.0, 2.0, 2.0, 5.0], [2.0, 7.0]);
        let negated = |scores: &[f64]| scores.iter().map(|score| -score).collect::<Vec<_>>();
        let wanted = Curve::new(&negated(&anomalous), &negated(&normal)).unwrap();
        assert_eq!(Curve::new(&normal, &anomalous).unwrap().flipped(), wanted);
        assert_eq!(wanted.flipped().flipped(), wanted);
    }

    /// AUROC by every pair, best balanced accuracy and FPR95 by every threshold.
    fn brute_force(normal: &[f32], anomalous: &[f32]) -> [f64; 3] {
        let of_pair = |n: &f32, a: &f32| f64::from(u8::from(a > n)) + f64::from(u8::from(a >= n));
        let pairs: f64 =
            normal.iter().flat_map(|n| anomalous.iter().map(move |a| of_pair(n, a) / 2.0)).sum();
        let share = |scores: &[f32], t: f32| {
            scores.iter().filter(|s| **s >= t).count() as f64 / scores.len() as f64
        };
        let (mut best, mut fpr) = (0.5f64, f64::INFINITY);
        for t in normal.iter().chain(anomalous) {
            let (tpr, fp) = (share(anomalous, *t), share(normal, *t));
            best = best.max((tpr + 1.0 - fp) / 2.0);
            if tpr >= 0.95 {
                fpr = fpr.min(fp);
            }
        }
        [pairs / (normal.len() * anomalous.len()) as f64, best, fpr]
    }

    #[test]
    fn random_scores_with_ties_match_brute_force() {
        let seed = 5;
        let mut random = Random::new(seed, "metrics");
        for case in 0..200 {
            let mut draw =
                |n: usize| -> Vec<f32> { (0..n).map(|_| random.below(12) as f32 - 3.0).collect() };
            let (n, a) = (draw(1 + case % 40), draw(1 + case % 23));
            let wanted = brute_force(&n, &a);
            let curve = Curve::new(&n, &a).unwrap();
            let got = [curve.auroc(), curve.best_balanced().accuracy, curve.fpr95()];
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((got - wanted).abs() < 1e-12, "seed {seed} case {case}: {got} {wanted}");
            }
        }
    }
}
