//! A whole run: every attack at every radius on every detector.

use std::collections::HashSet;
use std::sync::Arc;

use gradgate_detect::scorer::Scorer;
use gradgate_graph::graph::Graph;
use rayon::prelude::*;

use crate::attack::{Subject, distortion};
use crate::error::LabError;

use super::ball::{Ball, pixels};
use super::context::{Attacked, Context, Found, Normal};
use super::detector::NamedDetector;
use super::matched::Objective;
use super::network::{Engines, Network, Recipe};
use super::options::{Family, Method, Options};
use super::results::{Cell, Clean, DetectorSummary, Fate, Finished, Results, median, rows};
use super::sanity::{GradientCheck, checks};
use super::score::energy;
use super::slope::Slope;

/// Images between two calls of an observer, for each core.
pub(super) const IMAGES_PER_CORE: usize = 2;
/// Images whose gradients are checked.
const GRADIENT_IMAGES: usize = 8;

/// What an observer hears of.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// Images of a cell are done.
    Progress {
        /// Which cell.
        cell: &'e Cell,
        /// Cells before it, and all cells.
        cells: [usize; 2],
        /// Images of it that are done, and all of its images.
        images: [usize; 2],
    },
    /// A cell is done: to be kept and given to a later [`run`].
    Finished(&'e Finished),
}

/// Attacks `subjects` and every detector on them.
///
/// `done` holds cells of an earlier run with the same options, model, images and detectors, which
/// are taken over. `observe` hears of the progress; its error ends the run. Results depend on
/// seeds, options and the set of images, neither on their order nor on the number of threads.
///
/// # Errors
/// When an option is out of its range, the model has no gradients, images or labels do not fit it,
/// a detector does not fit its features, or a finished cell is of other images.
pub fn run<E: From<LabError>>(
    options: &Options,
    graph: &Arc<Graph>,
    recipe: &Recipe,
    subjects: &[Subject],
    detectors: &[NamedDetector],
    done: Vec<Finished>,
    mut observe: impl FnMut(Event<'_>) -> Result<(), E>,
) -> Result<Results, E> {
    options.check()?;
    let network = Network::new(graph, recipe)?;
    let scorers = scorers(detectors, &network)?;
    let mut subjects: Vec<&Subject> = subjects.iter().collect();
    subjects.sort_by_key(|subject| subject.index);
    check_subjects(&subjects, &network)?;
    let engines = network.engines()?;
    let mut runner = Runner::new(options, &engines, detectors, &scorers, subjects)?;
    let cells = cells(options, detectors);
    let mut finished: Vec<Finished> = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        let known = done.iter().find(|known| known.cell == *cell);
        let fates = match known {
            Some(known) => runner.taken_over(known)?,
            None => runner.cell(cell, [at, cells.len()], &mut observe)?,
        };
        let one = Finished { cell: cell.clone(), fates };
        if known.is_none() {
            observe(Event::Finished(&one))?;
        }
        finished.push(one);
    }
    Ok(runner.results(finished)?)
}

/// All cells of a run, in order.
pub fn cells(options: &Options, detectors: &[NamedDetector]) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |method: Method, eps: f64| {
        if !method.asks_detector() {
            cells.push(Cell { method, eps, detector: None });
            return;
        }
        for detector in detectors {
            cells.push(Cell { method, eps, detector: Some(detector.name.clone()) });
        }
    };
    for &eps in &options.eps {
        options.methods().into_iter().for_each(|method| add(method, eps));
    }
    let white = [(Family::Selective, Method::Selective), (Family::Orthogonal, Method::Orthogonal)];
    if let Some((_, method)) = white.iter().find(|(family, _)| options.attacks.contains(family)) {
        add(*method, options.sanity_eps);
    }
    cells
}

pub(super) fn scorers(
    detectors: &[NamedDetector],
    network: &Network,
) -> Result<Vec<Scorer>, LabError> {
    if detectors.is_empty() {
        return Err(LabError::Options("no detector to attack: name at least one".to_owned()));
    }
    let mut names = HashSet::new();
    if let Some(twice) = detectors.iter().find(|detector| !names.insert(&detector.name)) {
        return Err(LabError::Options(format!("two detectors are named `{}`", twice.name)));
    }
    detectors.iter().map(|detector| detector.scorer(network)).collect()
}

pub(super) fn check_subjects(subjects: &[&Subject], network: &Network) -> Result<(), LabError> {
    let elements = network.shape().iter().product::<usize>();
    let data = |text: String| Err(LabError::Data(text));
    if let Some(pair) = subjects.windows(2).find(|pair| pair[0].index == pair[1].index) {
        return data(format!("two images have number {}", pair[0].index));
    }
    for subject in subjects {
        let index = subject.index;
        if subject.pixels.len() != elements {
            let (got, shape) = (subject.pixels.len(), network.shape());
            return data(format!("image {index} has {got} samples, the model takes {shape:?}"));
        }
        if let Some(wrong) = subject.pixels.iter().find(|x| !(0.0..=1.0).contains(*x)) {
            return data(format!("image {index} holds {wrong}: pixels are 0 to 1"));
        }
        match subject.label {
            None => {
                return data(format!(
                    "image {index} has no label; adaptive attacks need labelled images"
                ));
            }
            Some(label) if label >= network.classes() => {
                let last = network.classes() - 1;
                return data(format!(
                    "image {index} has label {label}, the model has classes 0 to {last}"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What became of an image.
pub(super) fn fate(subject: &Subject, found: &Found) -> Fate {
    let (l_inf, l2) = distortion(&subject.pixels, &pixels(&found.bytes));
    let judged = &found.judged;
    let (predicted, scores) = (judged.predicted, judged.scores.clone());
    Fate { index: subject.index, predicted, l_inf, l2, scores }
}

pub(super) struct Runner<'r> {
    context: Context<'r>,
    subjects: Vec<&'r Subject>,
    pub(super) clean: Vec<Clean>,
}

impl<'r> Runner<'r> {
    pub(super) fn new(
        options: &'r Options,
        engines: &'r Engines<'r>,
        detectors: &'r [NamedDetector],
        scorers: &'r [Scorer],
        subjects: Vec<&'r Subject>,
    ) -> Result<Self, LabError> {
        let shape = engines.network.feature_shape();
        let slope = |detector: &'r NamedDetector| Slope {
            model: &detector.model,
            shape,
            step: options.parameter_step,
        };
        let slopes = detectors.iter().map(slope).collect();
        let normal = Normal::default();
        let context = Context { options, engines, detectors, slopes, scorers, normal };
        let mut runner = Self { context, subjects, clean: Vec::new() };
        let met: Vec<(Clean, Vec<f32>)> = runner
            .subjects
            .par_iter()
            .map(|subject| runner.meet(subject))
            .collect::<Result<_, _>>()?;
        runner.context.normal = runner.normal(&met);
        runner.clean = met.into_iter().map(|(clean, _)| clean).collect();
        Ok(runner)
    }

    /// What the device says of an image before any attack, and the logits.
    fn meet(&self, subject: &Subject) -> Result<(Clean, Vec<f32>), LabError> {
        let label = subject.label.unwrap_or_default();
        let bytes = Ball { clean: &subject.pixels, eps: 0.0 }.bytes(&subject.pixels);
        let judged = self.context.judge(&bytes)?;
        let (predicted, scores) = (judged.predicted, judged.scores);
        let clean =
            Clean { index: subject.index, source: subject.source, label, predicted, scores };
        Ok((clean, judged.logits))
    }

    /// Logits of the images that are right and that some detector lets pass.
    fn normal(&self, met: &[(Clean, Vec<f32>)]) -> Normal {
        let mut logits = vec![Vec::new(); self.context.engines.network.classes()];
        let mut energies = Vec::new();
        for (clean, own) in met.iter().filter(|(clean, _)| self.attackable(clean, None)) {
            logits[clean.label].push(own.clone());
            energies.push(energy(own));
        }
        Normal { energy: median(energies).unwrap_or(0.0), logits }
    }

    /// Whether an image was right and passed, by a detector or by any.
    fn attackable(&self, clean: &Clean, detector: Option<usize>) -> bool {
        let passes = |at: usize| {
            clean.scores[at].is_some_and(|score| score <= self.context.detectors[at].loosest())
        };
        let all = 0..clean.scores.len();
        clean.predicted == clean.label && detector.map_or(all.into_iter().any(passes), passes)
    }

    fn detector(&self, cell: &Cell) -> Option<usize> {
        let name = cell.detector.as_ref()?;
        self.context.detectors.iter().position(|detector| detector.name == *name)
    }

    /// The images of a cell.
    pub(super) fn images(&self, cell: &Cell) -> Vec<&'r Subject> {
        let detector = self.detector(cell);
        let limit = match cell.eps == self.context.options.sanity_eps {
            true => self.context.options.sanity_images,
            false => usize::MAX,
        };
        let pairs = self.subjects.iter().zip(&self.clean);
        let own = pairs.filter(|(_, clean)| self.attackable(clean, detector));
        own.map(|(subject, _)| *subject).take(limit).collect()
    }

    fn taken_over(&self, known: &Finished) -> Result<Vec<Fate>, LabError> {
        let images = self.images(&known.cell).into_iter().map(|subject| subject.index);
        let scores = self.context.detectors.len();
        if known.fates.iter().map(|fate| fate.index).eq(images)
            && known.fates.iter().all(|fate| fate.scores.len() == scores)
        {
            return Ok(known.fates.clone());
        }
        let Cell { method, eps, .. } = &known.cell;
        Err(LabError::Data(format!(
            "finished cell {method} at {eps}/255 is of other images or detectors; begin anew"
        )))
    }

    fn cell<E: From<LabError>>(
        &self,
        cell: &Cell,
        cells: [usize; 2],
        observe: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<Vec<Fate>, E> {
        let images = self.images(cell);
        let mut fates = Vec::new();
        for chunk in images.chunks(IMAGES_PER_CORE * rayon::current_num_threads()) {
            let attack = |subject: &&Subject| self.attack(cell, subject);
            let part: Vec<Fate> = chunk.par_iter().map(attack).collect::<Result<_, LabError>>()?;
            fates.extend(part);
            observe(Event::Progress { cell, cells, images: [fates.len(), images.len()] })?;
        }
        Ok(fates)
    }

    fn attack(&self, cell: &Cell, subject: &Subject) -> Result<Fate, LabError> {
        Ok(fate(subject, &self.find(cell, subject)?))
    }

    /// The best image of an attack, and what the device says of it.
    pub(super) fn find(&self, cell: &Cell, subject: &Subject) -> Result<Found, LabError> {
        let label = subject.label.unwrap_or_default();
        let attacked = Attacked::new(subject, label, cell.eps / 255.0);
        let context = &self.context;
        let at = self.detector(cell).unwrap_or_default();
        match cell.method {
            Method::Noise => self.noise(&attacked),
            Method::Margin(kappa) => context.match_logits(attacked, &Objective::Margin(kappa)),
            Method::EnergyMatched => {
                let (margin, wanted) = (context.options.margin, context.normal.energy);
                context.match_logits(attacked, &Objective::Energy { margin, wanted })
            }
            Method::LogitMatched => {
                let logits = context.engines.logits(&subject.pixels)?;
                match context.other_logits(&logits, &attacked) {
                    Some(wanted) => context.match_logits(attacked, &Objective::Logits(wanted)),
                    None => self.noise(&attacked),
                }
            }
            Method::Selective => context.attack_aware(attacked, at, false),
            Method::Orthogonal => context.attack_aware(attacked, at, true),
            Method::Square => context.attack_blind(attacked, at),
        }
    }

    fn noise(&self, attacked: &Attacked<'_>) -> Result<Found, LabError> {
        let image = attacked.ball.noise(self.context.options.seed, attacked.index());
        let bytes = attacked.ball.bytes(&image);
        let judged = self.context.judge(&bytes)?;
        Ok(Found { bytes, judged })
    }

    /// The gradient of a detector's score at clean images, twice.
    fn gradients(&self, at: usize) -> Result<GradientCheck, LabError> {
        let pairs = self.subjects.iter().zip(&self.clean);
        let own: Vec<&Subject> = pairs
            .filter(|(_, clean)| self.attackable(clean, Some(at)))
            .map(|(subject, _)| *subject)
            .take(GRADIENT_IMAGES)
            .collect();
        let compare = |subject: &&Subject| self.compare(at, &subject.pixels);
        let found: Vec<(f64, bool)> = own.par_iter().map(compare).collect::<Result<_, _>>()?;
        Ok(GradientCheck {
            detector: self.context.detectors[at].name.clone(),
            images: found.len(),
            cosine: median(found.iter().map(|(cosine, _)| *cosine).collect()),
            falls: found.iter().filter(|(_, falls)| *falls).count(),
        })
    }

    /// Cosine of the gradients of the whole and half the parameter step, and whether a small step
    /// down lowers the score.
    fn compare(&self, at: usize, clean: &[f32]) -> Result<(f64, bool), LabError> {
        let (engines, whole) = (self.context.engines, self.context.slopes[at]);
        let half = Slope { step: 0.5 * whole.step, ..whole };
        let seen = engines.see(clean)?;
        let score = whole.score(&seen);
        let first = whole.gradient(engines, clean, &seen, &score)?;
        let second = half.gradient(engines, clean, &seen, &score)?;
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let lengths = (dot(&first, &first) * dot(&second, &second)).sqrt();
        let cosine = if lengths > 0.0 { dot(&first, &second) / lengths } else { 0.0 };
        let mut moved = clean.to_vec();
        Ball { clean, eps: 1.0 }.descend(&mut moved, &first, 0.1 / 255.0);
        let after = whole.score(&engines.see(&moved)?).value;
        Ok((cosine, after < score.value))
    }

    fn results(&mut self, finished: Vec<Finished>) -> Result<Results, LabError> {
        let context = &self.context;
        let summary = |detector: &NamedDetector| DetectorSummary {
            name: detector.name.clone(),
            head: detector.model.head.name().to_owned(),
            thresholds: detector.thresholds.clone(),
        };
        let detectors: Vec<DetectorSummary> = context.detectors.iter().map(summary).collect();
        let all: Vec<_> =
            finished.iter().flat_map(|one| rows(one, &self.clean, &detectors)).collect();
        let gradients = (0..detectors.len()).map(|at| self.gradients(at));
        let gradients = gradients.collect::<Result<Vec<_>, _>>()?;
        let checks: Vec<_> = gradients
            .iter()
            .flat_map(|gradient| checks(&gradient.detector, &all, gradient, context.options))
            .collect();
        let failed = checks.iter().filter(|check| !check.passed);
        let reasons: Vec<String> = failed
            .map(|check| format!("{}: not so: {} ({})", check.detector, check.name, check.text))
            .collect();
        Ok(Results {
            options: context.options.clone(),
            detectors,
            clean: std::mem::take(&mut self.clean),
            cells: finished,
            rows: all,
            gradients,
            valid: reasons.is_empty(),
            checks,
            reasons,
        })
    }
}
