//! Reverse-mode differentiation from a confounding label to the squared norms of parameter
//! gradients.
//!
//! The loss is the mean over classes of the binary cross-entropy with logits, so the cotangent of
//! the logits is `(sigmoid(z) - c) / N`; [`expand_loss`] takes another [`Loss`]. Gradient rules
//! live beside their ops and emit nodes of the same closed set. Weight gradients are per frame:
//! shape `[1, ..parameter]`.

mod loss;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use crate::alignment::{self, Reference, ReferenceError};
use crate::graph::{Graph, Node, NodeId, ShapeError, Tensor, ValueId};
use crate::ops::Op;
use crate::taps::{self, Taps};

pub use loss::{Label, Loss};

/// Why a graph cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpandError {
    /// An op on the way from the logits to a tap has no gradient rule.
    MissingGradient {
        /// Name of the node.
        node: String,
        /// Name of the op.
        op: &'static str,
    },
    /// A rule built a node that does not fit: a defect in the rule.
    Shape(ShapeError),
    /// The label does not fit the logits.
    Label(String),
    /// No parameter is tapped, or none is reached by the loss.
    NoTaps,
    /// The graph has no image or no `[1, classes]` logits.
    NotAClassifier,
    /// References that do not fit the graph.
    Reference(ReferenceError),
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingGradient { node, op } => write!(
                f,
                "node `{node}`: {op} has no gradient rule; leave out the taps before it with --taps"
            ),
            Self::Shape(error) => write!(f, "gradient rule: {error}"),
            Self::Label(reason) => write!(f, "label: {reason}; give one finite number per class"),
            Self::NoTaps => write!(f, "no trainable parameter is tapped; widen --taps"),
            Self::NotAClassifier => {
                write!(f, "the graph has no image input or no [1, classes] logits")
            }
            Self::Reference(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ExpandError {}

impl From<ShapeError> for ExpandError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

/// A classifier with its backward pass; the features in schema order.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// Forward and backward nodes.
    pub graph: Graph,
    /// Number of forward nodes; they come first.
    pub forward_nodes: usize,
    /// Parameter and the squared norm of its gradient, in graph order.
    pub squared_norms: Vec<(ValueId, ValueId)>,
    /// Layer output and its squared norm, in graph order.
    pub activation_norms: Vec<(ValueId, ValueId)>,
    /// Weight and the cosine of its gradient against its references, in graph order.
    pub alignments: Vec<(ValueId, ValueId)>,
    /// The vector from which the logits are computed, `[1, d]`.
    pub penultimate: Option<ValueId>,
    /// The label as differentiated, one number per class.
    pub label: Vec<f32>,
    /// Which backward nodes came from which forward node, in the order of the walk.
    pub rules: Vec<Rule>,
}

/// One application of a gradient rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The forward node.
    pub node: NodeId,
    /// Cotangent of its output.
    pub cotangent: ValueId,
    /// Indices of the nodes that the rule emitted.
    pub emitted: Range<usize>,
}

/// Appends the backward pass of `graph` from `label` to the parameters that `taps` selects.
///
/// # Errors
/// See [`ExpandError`].
pub fn expand(graph: &Graph, label: &Label, taps: &Taps) -> Result<Expanded, ExpandError> {
    expand_aligned(graph, label, taps, &[])
}

/// As [`expand`], with another loss.
///
/// # Errors
/// See [`ExpandError`].
pub fn expand_loss(
    graph: &Graph,
    loss: Loss,
    label: &Label,
    taps: &Taps,
) -> Result<Expanded, ExpandError> {
    expand_with(graph, loss, label, taps, &[])
}

/// As [`expand`]; each weight that `taps` selects and `references` names gets an alignment, too.
///
/// # Errors
/// See [`ExpandError`].
pub fn expand_aligned(
    graph: &Graph,
    label: &Label,
    taps: &Taps,
    references: &[Reference],
) -> Result<Expanded, ExpandError> {
    expand_with(graph, Loss::Sigmoid, label, taps, references)
}

fn expand_with(
    graph: &Graph,
    loss: Loss,
    label: &Label,
    taps: &Taps,
    references: &[Reference],
) -> Result<Expanded, ExpandError> {
    let (Some(_), Some(logits)) = (graph.input, graph.logits) else {
        return Err(ExpandError::NotAClassifier);
    };
    let &[1, classes] = graph.shape(logits) else { return Err(ExpandError::NotAClassifier) };
    let label = label.vector(classes)?;
    alignment::check(graph, references).map_err(ExpandError::Reference)?;
    let tapped: Vec<ValueId> =
        graph.parameters.iter().copied().filter(|&p| taps.selects(graph, p)).collect();
    if tapped.is_empty() && !taps.forward_only() {
        return Err(ExpandError::NoTaps);
    }
    let mut backward = Backward::new(graph.clone(), &tapped);
    let forward_nodes = graph.nodes.len();
    if !tapped.is_empty() {
        let cotangent = backward.loss_cotangent(loss, logits, &label)?;
        backward.walk(forward_nodes, logits, cotangent)?;
    }
    let mut squared_norms = Vec::new();
    for parameter in tapped {
        let Some(gradient) = backward.take_sum(parameter)? else { continue };
        squared_norms.push((parameter, backward.emit("norm", Op::SquaredNorm, &[gradient])?));
    }
    if squared_norms.is_empty() && !taps.forward_only() {
        return Err(ExpandError::NoTaps);
    }
    let alignments = backward.alignments(graph, &squared_norms, references)?;
    let mut activation_norms = Vec::new();
    for layer in taps::layers(graph) {
        activation_norms.push((layer, backward.emit("norm", Op::SquaredNorm, &[layer])?));
    }
    Ok(Expanded {
        penultimate: taps::penultimate(graph),
        graph: backward.graph,
        forward_nodes,
        squared_norms,
        activation_norms,
        alignments,
        label,
        rules: backward.rules,
    })
}

/// The graph under construction and the cotangents collected so far; what gradient rules see.
pub struct Backward {
    graph: Graph,
    needed: Vec<bool>,
    cotangents: HashMap<ValueId, Vec<ValueId>>,
    rules: Vec<Rule>,
}

impl Backward {
    pub(crate) fn new(graph: Graph, tapped: &[ValueId]) -> Self {
        let mut needed = vec![false; graph.values.len()];
        for parameter in tapped {
            needed[parameter.0 as usize] = true;
        }
        for node in &graph.nodes {
            let leads = node.inputs.iter().any(|input| needed[input.0 as usize]);
            needed[node.output.0 as usize] |= leads;
        }
        Self { graph, needed, cotangents: HashMap::new(), rules: Vec::new() }
    }

    /// The graph as built so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Whether the cotangent of a forward value leads to a tap.
    pub fn needs(&self, value: ValueId) -> bool {
        self.needed[value.0 as usize]
    }

    /// Shape of the cotangent of a value: its own, with a frame axis before it for a constant.
    pub fn cotangent_shape(&self, value: ValueId) -> Vec<usize> {
        let value = self.graph.value(value);
        if value.is_frame() { value.shape.clone() } else { [&[1], value.shape.as_slice()].concat() }
    }

    /// Appends a node named `gradgate/<what>/<n>`.
    ///
    /// # Errors
    /// When the op's shape rule refuses the operands.
    pub fn emit(&mut self, what: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId, ShapeError> {
        let name = format!("gradgate/{what}/{}", self.graph.nodes.len());
        self.graph.push(name, op, inputs)
    }

    /// What the walk built.
    pub(crate) fn finish(self) -> (Graph, Vec<Rule>) {
        (self.graph, self.rules)
    }

    /// Adds the constant `what` of a parameter.
    pub(crate) fn constant(&mut self, what: &str, parameter: &str, tensor: Tensor) -> ValueId {
        self.graph.add_constant(format!("gradgate/{what}/{parameter}"), tensor)
    }

    /// Cotangent of a forward node's output, where the loss reaches it.
    pub(crate) fn cotangent_of(&self, node: NodeId) -> Option<ValueId> {
        self.rules.iter().find(|rule| rule.node == node).map(|rule| rule.cotangent)
    }

    /// Adds a rank-0 constant.
    pub fn scalar(&mut self, value: f32) -> ValueId {
        let name = format!("gradgate/constant/{}", self.graph.values.len());
        self.graph.add_constant(name, Tensor::scalar(value))
    }

    /// `value` in another shape, or itself when it has that shape already.
    ///
    /// # Errors
    /// When the element counts differ.
    pub fn reshape(&mut self, value: ValueId, shape: &[usize]) -> Result<ValueId, ShapeError> {
        if self.graph.shape(value) == shape {
            return Ok(value);
        }
        self.emit("reshape", Op::Reshape { shape: shape.to_vec() }, &[value])
    }

    /// Sums a cotangent over the axes along which `target` was broadcast.
    ///
    /// # Errors
    /// When the shapes are not a broadcast of each other.
    pub fn unbroadcast(&mut self, g: ValueId, target: ValueId) -> Result<ValueId, ShapeError> {
        let (from, to) = (self.graph.shape(g).to_vec(), self.graph.shape(target));
        let missing = from.len().saturating_sub(to.len());
        let axes: Vec<usize> = (1..from.len())
            .filter(|&axis| from[axis] != 1 && (axis < missing || to[axis - missing] == 1))
            .collect();
        let summed = match axes.is_empty() {
            true => g,
            false => self.emit("sum", Op::ReduceSum { axes, keep_dims: true }, &[g])?,
        };
        let shape = self.cotangent_shape(target);
        self.reshape(summed, &shape)
    }

    /// Cotangent of the logits: the loss's derivative.
    pub(crate) fn loss_cotangent(
        &mut self,
        loss: Loss,
        logits: ValueId,
        label: &[f32],
    ) -> Result<ValueId, ShapeError> {
        let probability = match loss {
            Loss::Sigmoid => self.emit("loss", Op::Sigmoid, &[logits])?,
            Loss::Softmax => {
                let softmax = self.emit("loss", Op::Softmax { axis: 1 }, &[logits])?;
                let total = self.scalar(label.iter().sum());
                self.emit("loss", Op::Mul, &[softmax, total])?
            }
        };
        let tensor = Tensor::new([1, label.len()], label.to_vec());
        let label_value = self.graph.add_constant("gradgate/label", tensor);
        let residual = self.emit("loss", Op::Sub, &[probability, label_value])?;
        match loss {
            Loss::Sigmoid => {
                let classes = self.scalar(label.len() as f32);
                self.emit("loss", Op::Div, &[residual, classes])
            }
            Loss::Softmax => Ok(residual),
        }
    }

    /// Adds a cotangent before the walk, of a value beside the logits.
    pub(crate) fn seed(&mut self, value: ValueId, cotangent: ValueId) {
        self.cotangents.entry(value).or_default().push(cotangent);
    }

    /// Applies gradient rules from the logits back to all that is needed.
    pub(crate) fn walk(
        &mut self,
        forward_nodes: usize,
        logits: ValueId,
        cotangent: ValueId,
    ) -> Result<(), ExpandError> {
        self.seed(logits, cotangent);
        for index in (0..forward_nodes).rev() {
            let node = self.graph.nodes[index].clone();
            if !self.needs(node.output) {
                continue;
            }
            let Some(g) = self.take_sum(node.output)? else { continue };
            let first = self.graph.nodes.len();
            let gradients = self.gradient(&node, g)?;
            let emitted = first..self.graph.nodes.len();
            self.rules.push(Rule { node: NodeId(index as u32), cotangent: g, emitted });
            assert_eq!(gradients.len(), node.inputs.len(), "rule of {}", node.op.name());
            for (&input, gradient) in node.inputs.iter().zip(gradients) {
                let Some(gradient) = gradient else { continue };
                debug_assert_eq!(self.graph.shape(gradient), self.cotangent_shape(input));
                self.cotangents.entry(input).or_default().push(gradient);
            }
        }
        Ok(())
    }

    /// The rule of the node's op; a rule is asked only for ops on the way to a tap.
    fn gradient(&mut self, node: &Node, g: ValueId) -> Result<Vec<Option<ValueId>>, ExpandError> {
        match node.op.gradient(self, node, g) {
            Some(gradients) => Ok(gradients?),
            None => {
                Err(ExpandError::MissingGradient { node: node.name.clone(), op: node.op.name() })
            }
        }
    }

    /// The sum of the cotangents of a value that the walk has reached, once.
    pub(crate) fn take_sum(&mut self, value: ValueId) -> Result<Option<ValueId>, ShapeError> {
        let parts = self.cotangents.remove(&value).unwrap_or_default();
        let mut parts = parts.into_iter();
        let Some(mut sum) = parts.next() else { return Ok(None) };
        for part in parts {
            sum = self.emit("accumulate", Op::Add, &[sum, part])?;
        }
        Ok(Some(sum))
    }
}

#[cfg(test)]
mod tests;
