//! Plain detectors that cost next to nothing: where one of them wins, ours has to be told so.

use gradgate_engine::detector::energy;

use super::{Audit, Data, Detected, LeftOut};
use crate::file::arrays::MlpArrays;
use crate::fit::FitOptions;
use crate::heads::mlp::{Rows, balanced_weights, outputs, train};
use crate::heads::{Part, Scaling};
use crate::image_statistics::NAMES;
use crate::plain::{StatisticsGaussian, largest_probability};
use crate::split::AnomalousParts;
use crate::{DetectError, FeatureSet};

const COLUMNS: usize = NAMES.len();

/// The baselines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    MaximumSoftmax,
    Energy,
    ImageStatistics,
}

/// A fitted baseline with its threshold.
pub(super) struct Baseline {
    name: Name,
    score: Score,
    limit: f32,
    /// False alarms.
    pub audit: Audit,
}

enum Score {
    /// One minus the largest probability.
    MaximumSoftmax,
    /// `-ln(sum exp(z))`
    Energy,
    /// Distance of the ten statistics from those of normal frames.
    Gaussian(StatisticsGaussian),
    /// The detector's own network on the ten statistics, trained on the same frames.
    Mlp { scaling: Scaling, mlp: MlpArrays },
}

impl Name {
    /// Fits on the parts that the detector is fitted on.
    pub fn fit(
        self,
        data: &Data<'_>,
        supervised: bool,
        left_out: Option<LeftOut<'_>>,
        options: &FitOptions,
    ) -> Result<Baseline, DetectError> {
        let score = match self {
            Name::MaximumSoftmax => Score::MaximumSoftmax,
            Name::Energy => Score::Energy,
            Name::ImageStatistics if supervised => mlp(data, left_out, options),
            Name::ImageStatistics => {
                let train = data.train_part();
                Score::Gaussian(StatisticsGaussian::fit(&statistics(train.set, train.frames))?)
            }
        };
        let (limit, audit) = data.same_budget(|part| Ok(score.of(part)), options)?;
        Ok(Baseline { name: self, score, limit, audit })
    }
}

impl Baseline {
    /// Those whose inputs all sets hold.
    pub fn possible(data: &Data<'_>) -> Vec<Name> {
        let mut names = vec![Name::MaximumSoftmax, Name::Energy];
        let mut sets = data.anomalous.iter().map(|other| &other.set).chain([data.normal]);
        if sets.all(|set| !set.image_statistics.is_empty()) {
            names.push(Name::ImageStatistics);
        }
        names
    }

    /// For people.
    pub fn name(&self) -> &'static str {
        match (self.name, &self.score) {
            (Name::MaximumSoftmax, _) => "maximum softmax",
            (Name::Energy, _) => "energy",
            (Name::ImageStatistics, Score::Mlp { .. }) => "image statistics (mlp)",
            (Name::ImageStatistics, _) => "image statistics (gaussian)",
        }
    }

    /// Whether it learns from anomalous frames.
    pub fn learns(&self) -> bool {
        matches!(self.score, Score::Mlp { .. })
    }

    /// Fitted without some anomalous frames.
    pub fn again(
        &self,
        data: &Data<'_>,
        left_out: Option<LeftOut<'_>>,
        options: &FitOptions,
    ) -> Result<Baseline, DetectError> {
        self.name.fit(data, self.learns(), left_out, options)
    }

    pub fn detected(&self, part: &Part<'_>) -> Result<Detected, DetectError> {
        Ok(Detected::of(&self.score.of(part), self.limit))
    }
}

impl Score {
    fn of(&self, part: &Part<'_>) -> Vec<f32> {
        let logits = part.frames.iter().map(|frame| part.logits(*frame));
        match self {
            Score::MaximumSoftmax => {
                logits.map(|logits| 1.0 - largest_probability(logits)).collect()
            }
            Score::Energy => logits.map(|logits| -energy(logits)).collect(),
            Score::Gaussian(gaussian) => gaussian.scores(&statistics(part.set, part.frames)),
            Score::Mlp { scaling, mlp } => {
                outputs(mlp, &scaled(part.set, part.frames, scaling), COLUMNS)
            }
        }
    }
}

fn statistics(set: &FeatureSet, frames: &[usize]) -> Vec<f32> {
    let row = |frame: &usize| &set.image_statistics[frame * COLUMNS..(frame + 1) * COLUMNS];
    frames.iter().flat_map(row).copied().collect()
}

fn scaled(set: &FeatureSet, frames: &[usize], scaling: &Scaling) -> Vec<f32> {
    let mut rows = statistics(set, frames);
    scaling.apply(&mut rows);
    rows
}

fn mlp(data: &Data<'_>, left_out: Option<LeftOut<'_>>, options: &FitOptions) -> Score {
    let gather = |normal: Part<'_>, pick: fn(&AnomalousParts) -> &[usize]| {
        let mut values = statistics(normal.set, normal.frames);
        let mut groups = vec![0usize; normal.frames.len()];
        for (index, (set, frames)) in data.taught(pick, left_out).into_iter().enumerate() {
            values.extend(statistics(set, &frames));
            groups.resize(groups.len() + frames.len(), index + 1);
        }
        let anomalous = groups.iter().map(|group| *group > 0).collect();
        let weights = balanced_weights(&groups);
        Rows { values, anomalous, weights }
    };
    let mut rows = gather(data.train_part(), |parts| &parts.train);
    let mut early = gather(data.part(&data.parts.early), |parts| &parts.early);
    let scaling = Scaling::fit(&rows.values, COLUMNS);
    scaling.apply(&mut rows.values);
    scaling.apply(&mut early.values);
    let mlp = train(&rows, &early, COLUMNS, &options.training());
    Score::Mlp { scaling, mlp }
}
