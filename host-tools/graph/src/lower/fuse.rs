//! Which nodes one step computes together.
//!
//! Forward: Conv or Gemm, then its normalisation, a residual addition, an activation, as long as
//! nothing
//! else reads what lies between. Backward: the norms of weight, bias, scale and shift of such a
//! group come from one step over the group's input and the cotangent before the normalisation.

use std::collections::{HashMap, HashSet};

use gradgate_bundle::op::NONE;
use gradgate_bundle::shape::ConvShape;

use super::Products;
use super::alignment::is_alignment;
use super::backward::{InputGradient, InputGradients};
use crate::expand::{Expanded, Rule};
use crate::graph::{Graph, NodeId, ValueId};
use crate::ops::Op;

/// One fused chain, by node.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Conv or Gemm.
    pub linear: NodeId,
    /// The normalisation of its result.
    pub batch_norm: Option<NodeId>,
    /// The residual: added before the activation.
    pub skip: Option<ValueId>,
    /// The activation.
    pub activation: Option<NodeId>,
    /// What the chain computes.
    pub output: ValueId,
    /// Cotangent of the normalisation's (or else the linear op's) result.
    pub cotangent: Option<ValueId>,
    /// Features written by the group's weight-norm step: weight, bias, scale, shift.
    pub features: [u16; 4],
}

/// All groups and what follows from them.
pub(super) struct Fusion {
    pub groups: Vec<Group>,
    /// Group whose last node this is.
    ends: HashMap<NodeId, usize>,
    /// Group whose weight-norm step comes before this backward node.
    weight_norms: HashMap<NodeId, usize>,
    /// Nodes that a fused step computes.
    served: HashSet<NodeId>,
    /// Group of a Conv or Gemm whose normalisation is fused: its input gradient scales on load.
    scaled: HashMap<ValueId, usize>,
    /// Normalisation outside the groups, by the activation that its step computes too.
    activated: HashMap<NodeId, NodeId>,
    input_gradients: InputGradients,
}

/// Features that are the squared norm of a value, by that value: gradient norms, then activation
/// norms.
pub(super) fn features(expanded: &Expanded) -> HashMap<ValueId, Vec<u16>> {
    let producers = expanded.graph.producers();
    let mut features: HashMap<ValueId, Vec<u16>> = HashMap::new();
    let norms = expanded.squared_norms.iter().chain(&expanded.activation_norms);
    for (feature, (_, norm)) in norms.enumerate() {
        let Some(node) = producers[norm.0 as usize] else { continue };
        let operand = expanded.graph.nodes[node.0 as usize].inputs[0];
        features.entry(operand).or_default().push(feature as u16);
    }
    features
}

impl Fusion {
    pub fn new(expanded: &Expanded, products: Products) -> Self {
        let analysis = Analysis::new(expanded, products);
        let mut fusion = Self {
            groups: Vec::new(),
            ends: HashMap::new(),
            weight_norms: HashMap::new(),
            served: HashSet::new(),
            scaled: HashMap::new(),
            activated: HashMap::new(),
            input_gradients: InputGradients::new(&analysis),
        };
        let linear = |op: &Op| matches!(op, Op::Conv(_) | Op::Gemm { .. });
        let mut residual_taken = HashSet::new();
        // Later chains first: of two chains that meet in an addition, the later one can add.
        for index in (0..expanded.forward_nodes).rev() {
            if linear(&expanded.graph.nodes[index].op) {
                fusion.add(&analysis, NodeId(index as u32), &mut residual_taken);
            }
        }
        fusion.activate(&analysis);
        // Transposed convolutions have convolutions as gradients: steps of their own.
        for index in expanded.forward_nodes..expanded.graph.nodes.len() {
            if linear(&expanded.graph.nodes[index].op) {
                let linear = NodeId(index as u32);
                fusion.ends.insert(linear, fusion.groups.len());
                fusion.groups.push(analysis.alone(linear));
            }
        }
        fusion
    }

    /// Pairs normalisations outside the groups with the activation behind them.
    fn activate(&mut self, a: &Analysis<'_>) {
        for index in 0..a.expanded.forward_nodes {
            let node = NodeId(index as u32);
            let alone = !self.served.contains(&node) && !self.ends.contains_key(&node);
            if !matches!(a.op(node), Op::BatchNorm { .. }) || !alone {
                continue;
            }
            if let Some(activation) = a.activation_after(a.graph.nodes[index].output) {
                self.served.insert(node);
                self.activated.insert(activation, node);
            }
        }
    }

    pub fn group_ending_at(&self, node: NodeId) -> Option<Group> {
        self.ends.get(&node).map(|&group| self.groups[group].clone())
    }

    pub fn weight_norm_at(&self, node: NodeId) -> Option<Group> {
        self.weight_norms.get(&node).map(|&group| self.groups[group].clone())
    }

    pub fn is_served(&self, node: NodeId) -> bool {
        self.served.contains(&node) || self.input_gradients.is_inside(node)
    }

    pub fn input_gradient_ending_at(&self, node: NodeId) -> Option<InputGradient> {
        self.input_gradients.ending_at(node)
    }

    /// The normalisation whose step computes this activation too.
    pub fn normalisation_before(&self, node: NodeId) -> Option<NodeId> {
        self.activated.get(&node).copied()
    }

    /// The group whose normalisation's input gradient is `value`, if that was not computed by
    /// itself.
    pub fn scaled_cotangent(&self, value: ValueId) -> Option<Group> {
        self.scaled.get(&value).map(|&group| self.groups[group].clone())
    }

    fn add(&mut self, a: &Analysis<'_>, linear: NodeId, residual_taken: &mut HashSet<NodeId>) {
        let mut group = a.chain(linear, residual_taken, &mut self.served);
        let index = self.groups.len();
        let last = a.producer(group.output);
        self.served.remove(&last);
        self.ends.insert(last, index);
        self.backward(a, &mut group, index);
        self.groups.push(group);
    }

    /// Assigns backward nodes of the group to its weight-norm step.
    fn backward(&mut self, a: &Analysis<'_>, group: &mut Group, index: usize) {
        let linear_rule = a.rules.get(&group.linear).copied();
        let norm_rule = group.batch_norm.and_then(|node| a.rules.get(&node).copied());
        let Some(first) = norm_rule.or(linear_rule) else { return };
        group.cotangent = Some(first.cotangent);
        let of_norm = norm_rule.map(|rule| a.sole_norms(rule, 3)).unwrap_or_default();
        let of_linear = linear_rule.map(|rule| a.sole_norms(rule, 1)).unwrap_or_default();
        let taken = [of_norm, of_linear].concat();
        // The step costs as much as the weight gradient: not worth it for sums over pixels alone. A
        // vector's bias or shift has no sum: `lower` adds the norm of the cotangent itself.
        if taken.iter().any(|norm| norm.place == 0 || norm.place == 2) {
            self.weight_norms.insert(taken[0].node, index);
            for norm in taken {
                group.features[norm.place] = norm.feature;
                self.served.insert(norm.node);
            }
        }
        if let (Some(_), Some(linear)) = (norm_rule, linear_rule) {
            self.scale_on_load(a, linear, index);
        }
    }

    /// Leaves out the normalisation's own input gradient when only the linear op's rule reads it
    /// and
    /// every such reader scales on load.
    fn scale_on_load(&mut self, a: &Analysis<'_>, linear: &Rule, index: usize) {
        let scales = |node: &NodeId| {
            let op = &a.graph.nodes[node.0 as usize].op;
            let input_gradient =
                matches!(op, Op::ConvInputGradient { .. } | Op::GemmInputGradient { .. });
            let emitted = linear.emitted.contains(&(node.0 as usize))
                && (input_gradient || self.served.contains(node));
            emitted || is_alignment(op)
        };
        let value = linear.cotangent;
        if a.consumers[value.0 as usize].iter().all(scales) {
            self.served.insert(a.producer(value));
            self.scaled.insert(value, index);
        }
    }
}

/// A gradient that nothing but its norm reads.
#[derive(Clone, Copy)]
struct SoleNorm {
    node: NodeId,
    /// In [`Group::features`].
    place: usize,
    feature: u16,
}

/// Facts about the expanded graph.
pub(super) struct Analysis<'g> {
    pub expanded: &'g Expanded,
    pub graph: &'g Graph,
    pub consumers: Vec<Vec<NodeId>>,
    producers: Vec<Option<NodeId>>,
    rules: HashMap<NodeId, &'g Rule>,
    features: HashMap<ValueId, Vec<u16>>,
    pub pinned: HashSet<ValueId>,
    products: Products,
}

impl<'g> Analysis<'g> {
    fn new(expanded: &'g Expanded, products: Products) -> Self {
        let layers = expanded.activation_norms.iter().map(|&(layer, _)| layer);
        Self {
            expanded,
            graph: &expanded.graph,
            consumers: expanded.graph.consumers(),
            producers: expanded.graph.producers(),
            rules: expanded.rules.iter().map(|rule| (rule.node, rule)).collect(),
            features: features(expanded),
            pinned: layers.chain(expanded.graph.logits).chain(expanded.penultimate).collect(),
            products,
        }
    }

    fn producer(&self, value: ValueId) -> NodeId {
        self.producers[value.0 as usize].expect("a node computes it")
    }

    pub fn op(&self, node: NodeId) -> &'g Op {
        &self.graph.nodes[node.0 as usize].op
    }

    /// The one feature of a value that nothing but its squared norm reads.
    fn sole_norm(&self, value: ValueId) -> Option<u16> {
        match (self.features.get(&value)?.as_slice(), self.consumers[value.0 as usize].as_slice()) {
            (&[feature], [_]) => Some(feature),
            _ => None,
        }
    }

    /// Gradients that a rule emitted for their norms alone; `sum` is the place of a pixel sum.
    fn sole_norms(&self, rule: &Rule, sum: usize) -> Vec<SoleNorm> {
        let norm = |index: usize| {
            let node = &self.graph.nodes[index];
            let place = match node.op {
                Op::ConvWeightGradient { .. } | Op::GemmWeightGradient { .. } => 0,
                Op::BatchNormScaleGradient { .. } => 2,
                Op::ReduceSum { .. } => sum,
                _ => return None,
            };
            let feature = self.sole_norm(node.output)?;
            Some(SoleNorm { node: NodeId(index as u32), place, feature })
        };
        rule.emitted.clone().filter_map(norm).collect()
    }

    /// The one forward reader of a value that no output needs, and its backward readers.
    fn sole_reader(&self, value: ValueId) -> Option<(NodeId, Vec<NodeId>)> {
        if self.pinned.contains(&value) {
            return None;
        }
        let is_forward = |node: &NodeId| (node.0 as usize) < self.expanded.forward_nodes;
        let (forward, backward): (Vec<NodeId>, Vec<NodeId>) =
            self.consumers[value.0 as usize].iter().copied().partition(is_forward);
        match forward[..] {
            [reader] => Some((reader, backward)),
            _ => None,
        }
    }

    /// A Conv or Gemm by itself.
    fn alone(&self, linear: NodeId) -> Group {
        Group {
            linear,
            batch_norm: None,
            skip: None,
            activation: None,
            output: self.graph.nodes[linear.0 as usize].output,
            cotangent: None,
            features: [NONE; 4],
        }
    }

    /// Follows the chain of a Conv or Gemm; nodes inside it are marked as served.
    fn chain(
        &self,
        linear: NodeId,
        residual_taken: &mut HashSet<NodeId>,
        served: &mut HashSet<NodeId>,
    ) -> Group {
        let mut group = self.alone(linear);
        let mut extend = |group: &mut Group, node: NodeId| {
            served.insert(self.producer(group.output));
            group.output = self.graph.nodes[node.0 as usize].output;
        };
        if let Some(node) = self.batch_norm_after(group.output) {
            extend(&mut group, node);
            group.batch_norm = Some(node);
        }
        if let Some((node, skip)) = self.residual_after(group.output)
            && residual_taken.insert(node)
        {
            extend(&mut group, node);
            group.skip = Some(skip);
        }
        if let Some(node) = self.activation_after(group.output) {
            extend(&mut group, node);
            group.activation = Some(node);
        }
        group
    }

    /// The normalisation of `value`, if the gradient of its scale needs no more than its norm: the
    /// group
    /// never holds the value itself.
    fn batch_norm_after(&self, value: ValueId) -> Option<NodeId> {
        let (reader, backward) = self.sole_reader(value)?;
        let node = &self.graph.nodes[reader.0 as usize];
        let serves = |&node: &NodeId| {
            matches!(self.op(node), Op::BatchNormScaleGradient { .. })
                && self.sole_norm(self.graph.nodes[node.0 as usize].output).is_some()
        };
        // A step scales its last axis in memory: the channels of a convolution, or of a vector. The
        // channels of any other product lie on axis 1, its outputs on the last one.
        let channels_last = matches!(self.op(self.producer(value)), Op::Conv(_))
            || self.graph.shape(value).len() == 2;
        let fits = matches!(node.op, Op::BatchNorm { .. }) && node.inputs[0] == value;
        let alone = fits && channels_last && backward.iter().all(serves);
        (alone && (backward.is_empty() || !self.keeps_product(value))).then_some(reader)
    }

    /// Whether a convolution's result is kept so that its weight's norm needs fewer multiply-adds.
    fn keeps_product(&self, value: ValueId) -> bool {
        let node = &self.graph.nodes[self.producer(value).0 as usize];
        let shape = super::conv::shape_of(self.graph, node);
        let pays =
            |shape: ConvShape| shape.pixel_gram_macs().is_some_and(|macs| macs < shape.macs());
        self.products == Products::Kept && shape.is_some_and(pays)
    }

    /// The addition of another frame value of the same shape.
    fn residual_after(&self, value: ValueId) -> Option<(NodeId, ValueId)> {
        let (reader, backward) = self.sole_reader(value)?;
        let node = &self.graph.nodes[reader.0 as usize];
        let skip = *node.inputs.iter().find(|&&input| input != value)?;
        let same =
            self.graph.shape(skip) == self.graph.shape(value) && self.graph.value(skip).is_frame();
        // The skip must exist when the chain's step runs, and the chain must end after it.
        (node.op == Op::Add && same && backward.is_empty()).then_some((reader, skip))
    }

    /// The activation, if its gradient can go by the result.
    fn activation_after(&self, value: ValueId) -> Option<NodeId> {
        let (reader, backward) = self.sole_reader(value)?;
        let fusable = match self.op(reader) {
            Op::Relu | Op::Clip { .. } => true,
            Op::LeakyRelu { alpha } => *alpha > 0.0,
            _ => false,
        };
        let by_result = |&node: &NodeId| {
            matches!(self.op(node), Op::ClipGradient { .. } | Op::LeakyReluGradient { .. })
        };
        (fusable && backward.iter().all(by_result)).then_some(reader)
    }
}
