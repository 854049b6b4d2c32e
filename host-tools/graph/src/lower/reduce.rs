//! Sums and means over axes, and Expand.

use gradgate_bundle::op::{OpCode, ReduceParams};

use super::layout::{Box, Side, broadcast_strides, memory_order, strides};
use super::{LowerError, Lowering};
use crate::graph::Node;
use crate::ops::Op;

impl Lowering<'_> {
    pub(super) fn reduce(
        &mut self,
        node: &Node,
        axes: &[usize],
        mean: bool,
    ) -> Result<(), LowerError> {
        let (x, y) = (self.graph.value(node.inputs[0]), self.graph.value(node.output));
        let own = strides(x);
        let keeps = match node.op {
            Op::ReduceMean { keep_dims, .. } | Op::ReduceSum { keep_dims, .. } => keep_dims,
            _ => false,
        };
        let kept_axes: Vec<usize> = match keeps {
            true => memory_order(y).into_iter().filter(|axis| !axes.contains(axis)).collect(),
            false => {
                let kept: Vec<usize> =
                    (0..x.shape.len()).filter(|axis| !axes.contains(axis)).collect();
                memory_order(y).into_iter().map(|axis| kept[axis]).collect()
            }
        };
        let reduced_axes: Vec<usize> =
            memory_order(x).into_iter().filter(|axis| axes.contains(axis)).collect();
        let walk = |axes: &[usize]| {
            let lengths: Vec<usize> = axes.iter().map(|&axis| x.shape[axis]).collect();
            let steps: Vec<usize> = axes.iter().map(|&axis| own[axis]).collect();
            Box::new(&lengths, &[steps]).ok_or_else(|| self.refuse(node, "reduces too many axes"))
        };
        let (kept, reduced) = (walk(&kept_axes)?, walk(&reduced_axes)?);
        let params = ReduceParams {
            kind: u32::from(mean).into(),
            kept: kept.dims(),
            kept_strides: kept.strides(0),
            reduced: reduced.dims(),
            reduced_strides: reduced.strides(0),
        };
        let x = self.operand(node.inputs[0]);
        let y = self.arena_for(node.output);
        self.step(&node.name, OpCode::Reduce, &params, &[Some(x), Some(y)], 0);
        Ok(())
    }

    pub(super) fn expand(&mut self, node: &Node) -> Result<(), LowerError> {
        let graph = self.graph;
        let output = graph.value(node.output);
        let from = broadcast_strides(graph.value(node.inputs[0]), &output.shape);
        let x = Side { tensor: self.operand(node.inputs[0]), offset: 0, strides: from };
        let y = Side { tensor: self.arena_for(node.output), offset: 0, strides: strides(output) };
        self.copy(node, &output.shape, &memory_order(output), x, y, None)
    }
}
