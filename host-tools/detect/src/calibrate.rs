//! Thresholds with a promise, and quantile tables.

use std::collections::BTreeMap;

use crate::DetectError;
use crate::binomial;
use crate::file::Counting;
use crate::file::arrays::TableArrays;

/// Knots of a quantile table at most.
const KNOTS: usize = 256;

/// How far past the largest score a component's table goes on rising, in widths of its last tenth.
const TAIL: f64 = 50.0;

/// A threshold and what it left above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Scores above it are alarms.
    pub value: f32,
    /// Alarms that the promise allows among the units.
    pub allowed: u64,
    /// Independent units: frames, or sources when frames share one.
    pub units: u64,
    /// What the units are.
    pub counting: Counting,
}

/// One score per independent unit: every frame's own, or the largest of each source.
pub fn units(scores: &[f32], source: &[i64]) -> (Vec<f32>, Counting) {
    let mut largest: BTreeMap<i64, f32> = BTreeMap::new();
    for (score, id) in scores.iter().zip(source) {
        let place = largest.entry(*id).or_insert(*score);
        *place = if *score > *place { *score } else { *place };
    }
    let counting = if largest.len() == scores.len() { Counting::Frames } else { Counting::Sources };
    (largest.into_values().collect(), counting)
}

/// The smallest threshold for which the true rate of alarms is at most `rate` with this confidence.
///
/// # Errors
/// Too few units, with the number it takes.
pub fn threshold(
    scores: &[f32],
    source: &[i64],
    rate: f64,
    confidence: f64,
) -> Result<Threshold, DetectError> {
    let (mut sorted, counting) = units(scores, source);
    sorted.sort_by(f32::total_cmp);
    let n = sorted.len();
    let Some(allowed) = binomial::allowed_alarms(n as u64, rate, confidence) else {
        let unit = match counting {
            Counting::Frames => "frames in the calibration part",
            Counting::Sources => "different sources in the calibration part",
        };
        return Err(DetectError::TooFew {
            purpose: format!(
                "a promise of at most {} % false alarms at {} % confidence",
                100.0 * rate,
                100.0 * confidence
            ),
            have: n,
            need: binomial::units_needed(rate, confidence) as usize,
            unit,
        });
    };
    let value = sorted[n - 1 - allowed as usize];
    Ok(Threshold { value, allowed, units: n as u64, counting })
}

/// Threshold that leaves about `rate` of the scores above it; promises nothing.
pub fn plain_quantile(scores: &[f32], rate: f64) -> f32 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let order = ((sorted.len() + 1) as f64 * (1.0 - rate)).ceil() as usize;
    sorted[order.clamp(1, sorted.len()) - 1]
}

/// Table of conservative p-values `(1 + scores at or above) / (n + 1)`, to be read as a step
/// function.
pub fn p_value_table(scores: &[f32]) -> TableArrays {
    let n = scores.len() as f64;
    table(scores, |at_least| {
        // Rounded towards larger p-values.
        let level = -((1.0 + at_least as f64) / (n + 1.0)).ln() * (1.0 - 1e-6);
        if level > 0.0 { level } else { 0.0 }
    })
}

/// Table of a component's levels, to be read with interpolation. Past the largest score it goes
/// on rising with the slope of its last tenth, so that stronger anomalies keep their order.
pub fn level_table(scores: &[f32]) -> TableArrays {
    let n = scores.len() as f64;
    let mut table = table(scores, |at_least| -((at_least as f64 + 0.5) / (n + 1.0)).ln());
    let last = table.scores.len() - 1;
    let tenth = table.levels.partition_point(|level| f64::from(*level) < 10f64.ln());
    let from = tenth.min(last.saturating_sub(1));
    let top = f64::from(table.scores[last]);
    let width = top - f64::from(table.scores[from]);
    let width = if width > 1e-6 * (1.0 + top.abs()) { width } else { 1e-3 * (1.0 + top.abs()) };
    let rise = f64::from(table.levels[last] - table.levels[from]).max(0.1);
    table.scores.push((top + TAIL * width) as f32);
    table.levels.push((f64::from(table.levels[last]) + TAIL * rise) as f32);
    table
}

/// Distinct scores, at most [`KNOTS`], the closer together the rarer they are; `level` turns the
/// number of scores at or above a knot into its level.
fn table(scores: &[f32], level: impl Fn(usize) -> f64) -> TableArrays {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let n = sorted.len();
    let mut ranks: Vec<usize> = if n <= KNOTS {
        (0..n).collect()
    } else {
        // Counts from the top grow geometrically from 1 to n, every small count once.
        let ratio = (n as f64).ln() / (KNOTS - 1) as f64;
        (0..KNOTS).map(|k| n - ((ratio * k as f64).exp().round() as usize).clamp(1, n)).collect()
    };
    ranks.sort_unstable();
    let mut table = TableArrays::default();
    for rank in ranks {
        let score = sorted[rank];
        if table.scores.last().is_some_and(|last| *last >= score) {
            continue;
        }
        // The first of equal scores, so that ties count as at or above.
        let first = sorted.partition_point(|other| *other < score);
        table.scores.push(score);
        table.levels.push(level(n - first) as f32);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn scores(n: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed, "scores");
        (0..n).map(|_| random.normal() as f32).collect()
    }

    #[test]
    fn the_threshold_leaves_what_the_table_allows() {
        let own: Vec<i64> = (0..1_000).collect();
        let scores = scores(1_000, 1);
        let got = threshold(&scores, &own, 0.05, 0.99).unwrap();
        let above = scores.iter().filter(|score| **score > got.value).count();
        assert_eq!((got.allowed, above, got.counting), (34, 34, Counting::Frames));
    }

    #[test]
    fn shared_sources_count_once() {
        let source: Vec<i64> = (0..1_000).map(|frame| frame / 10).collect();
        let scores = scores(1_000, 2);
        let got = threshold(&scores, &source, 0.05, 0.95).unwrap();
        assert_eq!((got.units, got.counting), (100, Counting::Sources));
        let alarmed: std::collections::BTreeSet<i64> = (0..1_000)
            .filter(|frame| scores[*frame] > got.value)
            .map(|frame| source[frame])
            .collect();
        assert_eq!(alarmed.len() as u64, got.allowed);
    }

    #[test]
    fn too_few_units_name_the_number_needed() {
        let error = threshold(&scores(58, 1), &(0..58).collect::<Vec<_>>(), 0.05, 0.95);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("59") && text.contains("58"), "{text}");
    }

    #[test]
    fn the_promise_holds_over_simulated_calibrations() {
        // Uniform scores: the true rate at threshold t is 1 - t. 95 % confidence allows 5 % of
        // 4,000 runs, plus four standard deviations of sampling.
        let own: Vec<i64> = (0..200).collect();
        let mut random = Random::new(11, "promise");
        let runs = 4_000;
        let mut broken = 0;
        for _ in 0..runs {
            let scores: Vec<f32> = (0..200).map(|_| random.uniform() as f32).collect();
            let got = threshold(&scores, &own, 0.05, 0.95).unwrap();
            broken += usize::from(1.0 - got.value > 0.05);
        }
        let limit = 0.05 * runs as f64 + 4.0 * (0.05 * 0.95 * runs as f64).sqrt();
        assert!((broken as f64) < limit && broken > 0, "{broken}");
    }

    #[test]
    fn p_values_are_never_too_small() {
        for n in [1, 5, 256, 3_000] {
            let mut scores = scores(n, n as u64);
            scores.iter_mut().for_each(|score| *score = (*score * 50.0).round() / 50.0);
            let table = p_value_table(&scores);
            assert!(table.scores.len() <= KNOTS);
            for probe in self::scores(500, 77) {
                let above = table.scores.partition_point(|knot| *knot <= probe);
                let level = if above == 0 { 0.0 } else { table.levels[above - 1] };
                let exact = scores.iter().filter(|score| **score >= probe).count();
                let p = (1.0 + exact as f64) / (n as f64 + 1.0);
                assert!((-f64::from(level)).exp() >= p - 1e-9, "{n} {probe}");
            }
        }
    }

    #[test]
    fn level_tables_rise_past_the_largest_score() {
        for scores in [scores(400, 3), vec![1.0; 50], vec![2.0], vec![0.0, 1.0]] {
            let table = level_table(&scores);
            assert!(table.scores.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(table.levels.windows(2).all(|pair| pair[0] <= pair[1]));
            assert!(table.levels[0] >= 0.0 && table.levels.iter().all(|level| level.is_finite()));
            let last = table.levels.len() - 1;
            assert!(table.levels[last] > table.levels[last - 1]);
        }
    }
}
