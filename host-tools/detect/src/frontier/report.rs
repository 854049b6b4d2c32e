//! Measured subsets with the front, the best and the knee, for machines.

use serde::{Deserialize, Serialize};

use super::front::{knee, pareto};
use super::{Cost, Family, Frontier, INTERVAL, Subset};
use crate::DetectError;
use crate::fit::options::input_names;
use crate::fit::subset::Told;
use crate::metrics::Interval;

/// How the knee is found, for tables and pictures.
pub const KNEE_RULE: &str = "the cheapest subset that the choosing frames do not show to be worse \
                             than the best: the paired 95 % interval of the difference in AUROC \
                             reaches 0";

/// Independent sources in the smallest part of each kind: normal, anomalous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Frames that chose.
    pub choosing: [usize; 2],
    /// Frames that are reported.
    pub reporting: [usize; 2],
}

/// Nanoseconds a multiply-add by pass, and where they come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Forward.
    pub forward: f64,
    /// Backward.
    pub backward: f64,
    /// Norms.
    pub norms: f64,
    /// Measured on which executor, or given.
    pub origin: String,
}

impl Rates {
    /// The estimate for a number of multiply-adds of each pass.
    pub fn milliseconds(&self, forward: u64, backward: u64, norms: u64) -> f64 {
        let terms = [(self.forward, forward), (self.backward, backward), (self.norms, norms)];
        terms.iter().map(|(rate, macs)| rate * *macs as f64 * 1e-6).sum()
    }
}

/// AUROC against one anomalous source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceAuroc {
    /// Its name.
    pub name: String,
    /// On the reporting frames.
    pub auroc: Interval,
}

/// One subset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// For the table.
    pub name: String,
    /// Family.
    pub family: Family,
    /// For `--taps`.
    pub taps: String,
    /// Tapped parameters.
    pub parameters: Vec<String>,
    /// What a frame costs.
    pub cost: Cost,
    /// Mean AUROC over the anomalous sources on the choosing frames.
    pub choosing: Interval,
    /// The same on the reporting frames.
    pub reported: Interval,
    /// `reported` less that of the forward pass alone, paired.
    pub gain: Interval,
    /// By anomalous source, on the reporting frames.
    pub sources: Vec<SourceAuroc>,
    /// On the Pareto front of multiply-adds and `choosing`.
    pub front: bool,
}

/// All subsets, from the cheapest to the dearest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontierReport {
    /// The network, as the caller names it.
    pub model: String,
    /// Where the normal frames come from.
    pub normal: String,
    /// Head.
    pub head: String,
    /// Kinds of inputs beside which the norms stand.
    pub inputs: String,
    /// Of splits, start weights and bootstrap.
    pub seed: u64,
    /// How many independent sources stand behind the intervals.
    pub parts: Parts,
    /// Rates behind the estimated times.
    pub rates: Rates,
    /// Multiply-adds that the knee may take.
    pub limit: Option<u64>,
    /// How the knee was found.
    pub rule: String,
    /// Index of the subset with the highest AUROC on the choosing frames, within the limit.
    pub best: usize,
    /// Index of the knee.
    pub knee: usize,
    /// The subsets.
    pub points: Vec<Point>,
}

/// Chooses on the choosing frames and reports the others.
pub(super) fn report(
    frontier: &Frontier<'_>,
    subsets: Vec<Subset>,
    told: &[Told],
    limit: Option<u64>,
) -> Result<FrontierReport, DetectError> {
    let mut order: Vec<usize> = (0..subsets.len()).collect();
    order.sort_by_key(|&index| subsets[index].cost.macs());
    let coordinates: Vec<(u64, f64)> =
        order.iter().map(|&index| (subsets[index].cost.macs(), told[index].choice.value)).collect();
    let front = pareto(&coordinates);
    let base = subsets.iter().position(|subset| subset.parameters.is_empty());
    let base = base.ok_or_else(|| {
        DetectError::Options("the forward pass alone must be among the subsets".into())
    })?;
    let within: Vec<usize> = (0..order.len())
        .filter(|&at| limit.is_none_or(|limit| coordinates[at].0 <= limit))
        .collect();
    let allowed: Vec<(u64, f64)> = within.iter().map(|&at| coordinates[at]).collect();
    let choice = |at: usize| &told[order[within[at]]].choice;
    let worse = |best: usize, other: usize| choice(best).minus(choice(other), INTERVAL).low > 0.0;
    let (best, knee) = knee(&allowed, worse).ok_or_else(|| {
        DetectError::Options("not even the forward pass alone keeps within the budget".into())
    })?;
    let point = |(at, &index): (usize, &usize)| {
        let (subset, told, base) = (&subsets[index], &told[index], &told[base]);
        let sources = frontier.anomalous.iter().zip(&told.sources);
        let mut cost = subset.cost;
        cost.bundle_bytes += told.detector_bytes;
        Point {
            name: subset.name.clone(),
            family: subset.family,
            taps: subset.taps.clone(),
            parameters: subset.parameters.clone(),
            cost,
            choosing: told.choice.interval(INTERVAL),
            reported: told.report.interval(INTERVAL),
            gain: told.report.minus(&base.report, INTERVAL),
            sources: sources
                .map(|(other, auroc)| SourceAuroc { name: other.name.clone(), auroc: *auroc })
                .collect(),
            front: front[at],
        }
    };
    Ok(FrontierReport {
        model: String::new(),
        normal: frontier.normal.metadata.frames.clone(),
        head: frontier.kind.name().to_owned(),
        inputs: input_names(frontier.options.inputs),
        seed: frontier.options.seed,
        parts: frontier.parts,
        rates: Rates::default(),
        limit,
        rule: KNEE_RULE.to_owned(),
        best: within[best],
        knee: within[knee],
        points: order.iter().enumerate().map(point).collect(),
    })
}

impl FrontierReport {
    /// For machines.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn to_json(&self) -> Result<String, DetectError> {
        serde_json::to_string_pretty(self)
            .map_err(|error| DetectError::Data(format!("report: {error}")))
    }

    /// The knee.
    pub fn knee(&self) -> &Point {
        &self.points[self.knee]
    }
}
