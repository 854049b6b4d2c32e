//! Cluster bootstrap: figures with percentile intervals over draws of sources.

use serde::{Deserialize, Serialize};

use super::curve::{Area, Curve};
use super::error::{Kind, MetricsError};
use super::figures::Figures;
use super::resampled::Resampled;
use super::side::{Side, Weights, merge};
use super::sources::{Resampling, Scored, Sets};

/// A measured value with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The value on all frames.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Percentile interval of a value over its draws.
pub(super) fn percentiles(value: f64, mut draws: Vec<f64>, confidence: f64) -> Interval {
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| match draws.len() {
        0 => value,
        n => draws[((share * n as f64) as usize).min(n - 1)],
    };
    let tail = (1.0 - confidence) / 2.0;
    Interval { value, low: at(tail), high: at(1.0 - tail) }
}

/// AUROC with sources weighted.
pub(super) fn weighted(normal: &Side, anomalous: &Side, weights: Weights<'_>) -> f64 {
    let mut area = Area::default();
    merge(normal, anomalous, weights, |step| area.add(step));
    area.share()
}

/// AUROC with its interval.
///
/// # Errors
/// A set is empty, a score is not finite, a score without source, a confidence outside 0..1.
pub fn auroc_interval<S: Copy + Into<f64>>(
    normal: Scored<'_, S>,
    anomalous: Scored<'_, S>,
    how: &Resampling,
) -> Result<Interval, MetricsError> {
    let sets = Sets::new(normal, &[anomalous], how)?;
    let auroc = |weights: Weights<'_>| weighted(&sets.normal, &sets.anomalous[0], weights);
    Ok(percentiles(auroc(None), sets.draws("bootstrap", auroc), how.confidence))
}

/// How much larger our AUROC is than theirs, both of the same frames, on the same draws: far
/// sharper than comparing two intervals. Scores are (normal, anomalous).
///
/// # Errors
/// As [`auroc_interval`]; detectors that scored different numbers of frames.
pub fn auroc_difference<S: Copy + Into<f64>>(
    ours: (&[S], &[S]),
    theirs: (&[S], &[S]),
    sources: (&[i64], &[i64]),
    how: &Resampling,
) -> Result<Interval, MetricsError> {
    let pairs = [
        (Kind::Normal, ours.0.len(), theirs.0.len()),
        (Kind::Anomalous(0), ours.1.len(), theirs.1.len()),
    ];
    if let Some((kind, need, have)) = pairs.into_iter().find(|(_, ours, theirs)| ours != theirs) {
        return Err(MetricsError::Lengths { kind, have, need });
    }
    let of = |(normal, anomalous)| {
        let anomalous = Scored { scores: anomalous, sources: sources.1 };
        Resampled::new(Scored { scores: normal, sources: sources.0 }, &[anomalous], how)
    };
    Ok(of(ours)?.minus(&of(theirs)?, how.confidence))
}

impl Figures<Interval> {
    /// All figures with their intervals; the best threshold is chosen anew on each draw.
    ///
    /// # Errors
    /// As [`auroc_interval`]; a threshold that is NaN.
    pub fn resampled<S: Copy + Into<f64>>(
        normal: Scored<'_, S>,
        anomalous: Scored<'_, S>,
        threshold: Option<f64>,
        how: &Resampling,
    ) -> Result<Figures<Interval>, MetricsError> {
        let sets = Sets::new(normal, &[anomalous], how)?;
        let curve = |weights: Weights<'_>| Curve::merged(&sets.normal, &sets.anomalous[0], weights);
        let mut all = Figures::new(&curve(None), threshold)?;
        all.counts.sources = Some([normal.sources, anomalous.sources].map(distinct));
        let draws = sets.draws("bootstrap", |weights| Figures::new(&curve(weights), threshold));
        let mut columns = vec![vec![]; all.values().len()];
        for draw in draws {
            for (column, value) in columns.iter_mut().zip(draw?.values()) {
                column.push(value);
            }
        }
        let mut columns = columns.into_iter();
        Ok(all.map(|value| percentiles(value, columns.next().unwrap_or_default(), how.confidence)))
    }
}

fn distinct(sources: &[i64]) -> usize {
    sources.iter().collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::auroc;
    use crate::random::Random;

    const HOW: Resampling = Resampling { resamples: 400, confidence: 0.95, seed: 3, twins: false };

    fn data(n: usize, shift: f64, per_source: usize, seed: u64) -> (Vec<f32>, Vec<i64>) {
        let mut random = Random::new(seed, "data");
        let mut center = 0.0;
        let scores = (0..n).map(|frame| {
            if frame % per_source == 0 {
                center = random.normal();
            }
            (shift + center + 0.1 * random.normal()) as f32
        });
        (scores.collect(), (0..n).map(|frame| (frame / per_source) as i64).collect())
    }

    fn scored(data: &(Vec<f32>, Vec<i64>)) -> Scored<'_> {
        Scored { scores: &data.0, sources: &data.1 }
    }

    #[test]
    fn the_value_is_the_plain_figure() {
        for seed in 0..20 {
            let (mut n, mut a) = (data(50, 0.0, 5, seed), data(40, 1.0, 1, seed + 100));
            // Rounded so that there are ties.
            n.0.iter_mut().chain(&mut a.0).for_each(|score| *score = (*score * 3.0).round());
            let got = auroc_interval(scored(&n), scored(&a), &HOW).unwrap();
            assert_eq!(got.value, auroc(&n.0, &a.0).unwrap(), "seed {seed}");
            let all = Figures::resampled(scored(&n), scored(&a), Some(0.5), &HOW).unwrap();
            assert_eq!(all.auroc, got, "seed {seed}");
            let plain = Figures::new(&Curve::new(&n.0, &a.0).unwrap(), Some(0.5)).unwrap();
            assert_eq!(all.counts.sources, Some([10, 40]));
            for (interval, value) in all.values().into_iter().zip(plain.values()) {
                assert_eq!(interval.value, value, "seed {seed}");
                assert!(interval.low <= interval.high && interval.low.is_finite());
            }
        }
    }

    #[test]
    fn shared_sources_widen_the_interval() {
        let width = |per_source| {
            let (n, a) = (data(600, 0.0, per_source, 1), data(600, 1.0, per_source, 2));
            let got = auroc_interval(scored(&n), scored(&a), &HOW).unwrap();
            assert!(got.low < got.value && got.value < got.high);
            got.high - got.low
        };
        let (single, shared) = (width(1), width(30));
        assert!(shared > 3.0 * single, "{single} {shared}");
        assert_eq!(width(1), single);
    }

    #[test]
    fn twins_are_drawn_together() {
        // An anomalous frame scores a little more than its own normal frame: drawn together, the
        // two move together.
        let n = data(300, 0.0, 1, 1);
        let a = (n.0.iter().map(|score| score + 0.3).collect::<Vec<f32>>(), n.1.clone());
        let width = |twins| {
            let how = Resampling { twins, ..HOW };
            let got = auroc_interval(scored(&n), scored(&a), &how).unwrap();
            got.high - got.low
        };
        let (apart, together) = (width(false), width(true));
        assert!(together < 0.3 * apart, "{together} {apart}");
        // Without common ids there is nothing to draw together.
        let b = (a.0.clone(), a.1.iter().map(|id| id + 1_000).collect::<Vec<i64>>());
        let of =
            |twins| auroc_interval(scored(&n), scored(&b), &Resampling { twins, ..HOW }).unwrap();
        assert_eq!(of(true), of(false));
        // One anomalous frame among 300 twins: a third of the draws lack it and are left out.
        let one = (vec![9.0], vec![7]);
        let how = Resampling { twins: true, ..HOW };
        assert!(auroc_interval(scored(&n), scored(&one), &how).unwrap().low.is_finite());
    }

    #[test]
    fn differences_are_paired() {
        let (n, a) = (data(200, 0.0, 1, 1), data(200, 1.0, 1, 2));
        let raised: Vec<f32> = a.0.iter().map(|score| score + 0.2).collect();
        let difference = |ours: &[f32], theirs: &[f32]| {
            auroc_difference((&n.0, ours), (&n.0, theirs), (&n.1, &a.1), &HOW)
        };
        assert!(difference(&raised, &a.0).unwrap().low > 0.0);
        let same = difference(&a.0, &a.0).unwrap();
        assert_eq!((same.low, same.value, same.high), (0.0, 0.0, 0.0));
        let error = difference(&a.0, &a.0[1..]).unwrap_err().to_string();
        assert!(error.contains("have 199 values where 200 belong"), "{error}");
    }

    #[test]
    fn what_has_no_interval_is_refused() {
        let good = (vec![1.0f32, 2.0], vec![0, 1]);
        let cases = [
            ((vec![], vec![]), HOW, "no normal frames"),
            ((vec![1.0, f32::NAN], vec![0, 1]), HOW, "score 1 of the normal frames is NaN"),
            ((vec![1.0, 2.0], vec![0]), HOW, "have 1 values where 2 belong"),
            (good.clone(), Resampling { confidence: 1.0, ..HOW }, "confidence 1 is out"),
            (good.clone(), Resampling { confidence: f64::NAN, ..HOW }, "confidence NaN is out"),
        ];
        for (normal, how, wanted) in cases {
            let error = auroc_interval(scored(&normal), scored(&good), &how).unwrap_err();
            assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        }
    }
}
