//! Activations outside a fused chain, and their gradients.

use gradgate_bundle::op::{OpCode, UnaryParams};

use super::conv::activation_of;
use super::{LowerError, Lowering};
use crate::graph::{Node, ValueId};
use crate::ops::Op;

impl Lowering<'_> {
    pub(super) fn unary(&mut self, node: &Node) -> Result<(), LowerError> {
        let params = self.unary_params(node);
        let x = self.operand(node.inputs[0]);
        let y = self.arena_for(node.output);
        self.step(&node.name, OpCode::Unary, &params, &[Some(x), Some(y)], 0);
        Ok(())
    }

    pub(super) fn unary_gradient(&mut self, node: &Node) -> Result<(), LowerError> {
        let params = self.unary_params(node);
        let source = self.gradient_source(node);
        let (x, g) = (self.operand(source), self.operand(node.inputs[1]));
        let dx = self.arena_for(node.output);
        self.step(&node.name, OpCode::UnaryGradient, &params, &[Some(x), Some(g), Some(dx)], 0);
        Ok(())
    }

    /// What decides the mask. Clip and LeakyRelu of positive slope go by x in the graph; where a
    /// fused
    /// step never held x, the result decides alike: strictly inside the bounds, or above zero,
    /// are the same for both.
    pub(super) fn gradient_source(&self, node: &Node) -> ValueId {
        let x = node.inputs[0];
        if self.tensor_of.contains_key(&x) {
            return x;
        }
        let forward = |n: &&Node| {
            n.inputs.first() == Some(&x) && matches!(n.op, Op::Clip { .. } | Op::LeakyRelu { .. })
        };
        self.graph.nodes.iter().find(forward).map_or(x, |n| n.output)
    }

    fn unary_params(&self, node: &Node) -> UnaryParams {
        let (kind, low, high) = activation_of(&node.op);
        UnaryParams {
            kind: (kind as u32).into(),
            elements: (self.graph.value(node.output).elements() as u32).into(),
            low: low.into(),
            high: high.into(),
        }
    }
}
