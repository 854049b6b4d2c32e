//! Add, Sub, Mul, Div by strides.

use gradgate_bundle::op::{BinaryKind, BinaryParams, OpCode};

use super::layout::{Box, broadcast_strides, memory_order};
use super::{LowerError, Lowering};
use crate::graph::Node;
use crate::ops::Op;

impl Lowering<'_> {
    pub(super) fn elementwise(&mut self, node: &Node) -> Result<(), LowerError> {
        let kind = match node.op {
            Op::Sub => BinaryKind::Sub,
            Op::Mul => BinaryKind::Mul,
            Op::Div => BinaryKind::Div,
            _ => BinaryKind::Add,
        };
        let output = self.graph.value(node.output);
        let order = memory_order(output);
        let by_order = |list: &[usize]| order.iter().map(|&axis| list[axis]).collect::<Vec<_>>();
        let strides = |place: usize| {
            by_order(&broadcast_strides(self.graph.value(node.inputs[place]), &output.shape))
        };
        let walk = Box::new(&by_order(&output.shape), &[strides(0), strides(1)])
            .ok_or_else(|| self.refuse(node, "broadcasts over too many axes"))?;
        let params = BinaryParams {
            kind: (kind as u32).into(),
            dims: walk.dims(),
            a_strides: walk.strides(0),
            b_strides: walk.strides(1),
        };
        let (a, b) = (self.operand(node.inputs[0]), self.operand(node.inputs[1]));
        let y = self.arena_for(node.output);
        self.step(&node.name, OpCode::Binary, &params, &[Some(a), Some(b), Some(y)], 0);
        Ok(())
    }
}
