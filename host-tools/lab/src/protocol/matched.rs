//! Normal and anomalous frames in pairs that plain image statistics cannot tell apart: what a
//! detector still finds over them, it does not owe to brightness, contrast or sharpness.
//!
//! Pairs are formed among the tested frames of a split, nearest first, each frame at most once.
//! Near is the Euclidean distance of ten statistics, standardised by the normal frames. A pair is
//! formed only where the network on these statistics, which learnt from this very set, gives both
//! frames about the same score: the calliper of Austin, Optimal caliper widths for
//! propensity-score matching, Pharmaceutical Statistics 10 (2011), 0.2 standard deviations.

use gradgate_detect::image_statistics::NAMES;
use gradgate_detect::metrics::Resampled;

use crate::error::LabError;

use super::compare::{Scores, SplitScores};
use super::definition::Ours;
use super::ours::Measured;
use super::results::{Comparison, Matched};
use super::trials::Bench;

/// Largest difference of two scores of a pair, in their standard deviation.
const CALLIPER: f64 = 0.2;

/// Adds the figure over pairs to every comparison that has some in each split.
///
/// # Errors
/// Scores that are not finite; when the watcher stops.
pub fn measure(
    bench: &Bench<'_>,
    scores: &[Scores],
    comparisons: &mut [Comparison],
) -> Result<(), LabError> {
    let statistics = Ours::Statistics.name();
    for (at, set) in bench.sets.iter().enumerate() {
        bench.watch.progress("matched pairs", at as u64, bench.sets.len() as u64)?;
        let name = &set.images.name;
        let own = |one: &&Scores| {
            one.set == *name
                && one.who.detector == statistics
                && one.who.learnt_from == [name.clone()]
        };
        let Some(plain) = scores.iter().find(own) else { continue };
        let normal = bench.normal_of(at);
        let chosen: Vec<Vec<[usize; 2]>> =
            plain.splits.iter().map(|split| pairs_of(normal, set, split)).collect();
        if chosen.iter().any(Vec::is_empty) {
            continue;
        }
        for (one, comparison) in scores.iter().zip(comparisons.iter_mut()) {
            if one.set != *name || !one.is_paired_with(plain) {
                continue;
            }
            let kept = over(one, &chosen);
            let drawn: Resampled =
                kept.resampled(&normal.images, &set.images, bench.definition.resamples)?;
            let pairs = chosen.iter().map(Vec::len).sum();
            comparison.matched = Some(Matched { pairs, auroc: drawn.interval(0.95) });
        }
    }
    Ok(())
}

/// Pairs among the tested frames of a split, by their places in it.
fn pairs_of(normal: &Measured, set: &Measured, plain: &SplitScores) -> Vec<[usize; 2]> {
    let rows = |measured: &Measured, frames: &[usize]| -> Vec<Vec<f64>> {
        let row = |&at: &usize| &measured.statistics[at * NAMES.len()..][..NAMES.len()];
        frames.iter().map(|at| row(at).iter().map(|&x| f64::from(x)).collect()).collect()
    };
    let normal = rows(normal, &plain.normal_frames);
    let anomalous = rows(set, &plain.anomalous_frames);
    pairs([&normal, &anomalous], [&plain.normal, &plain.anomalous])
}

/// Pairs of a normal and an anomalous row, nearest first, each row at most once; ties in the order
/// of the rows.
fn pairs(rows: [&[Vec<f64>]; 2], scores: [&[f64]; 2]) -> Vec<[usize; 2]> {
    let [normal, anomalous] = rows;
    let scale: Vec<f64> = (0..normal.first().map_or(0, Vec::len))
        .map(|column| deviation(normal.iter().map(|row| row[column])))
        .collect();
    let limit = CALLIPER * deviation(scores.iter().flat_map(|of| of.iter().copied()));
    let mut near: Vec<(f64, [usize; 2])> = Vec::new();
    for (n, one) in normal.iter().enumerate() {
        for (a, other) in anomalous.iter().enumerate() {
            if (scores[0][n] - scores[1][a]).abs() <= limit {
                near.push((distance(one, other, &scale), [n, a]));
            }
        }
    }
    near.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let mut used = [vec![false; normal.len()], vec![false; anomalous.len()]];
    let mut chosen = Vec::new();
    for (_, [n, a]) in near {
        if !used[0][n] && !used[1][a] {
            (used[0][n], used[1][a]) = (true, true);
            chosen.push([n, a]);
        }
    }
    chosen
}

/// Squared; a column that does not vary among normal frames counts as it is.
fn distance(one: &[f64], other: &[f64], scale: &[f64]) -> f64 {
    let each = one.iter().zip(other).zip(scale);
    each.map(|((x, y), &scale)| ((x - y) / if scale > 0.0 { scale } else { 1.0 }).powi(2)).sum()
}

fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// The scores of the pairs alone.
fn over(scores: &Scores, chosen: &[Vec<[usize; 2]>]) -> Scores {
    let mut kept = scores.clone();
    for (split, pairs) in kept.splits.iter_mut().zip(chosen) {
        let side = |which: usize| {
            let mut places: Vec<usize> = pairs.iter().map(|pair| pair[which]).collect();
            places.sort_unstable();
            places
        };
        let (normal, anomalous) = (side(0), side(1));
        split.normal_frames = normal.iter().map(|&at| split.normal_frames[at]).collect();
        split.normal = normal.iter().map(|&at| split.normal[at]).collect();
        split.anomalous_frames = anomalous.iter().map(|&at| split.anomalous_frames[at]).collect();
        split.anomalous = anomalous.iter().map(|&at| split.anomalous[at]).collect();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{Budget, LabelBudget};
    use crate::protocol::compare::Who;

    fn rows(values: &[f64]) -> Vec<Vec<f64>> {
        values.iter().map(|&value| vec![value, 7.0]).collect()
    }

    #[test]
    fn nearest_frames_are_paired_once_and_within_the_calliper() {
        let (normal, anomalous) = (rows(&[0.0, 1.0, 5.0]), rows(&[1.1, 1.4, 0.2, 9.0]));
        let same = [&[0.0; 3][..], &[0.0; 4]];
        // 1.1 takes 1, so 1.4 has to take 5; 9 finds nobody.
        assert_eq!(pairs([&normal, &anomalous], same), [[1, 0], [0, 2], [2, 1]]);
        // Standard deviation about 1: only 1.4 has the score of normal frames.
        let told = [&[-1.0, -1.0, -1.0][..], &[1.0, -1.0, 1.0, 1.0]];
        assert_eq!(pairs([&normal, &anomalous], told), [[1, 1]]);
        assert!(pairs([&normal, &rows(&[])], [&[0.0; 3], &[]]).is_empty());
    }

    #[test]
    fn columns_count_by_how_much_normal_frames_vary() {
        let normal = vec![vec![0.0, 0.0], vec![2.0, 200.0]];
        let anomalous = vec![vec![2.0, 60.0]];
        // Standardised: 4 + 0.36 against 0 + 1.96.
        let same = [&[0.0; 2][..], &[0.0]];
        assert_eq!(pairs([&normal, &anomalous], same), [[1, 0]]);
    }

    #[test]
    fn scores_of_the_pairs_alone_are_kept() {
        let split = SplitScores {
            normal_frames: vec![3, 5, 8],
            normal: vec![0.3, 0.5, 0.8],
            anomalous_frames: vec![1, 2],
            anomalous: vec![1.0, 2.0],
            ..SplitScores::default()
        };
        let who = Who {
            detector: "d".into(),
            learnt_from: vec![],
            label_budget: LabelBudget::NormalOnly,
            budget: Budget::Equal,
            is_network: false,
        };
        let (set, splits) = ("s".to_owned(), vec![split]);
        let scores = Scores { who, set, kind: None, notes: vec![], published: None, splits };
        let kept = over(&scores, &[vec![[2, 1], [0, 0]]]);
        let split = &kept.splits[0];
        assert_eq!((&split.normal_frames, &split.normal), (&vec![3, 8], &vec![0.3, 0.8]));
        assert_eq!((&split.anomalous_frames, &split.anomalous), (&vec![1, 2], &vec![1.0, 2.0]));
    }
}
