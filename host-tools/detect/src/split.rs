//! Disjoint parts by source: no image, track or sequence, nor a twin of one, is in two parts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Into which parts normal frames are divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitMode {
    /// 40 % train, 20 % early stop, 20 % calibration, 20 % audit.
    #[default]
    Promise,
    /// The paper's 40 % train, 40 % validation, 20 % test: no calibration frames, so no promise.
    Paper,
}

impl SplitMode {
    /// Shares of train, early stop, calibration, audit.
    fn shares(self) -> [f64; 4] {
        match self {
            SplitMode::Promise => [0.4, 0.2, 0.2, 0.2],
            SplitMode::Paper => [0.4, 0.4, 0.0, 0.2],
        }
    }
}

/// Frame numbers of the normal frames' parts, each ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NormalParts {
    /// Fits the head.
    pub train: Vec<usize>,
    /// Stops training early; gives the components' quantile tables.
    pub early: Vec<usize>,
    /// Gives the threshold and the p-values; empty in [`SplitMode::Paper`].
    pub calibration: Vec<usize>,
    /// Used for nothing but the report.
    pub audit: Vec<usize>,
}

/// Frame numbers of an anomalous set's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnomalousParts {
    /// Trains an MLP.
    pub train: Vec<usize>,
    /// Stops its training early.
    pub early: Vec<usize>,
    /// Measured in the report.
    pub test: Vec<usize>,
}

/// Which part each source went to.
pub type SourceParts = BTreeMap<i64, usize>;

/// Splits normal frames by source; parts have about their share of the frames.
pub fn split_normal(source: &[i64], mode: SplitMode, seed: u64) -> (NormalParts, SourceParts) {
    let assigned = assign(source, &mode.shares(), &mut Random::new(seed, "split"));
    let mut parts = NormalParts::default();
    for (frame, id) in source.iter().enumerate() {
        match assigned[id] {
            0 => parts.train.push(frame),
            1 => parts.early.push(frame),
            2 => parts.calibration.push(frame),
            _ => parts.audit.push(frame),
        }
    }
    (parts, assigned)
}

/// Splits an anomalous set: twins of normal sources follow them, other sources are dealt anew.
pub fn split_anomalous(source: &[i64], normal: &SourceParts, seed: u64) -> AnomalousParts {
    let fresh: Vec<i64> = source.iter().copied().filter(|id| !normal.contains_key(id)).collect();
    let dealt = assign(&fresh, &[0.4, 0.2, 0.4], &mut Random::new(seed, "split anomalous"));
    let mut parts = AnomalousParts::default();
    for (frame, id) in source.iter().enumerate() {
        match normal.get(id).or_else(|| dealt.get(id)) {
            Some(0) => parts.train.push(frame),
            Some(1) => parts.early.push(frame),
            _ => parts.test.push(frame),
        }
    }
    parts
}

/// Fold of each frame, all frames of a source in the same; folds have about the same number of
/// frames.
pub fn folds(source: &[i64], count: usize, seed: u64) -> Vec<usize> {
    let shares = vec![1.0 / count as f64; count];
    let assigned = assign(source, &shares, &mut Random::new(seed, "folds"));
    source.iter().map(|id| assigned[id]).collect()
}

/// Number of different sources among frames.
pub fn count_sources(source: &[i64], frames: &[usize]) -> usize {
    frames.iter().map(|frame| source[*frame]).collect::<BTreeSet<_>>().len()
}

/// Shuffled sources, each to the part that lacks the largest share of its due.
fn assign(source: &[i64], shares: &[f64], random: &mut Random) -> SourceParts {
    let mut sizes = BTreeMap::new();
    for id in source {
        *sizes.entry(*id).or_insert(0usize) += 1;
    }
    let mut order: Vec<(i64, usize)> = sizes.into_iter().collect();
    random.shuffle(&mut order);
    let mut filled = vec![0usize; shares.len()];
    let mut parts = BTreeMap::new();
    let mut part = 0;
    for (id, size) in order {
        // The next part in turn once this one has its due of all frames.
        let due = |part: usize| shares[part] * source.len() as f64;
        while part + 1 < shares.len() && filled[part] as f64 + size as f64 / 2.0 > due(part) {
            part += 1;
        }
        filled[part] += size;
        parts.insert(id, part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_crosses_parts_and_shares_hold() {
        for (frames, per_source) in [(1_000, 1), (1_000, 7), (60, 30)] {
            let source: Vec<i64> = (0..frames).map(|frame| frame / per_source).collect();
            for seed in 0..5 {
                let (parts, assigned) = split_normal(&source, SplitMode::Promise, seed);
                let all = [&parts.train, &parts.early, &parts.calibration, &parts.audit];
                assert_eq!(all.iter().map(|part| part.len()).sum::<usize>(), frames as usize);
                for (index, part) in all.iter().enumerate() {
                    assert!(part.iter().all(|frame| assigned[&source[*frame]] == index));
                    if frames == 1_000 {
                        let due = frames as f64 * SplitMode::Promise.shares()[index];
                        assert!((part.len() as f64 - due).abs() <= 14.0, "{index}: {}", part.len());
                    }
                }
            }
        }
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let source: Vec<i64> = (0..100).collect();
        let split = |seed| split_normal(&source, SplitMode::Promise, seed).0;
        assert_eq!(split(3), split(3));
        assert_ne!(split(3), split(4));
    }

    #[test]
    fn the_papers_split_has_no_calibration_part() {
        let source: Vec<i64> = (0..100).collect();
        let (parts, _) = split_normal(&source, SplitMode::Paper, 1);
        assert_eq!((parts.train.len(), parts.early.len(), parts.audit.len()), (40, 40, 20));
        assert!(parts.calibration.is_empty());
    }

    #[test]
    fn twins_follow_their_source() {
        let source: Vec<i64> = (0..200).collect();
        let (normal, assigned) = split_normal(&source, SplitMode::Promise, 1);
        let twins = split_anomalous(&source, &assigned, 1);
        assert_eq!((&twins.train, &twins.early), (&normal.train, &normal.early));
        let strangers: Vec<i64> = (1_000..1_100).collect();
        let parts = split_anomalous(&strangers, &assigned, 1);
        assert_eq!((parts.train.len(), parts.early.len(), parts.test.len()), (40, 20, 40));
    }

    #[test]
    fn folds_are_even_and_grouped() {
        let source: Vec<i64> = (0..1_000).map(|frame| frame / 4).collect();
        let folds = folds(&source, 5, 9);
        for fold in 0..5 {
            let size = folds.iter().filter(|other| **other == fold).count();
            assert!(size.abs_diff(200) <= 4, "{size}");
        }
        assert!(folds.chunks(4).all(|chunk| chunk.iter().all(|fold| *fold == chunk[0])));
    }
}
