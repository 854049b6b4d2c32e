//! Figures over several splits of the same frames: means over the splits, with intervals from
//! draws of sources that all splits share.
//!
//! A frame is tested on in some of the splits only, each time by another fit, so that scores of
//! different splits cannot be thrown together, and splits are no independent repetitions either.
//! A draw therefore takes sources over the union of all splits, and counts each in whatever split
//! it is tested on.

use std::collections::BTreeSet;

use super::bootstrap::{Interval, percentiles, weighted};
use super::curve::Curve;
use super::error::{Kind, MetricsError};
use super::figures::Figures;
use super::resampled::Resampled;
use super::side::{Side, Weights};
use super::sources::{Numbering, Resampling, Scored, Strata};

/// The tested frames of one split.
#[derive(Clone, Copy, Debug)]
pub struct Fold<'a, S = f64> {
    /// Normal ones.
    pub normal: Scored<'a, S>,
    /// Anomalous ones.
    pub anomalous: Scored<'a, S>,
}

struct Folds {
    sides: Vec<(Side, Side)>,
    strata: Strata,
    how: Resampling,
    sources: [usize; 2],
}

impl Folds {
    fn new<S: Copy + Into<f64>>(
        folds: &[Fold<'_, S>],
        how: &Resampling,
    ) -> Result<Folds, MetricsError> {
        if folds.is_empty() {
            return Err(MetricsError::NoSets);
        }
        if !(how.confidence > 0.0 && how.confidence < 1.0) {
            return Err(MetricsError::Option { name: "confidence", value: how.confidence });
        }
        let mut numbering = Numbering::default();
        let normal: Vec<Side> = folds
            .iter()
            .map(|fold| numbering.side(Kind::Normal, fold.normal))
            .collect::<Result<_, _>>()?;
        numbering.close(!how.twins);
        let anomalous: Vec<Side> = folds
            .iter()
            .map(|fold| numbering.side(Kind::Anomalous(0), fold.anomalous))
            .collect::<Result<_, _>>()?;
        numbering.close(true);
        let normals: BTreeSet<i64> =
            folds.iter().flat_map(|fold| fold.normal.sources).copied().collect();
        let anomalies: BTreeSet<i64> =
            folds.iter().flat_map(|fold| fold.anomalous.sources).copied().collect();
        let sources = [normals.len(), anomalies.len()];
        let sides = normal.into_iter().zip(anomalous).collect();
        Ok(Folds { sides, strata: numbering.strata(), how: *how, sources })
    }

    /// A statistic on draw after draw; a draw that leaves a split without frames of a kind is
    /// left out.
    fn draws<T>(&self, statistic: impl Fn(Weights<'_>) -> T) -> Vec<T> {
        let counts = |weights: &[u32]| {
            self.sides.iter().all(|(n, a)| n.counts(weights) && a.counts(weights))
        };
        self.strata.draws(&self.how, "folds", counts, statistic)
    }

    fn auroc(&self, weights: Weights<'_>) -> f64 {
        let sum: f64 = self.sides.iter().map(|(n, a)| weighted(n, a, weights)).sum();
        sum / self.sides.len() as f64
    }

    fn figures(
        &self,
        weights: Weights<'_>,
        threshold: Option<f64>,
    ) -> Result<Vec<f64>, MetricsError> {
        let mut sums = Vec::new();
        for (normal, anomalous) in &self.sides {
            let values = Figures::new(&Curve::merged(normal, anomalous, weights), threshold)?;
            let values = values.values();
            sums.resize(values.len(), 0.0);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        sums.iter_mut().for_each(|sum| *sum /= self.sides.len() as f64);
        Ok(sums)
    }
}

impl Resampled {
    /// Mean AUROC over the splits, its draws kept for paired differences.
    ///
    /// # Errors
    /// No split, one without frames of a kind, a score that is not finite or has no source.
    pub fn over_folds<S: Copy + Into<f64>>(
        folds: &[Fold<'_, S>],
        how: &Resampling,
    ) -> Result<Resampled, MetricsError> {
        let folds = Folds::new(folds, how)?;
        Ok(Resampled::of(folds.auroc(None), folds.draws(|weights| folds.auroc(weights))))
    }
}

impl Figures<Interval> {
    /// Means over the splits. Frames and pairs are counted over all splits, a frame as often as it
    /// is tested on; `threshold_best` is the first split's.
    ///
    /// # Errors
    /// As [`Resampled::over_folds`]; a threshold that is NaN.
    pub fn over_folds<S: Copy + Into<f64>>(
        folds: &[Fold<'_, S>],
        threshold: Option<f64>,
        how: &Resampling,
    ) -> Result<Figures<Interval>, MetricsError> {
        let sets = Folds::new(folds, how)?;
        let values = sets.figures(None, threshold)?;
        let mut columns = vec![vec![]; values.len()];
        for draw in sets.draws(|weights| sets.figures(weights, threshold)) {
            columns.iter_mut().zip(draw?).for_each(|(column, value)| column.push(value));
        }
        let (normal, anomalous) = &sets.sides[0];
        let mut first = Figures::new(&Curve::merged(normal, anomalous, None), threshold)?;
        let frames = |count: fn(&Fold<'_, S>) -> usize| folds.iter().map(count).sum::<usize>();
        first.counts.normal = frames(|fold| fold.normal.scores.len()) as u64;
        first.counts.anomalous = frames(|fold| fold.anomalous.scores.len()) as u64;
        let all = first.counts.normal + first.counts.anomalous;
        first.counts.prevalence = first.counts.anomalous as f64 / all as f64;
        first.counts.sources = Some(sets.sources);
        let mut intervals = values
            .into_iter()
            .zip(columns)
            .map(|(value, column)| percentiles(value, column, how.confidence));
        let none = Interval { value: f64::NAN, low: f64::NAN, high: f64::NAN };
        Ok(first.map(|_| intervals.next().unwrap_or(none)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{auroc, auroc_interval};
    use crate::random::Random;

    const HOW: Resampling = Resampling { resamples: 400, confidence: 0.95, seed: 7, twins: false };

    type Owned = (Vec<f64>, Vec<i64>);

    fn drawn(n: usize, shift: f64, seed: u64, first: i64) -> Owned {
        let mut random = Random::new(seed, "folds");
        let scores = (0..n).map(|_| shift + random.normal());
        (scores.collect(), (first..first + n as i64).collect())
    }

    fn scored(owned: &Owned) -> Scored<'_, f64> {
        Scored { scores: &owned.0, sources: &owned.1 }
    }

    #[test]
    fn the_value_is_the_mean_of_plain_figures() {
        let parts: Vec<(Owned, Owned)> = (0..3)
            .map(|at| (drawn(40, 0.0, at, 0), drawn(30, 1.0, 10 + at, 100 + 10 * at as i64)))
            .collect();
        let folds: Vec<Fold<'_>> =
            parts.iter().map(|(n, a)| Fold { normal: scored(n), anomalous: scored(a) }).collect();
        let plain = parts.iter().map(|(n, a)| auroc(&n.0, &a.0).unwrap()).sum::<f64>() / 3.0;
        let figures = Figures::over_folds(&folds, Some(0.5), &HOW).unwrap();
        assert!((figures.auroc.value - plain).abs() < 1e-12);
        assert!(figures.auroc.low < plain && plain < figures.auroc.high);
        assert_eq!((figures.counts.normal, figures.counts.anomalous), (120, 90));
        assert_eq!(figures.counts.sources, Some([40, 50]));
        let resampled = Resampled::over_folds(&folds, &HOW).unwrap();
        assert_eq!(resampled.interval(0.95), figures.auroc);
        assert_eq!(resampled.minus(&resampled, 0.95).high, 0.0);
    }

    #[test]
    fn a_split_that_is_repeated_narrows_nothing() {
        let (n, a) = (drawn(150, 0.0, 1, 0), drawn(150, 1.0, 2, 1_000));
        let fold = Fold { normal: scored(&n), anomalous: scored(&a) };
        let width = |interval: Interval| interval.high - interval.low;
        let once = width(auroc_interval(scored(&n), scored(&a), &HOW).unwrap());
        let often = width(Resampled::over_folds(&[fold; 5], &HOW).unwrap().interval(0.95));
        assert!((often - once).abs() < 0.15 * once, "{often} {once}");
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let (n, a) = (drawn(5, 0.0, 1, 0), (vec![f64::NAN], vec![9]));
        let fold = Fold { normal: scored(&n), anomalous: scored(&a) };
        assert!(Resampled::over_folds(&[fold], &HOW).is_err());
        assert_eq!(Resampled::over_folds::<f64>(&[], &HOW), Err(MetricsError::NoSets));
    }
}
