//! Squared norms of parameter gradients from the softmax loss, frame by frame, on all cores.
//!
//! The compiler's backward pass runs on the engine, whose memory is one arena a thread: a framework
//! would hold a gradient of every parameter for every frame of a batch.

use gradgate_frame::Preprocessing;
use gradgate_graph::expand::{Expanded, Label, Loss, expand_loss};
use gradgate_graph::graph::Graph;
use gradgate_graph::taps::Taps;

use crate::array::Array;
use crate::baseline::Rows;
use crate::error::LabError;
use crate::program::{Program, interleaved};

/// For each of the images named, the squared gradient norm of each trainable parameter,
/// `[chosen][parameters]`, in the order of the graph. The loss is `-sum(label * log(softmax(z)))`.
///
/// # Errors
/// When the model has no backward pass or cannot be compiled, or a norm is not finite.
pub fn squared_norms(
    graph: &Graph,
    images: &Array,
    chosen: &[usize],
    label: &Label,
) -> Result<Rows, LabError> {
    let expanded = expand_loss(graph, Loss::Softmax, label, &Taps::all()).map_err(|error| {
        LabError::Model(format!("model `{}`: no backward pass: {error}", graph.name))
    })?;
    let program = Program::new(&expanded, &Preprocessing::default())?;
    let channels = images.shape()[1];
    let frames: Vec<Vec<f32>> =
        chosen.iter().map(|&image| interleaved(images.frame(image), channels)).collect();
    let norms =
        program.run(&frames, |at, found| check(&expanded, chosen[at], found.squared_norms))?;
    let mut rows = Rows::empty(expanded.squared_norms.len());
    norms.into_iter().for_each(|frame| rows.push(frame));
    Ok(rows)
}

/// The norms as f64.
fn check(expanded: &Expanded, image: usize, norms: &[f32]) -> Result<Vec<f64>, LabError> {
    if let Some(at) = norms.iter().position(|norm| !norm.is_finite()) {
        let name = &expanded.graph.value(expanded.squared_norms[at].0).name;
        return Err(LabError::NotFinite(format!(
            "image {image}: the squared gradient norm of `{name}` is {}; leave the image out",
            norms[at]
        )));
    }
    Ok(norms.iter().map(|&norm| f64::from(norm)).collect())
}
