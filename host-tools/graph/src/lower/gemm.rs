//! Gemm as a 1 x 1 convolution over 1 x M pixels. Kernels want its operands row-major.

use gradgate_bundle::op::ConvParams;
use zerocopy::little_endian::U16;

use super::conv::{Linear, WeightOrder};
use super::layout::{Side, is_row_major};
use super::{LowerError, Lowering};
use crate::graph::{Node, ValueId};
use crate::interp::strides;
use crate::ops::Op;
use crate::schedule::TensorId;

impl Lowering<'_> {
    /// Geometry for an input `[1, .., K]`.
    pub(super) fn gemm_geometry(
        &self,
        node: &Node,
        transpose_b: bool,
        input: &[usize],
        weight: ValueId,
    ) -> Result<Linear, LowerError> {
        let (w, last) = (self.graph.shape(weight), input.len() - 1);
        let (inner, pixels) = (input[last], input[..last].iter().product::<usize>());
        let outer = if transpose_b { w[0] } else { w[1] };
        if [inner, outer, pixels].iter().any(|&n| n > usize::from(u16::MAX)) {
            return Err(self.refuse(node, "a length is above 65,535"));
        }
        let half = |n: usize| U16::new(n as u16);
        let one = half(1);
        let params = ConvParams {
            input: [one, half(pixels), half(inner)],
            output: [one, half(pixels), half(outer)],
            kernel: [one; 2],
            strides: [one; 2],
            dilations: [one; 2],
            pads: [half(0); 4],
            groups: one,
            activation: half(0),
            low: 0.0.into(),
            high: 0.0.into(),
        };
        let order = if transpose_b { WeightOrder::OutputFirst } else { WeightOrder::InputFirst };
        self.linear_from(node, params, order, weight)
    }

    /// An operand of a linear op's step: channels last for Conv, row-major for Gemm.
    pub(super) fn linear_operand(
        &mut self,
        node: &Node,
        value: ValueId,
    ) -> Result<TensorId, LowerError> {
        match is_conv(&node.op) {
            true => Ok(self.operand(value)),
            false => self.row_major(node, value),
        }
    }

    /// Makes the result of a linear op's step the tensor of `value`.
    pub(super) fn store_linear_result(
        &mut self,
        node: &Node,
        value: ValueId,
        tensor: TensorId,
    ) -> Result<(), LowerError> {
        let graph = self.graph;
        if is_conv(&node.op) || is_row_major(graph.value(value)) {
            self.tensor_of.insert(value, tensor);
            return Ok(());
        }
        let renamed = Node { output: value, ..node.clone() };
        self.store_row_major(&renamed, tensor)
    }

    /// A weight gradient computed as `[N, K]` becomes the model's `[K, N]`.
    pub(super) fn gemm_weight_transposed(
        &mut self,
        node: &Node,
        dw: TensorId,
    ) -> Result<(), LowerError> {
        let shape = self.graph.shape(node.output).to_vec();
        let y = self.arena_for(node.output);
        let x = Side { tensor: dw, offset: 0, strides: vec![0, 1, shape[1]] };
        let y = Side { tensor: y, offset: 0, strides: strides(&shape) };
        self.copy(node, &shape, &[0, 1, 2], x, y, None)
    }
}

fn is_conv(op: &Op) -> bool {
    matches!(op, Op::Conv(_) | Op::ConvInputGradient { .. } | Op::ConvWeightGradient { .. })
}
