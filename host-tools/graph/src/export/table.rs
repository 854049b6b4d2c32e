//! The one table from ops to their spellings.

use super::site::Site;
use super::{
    alignment, average_pool, batch_norm, concat, conv, elementwise, function, gemm, mat_mul,
    max_pool, pad, reduce, reshape, slice, softmax, squared_norm, transpose, unary,
};
use crate::ops::Op;

/// Writes one node of the Graph.
pub(super) fn emit(op: &Op, site: &mut Site<'_>) {
    match op {
        Op::Conv(conv) => conv::emit(conv, site),
        Op::ConvInputGradient { conv, input_hw } => {
            conv::emit_input_gradient(conv, *input_hw, site);
        }
        Op::ConvWeightGradient { conv, kernel_hw } => {
            conv::emit_weight_gradient(conv, *kernel_hw, site);
        }
        Op::BatchNorm { epsilon } => batch_norm::emit(*epsilon, site),
        Op::BatchNormInputGradient { epsilon } => batch_norm::emit_input_gradient(*epsilon, site),
        Op::BatchNormScaleGradient { epsilon } => batch_norm::emit_scale_gradient(*epsilon, site),
        Op::Gemm { transpose_b } => gemm::emit(*transpose_b, site),
        Op::GemmInputGradient { transpose_b } => gemm::emit_input_gradient(*transpose_b, site),
        Op::GemmWeightGradient { transpose_b } => gemm::emit_weight_gradient(*transpose_b, site),
        Op::MatMul { transpose_a, transpose_b } => {
            mat_mul::emit([*transpose_a, *transpose_b], site);
        }
        Op::Add | Op::Sub | Op::Mul | Op::Div => elementwise::emit(op.name(), site),
        Op::Relu | Op::Sigmoid => unary::emit(op.name(), site),
        Op::ReluGradient => unary::emit_relu_gradient(site),
        Op::LeakyRelu { alpha } => unary::emit_leaky_relu(*alpha, site),
        Op::LeakyReluGradient { alpha } => unary::emit_leaky_relu_gradient(*alpha, site),
        Op::Clip { min, max } => unary::emit_clip(*min, *max, site),
        Op::ClipGradient { min, max } => unary::emit_clip_gradient(*min, *max, site),
        Op::SigmoidGradient => unary::emit_sigmoid_gradient(site),
        Op::Function(function) => function::emit(*function, site),
        Op::FunctionGradient(function) => function::emit_gradient(*function, site),
        Op::Softmax { axis } => softmax::emit(*axis, site),
        Op::SoftmaxGradient { axis } => softmax::emit_gradient(*axis, site),
        Op::MaxPool(pool) => max_pool::emit(pool, site),
        Op::MaxPoolGradient(pool) => max_pool::emit_gradient(pool, site),
        Op::AveragePool(pool) => average_pool::emit(pool, site),
        Op::AveragePoolGradient { pool, .. } => average_pool::emit_gradient(pool, site),
        Op::ReduceMean { axes, keep_dims } | Op::ReduceSum { axes, keep_dims } => {
            reduce::emit(op.name(), axes, *keep_dims, site);
        }
        Op::Expand { shape } => reduce::emit_expand(shape, site),
        Op::Concat { axis } => concat::emit(*axis, site),
        Op::Slice { starts, lengths, steps } => slice::emit(starts, lengths, steps, site),
        Op::SliceGradient { starts, steps, .. } => slice::emit_gradient(starts, steps, site),
        Op::Pad { before, after, value } => pad::emit(before, after, *value, site),
        Op::Transpose { permutation } => transpose::emit(permutation, site),
        Op::Reshape { .. } => reshape::emit(site),
        Op::SquaredNorm => squared_norm::emit(site),
        Op::ConvAlignment(conv) => alignment::emit_conv(conv, site),
        Op::GemmAlignment => alignment::emit_gemm(site),
    }
}
