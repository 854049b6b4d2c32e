//! Product of two frame values, wherever their axes lie in memory.

use gradgate_bundle::op::{MatMulParams, OpCode};
use zerocopy::little_endian::U32;

use super::layout::{Box, memory_order, strides};
use super::{LowerError, Lowering};
use crate::graph::Node;

impl Lowering<'_> {
    pub(super) fn mat_mul(&mut self, node: &Node, transposed: [bool; 2]) -> Result<(), LowerError> {
        let output = self.graph.value(node.output);
        let last = output.shape.len() - 1;
        // Of each operand: its steps along the result's axes, and along the sum.
        let of = |place: usize| {
            let mut steps = strides(self.graph.value(node.inputs[place]));
            let is_inner_last = (place == 0) != transposed[place];
            let inner = steps[if is_inner_last { last } else { last - 1 }];
            let own = steps[if is_inner_last { last - 1 } else { last }];
            (steps[last - 1], steps[last]) = if place == 0 { (own, 0) } else { (0, own) };
            (steps, inner)
        };
        let ((a, a_step), (b, b_step)) = (of(0), of(1));
        let x = self.graph.shape(node.inputs[0]);
        let inner = x[if transposed[0] { last - 1 } else { last }];
        let order = memory_order(output);
        let by_order = |list: &[usize]| order.iter().map(|&axis| list[axis]).collect::<Vec<_>>();
        let walk = Box::new(&by_order(&output.shape), &[by_order(&a), by_order(&b)])
            .ok_or_else(|| self.refuse(node, "has too many axes"))?;
        let number = |n: usize| U32::new(n as u32);
        let params = MatMulParams {
            dims: walk.dims(),
            a_strides: walk.strides(0),
            b_strides: walk.strides(1),
            inner: number(inner),
            a_step: number(a_step),
            b_step: number(b_step),
        };
        let macs = (output.elements() * inner) as u64;
        let (a, b) = (self.operand(node.inputs[0]), self.operand(node.inputs[1]));
        let y = self.arena_for(node.output);
        self.step(&node.name, OpCode::MatMul, &params, &[Some(a), Some(b), Some(y)], macs);
        Ok(())
    }
}
