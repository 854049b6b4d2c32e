//! What a backend computes in its own way: convolution, and BatchNorm by the statistics of a batch.
//!
//! The CPU has kernels of its own for both and for their gradients (`crate::kernels`): Burn's flex
//! computes the gradient of a weight as a convolution with kernels as large as the image, and a
//! normalisation as a dozen passes. Other backends do what Burn does.

use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_backend::tensor::FloatTensor;
use burn_backend::{AutodiffBackend, Backend, TensorData, TensorMetadata};
use burn_flex::{Flex, FlexTensor};
use gradgate_graph::ops::Conv;

use super::batch_norm::{self, Statistics};
use super::conv;
use crate::kernels::{Convolution, normalise, normalise_gradient};

/// A backend with its ways, plain and as seen by automatic differentiation.
pub trait Kernels: Backend {
    /// `x [n,C,H,W], w, [b]` -> `[n,O,H',W']`
    fn convolution(conv: &Conv, operands: Vec<FloatTensor<Self>>) -> FloatTensor<Self> {
        conv::evaluate::<Self>(conv, operands)
    }

    /// `x, scale, shift, ..` -> as x, and the statistics it was normalised by.
    fn normalisation(
        epsilon: f64,
        operands: Vec<FloatTensor<Self>>,
    ) -> (FloatTensor<Self>, Statistics<Self>) {
        batch_norm::training::<Self>(epsilon, operands)
    }

    /// [`Kernels::convolution`], to be differentiated.
    fn tracked_convolution(conv: &Conv, operands: Vec<Tracked<Self>>) -> Tracked<Self> {
        conv::evaluate::<Autodiff<Self>>(conv, operands)
    }

    /// [`Kernels::normalisation`], to be differentiated.
    fn tracked_normalisation(
        epsilon: f64,
        operands: Vec<Tracked<Self>>,
    ) -> (Tracked<Self>, Statistics<Autodiff<Self>>) {
        batch_norm::training::<Autodiff<Self>>(epsilon, operands)
    }
}

/// A tensor that is differentiated.
type Tracked<B> = FloatTensor<Autodiff<B>>;
type Strategy = burn_autodiff::checkpoint::strategy::NoCheckpointing;

#[cfg(feature = "cuda")]
impl Kernels for burn_cuda::Cuda {}

impl<B: Kernels> Kernels for Autodiff<B> {
    fn convolution(conv: &Conv, operands: Vec<Tracked<B>>) -> Tracked<B> {
        B::tracked_convolution(conv, operands)
    }

    fn normalisation(
        epsilon: f64,
        operands: Vec<Tracked<B>>,
    ) -> (Tracked<B>, Statistics<Autodiff<B>>) {
        B::tracked_normalisation(epsilon, operands)
    }
}

impl Kernels for Flex {
    fn convolution(conv: &Conv, operands: Vec<FlexTensor>) -> FlexTensor {
        let (x, w, bias) = three(operands.into_iter().map(|tensor| tensor.to_contiguous()));
        convolved(conv, &x, &w, bias.as_ref())
    }

    fn tracked_convolution(conv: &Conv, operands: Vec<Tracked<Flex>>) -> Tracked<Flex> {
        let (x, w, bias) = three(operands.into_iter());
        let held = Held {
            conv: conv.clone(),
            x: x.primitive.to_contiguous(),
            w: w.primitive.to_contiguous(),
        };
        let given = bias.as_ref().map(|bias| bias.primitive.to_contiguous());
        let y = convolved(conv, &held.x, &held.w, given.as_ref());
        // Twice, because the number of parents is part of the type.
        match bias {
            None => {
                let step = ConvolutionStep.prepare::<Strategy>([x.node, w.node]);
                match step.compute_bound().stateful() {
                    OpsKind::Tracked(step) => step.finish(held, y),
                    OpsKind::UnTracked(step) => step.finish(y),
                }
            }
            Some(bias) => {
                let step = ConvolutionStep.prepare::<Strategy>([x.node, w.node, bias.node]);
                match step.compute_bound().stateful() {
                    OpsKind::Tracked(step) => step.finish(held, y),
                    OpsKind::UnTracked(step) => step.finish(y),
                }
            }
        }
    }

    fn tracked_normalisation(
        epsilon: f64,
        operands: Vec<Tracked<Flex>>,
    ) -> (Tracked<Flex>, Statistics<Autodiff<Flex>>) {
        let (x, scale, shift) = three(operands.into_iter());
        let Some(shift) = shift else { unreachable!("BatchNorm has five operands") };
        let contiguous = |tensor: &Tracked<Flex>| tensor.primitive.to_contiguous();
        let (input, factor) = (contiguous(&x), contiguous(&scale));
        let of = planes(&input);
        let offset = contiguous(&shift);
        let done = normalise(numbers(&input), of, numbers(&factor), numbers(&offset), epsilon);
        let vector =
            |values: &[f32]| Autodiff::<Flex>::from_inner(tensor(values.to_vec(), &[values.len()]));
        let statistics = Statistics {
            mean: vector(&done.mean),
            variance: vector(&done.variance),
            count: numbers(&input).len() / of[0],
        };
        let y = tensor(done.y, &shape(&input));
        let (mean, variance) = (done.mean, done.variance);
        let held = HeldNorm { x: input, scale: factor, mean, variance, epsilon };
        let step = NormalisationStep.prepare::<Strategy>([x.node, scale.node, shift.node]);
        let y = match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(held, y),
            OpsKind::UnTracked(step) => step.finish(y),
        };
        (y, statistics)
    }
}

/// What the gradients of a convolution are made of.
#[derive(Clone, Debug)]
struct Held {
    conv: Conv,
    x: FlexTensor,
    w: FlexTensor,
}

#[derive(Debug)]
struct ConvolutionStep;

impl<const N: usize> Backward<Flex, N> for ConvolutionStep {
    type State = Held;

    fn backward(self, ops: Ops<Held, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Held { conv, x, w } = ops.state;
        let convolution = convolution(&conv, &x, &w);
        for (operand, node) in ops.parents.into_iter().enumerate() {
            let Some(node) = node else { continue };
            let (values, like) = match operand {
                0 => (convolution.input_gradient(numbers(&dy), numbers(&w)), shape(&x)),
                1 => (convolution.weight_gradient(numbers(&x), numbers(&dy)), shape(&w)),
                _ => (convolution.bias_gradient(numbers(&dy)), shape(&w)[..1].to_vec()),
            };
            grads.register::<Flex>(node.id, tensor(values, &like));
        }
    }
}

/// What the gradients of a normalisation are made of.
#[derive(Clone, Debug)]
struct HeldNorm {
    x: FlexTensor,
    scale: FlexTensor,
    mean: Vec<f32>,
    variance: Vec<f32>,
    epsilon: f64,
}

#[derive(Debug)]
struct NormalisationStep;

impl Backward<Flex, 3> for NormalisationStep {
    type State = HeldNorm;

    fn backward(self, ops: Ops<HeldNorm, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<Flex>(&ops.node).to_contiguous();
        let HeldNorm { x, scale, mean, variance, epsilon } = ops.state;
        let (of, scale) = (planes(&x), numbers(&scale));
        let gradients =
            normalise_gradient(numbers(&x), numbers(&dy), of, scale, &mean, &variance, epsilon);
        let shapes = [shape(&x), vec![of[0]], vec![of[0]]];
        for ((node, values), like) in ops.parents.into_iter().zip(gradients).zip(shapes) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(values, &like));
            }
        }
    }
}

fn convolution(conv: &Conv, x: &FlexTensor, w: &FlexTensor) -> Convolution {
    match (&shape(x)[..], &shape(w)[..]) {
        (&[_, c, h, width], &[o, per_group, kh, kw]) => {
            Convolution::new(conv, [c, h, width], [o, per_group, kh, kw])
        }
        _ => unreachable!("shape rules have refused other ranks"),
    }
}

fn convolved(conv: &Conv, x: &FlexTensor, w: &FlexTensor, bias: Option<&FlexTensor>) -> FlexTensor {
    let convolution = convolution(conv, x, w);
    let y = convolution.forward(numbers(x), numbers(w), bias.map(numbers));
    let [rows, columns] = convolution.output_hw();
    tensor(y, &[shape(x)[0], shape(w)[0], rows, columns])
}

/// Channels, and pixels of a channel.
fn planes(x: &FlexTensor) -> [usize; 2] {
    let shape = shape(x);
    [shape[1], shape[2..].iter().product()]
}

fn shape(x: &FlexTensor) -> Vec<usize> {
    x.shape().iter().copied().collect()
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
}

/// The numbers of a contiguous tensor.
fn numbers(x: &FlexTensor) -> &[f32] {
    x.as_slice().unwrap_or_else(|| unreachable!("a contiguous tensor of f32"))
}

/// Two operands, and the third where there is one.
fn three<T>(mut operands: impl Iterator<Item = T>) -> (T, T, Option<T>) {
    match (operands.next(), operands.next(), operands.next()) {
        (Some(x), Some(w), bias) => (x, w, bias),
        _ => unreachable!("two operands at least"),
    }
}
