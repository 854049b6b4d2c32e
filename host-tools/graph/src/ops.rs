//! The closed set of operations and one table of them all.
//!
//! Each `ops/<op>.rs` holds an op's attributes, shape rule and gradient rule; the same file name
//! holds its evaluation in `interp/`, its ONNX spelling in `export/` and its schedule in `lower/`.
//! Operand order is part of the contract and stands beside each variant; `[..]` is optional.

pub mod alignment;
pub mod average_pool;
pub mod batch_norm;
#[cfg(test)]
pub(crate) mod check;
pub mod concat;
pub mod conv;
pub mod elementwise;
pub mod function;
pub mod gemm;
pub mod mat_mul;
pub mod max_pool;
pub mod pad;
pub mod pool;
pub mod reduce;
pub mod reshape;
pub mod slice;
pub mod softmax;
pub mod squared_norm;
pub mod transpose;
pub mod unary;

pub use conv::Conv;
pub use function::Function;
pub use pool::Pool;

use crate::expand::Backward;
use crate::graph::{Node, ShapeError, Value, ValueId};

/// What a gradient rule returns: for every operand its cotangent, `None` where none is needed.
pub type Gradients = Result<Vec<Option<ValueId>>, ShapeError>;

/// One operation with its attributes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// `x [1,C,H,W], w [O,C/g,kh,kw], [b [O]]` -> `[1,O,H',W']`
    Conv(Conv),
    /// `g [1,O,H',W'], w` -> `[1,C,H,W]`: cotangent of the convolution's input. Forward it serves
    /// ConvTranspose.
    ConvInputGradient {
        /// The convolution it belongs to.
        conv: Conv,
        /// Height and width of the convolution's input.
        input_hw: [usize; 2],
    },
    /// `x, g` -> `[1,O,C/g,kh,kw]`: cotangent of the weight for this frame.
    ConvWeightGradient {
        /// The convolution it belongs to.
        conv: Conv,
        /// Height and width of the kernel.
        kernel_hw: [usize; 2],
    },
    /// `x [1,C,..], scale, shift, mean, variance [C]` -> as x. Inference mode.
    BatchNorm {
        /// Added to the variance.
        epsilon: f64,
    },
    /// `g [1,C,..], scale, variance` -> as g.
    BatchNormInputGradient {
        /// As the normalisation's.
        epsilon: f64,
    },
    /// `x [1,C,..], g, mean, variance` -> `[1,C]`: sum over pixels of `g * (x - mean) / sigma`.
    BatchNormScaleGradient {
        /// As the normalisation's.
        epsilon: f64,
    },
    /// `x [1,..,K], w [K,N] or [N,K], [b [N]]` -> `[1,..,N]`. Serves Gemm and MatMul by a constant.
    Gemm {
        /// Whether the weight is `[N,K]`.
        transpose_b: bool,
    },
    /// `g [1,..,N], w` -> `[1,..,K]`
    GemmInputGradient {
        /// As the product's.
        transpose_b: bool,
    },
    /// `x [1,..,K], g [1,..,N]` -> `[1,K,N]` or `[1,N,K]`
    GemmWeightGradient {
        /// As the product's.
        transpose_b: bool,
    },
    /// `a [1,..,M,K], b [1,..,K,N]` -> `[1,..,M,N]`; both depend on the frame, and all axes before
    /// the last two are alike.
    MatMul {
        /// Whether a is `[1,..,K,M]`.
        transpose_a: bool,
        /// Whether b is `[1,..,N,K]`.
        transpose_b: bool,
    },
    /// `a, b` with numpy broadcasting.
    Add,
    /// `a, b`: a - b.
    Sub,
    /// `a, b`
    Mul,
    /// `a, b`: a / b.
    Div,
    /// `x`
    Relu,
    /// `y = relu(x), g`: g where y > 0, else 0. Serves Where, too: a gate by any y.
    ReluGradient,
    /// `x`
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// `x, g`
    LeakyReluGradient {
        /// Slope below zero.
        alpha: f32,
    },
    /// `x`
    Clip {
        /// Lower bound, may be -inf.
        min: f32,
        /// Upper bound, may be +inf.
        max: f32,
    },
    /// `x, g`: g where min < x < max, else 0 (PyTorch's hardtanh/ReLU6 rule: 0 at the bounds).
    ClipGradient {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `x`
    Sigmoid,
    /// `y = sigmoid(x), g`
    SigmoidGradient,
    /// `x`
    Function(Function),
    /// `x` or the result ([`Function::by_result`]), `g`
    FunctionGradient(Function),
    /// `x`
    Softmax {
        /// Axis, counted from 0.
        axis: usize,
    },
    /// `y = softmax(x), g`
    SoftmaxGradient {
        /// Axis, counted from 0.
        axis: usize,
    },
    /// `x [1,C,H,W]`; padding counts as -inf; the first maximum in raster order wins.
    MaxPool(Pool),
    /// `x, g` -> as x.
    MaxPoolGradient(Pool),
    /// `x [1,C,H,W]`
    AveragePool(Pool),
    /// `g` -> `[1,C,H,W]`
    AveragePoolGradient {
        /// The pool it belongs to.
        pool: Pool,
        /// Height and width of the pool's input.
        input_hw: [usize; 2],
    },
    /// `x`: mean over axes. GlobalAveragePool is this over axes 2 and 3, kept.
    ReduceMean {
        /// Sorted axes, never axis 0 of a frame value.
        axes: Vec<usize>,
        /// Whether reduced axes stay with length 1.
        keep_dims: bool,
    },
    /// `x`: sum over axes.
    ReduceSum {
        /// Sorted axes, never axis 0 of a frame value.
        axes: Vec<usize>,
        /// Whether reduced axes stay with length 1.
        keep_dims: bool,
    },
    /// `x` -> `shape` by numpy broadcasting.
    Expand {
        /// Target shape.
        shape: Vec<usize>,
    },
    /// `x0, x1, ..`
    Concat {
        /// Axis, counted from 0.
        axis: usize,
    },
    /// `x`: every axis from `starts`, `lengths` elements, `steps` apart (steps > 0).
    Slice {
        /// First index per axis.
        starts: Vec<usize>,
        /// Elements taken per axis.
        lengths: Vec<usize>,
        /// Distance per axis.
        steps: Vec<usize>,
    },
    /// `g` -> `input_shape`, zero where the slice took nothing.
    SliceGradient {
        /// First index per axis.
        starts: Vec<usize>,
        /// Distance per axis.
        steps: Vec<usize>,
        /// Shape of the slice's input.
        input_shape: Vec<usize>,
    },
    /// `x`, constant mode.
    Pad {
        /// Elements added before, per axis.
        before: Vec<usize>,
        /// Elements added after, per axis.
        after: Vec<usize>,
        /// The added elements.
        value: f32,
    },
    /// `x`
    Transpose {
        /// Output axis i is input axis `permutation[i]`; axis 0 of a frame value stays.
        permutation: Vec<usize>,
    },
    /// `x`. Serves Reshape, Flatten, Squeeze, Unsqueeze.
    Reshape {
        /// Target shape; same element count; a frame value keeps axis 0 of length 1.
        shape: Vec<usize>,
    },
    /// `x` -> `[1]`: sum of the squares of all elements.
    SquaredNorm,
    /// `x [1,C,H,W], g [1,O,H',W'], u [R,O], v [R,C,kh,kw], logits [1,N], norm [1]` -> `[1]`:
    /// cosine of the convolution's weight gradient, whose squared norm is `norm`, and the reference
    /// direction of the predicted class.
    ConvAlignment(Conv),
    /// `x [1,..,K], g [1,..,N], u [R,N], v [R,K], logits, norm` -> `[1]`
    GemmAlignment,
}

impl Op {
    /// Name for messages and dumps: ONNX spelling where ONNX has the op.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv(_) => "Conv",
            Op::ConvInputGradient { .. } => "ConvInputGradient",
            Op::ConvWeightGradient { .. } => "ConvWeightGradient",
            Op::BatchNorm { .. } => "BatchNormalization",
            Op::BatchNormInputGradient { .. } => "BatchNormInputGradient",
            Op::BatchNormScaleGradient { .. } => "BatchNormScaleGradient",
            Op::Gemm { .. } => "Gemm",
            Op::GemmInputGradient { .. } => "GemmInputGradient",
            Op::GemmWeightGradient { .. } => "GemmWeightGradient",
            Op::MatMul { .. } => "MatMul",
            Op::Add => "Add",
            Op::Sub => "Sub",
            Op::Mul => "Mul",
            Op::Div => "Div",
            Op::Relu => "Relu",
            Op::ReluGradient => "ReluGradient",
            Op::LeakyRelu { .. } => "LeakyRelu",
            Op::LeakyReluGradient { .. } => "LeakyReluGradient",
            Op::Clip { .. } => "Clip",
            Op::ClipGradient { .. } => "ClipGradient",
            Op::Sigmoid => "Sigmoid",
            Op::SigmoidGradient => "SigmoidGradient",
            Op::Function(function) => function.name(),
            Op::FunctionGradient(function) => function.gradient_name(),
            Op::Softmax { .. } => "Softmax",
            Op::SoftmaxGradient { .. } => "SoftmaxGradient",
            Op::MaxPool(_) => "MaxPool",
            Op::MaxPoolGradient(_) => "MaxPoolGradient",
            Op::AveragePool(_) => "AveragePool",
            Op::AveragePoolGradient { .. } => "AveragePoolGradient",
            Op::ReduceMean { .. } => "ReduceMean",
            Op::ReduceSum { .. } => "ReduceSum",
            Op::Expand { .. } => "Expand",
            Op::Concat { .. } => "Concat",
            Op::Slice { .. } => "Slice",
            Op::SliceGradient { .. } => "SliceGradient",
            Op::Pad { .. } => "Pad",
            Op::Transpose { .. } => "Transpose",
            Op::Reshape { .. } => "Reshape",
            Op::SquaredNorm => "SquaredNorm",
            Op::ConvAlignment(_) => "ConvAlignment",
            Op::GemmAlignment => "GemmAlignment",
        }
    }

    /// Shape of the output, or why the operands do not fit.
    ///
    /// # Errors
    /// A reason in words; [`crate::graph::Graph::push`] adds the node's name.
    pub fn shape(&self, operands: &[&Value]) -> Result<Vec<usize>, String> {
        let shapes: Vec<&[usize]> = operands.iter().map(|v| v.shape.as_slice()).collect();
        let s = shapes.as_slice();
        match self {
            Op::Conv(conv) => conv::shape(conv, s),
            Op::ConvInputGradient { conv, input_hw } => {
                conv::input_gradient_shape(conv, *input_hw, s)
            }
            Op::ConvWeightGradient { conv, kernel_hw } => {
                conv::weight_gradient_shape(conv, *kernel_hw, s)
            }
            Op::BatchNorm { .. } => batch_norm::shape(s),
            Op::BatchNormInputGradient { .. } => batch_norm::input_gradient_shape(s),
            Op::BatchNormScaleGradient { .. } => batch_norm::scale_gradient_shape(s),
            Op::Gemm { transpose_b } => gemm::shape(*transpose_b, s),
            Op::GemmInputGradient { transpose_b } => gemm::input_gradient_shape(*transpose_b, s),
            Op::GemmWeightGradient { transpose_b } => gemm::weight_gradient_shape(*transpose_b, s),
            Op::MatMul { transpose_a, transpose_b } => {
                mat_mul::shape(*transpose_a, *transpose_b, s)
            }
            Op::Add | Op::Sub | Op::Mul | Op::Div => elementwise::shape(s),
            Op::Relu | Op::LeakyRelu { .. } | Op::Clip { .. } | Op::Sigmoid | Op::Function(_) => {
                unary::shape(s)
            }
            Op::ReluGradient
            | Op::LeakyReluGradient { .. }
            | Op::ClipGradient { .. }
            | Op::SigmoidGradient
            | Op::FunctionGradient(_) => unary::gradient_shape(s),
            Op::Softmax { axis } => softmax::shape(*axis, s),
            Op::SoftmaxGradient { axis } => softmax::gradient_shape(*axis, s),
            Op::MaxPool(pool) | Op::AveragePool(pool) => pool::shape(pool, s),
            Op::MaxPoolGradient(pool) => max_pool::gradient_shape(pool, s),
            Op::AveragePoolGradient { pool, input_hw } => {
                average_pool::gradient_shape(pool, *input_hw, s)
            }
            Op::ReduceMean { axes, keep_dims } | Op::ReduceSum { axes, keep_dims } => {
                reduce::shape(axes, *keep_dims, s)
            }
            Op::Expand { shape } => reduce::expand_shape(shape, s),
            Op::Concat { axis } => concat::shape(*axis, s),
            Op::Slice { starts, lengths, steps } => slice::shape(starts, lengths, steps, s),
            Op::SliceGradient { starts, steps, input_shape } => {
                slice::gradient_shape(starts, steps, input_shape, s)
            }
            Op::Pad { before, after, .. } => pad::shape(before, after, s),
            Op::Transpose { permutation } => transpose::shape(permutation, s),
            Op::Reshape { shape } => reshape::shape(shape, s),
            Op::SquaredNorm => squared_norm::shape(s),
            Op::ConvAlignment(conv) => alignment::conv_shape(conv, s),
            Op::GemmAlignment => alignment::gemm_shape(s),
        }
    }
}

impl Op {
    /// The op's gradient rule applied to a node whose output has cotangent `g`; `None` when the op
    /// has no rule.
    pub fn gradient(&self, b: &mut Backward, node: &Node, g: ValueId) -> Option<Gradients> {
        // These rules give the cotangent's gradient alone: not the one of weight or scale.
        let by_cotangent =
            matches!(self, Op::GemmInputGradient { .. } | Op::BatchNormInputGradient { .. });
        if by_cotangent && b.needs(node.inputs[1]) {
            return None;
        }
        Some(match self {
            Op::Conv(conv) => conv::gradient(conv, b, node, g),
            Op::ConvInputGradient { conv, .. } => conv::input_gradient_gradient(conv, b, node, g),
            Op::BatchNorm { epsilon } => batch_norm::gradient(*epsilon, b, node, g),
            Op::BatchNormInputGradient { epsilon } => {
                batch_norm::input_gradient_gradient(*epsilon, b, node, g)
            }
            Op::Gemm { transpose_b } => gemm::gradient(*transpose_b, b, node, g),
            Op::GemmInputGradient { transpose_b } => {
                gemm::input_gradient_gradient(*transpose_b, b, node, g)
            }
            Op::MatMul { transpose_a, transpose_b } => {
                mat_mul::gradient([*transpose_a, *transpose_b], b, node, g)
            }
            Op::Add | Op::Sub | Op::Mul | Op::Div => elementwise::gradient(b, node, g),
            Op::Relu | Op::LeakyRelu { .. } | Op::Clip { .. } | Op::Sigmoid => {
                unary::gradient(b, node, g)
            }
            Op::ReluGradient => unary::gate_gradient(b, node, g),
            Op::Function(function) => function::gradient(*function, b, node, g),
            Op::Softmax { axis } => softmax::gradient(*axis, b, node, g),
            Op::MaxPool(pool) => max_pool::gradient(pool, b, node, g),
            Op::AveragePool(pool) => average_pool::gradient(pool, b, node, g),
            Op::ReduceMean { axes, .. } => reduce::gradient(true, axes, b, node, g),
            Op::ReduceSum { axes, .. } => reduce::gradient(false, axes, b, node, g),
            Op::Expand { .. } => reduce::expand_gradient(b, node, g),
            Op::Concat { axis } => concat::gradient(*axis, b, node, g),
            Op::Slice { starts, steps, .. } => slice::gradient(starts, steps, b, node, g),
            Op::SliceGradient { starts, steps, .. } => {
                slice::gradient_gradient(starts, steps, b, node, g)
            }
            Op::Pad { before, .. } => pad::gradient(before, b, node, g),
            Op::Transpose { permutation } => transpose::gradient(permutation, b, g),
            Op::Reshape { .. } => reshape::gradient(b, node, g),
            Op::ConvWeightGradient { .. }
            | Op::BatchNormScaleGradient { .. }
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
            | Op::GemmAlignment => return None,
        })
    }
}

/// Refuses a wrong operand count.
pub(crate) fn arity(shapes: &[&[usize]], min: usize, max: usize) -> Result<(), String> {
    if (min..=max).contains(&shapes.len()) {
        return Ok(());
    }
    Err(format!("{} operands, expected {min} to {max}", shapes.len()))
}

/// Refuses a shape other than the expected one.
pub(crate) fn expect_shape(what: &str, got: &[usize], expected: &[usize]) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what} has shape {got:?}, expected {expected:?}"))
}
