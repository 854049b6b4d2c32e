//! [`Classifier`] over Burn.

use std::sync::Arc;

use burn_autodiff::Autodiff;
use burn_backend::ops::FloatTensorOps;
use burn_backend::tensor::FloatTensor;
use burn_backend::{AutodiffBackend, Backend};
use gradgate_graph::graph::{Graph, ValueId};

use super::{Mode, Network, download, upload};
use crate::array::Array;
use crate::classifier::{Classifier, Cotangents, Gradient, check_images};
use crate::error::LabError;

/// Frames computed at once; more takes memory and saves no time on a CPU.
const BATCH: usize = 64;

/// A graph on a backend `B`, plain for values and differentiable for gradients.
pub struct BurnClassifier<B: Backend> {
    plain: Network<B>,
    differentiable: Network<Autodiff<B>>,
}

impl<B: Backend> BurnClassifier<B> {
    /// Uploads the graph's constants.
    ///
    /// # Errors
    /// When the graph holds an operation that cannot be executed in batches.
    pub fn new(graph: Arc<Graph>, device: B::Device) -> Result<Self, LabError> {
        Ok(Self {
            plain: Network::new(graph.clone(), device.clone())?,
            differentiable: Network::new(graph, device)?,
        })
    }

    fn values_of(&self, images: &Array, wanted: &[ValueId]) -> Result<Vec<Array>, LabError> {
        let images = upload::<B>(images, self.plain.device());
        let values = self.plain.run(images, wanted, Mode::Inference);
        values.into_iter().map(download::<B>).collect()
    }

    fn gradient_of(
        &self,
        images: &Array,
        wanted: &[ValueId],
        cotangents: &mut Cotangents<'_>,
    ) -> Result<Gradient, LabError> {
        let device = self.plain.device();
        let leaf = Autodiff::<B>::from_inner(upload::<B>(images, device));
        let leaf = Autodiff::<B>::float_set_require_grad(leaf, true);
        let tensors = self.differentiable.run(leaf.clone(), wanted, Mode::Inference);
        let values = tensors
            .iter()
            .map(|tensor| download::<B>(Autodiff::<B>::inner(tensor.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        let cotangents = cotangents(&values);
        let terms = tensors.into_iter().zip(&cotangents).map(|(tensor, cotangent)| {
            assert_eq!(cotangent.shape().iter().product::<usize>(), elements::<B>(&tensor));
            let cotangent = Autodiff::<B>::from_inner(upload::<B>(cotangent, device));
            Autodiff::<B>::float_sum(Autodiff::<B>::float_mul(tensor, cotangent))
        });
        let Some(total) = terms.reduce(Autodiff::<B>::float_add) else {
            return Ok(Gradient { values, images: Array::zeros(images.shape()) });
        };
        let gradients = Autodiff::<B>::backward(total);
        // A value that does not depend on the image leaves no gradient.
        let gradient = match Autodiff::<B>::grad(&leaf, &gradients) {
            Some(gradient) => download::<B>(gradient)?,
            None => Array::zeros(images.shape()),
        };
        Ok(Gradient { values, images: gradient })
    }
}

fn elements<B: Backend>(tensor: &FloatTensor<Autodiff<B>>) -> usize {
    super::tensor::dims::<Autodiff<B>>(tensor).iter().product()
}

/// Ranges of at most [`BATCH`] frames.
fn batches(frames: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..frames).step_by(BATCH).map(move |start| start..frames.min(start + BATCH))
}

/// Appends part by part what each batch gave.
fn join(all: &mut Vec<Array>, parts: Vec<Array>) {
    if all.is_empty() {
        *all = parts;
        return;
    }
    all.iter_mut().zip(&parts).for_each(|(whole, part)| whole.append(part));
}

impl<B: Backend> Classifier for BurnClassifier<B> {
    fn graph(&self) -> &Arc<Graph> {
        self.plain.graph()
    }

    fn values(&self, images: &Array, wanted: &[ValueId]) -> Result<Vec<Array>, LabError> {
        check_images(self.graph(), images)?;
        let mut all = Vec::new();
        for range in batches(images.frames()) {
            join(&mut all, self.values_of(&images.slice(range), wanted)?);
        }
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
        for range in batches(images.frames()) {
            let part = self.gradient_of(&images.slice(range), wanted, cotangents)?;
            join(&mut values, part.values);
            join(&mut gradients, vec![part.images]);
        }
        let images = gradients.pop().unwrap_or_else(|| Array::zeros(images.shape()));
        Ok(Gradient { values, images })
    }
}
