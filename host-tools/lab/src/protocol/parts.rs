//! One split for all detectors of a run: 40 % of the sources train, 40 % validate, 20 % are tested
//! on (Lee et al. 2022, section 4), as in gradgate-detect.

use gradgate_bundle::digest::sha256;
use gradgate_detect::split::{SplitMode, split_normal};
use serde::{Deserialize, Serialize};

use super::sets::ImageSet;
use crate::hex::hex;

/// Frames of a set by what they are for, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Parts {
    /// Fit weights.
    pub train: Vec<usize>,
    /// Choose options, stop early, set thresholds.
    pub validation: Vec<usize>,
    /// Are measured.
    pub test: Vec<usize>,
}

impl Parts {
    /// At most so many frames of each part.
    pub fn limited(&self, limit: usize) -> Parts {
        let cut = |part: &Vec<usize>| spread(part, limit);
        Parts { train: cut(&self.train), validation: cut(&self.validation), test: cut(&self.test) }
    }
}

/// At most `count` frames, evenly spread: files are often sorted by class.
pub fn spread(part: &[usize], count: usize) -> Vec<usize> {
    let taken = count.min(part.len());
    (0..taken).map(|at| part[at * part.len() / taken]).collect()
}

/// The split of one seed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Split {
    /// Its seed.
    pub seed: u64,
    /// Of the normal frames.
    pub normal: Parts,
    /// Of each set, by its name.
    pub sets: Vec<(String, Parts)>,
}

impl Split {
    /// Deals sources. Frames made from normal ones share their sources and so their parts.
    pub fn new(normal: &ImageSet, sets: &[ImageSet], seed: u64) -> Split {
        let (parts, assigned) = split_normal(&normal.sources, SplitMode::Paper, seed);
        let of_set = |set: &ImageSet| {
            let twins = set.sources.iter().all(|source| assigned.contains_key(source));
            let own = split_normal(&set.sources, SplitMode::Paper, seed).1;
            let dealt = if twins { &assigned } else { &own };
            let mut parts = Parts::default();
            for (frame, source) in set.sources.iter().enumerate() {
                match dealt[source] {
                    0 => parts.train.push(frame),
                    1 => parts.validation.push(frame),
                    _ => parts.test.push(frame),
                }
            }
            (set.name.clone(), parts)
        };
        Split {
            seed,
            normal: Parts { train: parts.train, validation: parts.early, test: parts.audit },
            sets: sets.iter().map(of_set).collect(),
        }
    }
}

/// SHA-256 over all splits of a run, in hexadecimal digits.
pub fn digest(splits: &[Split]) -> String {
    hex(&sha256(&serde_json::to_vec(splits).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;

    fn set(name: &str, sources: Vec<i64>) -> ImageSet {
        ImageSet {
            name: name.into(),
            images: Array::zeros([sources.len(), 1, 1, 1]),
            labels: vec![None; sources.len()],
            sources,
            twins: None,
            statuses: None,
        }
    }

    #[test]
    fn few_frames_are_spread_over_all() {
        let part = [3, 5, 8, 13, 21, 34, 55];
        for (count, wanted) in
            [(3, vec![3, 8, 21]), (7, part.to_vec()), (9, part.to_vec()), (0, vec![])]
        {
            assert_eq!(spread(&part, count), wanted, "{count}");
        }
    }

    #[test]
    fn twins_and_tracks_stay_together() {
        let normal = set("normal", (0..200).map(|at| at / 2).collect());
        let twins = set("twins", (0..60).map(|at| at / 2).collect());
        let other = set("other", (0..100).map(|at| 1_000 + at / 10).collect());
        let split = Split::new(&normal, &[twins.clone(), other.clone()], 3);
        let part_of = |set: &ImageSet, parts: &Parts, source: i64| -> Vec<bool> {
            let has = |part: &Vec<usize>| part.iter().any(|&at| set.sources[at] == source);
            vec![has(&parts.train), has(&parts.validation), has(&parts.test)]
        };
        for source in 0..30 {
            let mine = part_of(&twins, &split.sets[0].1, source);
            assert_eq!(mine, part_of(&normal, &split.normal, source));
            assert_eq!(mine.iter().filter(|has| **has).count(), 1);
        }
        for source in 1_000..1_010 {
            let has = part_of(&other, &split.sets[1].1, source);
            assert_eq!(has.iter().filter(|has| **has).count(), 1);
        }
        let sizes = [&split.normal.train, &split.normal.validation, &split.normal.test];
        assert_eq!(sizes.map(Vec::len), [80, 80, 40]);
        let again = Split::new(&normal, &[twins.clone(), other.clone()], 3);
        let first = digest(&[split]);
        assert_eq!(digest(&[again]), first);
        assert_ne!(digest(&[Split::new(&normal, &[twins, other], 4)]), first);
    }
}
