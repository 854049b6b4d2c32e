//! What `gradgate check` prints about an imported model.

use super::Imported;
use crate::graph::Graph;
use crate::ops::Op;

/// Figures of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Name and shape of every trainable tensor, in graph order.
    pub parameters: Vec<(String, Vec<usize>)>,
    /// Elements of all trainable tensors together.
    pub parameter_elements: u64,
    /// Shape of the image, `[1, C, H, W]`.
    pub input_shape: Vec<usize>,
    /// Length of the logits.
    pub classes: usize,
    /// Nodes that remain after folding.
    pub nodes: usize,
    /// Multiplications with accumulation of the forward pass, Conv and Gemm only.
    pub multiply_accumulates: u64,
    /// Whether the model looks as if BatchNorm had been folded into the convolutions.
    pub folded: bool,
    /// Whether the image is scaled or shifted inside the model.
    pub normalisation_inside: bool,
}

/// Collects the figures.
pub fn summary(model: &Imported) -> Summary {
    let graph = &model.graph;
    let named = |&id| (graph.value(id).name.clone(), graph.shape(id).to_vec());
    let shape = |id: Option<_>| id.map(|id| graph.shape(id).to_vec()).unwrap_or_default();
    Summary {
        parameters: graph.parameters.iter().map(named).collect(),
        parameter_elements: graph
            .parameters
            .iter()
            .map(|&id| graph.value(id).elements() as u64)
            .sum(),
        input_shape: shape(graph.input),
        classes: shape(graph.logits).last().copied().unwrap_or(0),
        nodes: graph.nodes.len(),
        multiply_accumulates: multiply_accumulates(graph),
        folded: model.folded,
        normalisation_inside: model.normalisation_inside,
    }
}

/// Multiply-accumulates of all Conv and Gemm nodes for one frame, saturating.
pub fn multiply_accumulates(graph: &Graph) -> u64 {
    let of_node = |node: &crate::graph::Node| {
        let outputs = graph.value(node.output).elements() as u64;
        let weight = || graph.shape(node.inputs[1]);
        match node.op {
            // [O, C/g, kh, kw]: every output element sums C/g * kh * kw products.
            Op::Conv(_) => outputs.saturating_mul(weight()[1..].iter().product::<usize>() as u64),
            Op::Gemm { transpose_b } => {
                outputs.saturating_mul(weight()[usize::from(transpose_b)] as u64)
            }
            _ => 0,
        }
    };
    graph.nodes.iter().map(of_node).fold(0, u64::saturating_add)
}
