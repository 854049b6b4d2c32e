//! Protocols: what is measured on a classifier and its detectors, from one file, by one call.
//!
//! [`Definition`] (a TOML file) -> frames, attacked frames, features -> one [`parts::Split`] a seed
//! for all detectors -> scores -> [`results::Results`], a page and a table of samples. Everything
//! that takes long is kept in a [`cache::Cache`] under the digest of what decides it.

mod adaptive;
pub mod attacked;
pub mod cache;
pub mod coded;
pub mod compare;
pub mod controls;
pub mod definition;
mod direction;
pub mod examined;
pub mod markdown;
pub mod matched;
pub mod others;
pub mod ours;
pub mod page;
pub mod parts;
pub mod results;
pub mod samples;
pub mod sets;
pub mod trials;
pub mod watch;

use std::path::Path;

use gradgate_detect::metrics::Resampled;
use gradgate_detect::references::References;
use gradgate_graph::import::Imported;

pub use definition::Definition;
pub use results::Results;
pub use watch::{Quiet, Watch};

use crate::attack::loss::argmax;
use crate::attack::{Status, distortion};
use crate::baseline::LabelBudget;
use crate::device::Device;
use crate::error::LabError;

use cache::Cache;
use coded::CodedNormals;
use compare::{Scores, mark_confounded};
use definition::{Ours, Question, SetChoice, SetKind};
use examined::{Examined, accuracy, count, noise_like, predicted};
use ours::Measured;
use parts::Split;
use results::{AttackFacts, Comparison, ControlRow, FORMAT, NotRun, SetFacts};
use sets::{ImageSet, Places};
use trials::{Bench, SeenSets};

/// What a run needs beside its definition.
pub struct Setting<'a> {
    /// Name of the classifier's file.
    pub model: &'a str,
    /// The classifier.
    pub imported: &'a Imported,
    /// Directions that alignments compare with.
    pub references: Option<&'a References>,
    /// The folder that FRAMES lie in.
    pub data: &'a Path,
    /// The recipe that the classifier was trained by, for protocols that take a part of its
    /// frames.
    pub recipe: &'a Path,
    /// Where finished work is kept.
    pub cache: &'a Path,
    /// Where batches are computed.
    pub device: Device,
}

impl Setting<'_> {
    fn places(&self) -> Places<'_> {
        Places { data: self.data, recipe: self.recipe }
    }
}

/// A run's results with the frames and scores behind them.
pub struct Run {
    /// What is written down.
    pub results: Results,
    /// Normal frames.
    pub normal: Measured,
    /// The same behind the codecs that sets ask for.
    pub coded: CodedNormals,
    /// The definition's sets, or the classifier's own errors.
    pub sets: Vec<Measured>,
    /// Every score.
    pub scores: Vec<Scores>,
    /// Every frame's fate, for the question `adaptive`.
    pub adaptive: Option<crate::adaptive::Results>,
}

impl Run {
    /// The normal frames that a set, by its place, is told apart from.
    pub fn normal_of(&self, set: usize) -> &Measured {
        self.coded.of(set, &self.normal)
    }
}

/// Measures what the definition asks for.
///
/// # Errors
/// Frames, models or options that do not fit each other, each with its name; when the watcher
/// stops, what is finished stays in the cache.
pub fn run(
    definition: &Definition,
    setting: &Setting<'_>,
    watch: &dyn Watch,
) -> Result<Run, LabError> {
    let cache = Cache::open(setting.cache)?;
    let examined =
        Examined::new(setting.imported, setting.references, definition.label, setting.device)?;
    let (normal, sets) = frames(definition, setting, &examined, &cache, watch)?;
    let measure = |set: ImageSet| {
        let features = examined.features(&set, &cache, watch)?;
        Measured::new(set, features)
    };
    let coded = CodedNormals::new(&normal, &definition.sets, measure)?;
    let mut normal = measure(normal)?;
    let mut sets = sets.into_iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    let mut facts = vec![set_facts(&normal, None, None)];
    for (set, choice) in sets.iter().zip(&definition.sets) {
        facts.push(set_facts(set, Some(choice.kind), Some(&normal.images)));
    }
    if definition.question == Question::OwnErrors {
        (normal, sets) = own_errors(normal)?;
    }
    let images: Vec<ImageSet> = sets.iter().map(|set| set.images.clone()).collect();
    let splits: Vec<Split> =
        definition.seeds.iter().map(|&seed| Split::new(&normal.images, &images, seed)).collect();
    let training = match definition.training.is_empty() {
        true => None,
        false => {
            let (choice, place) = (&definition.training, definition.sets.len() + 1);
            Some(ImageSet::read("training", choice, examined.shape()?, &setting.places(), place)?)
        }
    };
    let bench =
        Bench { definition, normal: &normal, coded: &coded, sets: &sets, splits: &splits, watch };
    let Judged { scores, not_run, controls } = match definition.question {
        Question::Profile | Question::Adaptive => Judged::default(),
        _ => judge(&bench, &examined, training.as_ref(), &cache)?,
    };
    let comparisons = compare(&bench, &scores)?;
    let adaptive = adaptive::asked(&bench, &setting.imported.graph, &examined, &cache)?;
    let results = Results {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        definition: definition.clone(),
        model: examined.facts(setting.model),
        split_digest: parts::digest(&splits),
        sets: facts,
        comparisons,
        not_run,
        controls,
        directions: direction::directions(&normal, &sets, &coded),
        adaptive: adaptive.as_ref().map(|found| found.summary()),
    };
    Ok(Run { results, normal, coded, sets, scores, adaptive })
}

/// The normal frames and those of every set, attacked and changed as the definition says.
///
/// # Errors
/// As [`run`].
pub fn frames(
    definition: &Definition,
    setting: &Setting<'_>,
    examined: &Examined,
    cache: &Cache,
    watch: &dyn Watch,
) -> Result<(ImageSet, Vec<ImageSet>), LabError> {
    let shape = examined.shape()?;
    let places = setting.places();
    let read = |name: &str, choice: &_, place| ImageSet::read(name, choice, shape, &places, place);
    let normal = read("normal", &definition.normal, 0)?;
    check_labels(&normal, examined.classifier.classes())?;
    let mut sets: Vec<ImageSet> = Vec::new();
    for (at, choice) in definition.sets.iter().enumerate() {
        let originals = match (choice.take.is_empty(), choice.take.changed(definition)) {
            (false, _) => read(&choice.name, &choice.take, at + 1)?,
            (true, None) => limited(&normal, choice.take.limit),
            (true, Some(changed)) => twinned(read(&choice.name, &changed, 0)?),
        };
        let made = make(choice, &originals, &sets, examined, cache, watch)?;
        sets.push(made);
    }
    Ok((normal, sets))
}

/// Frames that are normal ones but for what was done to them.
fn twinned(set: ImageSet) -> ImageSet {
    ImageSet { twins: Some((0..set.len()).collect()), ..set }
}

/// The first frames of the normal set.
fn limited(normal: &ImageSet, limit: Option<usize>) -> ImageSet {
    let all: Vec<usize> = (0..normal.len()).take(limit.unwrap_or(usize::MAX)).collect();
    let mut set = normal.take(&all);
    set.twins = Some(all);
    set
}

fn check_labels(normal: &ImageSet, classes: usize) -> Result<(), LabError> {
    match normal.labels.iter().flatten().find(|label| **label >= classes) {
        None => Ok(()),
        Some(label) => Err(LabError::Data(format!(
            "a normal frame has label {label}, the model has classes 0 to {}: give the model's own \
             frames, or say which labels it never learnt by normal.held_out",
            classes.saturating_sub(1)
        ))),
    }
}

/// The frames of a set, behind its codec where it has one.
fn make(
    choice: &SetChoice,
    originals: &ImageSet,
    before: &[ImageSet],
    examined: &Examined,
    cache: &Cache,
    watch: &dyn Watch,
) -> Result<ImageSet, LabError> {
    let made = changed(choice, originals, before, examined, cache, watch)?;
    let Some(codec) = &choice.jpeg_after else { return Ok(made) };
    let set = coded::coded(&made, codec)?;
    if set.statuses.is_none() {
        return Ok(set);
    }
    let logits = examined.classifier.logits(&set.images)?;
    let classes: Vec<usize> = (0..set.len()).map(|at| argmax(logits.frame(at))).collect();
    Ok(coded::judged_anew(set, &classes))
}

/// The frames of a set: as they are, attacked, or changed like another set's.
fn changed(
    choice: &SetChoice,
    originals: &ImageSet,
    before: &[ImageSet],
    examined: &Examined,
    cache: &Cache,
    watch: &dyn Watch,
) -> Result<ImageSet, LabError> {
    if let Some(attack) = &choice.attack {
        let attack = attack.resolve()?;
        return examined.attacked(&choice.name, &attack, originals, cache, watch);
    }
    if let Some(like) = &choice.noise_like
        && let Some(like) = before.iter().find(|set| set.name == *like)
    {
        return Ok(noise_like(&choice.name, like, originals, 0));
    }
    let mut set = originals.clone();
    set.name.clone_from(&choice.name);
    Ok(set)
}

fn set_facts(set: &Measured, kind: Option<SetKind>, normal: Option<&ImageSet>) -> SetFacts {
    let mut sources = set.images.sources.clone();
    sources.sort_unstable();
    sources.dedup();
    let (right, known) = accuracy(&set.features);
    let own = matches!(kind, None | Some(SetKind::Attack | SetKind::Control | SetKind::Fault));
    SetFacts {
        name: set.images.name.clone(),
        kind,
        digest: set.images.digest(),
        frames: set.images.len(),
        sources: sources.len(),
        right: (known > 0 && own).then_some([right, known]),
        attack: normal.and_then(|normal| attack_facts(&set.images, normal)),
    }
}

fn attack_facts(set: &ImageSet, normal: &ImageSet) -> Option<AttackFacts> {
    let (twins, _) = set.twins.as_ref().zip(set.statuses.as_ref())?;
    let success = count(set, Status::Success);
    let each = twins.iter().enumerate();
    let differences: Vec<(f32, f32)> = each
        .map(|(at, &twin)| distortion(normal.images.frame(twin), set.images.frame(at)))
        .collect();
    let mean = |pick: fn(&(f32, f32)) -> f32| {
        differences.iter().map(|one| f64::from(pick(one))).sum::<f64>() / differences.len() as f64
    };
    Some(AttackFacts {
        attacked: success + count(set, Status::Failed),
        success,
        mean_l_inf: mean(|one| one.0),
        mean_l2: mean(|one| one.1),
    })
}

/// Normal frames that the classifier is right about, and those that it gets wrong as a set.
fn own_errors(normal: Measured) -> Result<(Measured, Vec<Measured>), LabError> {
    let (right, wrong): (Vec<usize>, Vec<usize>) = (0..normal.images.len())
        .filter(|&at| normal.features.labels[at] >= 0)
        .partition(|&at| predicted(&normal.features, at) == normal.features.labels[at]);
    if wrong.len() < 10 || right.len() < 10 {
        return Err(LabError::Data(format!(
            "the classifier is right about {} and wrong about {} of the normal frames: too few to \
             compare; give more frames with labels",
            right.len(),
            wrong.len()
        )));
    }
    let mut errors = normal.images.take(&wrong);
    errors.name = "own-errors".to_owned();
    let part = |images: ImageSet, frames: &[usize]| {
        Measured::new(images, direction::select(&normal.features, frames))
    };
    let errors = part(errors, &wrong)?;
    Ok((part(normal.images.take(&right), &right)?, vec![errors]))
}

/// What all detectors said.
#[derive(Default)]
struct Judged {
    scores: Vec<Scores>,
    not_run: Vec<NotRun>,
    controls: Vec<ControlRow>,
}

/// Scores of all detectors, ours first.
fn judge(
    bench: &Bench<'_>,
    examined: &Examined,
    training: Option<&ImageSet>,
    cache: &Cache,
) -> Result<Judged, LabError> {
    let (mut all, mut not_run) = (Vec::new(), Vec::new());
    let mut controls = controls::Controls::new(bench);
    for ours in bench.definition.ours()? {
        let skipped = bench.definition.question == Question::CleanOnly && ours.is_supervised();
        if skipped {
            continue;
        }
        all.extend(bench.ours(ours, &mut |who, split, fitted| controls.hear(who, split, fitted))?);
    }
    let methods = bench.definition.methods()?;
    if !methods.is_empty() {
        let seen = SeenSets::new(examined, bench.normal, bench.sets, training)?;
        for method in &methods {
            all.extend(bench.others(method, &seen, examined, cache, &mut not_run)?);
        }
    }
    Ok(Judged { scores: all, not_run, controls: controls.finish() })
}

/// What a detector is compared with: the first of ours that asks for as much, fitted on the same
/// anomalies and tested on the same frames.
fn leader<'a>(definition: &Definition, scores: &'a [Scores], one: &Scores) -> Option<&'a Scores> {
    let supervised = one.who.label_budget == LabelBudget::PerSet;
    let asks = |name: &&String| Ours::parse(name).is_ok_and(|o| o.is_supervised() == supervised);
    let name = definition.ours.iter().find(asks)?;
    let found = scores.iter().find(|first| {
        let lesson = one.who.learnt_from.is_empty() || first.who.learnt_from == one.who.learnt_from;
        first.who.detector == *name && lesson && first.is_paired_with(one)
    });
    found.filter(|first| *first != one)
}

fn compare(bench: &Bench<'_>, scores: &[Scores]) -> Result<Vec<Comparison>, LabError> {
    let resamples = bench.definition.resamples;
    let mut all = Vec::new();
    for (done, one) in scores.iter().enumerate() {
        bench.watch.progress("figures", done as u64, scores.len() as u64)?;
        let Some(set) = bench.sets.iter().find(|set| set.images.name == one.set) else { continue };
        let first: Option<Resampled> = leader(bench.definition, scores, one)
            .map(|first| first.resampled(&bench.normal.images, &set.images, resamples))
            .transpose()?;
        all.push(one.compare(&bench.normal.images, &set.images, first.as_ref(), resamples)?);
    }
    if bench.definition.matched {
        matched::measure(bench, scores, &mut all)?;
    }
    if let Some(first) = bench.definition.ours.first() {
        mark_confounded(&mut all, first, &Ours::Statistics.name());
    }
    Ok(all)
}
