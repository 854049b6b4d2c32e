//! Which norms are larger than on normal frames: the sources disagree about the side, so it is
//! counted.

use gradgate_detect::FeatureSet;
use gradgate_detect::report::quartiles;

use super::coded::CodedNormals;
use super::ours::Measured;
use super::results::Direction;

/// The normal frames, then every set beside the normal frames that it is told apart from.
pub fn directions(normal: &Measured, sets: &[Measured], coded: &CodedNormals) -> Vec<Direction> {
    let of_sets = sets.iter().enumerate().map(|(at, set)| direction(coded.of(at, normal), set));
    std::iter::once(direction(normal, normal)).chain(of_sets).collect()
}

fn direction(normal: &Measured, set: &Measured) -> Direction {
    let (mine, theirs) = (&normal.features, &set.features);
    let (parameters, layers) = (mine.metadata.parameters.len(), mine.metadata.layers.len());
    let norms = quartiles(&theirs.squared_norms, parameters);
    let activations = quartiles(&theirs.activation_norms, layers);
    let clean = quartiles(&mine.squared_norms, parameters);
    let above = |ours: &[[f64; 3]], clean: &[[f64; 3]]| {
        let larger = ours.iter().zip(clean).filter(|(set, clean)| set[1] > clean[1]).count();
        [larger, clean.len()]
    };
    let share = |column: usize| {
        let values = theirs.squared_norms.iter().skip(column).step_by(parameters.max(1));
        let larger = values.filter(|value| **value > clean[column][1]).count();
        larger as f64 / theirs.len() as f64
    };
    Direction {
        set: set.images.name.clone(),
        norms_above: above(&norms, &clean),
        activations_above: above(&activations, &quartiles(&mine.activation_norms, layers)),
        mean_share_above: (0..parameters).map(share).sum::<f64>() / parameters.max(1) as f64,
        norm_quartiles: norms.into_iter().map(|row| row.map(rounded)).collect(),
        activation_quartiles: activations.into_iter().map(|row| row.map(rounded)).collect(),
    }
}

/// To six digits: what a picture shows, in a file that is kept.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Features of the frames of these numbers.
pub fn select(set: &FeatureSet, frames: &[usize]) -> FeatureSet {
    fn rows<T: Copy>(values: &[T], width: usize, frames: &[usize]) -> Vec<T> {
        frames.iter().flat_map(|&at| &values[at * width..][..width]).copied().collect()
    }
    let meta = &set.metadata;
    FeatureSet {
        metadata: meta.clone(),
        classes: set.classes,
        penultimate_length: set.penultimate_length,
        logits: rows(&set.logits, set.classes, frames),
        squared_norms: rows(&set.squared_norms, meta.parameters.len(), frames),
        activation_norms: rows(&set.activation_norms, meta.layers.len(), frames),
        penultimate: rows(&set.penultimate, set.penultimate_length, frames),
        alignments: rows(&set.alignments, meta.alignments.len(), frames),
        labels: rows(&set.labels, 1, frames),
        source: rows(&set.source, 1, frames),
        time_ns: match set.time_ns.is_empty() {
            true => Vec::new(),
            false => rows(&set.time_ns, 1, frames),
        },
        sequences: set.sequences.clone(),
        ..FeatureSet::default()
    }
}
