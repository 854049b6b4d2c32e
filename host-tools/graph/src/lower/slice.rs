//! Slice, its gradient and Pad, and Transpose: boxes copied by strides.

use super::layout::{Side, memory_order, strides};
use super::{LowerError, Lowering};
use crate::graph::Node;

/// Offset of `starts` and strides of every `steps`-th element.
fn walk(own: &[usize], starts: &[usize], steps: &[usize]) -> (usize, Vec<usize>) {
    let offset = own.iter().zip(starts).map(|(stride, start)| stride * start).sum();
    (offset, own.iter().zip(steps).map(|(stride, step)| stride * step).collect())
}

impl Lowering<'_> {
    pub(super) fn slice(
        &mut self,
        node: &Node,
        starts: &[usize],
        steps: &[usize],
    ) -> Result<(), LowerError> {
        let graph = self.graph;
        let output = graph.value(node.output);
        let (offset, from) = walk(&strides(graph.value(node.inputs[0])), starts, steps);
        let x = Side { tensor: self.operand(node.inputs[0]), offset, strides: from };
        let y = Side { tensor: self.arena_for(node.output), offset: 0, strides: strides(output) };
        self.copy(node, &output.shape, &memory_order(output), x, y, None)
    }

    /// Places the operand into a filled tensor.
    pub(super) fn scatter(
        &mut self,
        node: &Node,
        starts: &[usize],
        steps: &[usize],
        fill: f32,
    ) -> Result<(), LowerError> {
        let graph = self.graph;
        let (operand, output) = (graph.value(node.inputs[0]), graph.value(node.output));
        let (offset, to) = walk(&strides(output), starts, steps);
        let x = Side { tensor: self.operand(node.inputs[0]), offset: 0, strides: strides(operand) };
        let y = Side { tensor: self.arena_for(node.output), offset, strides: to };
        self.copy(node, &operand.shape, &memory_order(output), x, y, Some(fill))
    }

    pub(super) fn transpose(
        &mut self,
        node: &Node,
        permutation: &[usize],
    ) -> Result<(), LowerError> {
        let graph = self.graph;
        let output = graph.value(node.output);
        let own = strides(graph.value(node.inputs[0]));
        let from = permutation.iter().map(|&axis| own[axis]).collect();
        let x = Side { tensor: self.operand(node.inputs[0]), offset: 0, strides: from };
        let y = Side { tensor: self.arena_for(node.output), offset: 0, strides: strides(output) };
        self.copy(node, &output.shape, &memory_order(output), x, y, None)
    }
}
