//! A classifier as attacks and detectors see it: batches in, values and gradients out.

use std::sync::Arc;

use gradgate_graph::graph::{Graph, ValueId};

use crate::array::Array;
use crate::error::LabError;

/// Values of a batch, and the gradient of the images.
#[derive(Clone, Debug)]
pub struct Gradient {
    /// The values that were asked for, each `[n, ..]`.
    pub values: Vec<Array>,
    /// Gradient with respect to the images, `[n, C, H, W]`.
    pub images: Array,
}

/// For the values that were asked for, the cotangent of each.
pub type Cotangents<'f> = dyn FnMut(&[Array]) -> Vec<Array> + 'f;

/// Executes a graph on batches.
///
/// Frames of a batch do not see each other: on the CPU the result of a frame is the same, bit for
/// bit, in any batch and at any place in it. On a GPU, rounding may differ with the batch.
pub trait Classifier: Send + Sync {
    /// The graph that is executed.
    fn graph(&self) -> &Arc<Graph>;

    /// Values of the graph for `images [n, C, H, W]`, each `[n, ..]`.
    ///
    /// # Errors
    /// When the images do not fit the model.
    fn values(&self, images: &Array, wanted: &[ValueId]) -> Result<Vec<Array>, LabError>;

    /// Gradient of `sum over values and frames of <value, cotangent>` with respect to the images.
    ///
    /// `cotangents` is called once or several times, each time with the values of some of the
    /// frames in order, and returns arrays of the same shapes.
    ///
    /// # Errors
    /// When the images do not fit the model.
    fn gradient(
        &self,
        images: &Array,
        wanted: &[ValueId],
        cotangents: &mut Cotangents<'_>,
    ) -> Result<Gradient, LabError>;

    /// The logits `[n, classes]`.
    ///
    /// # Errors
    /// When the images do not fit the model.
    fn logits(&self, images: &Array) -> Result<Array, LabError> {
        let logits = logits_of(self.graph())?;
        Ok(self.values(images, &[logits])?.swap_remove(0))
    }

    /// How many classes.
    fn classes(&self) -> usize {
        let graph = self.graph();
        graph.logits.map_or(0, |id| graph.value(id).elements())
    }
}

/// The graph's logits.
///
/// # Errors
/// When the graph names none.
pub fn logits_of(graph: &Graph) -> Result<ValueId, LabError> {
    graph.logits.ok_or_else(|| LabError::Model(format!("model `{}` has no logits", graph.name)))
}

/// Refuses images that do not fit the graph's input.
///
/// # Errors
/// When rank, channels, height or width differ, or a pixel is not finite.
pub fn check_images(graph: &Graph, images: &Array) -> Result<(), LabError> {
    let wanted = graph.input.map(|id| graph.shape(id).to_vec()).unwrap_or_default();
    let got = images.shape();
    if got.len() != wanted.len() || got[1..] != wanted[1..] {
        return Err(LabError::Data(format!(
            "images of shape {got:?} do not fit model `{}`, which takes [n, {}]; \
             resize them or name their size",
            graph.name,
            wanted.iter().skip(1).map(usize::to_string).collect::<Vec<_>>().join(", ")
        )));
    }
    if let Some(at) = images.data().iter().position(|x| !x.is_finite()) {
        let frame = at / images.frame_elements().max(1);
        return Err(LabError::Data(format!(
            "image {frame} holds {}, which is no pixel; values are 0 to 1",
            images.data()[at]
        )));
    }
    Ok(())
}
