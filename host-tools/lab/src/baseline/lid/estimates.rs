//! Estimates of local dimension, layer by layer, from distances to neighbours.

use gradgate_graph::graph::ValueId;
use gradgate_graph::taps;
use rayon::prelude::*;

use super::Activations;
use crate::array::Array;
use crate::baseline::observed::{check_finite, chunks, pool};
use crate::baseline::{Observed, Rows};
use crate::classifier::logits_of;
use crate::error::LabError;

/// Distances below it count as it: the logarithm of 0 is none.
const CLOSEST: f64 = 1e-12;
/// Estimates above it count as it: neighbours at one and the same distance have no dimension.
const LARGEST: f64 = 1e4;

/// Among fixed images, an image that is one of them left out, `[n][layers]`.
///
/// # Errors
/// When values are not finite.
pub(super) fn against_fixed(
    activations: Activations,
    queries: &Observed<'_>,
    references: &Array,
    k: usize,
) -> Result<Rows, LabError> {
    let images = queries.images();
    let own = |frame: &[f32]| (0..references.frames()).find(|&r| references.frame(r) == frame);
    let layers = activations.of(queries, references)?;
    let mut rows = Rows::empty(layers.len());
    for range in chunks(images.frames(), references.frames()) {
        let part = images.slice(range);
        let left_out: Vec<Option<usize>> =
            (0..part.frames()).map(|frame| own(part.frame(frame))).collect();
        let of_part = activations.of(queries, &part)?;
        let columns = columns(&of_part, &layers, |query, distances| {
            left_out[query].map(|own| distances.swap_remove(own));
            estimate(distances, k, 0)
        });
        rows.append(&Rows::of_columns(&columns));
    }
    Ok(rows)
}

/// Among the mini-batch that holds an image's clean original, the nearest passed over,
/// `[n][layers]`.
///
/// # Errors
/// When originals are not known, a mini-batch is too small, or values are not finite.
pub(super) fn against_twins(
    activations: Activations,
    queries: &Observed<'_>,
    batch: usize,
    k: usize,
) -> Result<Rows, LabError> {
    let twins = queries.twins().ok_or_else(|| {
        LabError::Data(
            "lid-original compares an image with a batch that holds its clean original, and the \
             originals are not given; name them, or use lid"
                .to_owned(),
        )
    })?;
    let mut found: Vec<(usize, Vec<f64>)> = Vec::new();
    for range in chunks(twins.clean.frames(), batch) {
        let members: Vec<usize> =
            (0..queries.len()).filter(|&query| range.contains(&twins.of[query])).collect();
        if members.is_empty() {
            continue;
        }
        let clean = twins.clean.slice(range);
        let k = k.min(clean.frames().saturating_sub(1));
        if k < 2 {
            return Err(LabError::Data(format!(
                "lid-original: a mini-batch of {} clean images; give a batch that leaves no such \
                 rest",
                clean.frames()
            )));
        }
        let layers = activations.of(queries, &clean)?;
        let of_members = activations.of(queries, &gather(queries.images(), &members))?;
        let columns = columns(&of_members, &layers, |_, distances| estimate(distances, k, 1));
        for (row, query) in Rows::of_columns(&columns).iter().zip(members) {
            found.push((query, row.to_vec()));
        }
    }
    found.sort_by_key(|(query, _)| *query);
    let mut rows = Rows::empty(found.first().map_or(1, |(_, row)| row.len()));
    found.into_iter().for_each(|(_, row)| rows.push(row));
    Ok(rows)
}

fn gather(images: &Array, frames: &[usize]) -> Array {
    let mut shape = images.shape().to_vec();
    shape[0] = frames.len();
    Array::new(
        shape,
        frames.iter().flat_map(|&frame| images.frame(frame)).copied().collect::<Vec<_>>(),
    )
}

impl Activations {
    /// What distances are taken between, `[layers]` of `[n, ..]`.
    fn of(self, queries: &Observed<'_>, images: &Array) -> Result<Vec<Array>, LabError> {
        let classifier = queries.classifier();
        let graph = classifier.graph();
        let wanted: Vec<ValueId> = match self {
            Activations::Pooled => queries.layers().blocks.clone(),
            Activations::Full => {
                taps::layers(graph).into_iter().chain([logits_of(graph)?]).collect()
            }
        };
        let mut layers = classifier.values(images, &wanted)?;
        for (layer, id) in layers.iter_mut().zip(&wanted) {
            check_finite(layer, &graph.value(*id).name, 0)?;
            if self == Activations::Pooled {
                *layer = pooled(layer);
            }
        }
        if self == Activations::Full {
            layers.insert(0, images.clone());
        }
        Ok(layers)
    }
}

fn pooled(layer: &Array) -> Array {
    let (frames, channels) = (layer.frames(), layer.shape()[1]);
    let of_frame = |frame| pool(layer.frame(frame), channels);
    let means = (0..frames).flat_map(of_frame).map(|mean| mean as f32).collect::<Vec<_>>();
    Array::new([frames, channels], means)
}

/// For each layer an estimate of each query, from its distances to all references.
fn columns(
    queries: &[Array],
    references: &[Array],
    estimate: impl Fn(usize, &mut Vec<f64>) -> f64 + Sync,
) -> Vec<Vec<f64>> {
    let of_layer = |(queries, references): (&Array, &Array)| {
        let of_query = |query: usize| {
            let row = queries.frame(query);
            let mut distances: Vec<f64> = (0..references.frames())
                .map(|reference| distance(row, references.frame(reference)))
                .collect();
            estimate(query, &mut distances)
        };
        (0..queries.frames()).into_par_iter().map(of_query).collect()
    };
    queries.iter().zip(references).map(of_layer).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}

/// The estimate from the k nearest after `skipped` ones.
fn estimate(distances: &mut [f64], k: usize, skipped: usize) -> f64 {
    distances.sort_by(f64::total_cmp);
    let nearest = &distances[skipped..][..k];
    let clamped = |distance: f64| if distance <= CLOSEST { CLOSEST } else { distance };
    let farthest = clamped(nearest[k - 1]);
    let sum: f64 = nearest.iter().map(|&distance| (clamped(distance) / farthest).ln()).sum();
    let estimate = -(k as f64) / sum;
    // A sum of zero gives an infinity.
    if estimate.abs() <= LARGEST { estimate } else { LARGEST }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_the_formula_and_stays_finite() {
        let e = std::f64::consts::E;
        for (distances, k, skipped, wanted) in [
            (vec![e, 1.0, e], 3, 0, 3.0),
            (vec![0.0, 1.0, e, e], 3, 1, 3.0),
            (vec![2.0, 1.0, 99.0], 2, 0, 2.0 / 2f64.ln()),
            (vec![5.0; 4], 3, 1, LARGEST),
            (vec![0.0; 4], 3, 1, LARGEST),
            (vec![0.0, 1.0], 2, 0, 2.0 / (12.0 * 10f64.ln())),
        ] {
            let found = estimate(&mut distances.clone(), k, skipped);
            assert!((found - wanted).abs() < 1e-12, "{distances:?}: {found} {wanted}");
        }
    }

    #[test]
    fn distances_are_taken_layer_by_layer() {
        let queries = [Array::new([1, 2], vec![0.0, 0.0]), Array::new([1, 1], vec![1.0])];
        let references =
            [Array::new([2, 2], vec![3.0, 4.0, 0.0, 1.0]), Array::new([2, 1], vec![1.0, 3.0])];
        let sums = columns(&queries, &references, |_, distances| distances.iter().sum());
        assert_eq!(sums, [[6.0], [2.0]]);
    }
}
