//! Scores of one detector on one set over all splits, and the figures made of them.

use gradgate_detect::calibrate::plain_quantile;
use gradgate_detect::metrics::{
    Figures, Fold, Interval, MetricsError, Resampled, Resampling, Scored,
};

use crate::attack::Status;
use crate::baseline::{Budget, LabelBudget};
use crate::error::LabError;

use super::definition::SetKind;
use super::results::Comparison;
use super::sets::ImageSet;

/// Share of the normal validation frames above a threshold.
pub const FLAGGED: f64 = 0.05;
/// Two points of AUROC: closer than this to ten plain statistics, a set says little.
const CONFOUNDED: f64 = 0.02;

/// Who scored what, with which right.
#[derive(Clone, Debug, PartialEq)]
pub struct Who {
    /// Name of the detector.
    pub detector: String,
    /// Sets that it learnt from.
    pub learnt_from: Vec<String>,
    /// What its source fits it on.
    pub label_budget: LabelBudget,
    /// What it was fitted on.
    pub budget: Budget,
    /// Whether scores are the logits of a probability, 0 at equal odds.
    pub is_network: bool,
}

/// Scores of one split; larger is more anomalous.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SplitScores {
    /// Seed of the split.
    pub seed: u64,
    /// Of the normal validation frames.
    pub validation: Vec<f64>,
    /// Tested normal frames by number.
    pub normal_frames: Vec<usize>,
    /// Their scores.
    pub normal: Vec<f64>,
    /// Tested anomalous frames by number.
    pub anomalous_frames: Vec<usize>,
    /// Their scores.
    pub anomalous: Vec<f64>,
}

impl SplitScores {
    /// The score that [`FLAGGED`] of the normal validation frames lie above.
    pub fn threshold(&self) -> f64 {
        let scores: Vec<f32> = self.validation.iter().map(|&score| score as f32).collect();
        f64::from(plain_quantile(&scores, FLAGGED))
    }
}

/// One detector against one set.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The detector.
    pub who: Who,
    /// The set's name.
    pub set: String,
    /// The set's sort.
    pub kind: Option<SetKind>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// The published figure that stands beside.
    pub published: Option<f64>,
    /// A split each.
    pub splits: Vec<SplitScores>,
}

/// Sources of the tested frames of a split.
struct Sourced {
    normal: Vec<i64>,
    anomalous: Vec<i64>,
    /// Scores less the threshold of the split.
    shifted: [Vec<f64>; 2],
}

impl Scores {
    fn sourced(&self, normal: &ImageSet, set: &ImageSet) -> Vec<Sourced> {
        let of = |split: &SplitScores| {
            let threshold = split.threshold();
            let shift = |scores: &[f64]| scores.iter().map(|score| score - threshold).collect();
            let sources = |set: &ImageSet, frames: &[usize]| {
                frames.iter().map(|&at| set.sources[at]).collect()
            };
            Sourced {
                normal: sources(normal, &split.normal_frames),
                anomalous: sources(set, &split.anomalous_frames),
                shifted: [shift(&split.normal), shift(&split.anomalous)],
            }
        };
        self.splits.iter().map(of).collect()
    }

    /// AUROC with its draws; comparable draw by draw with any detector of the same splits.
    ///
    /// # Errors
    /// Scores that are not finite.
    pub fn resampled(
        &self,
        normal: &ImageSet,
        set: &ImageSet,
        resamples: usize,
    ) -> Result<Resampled, LabError> {
        let sourced = self.sourced(normal, set);
        Resampled::over_folds(&folds(&sourced), &how(set, resamples)).map_err(unfit)
    }

    /// Whether two detectors were tested on the same frames.
    pub fn is_paired_with(&self, other: &Scores) -> bool {
        self.set == other.set
            && self.splits.len() == other.splits.len()
            && self.splits.iter().zip(&other.splits).all(|(a, b)| {
                a.normal_frames == b.normal_frames && a.anomalous_frames == b.anomalous_frames
            })
    }

    /// The figures.
    ///
    /// # Errors
    /// Scores that are not finite, a part without frames.
    pub fn compare(
        &self,
        normal: &ImageSet,
        set: &ImageSet,
        first: Option<&Resampled>,
        resamples: usize,
    ) -> Result<Comparison, LabError> {
        let sourced = self.sourced(normal, set);
        let how = how(set, resamples);
        let figures =
            Figures::over_folds(&folds(&sourced), Some(0.0), &how).map_err(|e| self.place(e))?;
        let own = Resampled::over_folds(&folds(&sourced), &how).map_err(|e| self.place(e))?;
        Ok(Comparison {
            set: self.set.clone(),
            kind: self.kind,
            detector: self.who.detector.clone(),
            learnt_from: self.who.learnt_from.clone(),
            label_budget: self.who.label_budget,
            budget: self.who.budget,
            notes: self.notes.clone(),
            seeds: self.splits.len(),
            auroc_of_seed: self.auroc_of_seed()?,
            figures,
            accuracy_half: self.who.is_network.then(|| self.accuracy_half()),
            auroc_of_successes: self.successes(normal, set, &how)?,
            matched: None,
            minus_first: first.map(|first| own.minus(first, how.confidence)),
            published: self.published,
            confounded: false,
        })
    }

    fn place(&self, error: MetricsError) -> LabError {
        let Who { detector, .. } = &self.who;
        LabError::Data(format!("detector {detector}, set `{}`: {error}", self.set))
    }

    fn auroc_of_seed(&self) -> Result<Vec<f64>, LabError> {
        let of = |split: &SplitScores| {
            gradgate_detect::metrics::auroc(&split.normal, &split.anomalous)
                .map_err(|error| self.place(error))
        };
        self.splits.iter().map(of).collect()
    }

    fn accuracy_half(&self) -> f64 {
        let right = |split: &SplitScores| {
            split.normal.iter().filter(|score| **score <= 0.0).count()
                + split.anomalous.iter().filter(|score| **score > 0.0).count()
        };
        let all = |split: &SplitScores| split.normal.len() + split.anomalous.len();
        let sum = |count: &dyn Fn(&SplitScores) -> usize| {
            self.splits.iter().map(count).sum::<usize>() as f64
        };
        sum(&right) / sum(&all)
    }

    /// Only attacked frames that became wrong, against normal frames of right class: of the sources
    /// of those that the classifier had right before.
    fn successes(
        &self,
        normal: &ImageSet,
        set: &ImageSet,
        how: &Resampling,
    ) -> Result<Option<Interval>, LabError> {
        let (Some(statuses), Some(twins)) = (&set.statuses, &set.twins) else { return Ok(None) };
        let wrong: std::collections::HashSet<usize> = (0..set.len())
            .filter(|&at| statuses[at] == Status::CleanWrong)
            .map(|at| twins[at])
            .collect();
        let mut kept = self.clone();
        for split in &mut kept.splits {
            keep(&mut split.normal_frames, &mut split.normal, |at| !wrong.contains(&at));
            keep(&mut split.anomalous_frames, &mut split.anomalous, |at| {
                statuses[at] == Status::Success
            });
        }
        kept.splits.retain(|split| !split.normal.is_empty() && !split.anomalous.is_empty());
        if kept.splits.len() < self.splits.len() {
            return Ok(None);
        }
        let sourced = kept.sourced(normal, set);
        let found = Resampled::over_folds(&folds(&sourced), how).map_err(|e| self.place(e))?;
        Ok(Some(found.interval(how.confidence)))
    }
}

fn keep(frames: &mut Vec<usize>, scores: &mut Vec<f64>, wanted: impl Fn(usize) -> bool) {
    let mut kept = frames.iter().map(|&at| wanted(at));
    scores.retain(|_| kept.next().unwrap_or(false));
    frames.retain(|&at| wanted(at));
}

fn folds(sourced: &[Sourced]) -> Vec<Fold<'_>> {
    sourced.iter().map(fold).collect()
}

fn fold(one: &Sourced) -> Fold<'_> {
    let [normal, anomalous] = &one.shifted;
    Fold {
        normal: Scored { scores: normal, sources: &one.normal },
        anomalous: Scored { scores: anomalous, sources: &one.anomalous },
    }
}

/// An attacked frame and its original are drawn together.
fn how(set: &ImageSet, resamples: usize) -> Resampling {
    Resampling { resamples, confidence: 0.95, seed: 0, twins: set.twins.is_some() }
}

fn unfit(error: MetricsError) -> LabError {
    LabError::Data(error.to_string())
}

/// Marks sets on which ten plain image statistics come as far as the first detector, but for two
/// points, where both learnt from that very set or from normal frames.
pub fn mark_confounded(comparisons: &mut [Comparison], first: &str, statistics: &str) {
    let own = |one: &Comparison| one.learnt_from.iter().all(|learnt| *learnt == one.set);
    let auroc = |all: &[Comparison], set: &str, detector: &str| {
        let found = all.iter().find(|one| one.set == set && one.detector == detector && own(one));
        found.map(|one| one.figures.auroc.value)
    };
    let sets: Vec<String> = comparisons.iter().map(|one| one.set.clone()).collect();
    for (at, set) in sets.iter().enumerate() {
        let pair = auroc(comparisons, set, first).zip(auroc(comparisons, set, statistics));
        comparisons[at].confounded = pair.is_some_and(|(ours, plain)| plain > ours - CONFOUNDED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;

    fn set(name: &str, n: usize, statuses: Option<Vec<Status>>) -> ImageSet {
        ImageSet {
            name: name.into(),
            images: Array::zeros([n, 1, 1, 1]),
            labels: vec![None; n],
            sources: (0..n as i64).collect(),
            twins: statuses.as_ref().map(|_| (0..n).collect()),
            statuses,
        }
    }

    fn scores(splits: Vec<SplitScores>) -> Scores {
        let who = Who {
            detector: "d".into(),
            learnt_from: vec![],
            label_budget: LabelBudget::NormalOnly,
            budget: Budget::Equal,
            is_network: true,
        };
        let (set, kind) = ("s".to_owned(), Some(SetKind::Attack));
        Scores { who, set, kind, notes: vec![], published: None, splits }
    }

    #[test]
    fn figures_are_those_counted_by_hand() {
        let normal = set("normal", 6, None);
        use Status::{CleanWrong, Failed, Success};
        let statuses = vec![Success, Failed, CleanWrong, Success, Success, Failed];
        let attacked = set("s", 6, Some(statuses));
        let split = SplitScores {
            seed: 0,
            validation: (0..39).map(|at| f64::from(at) - 38.0).collect(),
            normal_frames: vec![0, 2, 4],
            normal: vec![-1.0, 3.0, 0.0],
            anomalous_frames: vec![0, 2, 3],
            anomalous: vec![1.0, -2.0, -0.5],
        };
        let found = scores(vec![split]).compare(&normal, &attacked, None, 10).expect("compares");
        // Pairs: 1 beats -1 and 0; -2 none; -0.5 beats -1.
        assert!((found.figures.auroc.value - 3.0 / 9.0).abs() < 1e-12);
        // The 38th of 39 validation scores is -1: 3 and 0 of the normal frames lie above it.
        let at = found.figures.at.expect("a threshold");
        assert!(
            (at.fpr.value - 2.0 / 3.0).abs() < 1e-12 && (at.tpr.value - 2.0 / 3.0).abs() < 1e-12
        );
        assert_eq!(found.accuracy_half, Some(3.0 / 6.0));
        // Without frame 2: (1, -0.5) against (-1, 0).
        let successes = found.auroc_of_successes.expect("successes").value;
        assert!((successes - 3.0 / 4.0).abs() < 1e-12, "{successes}");
    }

    #[test]
    fn plain_statistics_mark_a_set() {
        let normal = set("normal", 4, None);
        let other = set("s", 4, None);
        let of = |name: &str, anomalous: Vec<f64>| {
            let split = SplitScores {
                validation: vec![0.0; 4],
                normal_frames: vec![0, 1, 2, 3],
                normal: vec![0.0, 1.0, 2.0, 3.0],
                anomalous_frames: vec![0, 1, 2, 3],
                anomalous,
                seed: 0,
            };
            let mut scores = scores(vec![split]);
            scores.who.detector = name.into();
            scores.compare(&normal, &other, None, 5).expect("compares")
        };
        for (plain, wanted) in [(4.0, true), (1.5, false)] {
            let mut all = vec![of("ours", vec![5.0; 4]), of("plain", vec![plain; 4])];
            mark_confounded(&mut all, "ours", "plain");
            assert_eq!(all[0].confounded, wanted);
        }
    }
}
