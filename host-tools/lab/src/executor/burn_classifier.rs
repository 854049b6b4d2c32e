//! [`Classifier`] over Burn.
//!
//! Burn's products round differently for batches of different lengths, so frames could not be told
//! to be alone in a batch. On the CPU every frame is therefore computed by itself, frames side by
//! side on the cores: that is no slower there. A GPU needs batches to be fast, and rounds.

use std::ops::Range;
use std::sync::Arc;

use burn_autodiff::Autodiff;
use burn_backend::ops::FloatTensorOps;
use burn_backend::tensor::FloatTensor;
use burn_backend::{AutodiffBackend, Backend};
use gradgate_graph::graph::{Graph, ValueId};
use rayon::prelude::*;

use super::tensor::dims;
use super::{Kernels, Mode, Network, download, upload};
use crate::array::Array;
use crate::classifier::{Classifier, Cotangents, Gradient, check_images};
use crate::error::LabError;

/// Frames whose intermediate results are held at once: a bound on memory.
const HELD: usize = 64;

/// A graph on a backend `B`, plain for values and differentiable for gradients.
pub struct BurnClassifier<B: Backend> {
    plain: Network<B>,
    differentiable: Network<Autodiff<B>>,
    /// Frames in one tensor.
    batch: usize,
}

/// The forward pass of a batch, from which gradients can be taken.
struct Tape<B: Backend> {
    images: FloatTensor<Autodiff<B>>,
    tensors: Vec<FloatTensor<Autodiff<B>>>,
    values: Vec<Array>,
}

impl<B: Kernels> BurnClassifier<B> {
    /// Uploads the graph's constants. `batch` frames share a tensor.
    ///
    /// # Errors
    /// When the graph holds an operation that cannot be executed in batches.
    pub fn new(graph: Arc<Graph>, device: B::Device, batch: usize) -> Result<Self, LabError> {
        Ok(Self {
            plain: Network::new(graph.clone(), device.clone())?,
            differentiable: Network::new(graph, device)?,
            batch,
        })
    }

    fn values_of(&self, images: &Array, wanted: &[ValueId]) -> Result<Vec<Array>, LabError> {
        let images = upload::<B>(images, self.plain.device());
        let values = self.plain.run(images, wanted, Mode::Inference);
        values.into_iter().map(download::<B>).collect()
    }

    fn record(&self, images: &Array, wanted: &[ValueId]) -> Result<Tape<B>, LabError> {
        let images = Autodiff::<B>::from_inner(upload::<B>(images, self.plain.device()));
        let images = Autodiff::<B>::float_set_require_grad(images, true);
        let tensors = self.differentiable.run(images.clone(), wanted, Mode::Inference);
        let inner = |tensor: &FloatTensor<Autodiff<B>>| Autodiff::<B>::inner(tensor.clone());
        let values =
            tensors.iter().map(|tensor| download::<B>(inner(tensor))).collect::<Result<_, _>>()?;
        Ok(Tape { images, tensors, values })
    }

    /// Gradient of the images for the cotangents of frames `range`.
    fn backward(
        &self,
        tape: Tape<B>,
        cotangents: &[Array],
        range: Range<usize>,
    ) -> Result<Array, LabError> {
        let shape = dims::<Autodiff<B>>(&tape.images);
        let terms = tape.tensors.into_iter().zip(cotangents).map(|(tensor, cotangent)| {
            let cotangent = upload::<B>(&cotangent.slice(range.clone()), self.plain.device());
            let product = Autodiff::<B>::float_mul(tensor, Autodiff::<B>::from_inner(cotangent));
            Autodiff::<B>::float_sum(product)
        });
        let Some(total) = terms.reduce(Autodiff::<B>::float_add) else {
            return Ok(Array::zeros(shape));
        };
        let gradients = Autodiff::<B>::backward(total);
        // A value that does not depend on the image leaves no gradient.
        match Autodiff::<B>::grad(&tape.images, &gradients) {
            Some(gradient) => download::<B>(gradient),
            None => Ok(Array::zeros(shape)),
        }
    }

    /// As [`Classifier::gradient`], for no more frames than can be held.
    fn gradient_of(
        &self,
        images: &Array,
        wanted: &[ValueId],
        cotangents: &mut Cotangents<'_>,
    ) -> Result<Gradient, LabError> {
        let ranges = ranges(images.frames(), self.batch);
        let tapes: Vec<Tape<B>> = ranges
            .par_iter()
            .map(|range| self.record(&images.slice(range.clone()), wanted))
            .collect::<Result<_, _>>()?;
        let mut values = Vec::new();
        tapes.iter().for_each(|tape| join(&mut values, tape.values.clone()));
        let cotangents = cotangents(&values);
        for (value, cotangent) in values.iter().zip(&cotangents) {
            assert_eq!(value.shape(), cotangent.shape(), "a cotangent is shaped as its value");
        }
        let parts: Vec<Array> = tapes
            .into_par_iter()
            .zip(ranges)
            .map(|(tape, range)| self.backward(tape, &cotangents, range))
            .collect::<Result<_, _>>()?;
        Ok(Gradient { values, images: joined(parts, images.shape()) })
    }
}

/// Ranges of at most `length` frames.
fn ranges(frames: usize, length: usize) -> Vec<Range<usize>> {
    (0..frames).step_by(length).map(|start| start..frames.min(start + length)).collect()
}

/// Appends part by part what each batch gave.
fn join(all: &mut Vec<Array>, parts: Vec<Array>) {
    if all.is_empty() {
        *all = parts;
        return;
    }
    all.iter_mut().zip(&parts).for_each(|(whole, part)| whole.append(part));
}

/// Images of several batches as one array; of none, no image of the given shape.
fn joined(parts: Vec<Array>, shape: &[usize]) -> Array {
    let whole = parts.into_iter().reduce(|mut whole, part| {
        whole.append(&part);
        whole
    });
    whole.unwrap_or_else(|| Array::zeros([&[0], &shape[1..]].concat()))
}

impl<B: Kernels> Classifier for BurnClassifier<B> {
    fn graph(&self) -> &Arc<Graph> {
        self.plain.graph()
    }

    fn values(&self, images: &Array, wanted: &[ValueId]) -> Result<Vec<Array>, LabError> {
        check_images(self.graph(), images)?;
        let parts: Vec<Vec<Array>> = ranges(images.frames(), self.batch)
            .into_par_iter()
            .map(|range| self.values_of(&images.slice(range), wanted))
            .collect::<Result<_, _>>()?;
        let mut all = Vec::new();
        parts.into_iter().for_each(|part| join(&mut all, part));
        Ok(all)
    }

    fn gradient(
        &self,
        images: &Array,
        wanted: &[ValueId],
        cotangents: &mut Cotangents<'_>,
    ) -> Result<Gradient, LabError> {
        check_images(self.graph(), images)?;
        let (mut values, mut gradients) = (Vec::new(), Vec::new());
        for range in ranges(images.frames(), HELD) {
            let part = self.gradient_of(&images.slice(range), wanted, cotangents)?;
            join(&mut values, part.values);
            gradients.push(part.images);
        }
        Ok(Gradient { values, images: joined(gradients, images.shape()) })
    }
}
