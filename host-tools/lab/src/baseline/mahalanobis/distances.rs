//! Distances in layers, of images as they are or after a step.

use gradgate_graph::graph::ValueId;

use crate::array::Array;
use crate::baseline::gaussian::Gaussian;
use crate::baseline::observed::{pool, rows_of};
use crate::baseline::step::Direction;
use crate::baseline::{Contrast, Observed, Rows};
use crate::error::LabError;

/// Distances of images in layers, each after a step of its own.
pub(super) struct Distances<'a> {
    gaussians: &'a [Gaussian],
    queries: &'a Observed<'a>,
    /// One a Gaussian.
    layers: Vec<ValueId>,
    /// One a layer, where images are stepped.
    directions: Vec<Direction>,
}

impl<'a> Distances<'a> {
    /// One Gaussian a layer; without steps only the distances of the images themselves.
    pub(super) fn new(
        gaussians: &'a [Gaussian],
        queries: &'a Observed<'a>,
        layers: Vec<ValueId>,
        steps: bool,
    ) -> Result<Self, LabError> {
        if layers.len() != gaussians.len() {
            return Err(LabError::Model(format!(
                "mahalanobis was fitted on {} layers, this model has {}; fit it on this model",
                gaussians.len(),
                layers.len()
            )));
        }
        let mut directions = Vec::new();
        for (gaussian, &layer) in gaussians.iter().zip(&layers) {
            queries.features(layer)?.check_width("mahalanobis", gaussian.width())?;
            if steps {
                directions.push(towards_class(queries, layer, gaussian)?);
            }
        }
        Ok(Self { gaussians, queries, layers, directions })
    }

    /// Half the squared distance of each image to its closest class, `[n][layers]`.
    pub(super) fn at(&self, epsilon: f64) -> Result<Rows, LabError> {
        let mut columns = Vec::new();
        for (index, (gaussian, &layer)) in self.gaussians.iter().zip(&self.layers).enumerate() {
            let half = |feature: &[f64]| 0.5 * gaussian.closest(feature).0;
            columns.push(match self.directions.get(index) {
                Some(direction) if epsilon != 0.0 => {
                    let stepped = direction.step(self.queries.images(), epsilon)?;
                    let features = rows_of(self.queries.classifier(), &stepped, &[layer])?;
                    features[0].map(half)
                }
                _ => self.queries.features(layer)?.map(half),
            });
        }
        Ok(Rows::of_columns(&columns))
    }
}

/// Distances of normal and of anomalous images in every block.
pub(super) fn sides<'a>(
    gaussians: &'a [Gaussian],
    contrast: Contrast<'a>,
    steps: bool,
) -> Result<[Distances<'a>; 2], LabError> {
    let of = |queries: &'a Observed<'a>| {
        Distances::new(gaussians, queries, queries.layers().blocks.clone(), steps)
    };
    Ok([of(contrast.normal)?, of(contrast.anomalous)?])
}

/// Signs of the gradient of each image's distance to its closest class in one layer.
fn towards_class(
    queries: &Observed<'_>,
    layer: ValueId,
    gaussian: &Gaussian,
) -> Result<Direction, LabError> {
    let gradient = queries.classifier().gradient(queries.images(), &[layer], &mut |values| {
        vec![cotangent(&values[0], gaussian)]
    })?;
    Direction::of(&gradient.images)
}

/// Gradient of half the squared distance by a layer's output `[n, d]` or `[n, C, H, W]`, whose
/// channels are averaged over pixels.
fn cotangent(output: &Array, gaussian: &Gaussian) -> Array {
    let width = gaussian.width();
    let pixels = output.frame_elements() / width;
    let mut cotangent = Array::zeros(output.shape());
    for frame in 0..output.frames() {
        let feature = pool(output.frame(frame), width);
        let gradient = gaussian.gradient(&feature, gaussian.closest(&feature).1);
        let channels = cotangent.frame_mut(frame).chunks_exact_mut(pixels);
        for (channel, g) in channels.zip(gradient) {
            channel.fill((g / pixels as f64) as f32);
        }
    }
    cotangent
}
