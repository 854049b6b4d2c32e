//! Concat: one copy per operand; the first one fills the rest with zeros so that it writes in full.
//!
//! What an operand was itself joined from is copied from there: a chain of Concats (DenseNet) then
//! needs its parts alone, and `plan` may compute any of them again without the others.

use super::layout::{Side, memory_order, strides};
use super::{LowerError, Lowering};
use crate::graph::{Node, ValueId};

/// More parts than this are not taken apart: a value joined with itself again and again has
/// exponentially many.
const PARTS_MAX: usize = 256;

impl Lowering<'_> {
    pub(super) fn concat(&mut self, node: &Node, axis: usize) -> Result<(), LowerError> {
        let graph = self.graph;
        let to = strides(graph.value(node.output));
        let tensor = self.arena_for(node.output);
        let mut start = 0;
        let parts = self.parts(node, axis);
        for (place, &input) in parts.iter().enumerate() {
            let operand = graph.value(input);
            let x = Side { tensor: self.operand(input), offset: 0, strides: strides(operand) };
            let y = Side { tensor, offset: start * to[axis], strides: to.clone() };
            let fill = (place == 0 && parts.len() > 1).then_some(0.0);
            self.copy(node, &operand.shape, &memory_order(graph.value(node.output)), x, y, fill)?;
            start += operand.shape[axis];
        }
        self.concats.insert(node.output, (axis, parts));
        Ok(())
    }

    /// What the node joins, down to values that are no Concats along the same axis.
    fn parts(&self, node: &Node, axis: usize) -> Vec<ValueId> {
        let mut parts = Vec::new();
        let mut rest: Vec<ValueId> = node.inputs.iter().rev().copied().collect();
        while let Some(value) = rest.pop() {
            match self.concats.get(&value) {
                Some((inner, inputs)) if *inner == axis => rest.extend(inputs.iter().rev()),
                _ => parts.push(value),
            }
            if parts.len() + rest.len() > PARTS_MAX {
                return node.inputs.clone();
            }
        }
        parts
    }
}
