//! Local intrinsic dimensionality (Ma et al., 2018), as published and as it can be deployed.
//!
//! The published detector compares each image with a mini-batch of clean images that holds the
//! image's own clean original, and passes over the nearest neighbour. For a clean image that is
//! itself; an attacked one loses, or keeps, its original. No deployed detector has that original:
//! [`Neighbours::Twins`] reproduces the leak and says so in its notes. [`Neighbours::Fixed`] is the
//! honest form, with normal images that are chosen once.

use gradgate_graph::graph::ValueId;
use gradgate_graph::taps;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::baseline::logistic::{Logistic, Scaling};
use crate::baseline::observed::{check_finite, chunks, pool};
use crate::baseline::select::{Criterion, best_of};
use crate::baseline::{Baseline, Contrast, FitData, LabelBudget, Observed, Rows, unfitted};
use crate::classifier::logits_of;
use crate::error::LabError;

/// Distances below it count as it: the logarithm of 0 is none.
const CLOSEST: f64 = 1e-12;
/// Estimates above it count as it: neighbours at one and the same distance have no dimension.
const LARGEST: f64 = 1e4;

/// What an image is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbours {
    /// The mini-batch of clean images that holds the image's own clean original; the nearest is
    /// passed over. This is a leak.
    Twins {
        /// Images in a mini-batch, consecutive ones of the clean set; the source has 100.
        batch: usize,
    },
    /// Normal images that are chosen once, evenly spread over the normal set; an image that is one
    /// of them is not its own neighbour.
    Fixed {
        /// How many.
        count: usize,
    },
}

/// Between which vectors distances are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activations {
    /// The image, every layer's output and the logits, with all their pixels: Ma et al. (2018).
    Full,
    /// Outputs of blocks, averaged over pixels: Lee et al. (2018).
    Pooled,
}

/// Logistic regression over one estimate a layer: `-k / sum(log(r_i / r_k))` over the distances
/// `r_1 <= .. <= r_k` to the nearest neighbours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lid {
    /// What an image is compared with.
    pub neighbours: Neighbours,
    /// Between which vectors.
    pub activations: Activations,
    /// Values of k to choose from on the validation contrast; a single one needs none. Default 20
    /// alone, the source's; Lee et al. (2018) try 10, 20 .. 90.
    pub k: Vec<usize>,
    /// What k is chosen by.
    pub criterion: Criterion,
    /// What happens to estimates before the head weighs them.
    pub scaling: Scaling,
    /// What a fit found.
    pub fitted: Option<Fitted>,
}

/// What a fit finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    k: usize,
    references: References,
    head: Logistic,
}

/// Fixed neighbours as images, `shape [n, C, H, W]`; none where neighbours are twins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct References {
    shape: Vec<usize>,
    pixels: Vec<f32>,
}

impl Lid {
    /// As published, leak included.
    pub fn original() -> Self {
        Self {
            neighbours: Neighbours::Twins { batch: 100 },
            activations: Activations::Full,
            k: vec![20],
            criterion: Criterion::Auroc,
            scaling: Scaling::MinMax,
            fitted: None,
        }
    }

    /// With 100 fixed neighbours and pooled features.
    pub fn deployable() -> Self {
        Self {
            neighbours: Neighbours::Fixed { count: 100 },
            activations: Activations::Pooled,
            ..Self::original()
        }
    }

    pub(super) fn references(&self, data: &FitData<'_>) -> Result<References, LabError> {
        let Neighbours::Fixed { count } = self.neighbours else {
            return Ok(References::default());
        };
        let images = data.normal.images.images();
        let largest = self.k.iter().copied().max().unwrap_or(0);
        if count > images.frames() || largest >= count {
            return Err(LabError::Data(format!(
                "lid: k {largest} among {count} of {} normal images; k is below the neighbours, \
                 and these are no more than the images",
                images.frames()
            )));
        }
        let mut shape = images.shape().to_vec();
        shape[0] = count;
        let spread = (0..count).map(|place| place * images.frames() / count);
        let pixels = spread.flat_map(|frame| images.frame(frame).iter().copied()).collect();
        Ok(References { shape, pixels })
    }

    /// For each image an estimate a layer, `[n][layers]`.
    pub(super) fn estimates(
        &self,
        queries: &Observed<'_>,
        references: &References,
        k: usize,
    ) -> Result<Rows, LabError> {
        match self.neighbours {
            Neighbours::Fixed { .. } => {
                let references = Array::new(references.shape.clone(), references.pixels.clone());
                against_fixed(self.activations, queries, &references, k)
            }
            Neighbours::Twins { batch } => against_twins(self.activations, queries, batch, k),
        }
    }

    fn fit_head(
        &self,
        train: Contrast<'_>,
        references: &References,
        k: usize,
    ) -> Result<Logistic, LabError> {
        let normal = self.estimates(train.normal, references, k)?;
        let anomalous = self.estimates(train.anomalous, references, k)?;
        Logistic::fit(&normal, &anomalous, self.scaling)
    }

    fn choose(
        &self,
        data: &FitData<'_>,
        train: Contrast<'_>,
        references: &References,
    ) -> Result<usize, LabError> {
        if let [only] = self.k[..] {
            return Ok(only);
        }
        let validation = data.validation.ok_or_else(|| {
            LabError::Data(format!(
                "{} chooses k on images that its head has not seen, and none are given; give a \
                 validation part, or one k",
                self.name()
            ))
        })?;
        let (k, _) = best_of(self.name(), &self.k, |&k| {
            let head = self.fit_head(train, references, k)?;
            let normal = head.scores(&self.estimates(validation.normal, references, k)?);
            let anomalous = head.scores(&self.estimates(validation.anomalous, references, k)?);
            self.criterion.measure(&normal, &anomalous)
        })?;
        Ok(k)
    }
}

impl Default for Lid {
    fn default() -> Self {
        Self::deployable()
    }
}

impl Baseline for Lid {
    fn name(&self) -> &'static str {
        match self.neighbours {
            Neighbours::Twins { .. } => "lid-original",
            Neighbours::Fixed { .. } => "lid",
        }
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::PerSet
    }

    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        self.fitted = None;
        if let Some(k) = self.k.iter().find(|&&k| k < 2) {
            return Err(LabError::Options(format!("lid: k {k}; it is 2 or more")));
        }
        let train = data.train_for(self.name())?;
        let references = self.references(data)?;
        let k = self.choose(data, train, &references)?;
        let head = self.fit_head(train, &references, k)?;
        self.fitted = Some(Fitted { k, references, head });
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let fitted = self.fitted.as_ref().ok_or_else(|| unfitted(self.name()))?;
        let estimates = self.estimates(queries, &fitted.references, fitted.k)?;
        estimates.check_width(self.name(), fitted.head.width())?;
        Ok(fitted.head.scores(&estimates))
    }

    fn notes(&self) -> Vec<String> {
        let Some(fitted) = &self.fitted else { return Vec::new() };
        let (k, layers) = (fitted.k, fitted.head.width());
        let mut notes = vec![format!("k {k}, {layers} layers, C {:.3e}", fitted.head.strength())];
        if let Neighbours::Twins { batch } = self.neighbours {
            notes.push(format!(
                "leak: each image is compared with {batch} clean ones, its own clean original \
                 among them"
            ));
        }
        notes
    }
}

fn against_fixed(
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

fn against_twins(
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
