//! One node of the Graph on its way into ONNX: its operands' names and shapes, and its result.

use super::builder::{Builder, Named};
use crate::graph::{Graph, Node};

/// Where an op's spelling writes: any number of [`Site::step`]s, then one [`Site::last`].
pub(super) struct Site<'a> {
    pub(super) graph: &'a Graph,
    pub(super) node: &'a Node,
    /// ONNX name of every value of the graph that is written.
    pub(super) names: &'a [String],
    /// ONNX name of this node.
    pub(super) name: &'a str,
    pub(super) builder: &'a mut Builder,
}

impl<'a> Site<'a> {
    /// ONNX name of an operand.
    pub(super) fn operand(&self, index: usize) -> &'a str {
        &self.names[self.node.inputs[index].0 as usize]
    }

    /// ONNX names of all operands.
    pub(super) fn operands(&self) -> Vec<&'a str> {
        (0..self.node.inputs.len()).map(|index| self.operand(index)).collect()
    }

    /// Shape of an operand.
    pub(super) fn shape(&self, index: usize) -> &'a [usize] {
        self.graph.shape(self.node.inputs[index])
    }

    /// Shape of the result.
    pub(super) fn output_shape(&self) -> &'a [usize] {
        self.graph.shape(self.node.output)
    }

    /// An inner node; gives the name of its result.
    pub(super) fn step(&mut self, op: &str, inputs: &[&str], attributes: &[Named<'_>]) -> String {
        self.builder.node(op, inputs, attributes)
    }

    /// The node that carries the Graph node's own name and result.
    pub(super) fn last(&mut self, op: &str, inputs: &[&str], attributes: &[Named<'_>]) {
        let output = &self.names[self.node.output.0 as usize];
        let name = self.name.to_owned();
        self.builder.node_named(name, op, inputs, attributes, &[output]);
    }

    /// Ends with `x` in the result's shape.
    pub(super) fn last_reshape(&mut self, x: &str) {
        let shape = self.builder.sizes(self.output_shape());
        self.last("Reshape", &[x, &shape], &[]);
    }

    /// Ends with a reduction over `axes`; with none, the operand itself.
    pub(super) fn last_reduce(&mut self, op: &str, x: &str, axes: &[usize], keep_dims: bool) {
        if axes.is_empty() {
            return self.last("Identity", &[x], &[]);
        }
        let output = &self.names[self.node.output.0 as usize];
        let name = self.name.to_owned();
        self.builder.scoped_reduce(op, x, axes, keep_dims, |builder, inputs, attributes| {
            builder.node_named(name, op, inputs, attributes, &[output]);
        });
    }
}
