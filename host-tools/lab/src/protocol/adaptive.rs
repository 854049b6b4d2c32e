//! Our detectors under attacks by somebody who knows them.

use std::sync::Arc;

use gradgate_detect::file::FittedFor;
use gradgate_graph::expand::Label;
use gradgate_graph::graph::Graph;

use crate::adaptive::{
    Cell, Event, Finished, NamedDetector, Recipe, Results, Threshold, cells, run,
};
use crate::attack::Subject;
use crate::error::LabError;

use super::cache::{Cache, write};
use super::definition::{GradientLabel, Ours, Question};
use super::examined::{Examined, predicted};
use super::ours::{Chosen, Fitted};
use super::trials::Bench;

/// Where it is asked for: fits every detector on the first split and attacks it on the normal test
/// frames that the classifier is right about. Cells that an earlier run finished are taken from the
/// cache.
///
/// # Errors
/// What fitting says and [`run`]; when the watcher stops.
pub fn asked(
    bench: &Bench<'_>,
    graph: &Graph,
    examined: &Examined,
    cache: &Cache,
) -> Result<Option<Results>, LabError> {
    if bench.definition.question != Question::Adaptive {
        return Ok(None);
    }
    let choice = &bench.definition.adaptive;
    let graph = Arc::new(graph.clone());
    let ours = bench.definition.ours()?;
    let detectors =
        ours.into_iter().map(|ours| detector(bench, ours)).collect::<Result<Vec<_>, _>>()?;
    let subjects = subjects(bench);
    let recipe = Recipe { label: label(bench.definition.label), ..Recipe::default() };
    let facts = facts(bench, &detectors, &subjects, &examined.model_digest)?;
    let path = |cell: &Cell| {
        let cell = serde_json::to_string(cell).unwrap_or_default();
        cache.path("adaptive", &[&facts, &cell])
    };
    let read = |cell: &Cell| -> Option<Finished> {
        serde_json::from_slice(&std::fs::read(path(cell)).ok()?).ok()
    };
    let done = cells(&choice.attack, &detectors).iter().filter_map(read).collect();
    let observe = |event: Event<'_>| match event {
        Event::Progress { cell, images: [done, total], .. } => {
            let on = cell.detector.as_ref().map_or(String::new(), |name| format!(" on {name}"));
            let stage = format!("{} {}/255{on}", cell.method, cell.eps);
            bench.watch.progress(&stage, done as u64, total as u64)
        }
        Event::Finished(one) => {
            let text = serde_json::to_vec(one).map_err(|e| LabError::File(e.to_string()))?;
            write(&path(&one.cell), &text)
        }
    };
    run(&choice.attack, &graph, &recipe, &subjects, &detectors, done, observe).map(Some)
}

fn label(label: GradientLabel) -> Label {
    match label {
        GradientLabel::Ones | GradientLabel::Predicted => Label::Ones,
        GradientLabel::Zeros => Label::Zeros,
    }
}

/// Fitted on the first split; what learns from anomalies, on all sets.
fn detector(bench: &Bench<'_>, ours: Ours) -> Result<NamedDetector, LabError> {
    let split = &bench.splits[0];
    let lesson = if ours.is_supervised() { bench.anomalous() } else { Vec::new() };
    let fitted = bench.fit(ours, &lesson, bench.normal, split)?;
    let frames = &split.normal.validation;
    let mut scores = fitted.scores(&Chosen { set: bench.normal, frames })?;
    scores.sort_by(f64::total_cmp);
    let Fitted::Taps(_, model) = fitted else {
        return Err(LabError::Options(format!("detector `{}` reads no taps", ours.name())));
    };
    let threshold = |&rate: &f64| {
        let flagged = (rate * scores.len() as f64).floor() as usize;
        let at = scores.len().checked_sub(1 + flagged);
        let score = at.and_then(|at| scores.get(at)).map(|score| *score as f32);
        score.map(|score| Threshold { rate, score }).ok_or_else(|| {
            LabError::Data("too few normal frames for a threshold; give more".to_owned())
        })
    };
    let rates = &bench.definition.adaptive.rates;
    let thresholds = rates.iter().map(threshold).collect::<Result<_, _>>()?;
    let features = &bench.normal.features;
    let fitted_for = FittedFor::new(&features.metadata, &features.shape());
    Ok(NamedDetector { name: ours.name(), model: *model, fitted_for, thresholds })
}

/// Normal test frames with a label that the classifier is right about.
fn subjects(bench: &Bench<'_>) -> Vec<Subject> {
    let (images, features) = (&bench.normal.images, &bench.normal.features);
    let right =
        |at: &usize| images.labels[*at].is_some_and(|l| l as i64 == predicted(features, *at));
    let subject = |at: usize| Subject {
        index: at,
        source: images.sources[at],
        label: images.labels[at],
        pixels: images.images.frame(at).to_vec(),
    };
    let frames = bench.splits[0].normal.test.iter().copied().filter(right);
    frames.take(bench.definition.adaptive.images).map(subject).collect()
}

/// All that decides a cell beside the cell itself.
fn facts(
    bench: &Bench<'_>,
    detectors: &[NamedDetector],
    subjects: &[Subject],
    model_digest: &str,
) -> Result<String, LabError> {
    let heads: Vec<_> = detectors.iter().map(|d| (&d.name, &d.model, &d.thresholds)).collect();
    let frames: Vec<_> = subjects.iter().map(|s| (s.index, s.label)).collect();
    let digest = bench.normal.images.digest();
    let label = bench.definition.label.name();
    let all = (heads, frames, digest, label, model_digest, &bench.definition.adaptive.attack);
    serde_json::to_string(&all).map_err(|error| LabError::Data(format!("detectors: {error}")))
}
