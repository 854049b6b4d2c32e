//! Softmax and its gradient.

use gradgate_bundle::op::{OpCode, SoftmaxParams};

use super::layout::memory_order;
use super::{LowerError, Lowering};
use crate::graph::Node;
use crate::ops::Op;

impl Lowering<'_> {
    pub(super) fn softmax(&mut self, node: &Node, axis: usize) -> Result<(), LowerError> {
        let value = self.graph.value(node.output);
        let lengths: Vec<usize> = memory_order(value).iter().map(|&a| value.shape[a]).collect();
        let place = memory_order(value).iter().position(|&a| a == axis).unwrap_or(0);
        let product = |lengths: &[usize]| (lengths.iter().product::<usize>() as u32).into();
        let params = SoftmaxParams {
            outer: product(&lengths[..place]),
            axis: product(&lengths[place..=place]),
            inner: product(&lengths[place + 1..]),
        };
        let opcode = match node.op {
            Op::Softmax { .. } => OpCode::Softmax,
            _ => OpCode::SoftmaxGradient,
        };
        let mut operands: Vec<_> =
            node.inputs.iter().map(|&input| Some(self.operand(input))).collect();
        operands.push(Some(self.arena_for(node.output)));
        self.step(&node.name, opcode, &params, &operands, 0);
        Ok(())
    }
}
