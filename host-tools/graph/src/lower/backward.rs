//! Which backward nodes one input gradient finishes: the addition of another cotangent, and the
//! gradient of an activation, as long as nothing else reads what lies between.
//!
//! The step adds and gates in the order of the nodes, so that no bit changes. Its result may lie
//! where the addend or the activation lay.

use std::collections::{HashMap, HashSet};

use super::fuse::Analysis;
use super::layout::is_row_major;
use crate::graph::{NodeId, ValueId};
use crate::ops::Op;

/// An input gradient with what follows it.
#[derive(Clone, Debug)]
pub(super) struct InputGradient {
    /// ConvInputGradient or GemmInputGradient.
    pub linear: NodeId,
    /// The cotangent that is added.
    pub addend: Option<ValueId>,
    /// The activation's gradient.
    pub gate: Option<NodeId>,
    /// What the chain computes.
    pub output: ValueId,
}

/// All chains, by their last node, and the nodes inside them.
#[derive(Default)]
pub(super) struct InputGradients {
    ends: HashMap<NodeId, InputGradient>,
    inside: HashSet<NodeId>,
}

impl InputGradients {
    pub fn new(a: &Analysis<'_>) -> Self {
        let mut chains = Self::default();
        // Later ones first: where two meet in an addition, the later one can add.
        for index in (0..a.graph.nodes.len()).rev() {
            let node = NodeId(index as u32);
            if matches!(a.op(node), Op::ConvInputGradient { .. } | Op::GemmInputGradient { .. }) {
                chains.follow(a, node);
            }
        }
        chains
    }

    pub fn ending_at(&self, node: NodeId) -> Option<InputGradient> {
        self.ends.get(&node).cloned()
    }

    pub fn is_inside(&self, node: NodeId) -> bool {
        self.inside.contains(&node)
    }

    fn follow(&mut self, a: &Analysis<'_>, linear: NodeId) {
        let mut chain = InputGradient {
            linear,
            addend: None,
            gate: None,
            output: a.graph.nodes[linear.0 as usize].output,
        };
        let mut last = linear;
        if let Some((node, addend)) = addition_after(a, linear, chain.output)
            && !self.inside.contains(&node)
            && !self.ends.contains_key(&node)
        {
            self.inside.insert(last);
            (chain.addend, chain.output, last) =
                (Some(addend), a.graph.nodes[node.0 as usize].output, node);
        }
        if let Some(node) = gate_after(a, linear, chain.output) {
            self.inside.insert(last);
            (chain.gate, chain.output, last) =
                (Some(node), a.graph.nodes[node.0 as usize].output, node);
        }
        self.ends.insert(last, chain);
    }
}

/// The sole reader of a cotangent that the step of `linear` holds as its result.
fn sole_reader(a: &Analysis<'_>, linear: NodeId, value: ValueId) -> Option<NodeId> {
    let &[reader] = a.consumers[value.0 as usize].as_slice() else { return None };
    let backward = linear.0 as usize >= a.expanded.forward_nodes;
    // A product's step writes in row-major order.
    let is_conv = matches!(a.op(linear), Op::ConvInputGradient { .. });
    let fits = is_conv || is_row_major(a.graph.value(value));
    (backward && fits && !a.pinned.contains(&value)).then_some(reader)
}

/// The addition of another cotangent of the same shape.
fn addition_after(a: &Analysis<'_>, linear: NodeId, value: ValueId) -> Option<(NodeId, ValueId)> {
    let reader = sole_reader(a, linear, value)?;
    let node = &a.graph.nodes[reader.0 as usize];
    let addend = *node.inputs.iter().find(|&&input| input != value)?;
    let same = a.graph.shape(addend) == a.graph.shape(value) && a.graph.value(addend).is_frame();
    (node.op == Op::Add && same).then_some((reader, addend))
}

/// The gradient of an activation at this cotangent.
fn gate_after(a: &Analysis<'_>, linear: NodeId, value: ValueId) -> Option<NodeId> {
    let reader = sole_reader(a, linear, value)?;
    let gates = matches!(
        a.op(reader),
        Op::ReluGradient
            | Op::LeakyReluGradient { .. }
            | Op::ClipGradient { .. }
            | Op::SigmoidGradient
            | Op::FunctionGradient(_)
    );
    let by_cotangent = a.graph.nodes[reader.0 as usize].inputs.get(1) == Some(&value);
    (gates && by_cotangent).then_some(reader)
}
