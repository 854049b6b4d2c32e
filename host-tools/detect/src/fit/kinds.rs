//! How well each kind of anomaly is detected at the shipped threshold, beside plain baselines.
//!
//! A head that learns from anomalous frames is fitted again without each kind, so that a row says
//! what a detector makes of a kind it has never seen; its relatives among the other kinds stay.
//! Every threshold, the baselines' too, comes from normal calibration frames alone, for the same
//! rate of false alarms.

mod baseline;
mod text;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::{Deserialize, Serialize};

use super::{Audit, Data, FitOptions, HeadKind, LeftOut};
use crate::calibrate::{plain_quantile, threshold};
use crate::file::Model;
use crate::heads::Part;
use crate::split::{AnomalousParts, SplitMode};
use crate::{DetectError, FeatureSet, binomial};
use baseline::Baseline;

/// Confidence of the intervals.
const INTERVAL: f64 = 0.95;

/// All kinds, measured on frames whose normal frames trained nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindsReport {
    /// Whether the head learns from anomalous frames, so that each kind was left out once.
    pub left_out: bool,
    /// False alarms of the shipped detector.
    pub audit: Audit,
    /// What stands beside it, with its false alarms.
    pub baselines: Vec<BaselineReport>,
    /// Worst first.
    pub rows: Vec<KindReport>,
    /// All rows but those that a single frame does not show, together.
    pub severities: Vec<SeverityReport>,
}

/// A plain detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineReport {
    /// Its name.
    pub name: String,
    /// False alarms at its own threshold for the same rate.
    pub audit: Audit,
    /// Rows in which it detects more than the detector.
    pub better_in: usize,
    /// Rows in which it detects less.
    pub worse_in: usize,
}

/// Frames of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindReport {
    /// The set that they are in.
    pub set: String,
    /// The kind.
    pub kind: String,
    /// A single frame does not show it: not trained on, and not among the baselines' wins.
    pub in_time: bool,
    /// Different sources among the frames.
    pub sources: usize,
    /// By the head, which has never seen this kind.
    pub detected: Detected,
    /// By the shipped detector, where it has learnt from this kind.
    pub shipped: Option<Detected>,
    /// False alarms of the head without this kind, at its own threshold.
    pub audit: Audit,
    /// By each baseline, in the order of [`KindsReport::baselines`].
    pub baselines: Vec<Detected>,
    /// By the head, for each severity.
    pub severities: Vec<SeverityReport>,
}

/// Frames above a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detected {
    /// Frames measured.
    pub frames: usize,
    /// Those above the threshold.
    pub above: usize,
    /// Their share.
    pub share: f64,
    /// Clopper and Pearson's 95 % interval of the share, for frames that are independent.
    pub interval: [f64; 2],
}

/// Frames of one severity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeverityReport {
    /// 1 (slight) to 5.
    pub severity: i64,
    /// Those above the threshold.
    pub detected: Detected,
}

impl Detected {
    fn of(scores: &[f32], limit: f32) -> Detected {
        Detected::new(scores.len(), scores.iter().filter(|score| **score > limit).count())
    }

    fn new(frames: usize, above: usize) -> Detected {
        let (low, high) = binomial::interval(above as u64, frames as u64, INTERVAL);
        let share = above as f64 / frames.max(1) as f64;
        Detected { frames, above, share, interval: [low, high] }
    }
}

/// One kind in one set, with the frames that measure it.
struct Cell {
    set: usize,
    kind: String,
    frames: Vec<usize>,
}

/// A row, and what baselines with their own training have to say of it.
struct Measured {
    row: KindReport,
    /// Scores of the cell's frames by the head are above the threshold.
    alarms: Vec<bool>,
}

impl Data<'_> {
    /// Anomalous frames of one part that a supervised head learns from, each group of equal weight.
    pub(crate) fn taught(
        &self,
        pick: fn(&AnomalousParts) -> &[usize],
        left_out: Option<LeftOut<'_>>,
    ) -> Vec<(&FeatureSet, Vec<usize>)> {
        let mut groups = Vec::new();
        for (index, (other, parts)) in self.anomalous.iter().zip(&self.anomalous_parts).enumerate()
        {
            let (set, frames) = (&other.set, pick(parts));
            if matches!(left_out, Some(LeftOut::Set(place)) if place == index) {
                continue;
            }
            if set.kinds.is_empty() {
                groups.push((set, frames.to_vec()));
            }
            for name in set.kinds.names.iter().filter(|name| !set.kinds.is_in_time(name)) {
                if !matches!(left_out, Some(LeftOut::Kind(kind)) if kind == name) {
                    groups.push((set, of_kind(set, frames, name)));
                }
            }
        }
        groups.retain(|(_, frames)| !frames.is_empty());
        groups
    }

    /// Measures every kind; `None` where no anomalous frames have kinds.
    pub(crate) fn measure_kinds(
        &self,
        kind: HeadKind,
        shipped: &Model,
        options: &FitOptions,
    ) -> Result<Option<KindsReport>, DetectError> {
        let cells = self.cells();
        if cells.is_empty() {
            return Ok(None);
        }
        let names = Baseline::possible(self);
        let supervised = kind == HeadKind::Mlp;
        let plain = names.iter().map(|name| name.fit(self, supervised, None, options));
        let plain: Vec<Baseline> = plain.collect::<Result<_, _>>()?;
        let measured = in_parallel(&cells, |cell| {
            self.measure_cell(cell, supervised, shipped, &plain, options)
        })?;
        let severities = self.all_severities(&cells, &measured);
        let mut rows: Vec<KindReport> = measured.into_iter().map(|one| one.row).collect();
        rows.sort_by(|a, b| {
            a.detected.share.total_cmp(&b.detected.share).then_with(|| a.kind.cmp(&b.kind))
        });
        let count = |place: usize, better: bool| {
            let counted = rows.iter().filter(|row| !row.in_time);
            let compared = counted.map(|row| (row.baselines[place].above, row.detected.above));
            compared
                .filter(|(theirs, ours)| if better { theirs > ours } else { theirs < ours })
                .count()
        };
        let baselines = plain.iter().enumerate().map(|(place, baseline)| BaselineReport {
            name: baseline.name().to_owned(),
            audit: baseline.audit,
            better_in: count(place, true),
            worse_in: count(place, false),
        });
        Ok(Some(KindsReport {
            left_out: supervised,
            audit: self.audit(shipped)?,
            baselines: baselines.collect(),
            rows,
            severities,
        }))
    }

    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (index, (other, parts)) in self.anomalous.iter().zip(&self.anomalous_parts).enumerate()
        {
            for name in &other.set.kinds.names {
                let frames = of_kind(&other.set, &parts.test, name);
                if !frames.is_empty() {
                    cells.push(Cell { set: index, kind: name.clone(), frames });
                }
            }
        }
        cells
    }

    fn measure_cell(
        &self,
        cell: &Cell,
        supervised: bool,
        shipped: &Model,
        plain: &[Baseline],
        options: &FitOptions,
    ) -> Result<Measured, DetectError> {
        let Cell { set, kind, frames } = cell;
        let other = &self.anomalous[*set];
        let part = Part { set: &other.set, frames };
        let in_time = other.set.kinds.is_in_time(kind);
        let shape = self.normal.shape();
        let left_out = Some(LeftOut::Kind(kind));
        let again =
            supervised && !in_time && !self.taught(|parts| &parts.train, left_out).is_empty();
        let model = match again {
            true => {
                let model = self.fit_model(HeadKind::Mlp, shipped.inputs, options, left_out)?;
                self.calibrate(model, options)?.0
            }
            false => shipped.clone(),
        };
        let scores = part.scores(&model, shape)?;
        let alarms: Vec<bool> = scores.iter().map(|score| *score > model.threshold).collect();
        let beside = |baseline: &Baseline| match again && baseline.learns() {
            true => baseline.again(self, left_out, options)?.detected(&part),
            false => baseline.detected(&part),
        };
        let of_shipped = |scores: Vec<f32>| Detected::of(&scores, shipped.threshold);
        let row = KindReport {
            set: other.name.clone(),
            kind: kind.clone(),
            in_time,
            sources: part.source().into_iter().collect::<BTreeSet<_>>().len(),
            detected: Detected::of(&scores, model.threshold),
            shipped: match again {
                true => Some(of_shipped(part.scores(shipped, shape)?)),
                false => None,
            },
            audit: self.audit(&model)?,
            baselines: plain.iter().map(beside).collect::<Result<_, _>>()?,
            severities: severities(&[(&part, &alarms)]),
        };
        Ok(Measured { row, alarms })
    }

    fn all_severities(&self, cells: &[Cell], measured: &[Measured]) -> Vec<SeverityReport> {
        let parts: Vec<(Part<'_>, &Vec<bool>)> = cells
            .iter()
            .zip(measured)
            .filter(|(_, one)| !one.row.in_time)
            .map(|(cell, one)| {
                let set = &self.anomalous[cell.set].set;
                (Part { set, frames: &cell.frames }, &one.alarms)
            })
            .collect();
        severities(&parts.iter().map(|(part, alarms)| (part, *alarms)).collect::<Vec<_>>())
    }

    /// Threshold on normal frames that the shipped detector's rule would set for these scores.
    fn same_budget(
        &self,
        scores: impl Fn(&Part<'_>) -> Result<Vec<f32>, DetectError>,
        options: &FitOptions,
    ) -> Result<(f32, Audit), DetectError> {
        let promise = options.split == SplitMode::Promise;
        let part = self.part(if promise { &self.parts.calibration } else { &self.parts.early });
        let (calibration, source) = (scores(&part)?, part.source());
        let (rate, confidence) = (options.false_alarm_rate, options.confidence);
        let limit = match promise {
            true => threshold(&calibration, &source, rate, confidence)?.value,
            false => plain_quantile(&calibration, rate),
        };
        let part = self.part(&self.parts.audit);
        let audit = scores(&part)?;
        let sources = part.source().into_iter().collect::<BTreeSet<_>>().len();
        let alarms = audit.iter().filter(|score| **score > limit).count();
        Ok((limit, Audit { frames: audit.len(), alarms, sources }))
    }
}

fn of_kind(set: &FeatureSet, frames: &[usize], name: &str) -> Vec<usize> {
    frames.iter().copied().filter(|&frame| set.kinds.of(frame) == Some(name)).collect()
}

/// Frames of each severity that occurs.
fn severities(parts: &[(&Part<'_>, &Vec<bool>)]) -> Vec<SeverityReport> {
    let of = |severity: i64| {
        let all = parts.iter().flat_map(|(part, alarms)| {
            let severity_of = |frame: &usize| part.set.kinds.severities[*frame];
            part.frames.iter().map(severity_of).zip(alarms.iter())
        });
        let alarms: Vec<bool> =
            all.filter(|(own, _)| *own == severity).map(|(_, alarm)| *alarm).collect();
        let above = alarms.iter().filter(|alarm| **alarm).count();
        SeverityReport { severity, detected: Detected::new(alarms.len(), above) }
    };
    (1..=5).map(of).filter(|report| report.detected.frames > 0).collect()
}

/// Results in the order of the items, on all cores; the first error in that order wins.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, DetectError> + Sync,
) -> Result<Vec<R>, DetectError> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, |n| n.get()).min(items.len());
    let mut all: Vec<(usize, Result<R, DetectError>)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut all = worker();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests;
