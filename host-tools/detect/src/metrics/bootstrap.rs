//! Cluster bootstrap: resamples sources, not frames, since frames of one source are near-twins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::random::Random;

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

/// Scores with the number of each frame's source, counted from 0.
pub(super) struct Clusters {
    /// (score, source), highest score first.
    sorted: Vec<(f32, usize)>,
    pub(super) sources: usize,
}

impl Clusters {
    pub(super) fn new(scores: &[f32], source: &[i64]) -> Clusters {
        let mut numbers = BTreeMap::new();
        let mut sorted = vec![];
        for (score, id) in scores.iter().zip(source) {
            let next = numbers.len();
            sorted.push((*score, *numbers.entry(*id).or_insert(next)));
        }
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        Clusters { sorted, sources: numbers.len() }
    }

    /// How often each source is drawn.
    pub(super) fn draw(&self, random: &mut Random) -> Vec<u32> {
        let mut weights = vec![0; self.sources];
        for _ in 0..self.sources {
            weights[random.below(self.sources)] += 1;
        }
        weights
    }
}

/// AUROC with sources weighted; ties count half.
pub(super) fn weighted(normal: &Clusters, anomalous: &Clusters, weights: [&[u32]; 2]) -> f64 {
    let (mut above, mut pairs, mut total) = (0.0, 0.0, 0.0);
    let mut next = anomalous.sorted.iter().peekable();
    let mut index = 0;
    while index < normal.sorted.len() {
        let score = normal.sorted[index].0;
        let (mut here, mut tied) = (0.0, 0.0);
        while index < normal.sorted.len() && normal.sorted[index].0 == score {
            here += f64::from(weights[0][normal.sorted[index].1]);
            index += 1;
        }
        while let Some((_, source)) = next.next_if(|(other, _)| *other > score) {
            above += f64::from(weights[1][*source]);
        }
        while let Some((_, source)) = next.next_if(|(other, _)| *other == score) {
            tied += f64::from(weights[1][*source]);
        }
        pairs += here * (above + tied / 2.0);
        above += tied;
        total += here;
    }
    above += next.map(|(_, source)| f64::from(weights[1][*source])).sum::<f64>();
    pairs / (total * above)
}

/// AUROC with a percentile interval over `resamples` draws of sources; `None` when a set is empty.
pub fn auroc_interval(
    normal: (&[f32], &[i64]),
    anomalous: (&[f32], &[i64]),
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<Interval> {
    let normal = Clusters::new(normal.0, normal.1);
    let anomalous = Clusters::new(anomalous.0, anomalous.1);
    if normal.sources == 0 || anomalous.sources == 0 {
        return None;
    }
    let once = [vec![1; normal.sources], vec![1; anomalous.sources]];
    let value = weighted(&normal, &anomalous, [&once[0], &once[1]]);
    let mut random = Random::new(seed, "bootstrap");
    let mut values: Vec<f64> = (0..resamples)
        .map(|_| {
            let weights = [normal.draw(&mut random), anomalous.draw(&mut random)];
            weighted(&normal, &anomalous, [&weights[0], &weights[1]])
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| match values.len() {
        0 => value,
        n => values[((share * n as f64) as usize).min(n - 1)],
    };
    let tail = (1.0 - confidence) / 2.0;
    Some(Interval { value, low: at(tail), high: at(1.0 - tail) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::auroc;

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

    #[test]
    fn the_value_is_the_plain_auroc() {
        for seed in 0..20 {
            let (mut n, ns) = data(50, 0.0, 5, seed);
            let (mut a, source) = data(40, 1.0, 1, seed + 100);
            // Rounded so that there are ties.
            n.iter_mut().chain(&mut a).for_each(|score| *score = (*score * 3.0).round());
            let got = auroc_interval((&n, &ns), (&a, &source), 10, 0.95, 1).unwrap();
            assert!((got.value - auroc(&n, &a)).abs() < 1e-12, "seed {seed}");
        }
    }

    #[test]
    fn shared_sources_widen_the_interval() {
        let width = |per_source| {
            let (n, ns) = data(600, 0.0, per_source, 1);
            let (a, source) = data(600, 1.0, per_source, 2);
            let got = auroc_interval((&n, &ns), (&a, &source), 400, 0.95, 3).unwrap();
            assert!(got.low < got.value && got.value < got.high);
            got.high - got.low
        };
        let (single, shared) = (width(1), width(30));
        assert!(shared > 3.0 * single, "{single} {shared}");
        assert_eq!(width(1), single);
    }

    #[test]
    fn an_empty_set_has_no_interval() {
        assert!(auroc_interval((&[], &[]), (&[1.0], &[0]), 10, 0.95, 1).is_none());
    }
}
