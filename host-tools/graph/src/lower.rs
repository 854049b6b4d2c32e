//! From an expanded graph to a schedule: memory layout, fusion, kernel choice.
//!
//! A frame value of rank 4, `[1,C,H,W]`, lies in memory as rows, columns, channels; every other
//! value in
//! row-major order. Constants are laid out per use. `lower/<op>.rs` mirrors `ops/<op>.rs`; `fuse`
//! finds chains of Conv or Gemm, normalisation, residual addition and activation that one step
//! computes,
//! and the backward nodes that one `ConvWeightNorm` step serves.

mod alignment;
mod backward;
mod batch_norm;
mod concat;
mod conv;
mod elementwise;
mod fuse;
mod gemm;
mod layout;
mod mat_mul;
mod pool;
mod preprocess;
mod reduce;
mod reshape;
mod slice;
mod softmax;
mod squared_norm;
mod unary;

use std::collections::HashMap;
use std::fmt;

use gradgate_bundle::op::{OpCode, Params};
use gradgate_frame::Preprocessing;

use crate::expand::Expanded;
use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::ops::Op;
use crate::schedule::{Pass, Schedule, ScheduledTensor, Step, Storage, TensorId};

/// Why a graph has no schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowerError {
    /// Name of the node.
    pub node: String,
    /// Name of its op.
    pub op: &'static str,
    /// What the engine cannot do.
    pub reason: String,
}

impl fmt::Display for LowerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}` ({}): {}", self.node, self.op, self.reason)
    }
}

impl std::error::Error for LowerError {}

/// A schedule for `expanded`.
///
/// # Errors
/// When a node has no kernel for its shape; the error names it.
pub fn lower(expanded: &Expanded, preprocessing: &Preprocessing) -> Result<Schedule, LowerError> {
    lower_with(expanded, preprocessing, Products::Dropped)
}

/// Whether the result of a convolution is kept as it is before its normalisation.
///
/// The norm of a normalisation's scale needs it, or else the whole weight gradient; with it, norms
/// by Gram matrices of pixels become possible. It takes memory from the forward pass until the
/// backward pass has come back, and another method gives other last bits: so it is chosen for a
/// model, never for a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Products {
    /// No: the least memory.
    #[default]
    Dropped,
    /// Where that saves multiply-adds.
    Kept,
}

/// As [`lower`], with a choice of products.
///
/// # Errors
/// As [`lower`].
pub fn lower_with(
    expanded: &Expanded,
    preprocessing: &Preprocessing,
    products: Products,
) -> Result<Schedule, LowerError> {
    let mut lowering = Lowering::new(expanded, products);
    lowering.preprocess(preprocessing)?;
    for index in 0..expanded.graph.nodes.len() {
        lowering.node(NodeId(index as u32))?;
    }
    lowering.finish()
}

/// How a constant is laid out. A weight that several nodes share is one blob only where all of them
/// read it alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// As in the model.
    Plain,
    /// In the blocks of a linear op.
    Blocked {
        /// Which axis of the model's weight holds the outputs.
        order: conv::WeightOrder,
        /// Channel groups, which blocks never cross.
        groups: usize,
    },
}

/// The schedule under construction.
struct Lowering<'g> {
    expanded: &'g Expanded,
    graph: &'g Graph,
    fusion: fuse::Fusion,
    /// Features that are the squared norm of a value, by that value.
    features: HashMap<ValueId, Vec<u16>>,
    alignments: Vec<alignment::Alignment>,
    /// The normalisation that the first step computes.
    normalisation: Option<preprocess::Normalisation>,
    tensor_of: HashMap<ValueId, TensorId>,
    /// Axis and parts of the Concats so far.
    concats: HashMap<ValueId, (usize, Vec<ValueId>)>,
    blobs: HashMap<(ValueId, Kind), TensorId>,
    vectors: HashMap<Vec<u32>, TensorId>,
    tensors: Vec<ScheduledTensor>,
    steps: Vec<Step>,
    /// Whether the node at hand belongs to the backward pass.
    is_backward: bool,
}

impl<'g> Lowering<'g> {
    fn new(expanded: &'g Expanded, products: Products) -> Self {
        Self {
            expanded,
            graph: &expanded.graph,
            fusion: fuse::Fusion::new(expanded, products),
            features: fuse::features(expanded),
            alignments: alignment::alignments(expanded),
            normalisation: None,
            tensor_of: HashMap::new(),
            concats: HashMap::new(),
            blobs: HashMap::new(),
            vectors: HashMap::new(),
            tensors: Vec::new(),
            steps: Vec::new(),
            is_backward: false,
        }
    }

    fn node(&mut self, id: NodeId) -> Result<(), LowerError> {
        let graph = self.graph;
        let node = &graph.nodes[id.0 as usize];
        self.is_backward = id.0 as usize >= self.expanded.forward_nodes;
        if let Some(group) = self.fusion.weight_norm_at(id) {
            self.conv_weight_norm(group)?;
        }
        if self.fusion.is_served(id) || self.is_preprocessed(id) {
            return Ok(());
        }
        if let Some(group) = self.fusion.group_ending_at(id) {
            self.linear(group)?;
        } else if let Some(chain) = self.fusion.input_gradient_ending_at(id) {
            self.input_gradient(&chain)?;
        } else if let Some(norm) = self.fusion.normalisation_before(id) {
            self.batch_norm(&graph.nodes[norm.0 as usize], Some(node))?;
        } else if node.op == Op::SquaredNorm || alignment::is_alignment(&node.op) {
            return Ok(()); // emitted as soon as what it reads exists
        } else {
            self.plain(node)?;
        }
        self.norms_of(node.output);
        for feature in self.features.get(&node.output).cloned().unwrap_or_default() {
            self.alignments_after(feature)?;
        }
        Ok(())
    }

    fn plain(&mut self, node: &Node) -> Result<(), LowerError> {
        match &node.op {
            Op::Conv(_)
            | Op::Gemm { .. }
            | Op::ConvInputGradient { .. }
            | Op::GemmInputGradient { .. } => Err(self.refuse(node, "is in no group: a defect")),
            Op::ConvWeightGradient { .. } | Op::GemmWeightGradient { .. } => {
                self.weight_gradient(node)
            }
            Op::BatchNorm { .. } => self.batch_norm(node, None),
            Op::BatchNormInputGradient { epsilon } => {
                self.batch_norm_input_gradient(node, *epsilon)
            }
            Op::BatchNormScaleGradient { epsilon } => {
                self.batch_norm_scale_gradient(node, *epsilon)
            }
            Op::MatMul { transpose_a, transpose_b } => {
                self.mat_mul(node, [*transpose_a, *transpose_b])
            }
            Op::Add | Op::Sub | Op::Mul | Op::Div => self.elementwise(node),
            Op::Relu | Op::LeakyRelu { .. } | Op::Clip { .. } | Op::Sigmoid | Op::Function(_) => {
                self.unary(node)
            }
            Op::ReluGradient
            | Op::LeakyReluGradient { .. }
            | Op::ClipGradient { .. }
            | Op::SigmoidGradient
            | Op::FunctionGradient(_) => self.unary_gradient(node),
            Op::Softmax { axis } | Op::SoftmaxGradient { axis } => self.softmax(node, *axis),
            Op::MaxPool(pool)
            | Op::AveragePool(pool)
            | Op::MaxPoolGradient(pool)
            | Op::AveragePoolGradient { pool, .. } => self.pool(node, pool),
            Op::ReduceMean { axes, .. } => self.reduce(node, axes, true),
            Op::ReduceSum { axes, .. } => self.reduce(node, axes, false),
            Op::Expand { .. } => self.expand(node),
            Op::Concat { axis } => self.concat(node, *axis),
            Op::Slice { starts, steps, .. } => self.slice(node, starts, steps),
            Op::SliceGradient { starts, steps, .. } => self.scatter(node, starts, steps, 0.0),
            Op::Pad { before, value, .. } => {
                self.scatter(node, before, &vec![1; before.len()], *value)
            }
            Op::Transpose { permutation } => self.transpose(node, permutation),
            Op::Reshape { .. } => self.reshape(node),
            Op::SquaredNorm | Op::ConvAlignment(_) | Op::GemmAlignment => Ok(()),
        }
    }

    fn finish(self) -> Result<Schedule, LowerError> {
        let tensor = |value: ValueId| self.tensor_of.get(&value).copied();
        let Some(logits) = self.graph.logits.and_then(tensor) else {
            return Err(self.refuse_graph("the logits are not computed"));
        };
        let &[1, channels, height, width] = self.graph.shape(self.graph.input.expect("checked"))
        else {
            return Err(self.refuse_graph("the image is not of rank 4"));
        };
        let mut values: Vec<_> = self.tensor_of.iter().map(|(&v, &t)| (v, t)).collect();
        values.sort_unstable();
        Ok(Schedule {
            features: self.expanded.squared_norms.len()
                + self.expanded.activation_norms.len()
                + self.expanded.alignments.len(),
            logits,
            penultimate: self.expanded.penultimate.and_then(tensor),
            input: [height, width, channels],
            values,
            tensors: self.tensors,
            steps: self.steps,
        })
    }

    fn step<P: Params>(
        &mut self,
        name: &str,
        opcode: OpCode,
        params: &P,
        operands: &[Option<TensorId>],
        macs: u64,
    ) {
        self.steps.push(Step {
            name: name.to_owned(),
            opcode,
            params: zerocopy::IntoBytes::as_bytes(params).to_vec(),
            operands: operands.to_vec(),
            macs,
            pass: Pass::of(opcode, self.is_backward),
            again: false,
        });
    }

    /// A new arena tensor that holds a graph value.
    fn arena_for(&mut self, value: ValueId) -> TensorId {
        let name = self.graph.value(value).name.clone();
        let id = self.arena(name, self.graph.value(value).elements());
        self.tensor_of.insert(value, id);
        id
    }

    fn arena(&mut self, name: String, elements: usize) -> TensorId {
        self.tensors.push(ScheduledTensor { name, elements, storage: Storage::Arena });
        TensorId(self.tensors.len() - 1)
    }

    /// A blob made from a constant by `make`, one per constant and kind.
    fn blob(&mut self, value: ValueId, kind: Kind, make: impl FnOnce() -> Vec<f32>) -> TensorId {
        if let Some(&id) = self.blobs.get(&(value, kind)) {
            return id;
        }
        let data = make();
        let what = if kind == Kind::Plain { "plain" } else { "blocked" };
        let name = format!("{}:{what}", self.graph.value(value).name);
        self.tensors.push(ScheduledTensor {
            name,
            elements: data.len(),
            storage: Storage::Blob(data),
        });
        let id = TensorId(self.tensors.len() - 1);
        self.blobs.insert((value, kind), id);
        id
    }

    /// A blob of a derived vector; vectors of the same bits are one blob.
    fn vector(&mut self, name: String, data: Vec<f32>) -> TensorId {
        let bits: Vec<u32> = data.iter().map(|x| x.to_bits()).collect();
        if let Some(&id) = self.vectors.get(&bits) {
            return id;
        }
        self.tensors.push(ScheduledTensor {
            name,
            elements: data.len(),
            storage: Storage::Blob(data),
        });
        let id = TensorId(self.tensors.len() - 1);
        self.vectors.insert(bits, id);
        id
    }

    /// The tensor of a frame value, or a constant as it stands in the model.
    fn operand(&mut self, value: ValueId) -> TensorId {
        match &self.graph.value(value).constant {
            Some(tensor) => self.blob(value, Kind::Plain, || tensor.data.to_vec()),
            None => self.tensor_of[&value],
        }
    }

    fn constant(&self, value: ValueId) -> &'g [f32] {
        self.graph.value(value).constant.as_ref().map_or(&[], |tensor| &tensor.data)
    }

    fn refuse(&self, node: &Node, reason: impl Into<String>) -> LowerError {
        LowerError { node: node.name.clone(), op: node.op.name(), reason: reason.into() }
    }

    fn refuse_graph(&self, reason: &str) -> LowerError {
        LowerError { node: self.graph.name.clone(), op: "graph", reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expand::{Label, expand};
    use crate::graph::Tensor;
    use crate::ops::Pool;
    use crate::taps::Taps;

    fn classifier(image: &[usize], make: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Graph {
        let mut graph = Graph::default();
        let x = graph.add_input("image", image);
        let x = make(&mut graph, x);
        let count = graph.value(x).elements();
        let flat = graph.push("flat", Op::Reshape { shape: vec![1, count] }, &[x]).unwrap();
        let w = graph.add_constant("w", Tensor::new([2, count], vec![0.5; 2 * count]));
        let logits = graph.push("logits", Op::Gemm { transpose_b: true }, &[flat, w]).unwrap();
        graph.logits = Some(logits);
        graph.parameters = vec![w];
        graph
    }

    fn normalised(shape: &[usize]) -> Graph {
        classifier(&[1, 1, 8, 8], |graph, x| {
            let x = graph.push("reshape", Op::Reshape { shape: shape.to_vec() }, &[x]).unwrap();
            let c = [shape[1]];
            let mut inputs = vec![x];
            for name in ["scale", "shift", "mean", "variance"] {
                inputs.push(graph.add_constant(name, Tensor::new(c, vec![1.0; c[0]])));
            }
            graph.push("norm", Op::BatchNorm { epsilon: 1e-5 }, &inputs).unwrap()
        })
    }

    fn refusal(graph: &Graph) -> Option<String> {
        let expanded = expand(graph, &Label::Ones, &Taps::all()).unwrap();
        lower(&expanded, &Preprocessing::default()).err().map(|error| error.to_string())
    }

    #[test]
    fn normalisation_has_kernels_for_vectors_and_images_alone() {
        for shape in [&[1, 64][..], &[1, 4, 4, 4], &[1, 64, 1], &[1, 64, 1, 1, 1]] {
            assert_eq!(refusal(&normalised(shape)), None, "{shape:?}");
        }
        for shape in [&[1, 4, 16][..], &[1, 4, 2, 2, 4]] {
            let error = refusal(&normalised(shape)).expect("no kernel for this rank");
            assert!(error.contains("`norm`") && error.contains("[1, 4, 16, 1]"), "{error}");
        }
    }

    #[test]
    fn numbers_that_a_record_cannot_hold_are_refused() {
        let far = Pool {
            kernel: [3, 3],
            strides: [1, 1],
            pads: [65_537; 4],
            dilations: [65_537; 2],
            ceil_mode: false,
            count_include_pad: false,
        };
        let pooled = |pool: Pool| {
            classifier(&[1, 1, 8, 8], |graph, x| {
                graph.push("pool", Op::MaxPool(pool), &[x]).unwrap()
            })
        };
        let near = Pool { pads: [1; 4], dilations: [1; 2], ..far.clone() };
        assert_eq!(refusal(&pooled(near)), None);
        let error = refusal(&pooled(far)).expect("a dilation past 16 bits");
        assert!(error.contains("`pool`") && error.contains("65,535"), "{error}");
        let error = refusal(&classifier(&[1, 1, 300, 300], |_, x| x)).expect("90,000 inputs");
        assert!(error.contains("`logits`") && error.contains("65,535"), "{error}");
        let error = refusal(&classifier(&[1, 2, 4, 4], |_, x| x)).expect("two channels");
        assert!(error.contains("channels"), "{error}");
    }
}
