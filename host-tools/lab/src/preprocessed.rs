//! A classifier behind the preprocessing that its frames go through.

use std::sync::Arc;

use gradgate_frames::Preprocessing;
use gradgate_graph::graph::{Graph, ValueId};

use crate::array::Array;
use crate::classifier::{Classifier, Cotangents, Gradient};
use crate::error::LabError;

/// Takes pixels in 0..1, RGB, and gives gradients with respect to them.
pub struct Preprocessed {
    inner: Box<dyn Classifier>,
    preprocessing: Preprocessing,
}

impl Preprocessed {
    /// Puts `preprocessing` in front of a classifier.
    pub fn new(inner: Box<dyn Classifier>, preprocessing: Preprocessing) -> Self {
        Self { inner, preprocessing }
    }

    /// What the model takes for pixels.
    ///
    /// # Errors
    /// When the images have neither 1 nor 3 channels.
    fn forward(&self, images: &Array) -> Result<Array, LabError> {
        let mut out = Array::zeros(images.shape());
        let channels = images.shape().get(1).copied().unwrap_or(0);
        let plane = images.frame_elements() / channels.max(1);
        let mut prepared = vec![0.0; images.frame_elements()];
        for frame in 0..images.frames() {
            let planes = images.frame(frame);
            let place = |at: usize| at % channels * plane + at / channels;
            let interleaved: Vec<f32> = (0..planes.len()).map(|at| planes[place(at)]).collect();
            self.preprocessing
                .apply_f32(&interleaved, channels, &mut prepared)
                .map_err(|error| LabError::Data(error.to_string()))?;
            let out = out.frame_mut(frame);
            prepared.iter().enumerate().for_each(|(at, &x)| out[place(at)] = x);
        }
        Ok(out)
    }

    /// From gradients of what the model takes to gradients of pixels.
    fn backward(&self, gradients: &Array) -> Array {
        let mut out = Array::zeros(gradients.shape());
        let channels = gradients.shape().get(1).copied().unwrap_or(0);
        let plane = gradients.frame_elements() / channels.max(1);
        let span = self.preprocessing.high - self.preprocessing.low;
        for frame in 0..gradients.frames() {
            let (from, to) = (gradients.frame(frame), out.frame_mut(frame));
            for channel in 0..channels {
                let swapped = self.preprocessing.bgr && channels == 3;
                let pixel = if swapped { 2 - channel } else { channel };
                let factor = span / self.preprocessing.std[channel];
                let from = &from[channel * plane..][..plane];
                let to = &mut to[pixel * plane..][..plane];
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from * factor);
            }
        }
        out
    }
}

impl Classifier for Preprocessed {
    fn graph(&self) -> &Arc<Graph> {
        self.inner.graph()
    }

    fn values(&self, images: &Array, wanted: &[ValueId]) -> Result<Vec<Array>, LabError> {
        self.inner.values(&self.forward(images)?, wanted)
    }

    fn gradient(
        &self,
        images: &Array,
        wanted: &[ValueId],
        cotangents: &mut Cotangents<'_>,
    ) -> Result<Gradient, LabError> {
        let gradient = self.inner.gradient(&self.forward(images)?, wanted, cotangents)?;
        Ok(Gradient { images: self.backward(&gradient.images), ..gradient })
    }
}
