//! From the frame to the network's input. A normalisation at the beginning of the network, image
//! minus mean by deviation for each channel, belongs to the same step: the same operations in the
//! same order, without two passes over an image whose rows are three values long.

use gradgate_bundle::op::{OpCode, PreprocessParams};
use gradgate_frame::Preprocessing;

use super::{LowerError, Lowering};
use crate::expand::Expanded;
use crate::graph::{Node, NodeId, ValueId};
use crate::ops::Op;

/// The network's own normalisation of its image.
#[derive(Clone, Debug)]
pub(super) struct Normalisation {
    /// Subtracted from each channel.
    mean: [f32; 3],
    /// Divides each channel.
    std: [f32; 3],
    /// What it computes.
    output: ValueId,
    /// Its nodes.
    nodes: Vec<NodeId>,
}

impl Normalisation {
    /// The nodes right behind the image that subtract and divide by constants; `None` where there
    /// is none, and where something else reads what lies between.
    pub fn of(expanded: &Expanded) -> Option<Normalisation> {
        let graph = &expanded.graph;
        let input = graph.input?;
        let consumers = graph.consumers();
        let mut found =
            Normalisation { mean: [0.0; 3], std: [1.0; 3], output: input, nodes: Vec::new() };
        for is_mean in [true, false] {
            let &[reader] = &consumers[found.output.0 as usize][..] else { break };
            let node = &graph.nodes[reader.0 as usize];
            let wanted = if is_mean { Op::Sub } else { Op::Div };
            if node.op != wanted || node.inputs[0] != found.output {
                continue;
            }
            let Some(values) = per_channel(expanded, node) else { break };
            // A division by infinity is no number in the kernel of its own.
            if !values.iter().all(|v| v.is_finite()) || !is_mean && values.contains(&0.0) {
                break;
            }
            if is_mean {
                found.mean = values
            } else {
                found.std = values
            }
            found.output = node.output;
            found.nodes.push(reader);
        }
        (!found.nodes.is_empty()).then_some(found)
    }

    /// Whether the step of the image computes this node too.
    pub fn holds(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }
}

/// The node's second operand, one value for each channel of the image (the first for those beyond);
/// `None` unless it is such a constant, and no parameter.
fn per_channel(expanded: &Expanded, node: &Node) -> Option<[f32; 3]> {
    let graph = &expanded.graph;
    let operand = *node.inputs.get(1)?;
    let tensor = graph.value(operand).constant.as_ref()?;
    if graph.parameters.contains(&operand) {
        return None;
    }
    let channels = *graph.shape(node.output).get(1)?;
    let axis = tensor.shape.len().checked_sub(3);
    let along = |i: usize| axis == Some(i) && tensor.shape[i] == channels;
    if !tensor.shape.iter().enumerate().all(|(i, &length)| length == 1 || along(i)) {
        return None;
    }
    let first = *tensor.data.first()?;
    let of = |i: usize| tensor.data.get(i).copied().unwrap_or(first);
    Some([of(0), of(1), of(2)])
}

impl Lowering<'_> {
    /// The first step.
    pub(super) fn preprocess(&mut self, p: &Preprocessing) -> Result<(), LowerError> {
        let Some(input) = self.graph.input else { return Err(self.refuse_graph("no image input")) };
        let &[1, channels, height, width] = self.graph.shape(input) else {
            return Err(self.refuse_graph("the image is not [1, channels, height, width]"));
        };
        if ![1, 3].contains(&channels) {
            return Err(self.refuse_graph("the image has neither 1 nor 3 channels"));
        }
        let plain = p.mean == [0.0; 3] && p.std == [1.0; 3];
        self.normalisation = if plain { Normalisation::of(self.expanded) } else { None };
        let own = self.normalisation.as_ref();
        let (mean, std) = own.map_or((p.mean, p.std), |own| (own.mean, own.std));
        let output = own.map_or(input, |own| own.output);
        let four = |v: [f32; 3], rest: f32| [v[0], v[1], v[2], rest].map(Into::into);
        let params = PreprocessParams {
            height: (height as u32).into(),
            width: (width as u32).into(),
            channels: (channels as u32).into(),
            bgr: u32::from(p.bgr).into(),
            low: p.low.into(),
            high: p.high.into(),
            mean: four(mean, 0.0),
            std: four(std, 1.0),
        };
        let y = self.arena_for(output);
        self.step("preprocess", OpCode::Preprocess, &params, &[Some(y)], 0);
        self.norms_of(output);
        Ok(())
    }

    /// Whether the first step computes this node too.
    pub(super) fn is_preprocessed(&self, node: NodeId) -> bool {
        self.normalisation.as_ref().is_some_and(|own| own.holds(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expand::{Label, expand};
    use crate::graph::{Graph, Tensor};
    use crate::lower::lower;
    use crate::taps::Taps;
    use zerocopy::FromBytes;

    /// A classifier of the image behind `Sub` and `Div` by these constants.
    fn classifier(mean: Tensor, std: Tensor, is_parameter: bool) -> Expanded {
        let mut graph = Graph::default();
        let x = graph.add_input("image", [1, 3, 2, 2]);
        let mean = graph.add_constant("mean", mean);
        let std = graph.add_constant("std", std);
        let x = graph.push("sub", Op::Sub, &[x, mean]).unwrap();
        let x = graph.push("div", Op::Div, &[x, std]).unwrap();
        let flat = graph.push("flat", Op::Reshape { shape: vec![1, 12] }, &[x]).unwrap();
        let w = graph.add_constant("w", Tensor::new([2, 12], vec![0.5; 24]));
        let logits = graph.push("logits", Op::Gemm { transpose_b: true }, &[flat, w]).unwrap();
        graph.logits = Some(logits);
        graph.parameters = if is_parameter { vec![w, std] } else { vec![w] };
        expand(&graph, &Label::Ones, &Taps::all()).unwrap()
    }

    fn channels(values: [f32; 3]) -> Tensor {
        Tensor::new([1, 3, 1, 1], values.to_vec())
    }

    #[test]
    fn the_first_step_normalises_where_it_can() {
        let ones = || channels([1.0; 3]);
        // mean, deviation, is the deviation a parameter, operations left to steps of their own
        let cases = [
            (channels([0.1, 0.2, 0.3]), channels([0.5, 0.25, 2.0]), false, 0),
            (Tensor::scalar(0.5), Tensor::scalar(0.25), false, 0),
            (ones(), ones(), true, 1),
            (ones(), channels([1.0, 0.0, 1.0]), false, 1),
            (ones(), channels([1.0, f32::INFINITY, 1.0]), false, 1),
            (Tensor::new([1, 3, 2, 2], vec![0.5; 12]), ones(), false, 2),
        ];
        for (mean, std, is_parameter, left) in cases {
            let what = format!("{mean:?} {std:?} {is_parameter}");
            let expanded = classifier(mean, std, is_parameter);
            let steps = lower(&expanded, &Preprocessing::default()).unwrap().steps;
            let own = |name: &str| steps.iter().filter(|step| step.name == name).count();
            assert_eq!(own("sub") + own("div"), left, "{what}");
        }
    }

    #[test]
    fn a_recipe_that_normalises_leaves_the_network_alone() {
        let expanded = classifier(Tensor::scalar(0.5), Tensor::scalar(0.25), false);
        let recipe = Preprocessing { mean: [0.1; 3], ..Preprocessing::default() };
        let steps = lower(&expanded, &recipe).unwrap().steps;
        let params = PreprocessParams::read_from_bytes(&steps[0].params).unwrap();
        assert_eq!((params.mean[0].get(), params.std[0].get()), (0.1, 1.0));
        assert!(steps.iter().any(|step| step.name == "sub"));
    }
}
