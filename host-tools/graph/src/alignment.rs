//! Alignment taps: reference directions of weight gradients, and the nodes that compare with them.
//!
//! A reference says in which direction the weight's gradient points on normal frames of each
//! predicted class: rank-1 factors for each channel group. Where they come from is not known here.

use std::fmt;

use gradgate_bundle::op::OpCode;

use crate::expand::{Backward, Expanded};
use crate::graph::{Graph, NodeId, ShapeError, Tensor, ValueId};
use crate::ops::{Op, alignment::rows};
use crate::schedule::Schedule;

/// Reference directions of one weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The weight's name.
    pub parameter: String,
    /// `[classes][O]`; a single logit has two classes.
    pub u: Vec<f32>,
    /// `[classes][C][kh][kw]`, or `[classes][K]`; channels are counted over all groups. For each
    /// class the sum over groups of `|u|^2 |v|^2` is 1.
    pub v: Vec<f32>,
}

/// A weight that can be aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// The parameter.
    pub parameter: ValueId,
    /// The one Conv or Gemm that uses it.
    pub node: NodeId,
    /// Output channels.
    pub outputs: usize,
    /// Channel groups.
    pub groups: usize,
    /// Elements of the input that one output channel sees: `C/groups * kh * kw`.
    pub inputs: usize,
}

/// Why references do not fit a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceError {
    /// No parameter of this name.
    Unknown(String),
    /// The parameter is no weight of exactly one convolution or linear layer.
    NotAWeight(String),
    /// Two references of one name.
    Twice(String),
    /// The factors have other lengths than the weight and the classes ask for.
    Length(String),
    /// A factor is NaN or infinite, or a direction has not length 1.
    Value(String),
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, problem) = match self {
            Self::Unknown(name) => (name, "the model has no such parameter"),
            Self::NotAWeight(name) => {
                (name, "it is not the weight of exactly one convolution or linear layer")
            }
            Self::Twice(name) => (name, "it is there twice"),
            Self::Length(name) => (name, "its factors have other lengths than the model's"),
            Self::Value(name) => (name, "its factors are not finite, or not of length 1"),
        };
        write!(f, "references of `{name}`: {problem}; fit them with `gradgate references`")
    }
}

impl std::error::Error for ReferenceError {}

/// Weights that can be aligned, in graph order: those of exactly one Conv or Gemm. A weight that
/// several nodes share has one gradient but as many inputs as uses, and is left out.
pub fn weights(graph: &Graph) -> Vec<Weight> {
    let consumers = graph.consumers();
    let weight = |&parameter: &ValueId| {
        let &[node] = consumers[parameter.0 as usize].as_slice() else { return None };
        let user = &graph.nodes[node.0 as usize];
        let shape = graph.shape(parameter);
        let (outputs, groups) = match (&user.op, shape) {
            (Op::Conv(conv), _) => (shape[0], conv.groups),
            (Op::Gemm { transpose_b: true }, &[n, _]) => (n, 1),
            (Op::Gemm { transpose_b: false }, &[_, n]) => (n, 1),
            _ => return None,
        };
        let inputs = graph.value(parameter).elements() / outputs;
        let is_weight = user.inputs[1] == parameter && user.inputs[0] != parameter;
        is_weight.then_some(Weight { parameter, node, outputs, groups, inputs })
    };
    graph.parameters.iter().filter_map(weight).collect()
}

/// The steps that compute a weight gradient itself, with the parameter it belongs to; their result
/// is `[outputs][inputs]`.
pub fn gradient_steps(expanded: &Expanded, schedule: &Schedule) -> Vec<(usize, ValueId)> {
    let nodes = &expanded.graph.nodes;
    let parameter = |name: &str| {
        let index = nodes.iter().position(|node| node.name == name)?;
        let rule = expanded.rules.iter().find(|rule| rule.emitted.contains(&index))?;
        nodes[rule.node.0 as usize].inputs.get(1).copied()
    };
    let steps = schedule.steps.iter().enumerate();
    steps
        .filter(|(_, step)| step.opcode == OpCode::ConvWeightGradient)
        .filter_map(|(index, step)| Some((index, parameter(&step.name)?)))
        .collect()
}

/// Whether the references fit a graph.
///
/// # Errors
/// The first one that does not.
pub fn check(graph: &Graph, references: &[Reference]) -> Result<(), ReferenceError> {
    let weights = weights(graph);
    for (index, reference) in references.iter().enumerate() {
        let name = || reference.parameter.clone();
        let named = |id: ValueId| graph.value(id).name == reference.parameter;
        if references[..index].iter().any(|other| other.parameter == reference.parameter) {
            return Err(ReferenceError::Twice(name()));
        }
        if !graph.parameters.iter().any(|&id| named(id)) {
            return Err(ReferenceError::Unknown(name()));
        }
        let weight = weights.iter().find(|weight| named(weight.parameter));
        let weight = weight.ok_or_else(|| ReferenceError::NotAWeight(name()))?;
        let rows = rows(classes(graph));
        let inputs = weight.groups * weight.inputs;
        let fits = [(&reference.u, weight.outputs), (&reference.v, inputs)]
            .iter()
            .all(|(factor, length)| length.checked_mul(rows) == Some(factor.len()));
        if !fits {
            return Err(ReferenceError::Length(name()));
        }
        let directions = reference.u.chunks(weight.outputs).zip(reference.v.chunks(inputs));
        if !directions.into_iter().all(|(u, v)| is_direction(u, v, weight.groups)) {
            return Err(ReferenceError::Value(name()));
        }
    }
    Ok(())
}

/// Rounding of factors to f32 moves a direction's squared length by less than this.
const LENGTH_TOLERANCE: f64 = 1e-4;

/// Whether the factors have length 1 together; not for NaN.
fn is_direction(u: &[f32], v: &[f32], groups: usize) -> bool {
    let square = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let groups = u.chunks(u.len() / groups).zip(v.chunks(v.len() / groups));
    let length: f64 = groups.map(|(u, v)| square(u) * square(v)).sum();
    (length - 1.0).abs() <= LENGTH_TOLERANCE
}

fn classes(graph: &Graph) -> usize {
    graph.logits.map_or(0, |logits| graph.value(logits).elements())
}

impl Backward {
    /// Every tapped weight that has a reference, with its cosine.
    pub(crate) fn alignments(
        &mut self,
        graph: &Graph,
        squared_norms: &[(ValueId, ValueId)],
        references: &[Reference],
    ) -> Result<Vec<(ValueId, ValueId)>, ShapeError> {
        let weights = weights(graph);
        let mut alignments = Vec::new();
        for &(parameter, norm) in squared_norms {
            let named = |r: &&Reference| r.parameter == graph.value(parameter).name;
            let weight = weights.iter().find(|weight| weight.parameter == parameter);
            let Some((weight, reference)) = weight.zip(references.iter().find(named)) else {
                continue;
            };
            if let Some(cosine) = self.alignment(weight, reference, norm)? {
                alignments.push((parameter, cosine));
            }
        }
        Ok(alignments)
    }

    /// The alignment of a weight whose squared norm is `norm`; `None` where the loss does not reach
    /// it.
    fn alignment(
        &mut self,
        weight: &Weight,
        reference: &Reference,
        norm: ValueId,
    ) -> Result<Option<ValueId>, ShapeError> {
        let Some(cotangent) = self.cotangent_of(weight.node) else { return Ok(None) };
        let graph = self.graph();
        let node = graph.nodes[weight.node.0 as usize].clone();
        let Some(logits) = graph.logits else { return Ok(None) };
        let rows = rows(classes(graph));
        let x = node.inputs[0];
        let (op, v_shape) = match node.op {
            Op::Conv(conv) => {
                let (image, kernel) = (graph.shape(x), graph.shape(weight.parameter));
                let shape = vec![rows, image[1], kernel[2], kernel[3]];
                (Op::ConvAlignment(conv), shape)
            }
            _ => (Op::GemmAlignment, vec![rows, weight.inputs]),
        };
        let u = Tensor::new([rows, weight.outputs], reference.u.clone());
        let v = Tensor::new(v_shape, reference.v.clone());
        let u = self.constant("u", &reference.parameter, u);
        let v = self.constant("v", &reference.parameter, v);
        self.emit("alignment", op, &[x, cotangent, u, v, logits, norm]).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expand::{ExpandError, Label, expand_aligned};
    use crate::taps::Taps;

    /// `image -> Gemm(w) -> Relu -> Gemm(v) -> Gemm(v) -> logits` of 2 classes.
    fn classifier() -> Graph {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 1, 1, 3]);
        let constant = |graph: &mut Graph, name, shape: [usize; 2]| {
            let data: Vec<f32> = (0..shape[0] * shape[1]).map(|i| i as f32 - 1.5).collect();
            graph.add_constant(name, Tensor::new(shape, data))
        };
        let (w, v) = (constant(&mut graph, "w", [2, 3]), constant(&mut graph, "v", [2, 2]));
        let gemm = Op::Gemm { transpose_b: true };
        let flat = graph.push("flat", Op::Reshape { shape: vec![1, 3] }, &[image]).unwrap();
        let hidden = graph.push("hidden", gemm.clone(), &[flat, w]).unwrap();
        let hidden = graph.push("relu", Op::Relu, &[hidden]).unwrap();
        let hidden = graph.push("once", gemm.clone(), &[hidden, v]).unwrap();
        graph.logits = Some(graph.push("twice", gemm, &[hidden, v]).unwrap());
        graph.parameters = vec![w, v];
        graph
    }

    fn reference(parameter: &str) -> Reference {
        let u = vec![1.0, 0.0, 0.0, 1.0];
        Reference { parameter: parameter.into(), u, v: vec![1.0, 0.0, 0.0, 0.0, 0.6, 0.8] }
    }

    #[test]
    fn weights_of_one_use_can_be_aligned() {
        let graph = classifier();
        let names: Vec<&str> =
            weights(&graph).iter().map(|w| graph.value(w.parameter).name.as_str()).collect();
        assert_eq!(names, ["w"]);
    }

    #[test]
    fn references_that_do_not_fit_are_refused_by_name() {
        let good = reference("w");
        type Change = fn(&mut Reference);
        type Expected = fn(String) -> ReferenceError;
        let cases: [(Change, Expected); 7] = [
            (|r| r.parameter = "x".into(), ReferenceError::Unknown),
            (|r| r.parameter = "v".into(), ReferenceError::NotAWeight),
            (|r| r.u.truncate(3), ReferenceError::Length),
            (|r| r.v.push(0.0), ReferenceError::Length),
            (|r| r.v[0] = f32::NAN, ReferenceError::Value),
            (|r| r.u[0] = f32::INFINITY, ReferenceError::Value),
            (|r| r.u[3] = 1.1, ReferenceError::Value),
        ];
        let graph = classifier();
        assert_eq!(check(&graph, std::slice::from_ref(&good)), Ok(()));
        for (index, (change, wanted)) in cases.iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            let error = wanted(bad.parameter.clone());
            let found = expand_aligned(&graph, &Label::Ones, &Taps::all(), &[bad]).err();
            assert_eq!(found, Some(ExpandError::Reference(error.clone())), "{index}");
            assert!(error.to_string().contains("gradgate references"), "{error}");
        }
        let twice = [good.clone(), good];
        assert_eq!(check(&graph, &twice), Err(ReferenceError::Twice("w".into())));
    }

    #[test]
    fn only_tapped_weights_are_aligned() {
        let graph = classifier();
        let count = |taps: &str| {
            let taps = Taps::parse(taps);
            let references = [reference("w")];
            let expanded = expand_aligned(&graph, &Label::Ones, &taps, &references).unwrap();
            expanded.alignments.len()
        };
        assert_eq!([count(""), count("w"), count("v"), count("none")], [1, 1, 0, 0]);
    }
}
