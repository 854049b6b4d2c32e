//! One attack on one detector, for its images.

use std::sync::Arc;

use gradgate_graph::graph::Graph;
use rayon::prelude::*;

use crate::attack::{Outcome, Status, Subject};
use crate::error::LabError;

use super::ball::pixels;
use super::detector::NamedDetector;
use super::network::{Network, Recipe};
use super::options::{Method, Options};
use super::results::{Cell, Clean};
use super::run::{IMAGES_PER_CORE, Runner, check_subjects, fate, scorers};

/// Attacks classifier and detector on every image, at the first radius of the options; `observe`
/// hears how many images are done and how many there are, and its error ends the run.
///
/// A success is misclassified and passes at the detector's strictest threshold, as the engine
/// judges the bytes. Images that were wrong or blocked before the attack are left as they were
/// (`CleanWrong`). Outcomes come by index.
///
/// # Errors
/// As of [`super::run`].
pub fn images<E: From<LabError>>(
    options: &Options,
    graph: &Arc<Graph>,
    recipe: &Recipe,
    subjects: &[Subject],
    detector: &NamedDetector,
    method: Method,
    mut observe: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<Vec<Outcome>, E> {
    options.check()?;
    let network = Network::new(graph, recipe)?;
    let detectors = std::slice::from_ref(detector);
    let scorers = scorers(detectors, &network)?;
    let mut subjects: Vec<&Subject> = subjects.iter().collect();
    subjects.sort_by_key(|subject| subject.index);
    check_subjects(&subjects, &network)?;
    let engines = network.engines()?;
    let runner = Runner::new(options, &engines, detectors, &scorers, subjects.clone())?;
    let name = method.asks_detector().then(|| detector.name.clone());
    let cell = Cell { method, eps: options.eps[0], detector: name };
    let attackable: Vec<usize> = runner.images(&cell).iter().map(|one| one.index).collect();
    let mut outcomes = Vec::new();
    let pairs: Vec<(&Subject, &Clean)> = subjects.into_iter().zip(&runner.clean).collect();
    let total = pairs.len();
    for chunk in pairs.chunks(IMAGES_PER_CORE * rayon::current_num_threads()) {
        let one = |(subject, clean): &(&Subject, &Clean)| {
            if attackable.binary_search(&subject.index).is_err() {
                return Ok(untouched(subject, clean));
            }
            let found = runner.find(&cell, subject)?;
            let fate = fate(subject, &found);
            let passes = fate.scores[0].is_some_and(|score| score <= detector.strictest());
            let wrong = Some(fate.predicted) != subject.label;
            let status = if passes && wrong { Status::Success } else { Status::Failed };
            Ok(Outcome {
                status,
                predicted_after: fate.predicted,
                l_inf: fate.l_inf,
                l2: fate.l2,
                pixels: pixels(&found.bytes),
                ..untouched(subject, clean)
            })
        };
        let part: Vec<Outcome> = chunk.par_iter().map(one).collect::<Result<_, LabError>>()?;
        outcomes.extend(part);
        observe(outcomes.len(), total)?;
    }
    Ok(outcomes)
}

fn untouched(subject: &Subject, clean: &Clean) -> Outcome {
    Outcome {
        index: subject.index,
        source: subject.source,
        label: subject.label,
        status: Status::CleanWrong,
        predicted_before: clean.predicted,
        predicted_after: clean.predicted,
        target: None,
        l_inf: 0.0,
        l2: 0.0,
        pixels: subject.pixels.clone(),
    }
}
