//! Logits and gradients of the logits through gradgate's own engine.
//!
//! On a CPU the engine computes a small network's gradient some ten times faster than Burn does,
//! and in exact numerics an attack gives the same bits on every machine.

use std::sync::Arc;

use gradgate_frame::Preprocessing;
use gradgate_graph::graph::Graph;
use gradgate_graph::image_gradient::image_gradient;

use crate::array::Array;
use crate::classifier::{Cotangents, Gradient, check_images};
use crate::error::LabError;
use crate::program::{Program, deinterleave, frames_of, interleaved};

/// A classifier compiled twice: forward, and forward with the backward pass to the image.
pub struct EngineClassifier {
    graph: Arc<Graph>,
    forward: Program,
    backward: Program,
    /// Rows of the cotangent below the image.
    rows: usize,
}

impl EngineClassifier {
    /// Compiles `graph`.
    ///
    /// # Errors
    /// When an operation has no gradient rule or cannot be lowered.
    pub fn new(graph: Arc<Graph>) -> Result<Self, LabError> {
        let gradient = image_gradient(&graph)
            .map_err(|error| LabError::Model(format!("model `{}`: {error}", graph.name)))?;
        Ok(Self {
            forward: Program::forward(&graph)?,
            backward: Program::new(&gradient.expanded, &Preprocessing::default())?,
            rows: gradient.rows,
            graph,
        })
    }

    /// The logits `[n, classes]` of `images [n, C, H, W]`.
    ///
    /// # Errors
    /// When the images do not fit the model.
    pub fn logits(&self, images: &Array) -> Result<Array, LabError> {
        check_images(&self.graph, images)?;
        let logits = self.forward.run(&frames_of(images), |_, found| Ok(found.logits.to_vec()))?;
        Ok(Array::new([images.frames(), self.classes()], logits.concat()))
    }

    /// As [`crate::Classifier::gradient`] of the logits alone.
    ///
    /// # Errors
    /// When the images do not fit the model.
    pub fn gradient(
        &self,
        images: &Array,
        cotangents: &mut Cotangents<'_>,
    ) -> Result<Gradient, LabError> {
        let values = vec![self.logits(images)?];
        let cotangents = cotangents(&values);
        assert_eq!(cotangents[0].shape(), values[0].shape(), "a cotangent is shaped as its value");
        let frames: Vec<Vec<f32>> = (0..images.frames())
            .map(|at| self.frame(images.frame(at), images.shape(), cotangents[0].frame(at)))
            .collect();
        let (elements, channels) = (images.frame_elements(), images.shape()[1]);
        let gradient = self.backward.run(&frames, |_, found| {
            let mut planes = vec![0.0; elements];
            deinterleave(found.penultimate, channels, &mut planes);
            Ok(planes)
        })?;
        Ok(Gradient { values, images: Array::new(images.shape(), gradient.concat()) })
    }

    fn classes(&self) -> usize {
        self.graph.logits.map_or(0, |id| self.graph.value(id).elements())
    }

    /// The image, and below it the cotangent.
    fn frame(&self, image: &[f32], shape: &[usize], cotangent: &[f32]) -> Vec<f32> {
        let mut below = vec![0.0; shape[1] * self.rows * shape[3]];
        below[..cotangent.len()].copy_from_slice(cotangent);
        let mut frame = interleaved(image, shape[1]);
        frame.extend(interleaved(&below, shape[1]));
        frame
    }
}
