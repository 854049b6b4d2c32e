//! Concat: one copy per operand; the first one fills the rest with zeros so that it writes in full.

use super::layout::{Side, memory_order, strides};
use super::{LowerError, Lowering};
use crate::graph::Node;

impl Lowering<'_> {
    pub(super) fn concat(&mut self, node: &Node, axis: usize) -> Result<(), LowerError> {
        let graph = self.graph;
        let to = strides(graph.value(node.output));
        let tensor = self.arena_for(node.output);
        let mut start = 0;
        for (place, &input) in node.inputs.iter().enumerate() {
            let operand = graph.value(input);
            let x = Side { tensor: self.operand(input), offset: 0, strides: strides(operand) };
            let y = Side { tensor, offset: start * to[axis], strides: to.clone() };
            let fill = (place == 0 && node.inputs.len() > 1).then_some(0.0);
            self.copy(node, &operand.shape, &memory_order(graph.value(node.output)), x, y, fill)?;
            start += operand.shape[axis];
        }
        Ok(())
    }
}
