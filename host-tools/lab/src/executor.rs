//! Executes a `Graph` on batches with Burn: axis 0, the frame's, has the length of the batch.
//!
//! `executor/<op>.rs` mirrors `ops/<op>.rs` of gradgate-graph. Tensors are Burn's primitives, whose
//! rank is dynamic as a graph's is. With an autodiff backend the same code is differentiable.
//! Operations of a backward pass are not executed: gradients are Burn's.

mod average_pool;
mod batch_norm;
mod burn_classifier;
mod conv;
mod elementwise;
mod function;
mod gemm;
mod max_pool;
mod movement;
mod own;
mod reduce;
mod tensor;

use std::sync::Arc;

use burn_backend::Backend;
use burn_backend::tensor::FloatTensor;
use gradgate_graph::graph::{Graph, Node, NodeId, ValueId};
use gradgate_graph::ops::Op;

use crate::error::LabError;

pub use batch_norm::Statistics;
pub use burn_classifier::BurnClassifier;
pub use own::Kernels;
pub(crate) use tensor::{download, upload, upload_tensor};

/// How BatchNorm normalises.
pub enum Mode<'m, B: Backend> {
    /// By the running statistics of the graph.
    Inference,
    /// By the statistics of the batch, which are handed out.
    Training(&'m mut Vec<(NodeId, Statistics<B>)>),
}

/// A graph with its constants on a device.
pub struct Network<B: Backend> {
    graph: Arc<Graph>,
    constants: Vec<Option<FloatTensor<B>>>,
    /// For every value, the last node that reads it.
    last_use: Vec<Option<NodeId>>,
    device: B::Device,
}

impl<B: Kernels> Network<B> {
    /// Uploads the constants of `graph`.
    ///
    /// # Errors
    /// When the graph holds an operation that cannot be executed in batches.
    pub fn new(graph: Arc<Graph>, device: B::Device) -> Result<Self, LabError> {
        graph.nodes.iter().try_for_each(supported)?;
        let constant = |value: &gradgate_graph::graph::Value| {
            value.constant.as_ref().map(|tensor| upload_tensor::<B>(tensor, &device))
        };
        let constants = graph.values.iter().map(constant).collect();
        let mut last_use = vec![None; graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            for input in &node.inputs {
                last_use[input.0 as usize] = Some(NodeId(index as u32));
            }
        }
        Ok(Self { graph, constants, last_use, device })
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Where the constants lie.
    pub fn device(&self) -> &B::Device {
        &self.device
    }

    /// A constant on the device; `None` for a frame value.
    pub fn constant(&self, id: ValueId) -> Option<&FloatTensor<B>> {
        self.constants[id.0 as usize].as_ref()
    }

    /// Puts another tensor of the same shape in a constant's place.
    pub fn set_constant(&mut self, id: ValueId, tensor: FloatTensor<B>) {
        self.constants[id.0 as usize] = Some(tensor);
    }

    /// Values for `images [n, C, H, W]`; a value is dropped after its last reader.
    pub fn run(
        &self,
        images: FloatTensor<B>,
        wanted: &[ValueId],
        mut mode: Mode<'_, B>,
    ) -> Vec<FloatTensor<B>> {
        let mut values = self.constants.clone();
        if let Some(input) = self.graph.input {
            values[input.0 as usize] = Some(images);
        }
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let id = NodeId(index as u32);
            let operands: Vec<FloatTensor<B>> =
                node.inputs.iter().filter_map(|id| values[id.0 as usize].clone()).collect();
            for input in &node.inputs {
                let last = self.last_use[input.0 as usize] == Some(id);
                if last && !wanted.contains(input) {
                    values[input.0 as usize] = None;
                }
            }
            values[node.output.0 as usize] = Some(self.evaluate(id, node, operands, &mut mode));
        }
        let taken = |id: &ValueId| values[id.0 as usize].clone();
        wanted.iter().filter_map(taken).collect()
    }

    fn evaluate(
        &self,
        id: NodeId,
        node: &Node,
        mut o: Vec<FloatTensor<B>>,
        mode: &mut Mode<'_, B>,
    ) -> FloatTensor<B> {
        let output = self.graph.shape(node.output);
        let frames: Vec<bool> =
            node.inputs.iter().map(|&id| self.graph.value(id).is_frame()).collect();
        let shape_of = |index: usize| self.graph.shape(node.inputs[index]);
        match &node.op {
            Op::Conv(conv) => B::convolution(conv, o),
            Op::ConvInputGradient { conv, input_hw } => conv::transposed::<B>(conv, *input_hw, o),
            Op::BatchNorm { epsilon } => match mode {
                Mode::Inference => batch_norm::inference::<B>(*epsilon, o),
                Mode::Training(statistics) => {
                    let (result, of_batch) = B::normalisation(*epsilon, o);
                    statistics.push((id, of_batch));
                    result
                }
            },
            Op::Gemm { transpose_b } => gemm::evaluate::<B>(*transpose_b, o),
            Op::MatMul { transpose_a, transpose_b } => {
                gemm::mat_mul::<B>(*transpose_a, *transpose_b, o)
            }
            Op::Add => elementwise::binary::<B>(o, &frames, B::float_add),
            Op::Sub => elementwise::binary::<B>(o, &frames, B::float_sub),
            Op::Mul => elementwise::binary::<B>(o, &frames, B::float_mul),
            Op::Div => elementwise::binary::<B>(o, &frames, B::float_div),
            Op::Relu => B::relu(o.swap_remove(0)),
            Op::ReluGradient => elementwise::gate::<B>(o),
            Op::LeakyRelu { alpha } => B::leaky_relu(o.swap_remove(0), (*alpha).into()),
            Op::Clip { min, max } => elementwise::clip::<B>(*min, *max, o.swap_remove(0)),
            Op::Sigmoid => B::sigmoid(o.swap_remove(0)),
            Op::Function(function) => function::evaluate::<B>(*function, o.swap_remove(0)),
            Op::Softmax { axis } => B::softmax(o.swap_remove(0), *axis),
            Op::MaxPool(pool) => max_pool::evaluate::<B>(pool, output, o.swap_remove(0)),
            Op::AveragePool(pool) => average_pool::evaluate::<B>(pool, output, o.swap_remove(0)),
            Op::ReduceMean { axes, .. } => reduce::mean::<B>(axes, output, o.swap_remove(0)),
            Op::ReduceSum { axes, .. } => reduce::sum::<B>(axes, output, o.swap_remove(0)),
            Op::Expand { .. } => reduce::expand::<B>(output, frames[0], o.swap_remove(0)),
            Op::Concat { axis } => movement::concat::<B>(*axis, output, o),
            Op::Slice { starts, lengths, steps } => {
                movement::slice::<B>(starts, lengths, steps, o.swap_remove(0))
            }
            Op::SliceGradient { starts, steps, .. } => {
                movement::scatter::<B>(starts, steps, output, 0.0, o.swap_remove(0))
            }
            Op::Pad { before, value, .. } => movement::scatter::<B>(
                before,
                &vec![1; output.len()],
                output,
                *value,
                o.swap_remove(0),
            ),
            Op::Transpose { permutation } => B::float_permute(o.swap_remove(0), permutation),
            Op::Reshape { .. } => {
                tensor::reshape_frames::<B>(o.swap_remove(0), shape_of(0), output)
            }
            other => unreachable!("{} was refused at the door", other.name()),
        }
    }
}

/// Refuses what only a backward pass holds.
fn supported(node: &Node) -> Result<(), LabError> {
    let refused = |reason: &str| {
        Err(LabError::Model(format!("node `{}` ({}): {reason}", node.name, node.op.name())))
    };
    match &node.op {
        Op::ConvWeightGradient { .. }
        | Op::BatchNormInputGradient { .. }
        | Op::BatchNormScaleGradient { .. }
        | Op::GemmInputGradient { .. }
        | Op::GemmWeightGradient { .. }
        | Op::LeakyReluGradient { .. }
        | Op::ClipGradient { .. }
        | Op::SigmoidGradient
        | Op::FunctionGradient(_)
        | Op::SoftmaxGradient { .. }
        | Op::MaxPoolGradient(_)
        | Op::AveragePoolGradient { .. }
        | Op::SquaredNorm
        | Op::ConvAlignment(_)
        | Op::GemmAlignment => {
            refused("it belongs to a backward pass; give the classifier, not the expanded model")
        }
        _ => Ok(()),
    }
}
