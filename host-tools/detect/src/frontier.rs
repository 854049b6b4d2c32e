//! Which gradient norms are worth their price: detectors over subsets of one feature file, what
//! each would cost, and what each tells.
//!
//! Subsets are columns of the features of all taps, so nothing is recomputed. Every subset is
//! fitted by the same code on the same parts with the same seed. The front, the knee and a greedy
//! choice are made on the *choosing* frames (calibration part, anomalous train and early-stop
//! parts); AUROCs are *reported* on the audit and test parts, which choose nothing.

pub mod draw;
mod front;
mod greedy;
mod report;
mod table;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::{Deserialize, Serialize};

pub use greedy::{Addition, GREEDY_STEPS, greedy};
pub use report::{FrontierReport, KNEE_RULE, Parts, Point, Rates, SourceAuroc};

use crate::fit::subset::{Told, check_sizes, tell};
use crate::fit::{Anomalous, FitOptions, HeadKind};
use crate::split::SplitMode;
use crate::{DetectError, FeatureSet, Inputs};

/// Confidence of all intervals here.
pub const INTERVAL: f64 = 0.95;

/// What one frame costs with a subset of taps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Multiply-adds of the forward pass.
    pub forward: u64,
    /// Of the cotangents.
    pub backward: u64,
    /// Of the weight gradients, their norms and alignments.
    pub norms: u64,
    /// Working memory.
    pub arena_bytes: u64,
    /// Of the file, detector included.
    pub bundle_bytes: u64,
    /// Multiply-adds of each pass times a rate: an estimate.
    pub milliseconds: f64,
}

impl Cost {
    /// Multiply-adds of the whole verdict.
    pub fn macs(&self) -> u64 {
        self.forward + self.backward + self.norms
    }
}

/// Which family a subset belongs to, for colours and legends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// No backward pass.
    Forward,
    /// All parameters from some layer on.
    All,
    /// All but the scales of normalisations.
    WithoutScales,
    /// Weights alone.
    Weights,
    /// Scale and shift of normalisations alone.
    Normalisation,
    /// Shifts and biases alone.
    Shifts,
    /// Chosen step by step.
    Greedy,
}

impl Family {
    /// All families with their names, in the order of legends.
    pub const NAMES: [(Family, &'static str); 7] = [
        (Family::Forward, "forward only"),
        (Family::All, "all parameters"),
        (Family::WithoutScales, "without scales"),
        (Family::Weights, "weights"),
        (Family::Normalisation, "normalisation"),
        (Family::Shifts, "shifts and biases"),
        (Family::Greedy, "greedy choice"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Family::NAMES.iter().find(|(family, _)| *family == self).map_or("", |(_, name)| name)
    }
}

/// A subset of taps with its price.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    /// For the table.
    pub name: String,
    /// Its family.
    pub family: Family,
    /// For `--taps`.
    pub taps: String,
    /// Parameters, in graph order; empty: forward only.
    pub parameters: Vec<String>,
    /// What it costs; `bundle_bytes` without the detector.
    pub cost: Cost,
}

/// Checked sets under one head, ready to measure subsets.
pub struct Frontier<'a> {
    normal: &'a FeatureSet,
    anomalous: &'a [Anomalous],
    kind: HeadKind,
    options: FitOptions,
    parts: Parts,
}

impl<'a> Frontier<'a> {
    /// Checks the sets and the options.
    ///
    /// # Errors
    /// No anomalous frames, features without norms, a head that reads none, sets that do not belong
    /// together, too few frames to choose on one part and to report on another.
    pub fn new(
        normal: &'a FeatureSet,
        anomalous: &'a [Anomalous],
        options: &FitOptions,
    ) -> Result<Frontier<'a>, DetectError> {
        let bad = |problem: String| Err(DetectError::Options(problem));
        let kind = options.head.unwrap_or(HeadKind::Composite);
        if kind.narrow(Inputs::NORM) != Inputs::NORM {
            return bad(
                "this head reads no gradient norms, so that no subset would differ; choose \
                        composite, gaussian or mlp"
                    .into(),
            );
        }
        if !options.inputs.has(Inputs::NORM) {
            return bad("subsets of gradient norms are compared: the inputs must hold norm".into());
        }
        if anomalous.is_empty() {
            return bad("AUROC needs anomalous frames: give --anomalous".into());
        }
        if normal.metadata.parameters.is_empty() {
            return bad("the features hold no gradient norms; compute them without --taps".into());
        }
        if options.inputs.has(Inputs::ALIGNMENT) && normal.metadata.alignments.is_empty() {
            return bad(
                "the features hold no alignments; compute them with `features --references`, or \
                 leave alignment out of the inputs"
                    .into(),
            );
        }
        let options = FitOptions { split: SplitMode::Promise, ..options.clone() };
        let sizes = check_sizes(normal, anomalous, kind, &options)?;
        let parts = Parts { choosing: sizes.choice, reporting: sizes.report };
        Ok(Frontier { normal, anomalous, kind, options, parts })
    }

    /// What the norms of these columns tell, with the alignments of their weights.
    fn tell(&self, columns: &[usize], kind: HeadKind) -> Result<Told, DetectError> {
        let normal = self.normal.with_columns(columns);
        let narrowed = |other: &Anomalous| Anomalous {
            name: other.name.clone(),
            set: other.set.with_columns(columns),
        };
        let anomalous: Vec<Anomalous> = self.anomalous.iter().map(narrowed).collect();
        tell(&normal, &anomalous, kind, &self.options, INTERVAL)
    }

    /// Measures every subset and chooses among them. With a `limit` in multiply-adds, the knee is
    /// one of the subsets within it. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// A subset that cannot be fitted; none within the limit.
    pub fn measure(
        &self,
        subsets: Vec<Subset>,
        limit: Option<u64>,
        threads: usize,
    ) -> Result<FrontierReport, DetectError> {
        let told = parallel(subsets.len(), threads, |index| {
            let columns = self.normal.columns(&subsets[index].parameters)?;
            self.tell(&columns, self.kind)
        })?;
        report::report(self, subsets, &told, limit)
    }
}

/// Results of `work` for 0..count in order; the first error in that order.
fn parallel<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T, DetectError> + Sync,
) -> Result<Vec<T>, DetectError> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<T, DetectError>>>> =
        Mutex::new((0..count).map(|_| None).collect());
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let result = work(index);
                    if let Ok(mut results) = results.lock() {
                        results[index] = Some(result);
                    }
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let missing = || DetectError::Data("a thread ended early".into());
    results.into_iter().map(|result| result.ok_or_else(missing)?).collect()
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
