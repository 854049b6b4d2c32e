//! The reference interpreter: every op in f64, slow and plain. Ground truth for all executors.
//!
//! Knows nothing of layouts, fusion or arenas. `interp/<op>.rs` mirrors `ops/<op>.rs`.

mod alignment;
mod average_pool;
mod batch_norm;
mod choices;
mod concat;
mod conv;
mod elementwise;
mod function;
mod gemm;
mod mat_mul;
mod max_pool;
mod reduce;
mod slice;
mod softmax;
mod transpose;
mod unary;

use crate::expand::Expanded;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::Op;

use choices::held;
pub use choices::{Choices, Kinks};

/// One dense f64 operand.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub shape: &'a [usize],
    pub data: &'a [f64],
}

/// All values of one frame.
pub struct Values {
    data: Vec<Vec<f64>>,
}

impl Values {
    /// Elements of a value, row-major.
    pub fn get(&self, id: ValueId) -> &[f64] {
        &self.data[id.0 as usize]
    }
}

/// Features of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Class scores before any softmax.
    pub logits: Vec<f64>,
    /// Squared gradient norms in schema order.
    pub squared_norms: Vec<f64>,
    /// Squared activation norms in schema order.
    pub activation_norms: Vec<f64>,
    /// The vector before the last Gemm; empty when the model has none.
    pub penultimate: Vec<f64>,
    /// Cosines against the references in schema order.
    pub alignments: Vec<f64>,
}

impl Features {
    /// Those among the values of an expanded graph.
    pub fn of(expanded: &Expanded, values: &Values) -> Self {
        let vector = |id: Option<ValueId>| id.map_or(Vec::new(), |id| values.get(id).to_vec());
        let norms = |taps: &[(ValueId, ValueId)]| {
            taps.iter().map(|&(_, norm)| values.get(norm)[0]).collect()
        };
        Self {
            logits: vector(expanded.graph.logits),
            squared_norms: norms(&expanded.squared_norms),
            activation_norms: norms(&expanded.activation_norms),
            penultimate: vector(expanded.penultimate),
            alignments: norms(&expanded.alignments),
        }
    }
}

/// An interpreter for one graph; constants are widened once.
pub struct Interp<'g> {
    graph: &'g Graph,
    constants: Vec<Vec<f64>>,
}

impl<'g> Interp<'g> {
    /// Prepares a graph.
    pub fn new(graph: &'g Graph) -> Self {
        let widen = |value: &crate::graph::Value| match &value.constant {
            Some(tensor) => tensor.data.iter().map(|&x| f64::from(x)).collect(),
            None => Vec::new(),
        };
        Self { graph, constants: graph.values.iter().map(widen).collect() }
    }

    /// Runs one frame.
    ///
    /// # Panics
    /// When `image` has not as many elements as the graph's input.
    pub fn run(&self, image: &[f64]) -> Values {
        self.run_given(image, &Choices::new())
    }

    /// Runs one frame with some choices given.
    ///
    /// # Panics
    /// As [`Interp::run`].
    pub fn run_given(&self, image: &[f64], choices: &Choices) -> Values {
        let mut data = self.constants.clone();
        if let Some(input) = self.graph.input {
            assert_eq!(image.len(), self.graph.value(input).elements(), "image length");
            data[input.0 as usize] = image.to_vec();
        }
        for node in &self.graph.nodes {
            let result = self.evaluate(node, &data, choices);
            debug_assert_eq!(
                result.len(),
                self.graph.value(node.output).elements(),
                "{}",
                node.name
            );
            data[node.output.0 as usize] = result;
        }
        Values { data }
    }

    /// Runs one frame of an expanded graph.
    ///
    /// # Panics
    /// As [`Interp::run`].
    pub fn features(&self, expanded: &Expanded, image: &[f64], choices: &Choices) -> Features {
        Features::of(expanded, &self.run_given(image, choices))
    }

    fn evaluate(&self, node: &Node, data: &[Vec<f64>], choices: &Choices) -> Vec<f64> {
        let operands: Vec<Operand<'_>> = node
            .inputs
            .iter()
            .map(|&id| Operand { shape: self.graph.shape(id), data: &data[id.0 as usize] })
            .collect();
        if let Some(passed) = choices.of_units(node) {
            let units = operands[operands.len() - 1].data.iter().zip(passed);
            return units.map(|(&x, &open)| if open { x } else { held(&node.op, x) }).collect();
        }
        let output = self.graph.shape(node.output);
        let compared = node.inputs.first().and_then(|x| choices.compared.get(x));
        match (&node.op, compared) {
            (Op::MaxPool(pool), Some(by)) => max_pool::evaluate(pool, operands[0], by, output),
            (Op::MaxPoolGradient(pool), Some(by)) => {
                max_pool::gradient(pool, operands[0].shape, by, operands[1])
            }
            _ => evaluate(&node.op, &operands, output),
        }
    }
}

/// Evaluates one op.
pub(crate) fn evaluate(op: &Op, o: &[Operand<'_>], output: &[usize]) -> Vec<f64> {
    match op {
        Op::Conv(conv) => conv::evaluate(conv, o, output),
        Op::ConvInputGradient { conv, .. } => conv::input_gradient(conv, o[0], o[1], output),
        Op::ConvWeightGradient { conv, .. } => conv::weight_gradient(conv, o[0], o[1], output),
        Op::BatchNorm { epsilon } => batch_norm::evaluate(*epsilon, o),
        Op::BatchNormInputGradient { epsilon } => batch_norm::input_gradient(*epsilon, o),
        Op::BatchNormScaleGradient { epsilon } => batch_norm::scale_gradient(*epsilon, o),
        Op::Gemm { transpose_b } => gemm::evaluate(*transpose_b, o, output),
        Op::GemmInputGradient { transpose_b } => gemm::input_gradient(*transpose_b, o, output),
        Op::GemmWeightGradient { transpose_b } => gemm::weight_gradient(*transpose_b, o, output),
        Op::MatMul { transpose_a, transpose_b } => {
            mat_mul::evaluate([*transpose_a, *transpose_b], o, output)
        }
        Op::Add => elementwise::evaluate(o, output, |a, b| a + b),
        Op::Sub => elementwise::evaluate(o, output, |a, b| a - b),
        Op::Mul => elementwise::evaluate(o, output, |a, b| a * b),
        Op::Div => elementwise::evaluate(o, output, |a, b| a / b),
        Op::Relu
        | Op::ReluGradient
        | Op::LeakyRelu { .. }
        | Op::LeakyReluGradient { .. }
        | Op::Clip { .. }
        | Op::ClipGradient { .. }
        | Op::Sigmoid
        | Op::SigmoidGradient => unary::evaluate(op, o),
        Op::Function(f) => function::evaluate(*f, o[0]),
        Op::FunctionGradient(f) => function::gradient(*f, o[0], o[1]),
        Op::Softmax { axis } => softmax::evaluate(*axis, o[0]),
        Op::SoftmaxGradient { axis } => softmax::gradient(*axis, o[0], o[1]),
        Op::MaxPool(pool) => max_pool::evaluate(pool, o[0], o[0].data, output),
        Op::MaxPoolGradient(pool) => max_pool::gradient(pool, o[0].shape, o[0].data, o[1]),
        Op::AveragePool(pool) => average_pool::evaluate(pool, o[0], output),
        Op::AveragePoolGradient { pool, .. } => average_pool::gradient(pool, o[0], output),
        Op::ReduceMean { axes, .. } => reduce::evaluate(axes, true, o[0]),
        Op::ReduceSum { axes, .. } => reduce::evaluate(axes, false, o[0]),
        Op::Expand { .. } => elementwise::expand(o[0], output),
        Op::Concat { axis } => concat::evaluate(*axis, o, output),
        Op::Slice { starts, steps, .. } => slice::evaluate(starts, steps, o[0], output),
        Op::SliceGradient { starts, steps, .. } => slice::scatter(starts, steps, o[0], output, 0.0),
        Op::Pad { before, value, .. } => {
            slice::scatter(before, &vec![1; output.len()], o[0], output, f64::from(*value))
        }
        Op::Transpose { permutation } => transpose::evaluate(permutation, o[0], output),
        Op::Reshape { .. } => o[0].data.to_vec(),
        Op::SquaredNorm => vec![o[0].data.iter().map(|x| x * x).sum()],
        Op::ConvAlignment(conv) => alignment::convolution(conv, o),
        Op::GemmAlignment => alignment::gemm(o),
    }
}

/// Row-major strides of a shape.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Calls `visit(flat, offset)` for every index of `shape` in row-major order, `offset` being the
/// index times
/// `strides` plus `start`.
pub(crate) fn for_each_index(
    shape: &[usize],
    strides: &[usize],
    start: usize,
    mut visit: impl FnMut(usize, usize),
) {
    let mut index = vec![0; shape.len()];
    let mut offset = start;
    for flat in 0..shape.iter().product::<usize>() {
        visit(flat, offset);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            offset -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
}
