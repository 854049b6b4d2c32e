//! Which constants are trainable, and whether the image is normalised inside the model.

use std::collections::{HashMap, HashSet};

use crate::graph::{Graph, Node, ValueId};
use crate::ops::Op;

/// The trainable constants in order of first use, and whether arithmetic with constants is applied
/// to the image itself.
///
/// `initializers` are the constants that are stored as initializers; `biases` those that are
/// trainable although they may have one element: biases that became an addition, slopes. `fixed`
/// ones never are: weights by which values are resampled.
pub(super) fn collect(
    graph: &Graph,
    initializers: &HashSet<ValueId>,
    biases: &HashSet<ValueId>,
    fixed: &HashSet<ValueId>,
) -> (Vec<ValueId>, bool) {
    let mut raw: HashSet<ValueId> = graph.input.into_iter().collect();
    let mut seen = HashSet::new();
    let mut parameters = Vec::new();
    let mut normalised = false;
    // Constants that stand in every frame, by the value that holds them there.
    let mut tokens: HashMap<ValueId, ValueId> = HashMap::new();
    for node in &graph.nodes {
        let on_image = stays_image(graph, node, &raw, fixed);
        if on_image {
            raw.insert(node.output);
            normalised |= is_arithmetic(&node.op);
        }
        if let (Op::Expand { .. }, &[constant]) = (&node.op, &node.inputs[..])
            && !graph.value(constant).is_frame()
        {
            tokens.insert(node.output, constant);
            raw.insert(node.output);
        }
        for (index, &id) in node.inputs.iter().enumerate() {
            // Joined to the network's values it is trained with them; to the image, it is a map of
            // coordinates or the like.
            if let Some(&token) = tokens.get(&id).filter(|_| !on_image)
                && initializers.contains(&token)
                && seen.insert(token)
            {
                parameters.push(token);
            }
            if graph.value(id).is_frame() {
                continue;
            }
            let trainable = match &node.op {
                Op::Conv(_) | Op::Gemm { .. } | Op::BatchNorm { .. } => (1..=2).contains(&index),
                Op::ConvInputGradient { .. } => index == 1,
                op if is_arithmetic(op) => {
                    let several = graph.value(id).elements() > 1;
                    biases.contains(&id) || (!on_image && several && initializers.contains(&id))
                }
                _ => false,
            };
            if trainable && !fixed.contains(&id) && seen.insert(id) {
                parameters.push(id);
            }
        }
    }
    (parameters, normalised)
}

fn is_arithmetic(op: &Op) -> bool {
    matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Div)
}

/// Whether a node's result still is the image: scaled, shifted, resampled or rearranged by
/// constants only.
fn stays_image(
    graph: &Graph,
    node: &Node,
    raw: &HashSet<ValueId>,
    fixed: &HashSet<ValueId>,
) -> bool {
    let allowed = is_arithmetic(&node.op)
        || node.inputs.iter().any(|id| fixed.contains(id))
        || matches!(
            node.op,
            Op::Reshape { .. }
                | Op::Transpose { .. }
                | Op::Slice { .. }
                | Op::Concat { .. }
                | Op::Pad { .. }
                | Op::Clip { .. }
        );
    allowed && node.inputs.iter().all(|id| raw.contains(id) || !graph.value(*id).is_frame())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Tensor;

    #[test]
    fn normalisation_is_left_out_and_scales_inside_are_taken() {
        let mut graph = Graph::default();
        let x = graph.add_input("x", [1, 2, 2, 2]);
        let mean = graph.add_constant("mean", Tensor::new([1, 2, 1, 1], vec![0.5, 0.5]));
        let weight = graph.add_constant("w", Tensor::new([3, 8], vec![0.1; 24]));
        let gamma = graph.add_constant("gamma", Tensor::new([3], vec![1.0; 3]));
        let fixed = graph.add_constant("fixed", Tensor::new([3], vec![1.0; 3]));
        let half = graph.add_constant("half", Tensor::scalar(0.5));
        let mut push =
            |name: &str, op, inputs: &[ValueId]| graph.push(name, op, inputs).expect("shapes fit");
        let centred = push("centred", Op::Sub, &[x, mean]);
        let flat = push("flat", Op::Reshape { shape: vec![1, 8] }, &[centred]);
        let product = push("product", Op::Gemm { transpose_b: true }, &[flat, weight]);
        let scaled = push("scaled", Op::Mul, &[product, gamma]);
        let again = push("again", Op::Mul, &[scaled, gamma]);
        let added = push("added", Op::Add, &[again, fixed]);
        push("halved", Op::Mul, &[added, half]);
        let initializers = HashSet::from([mean, weight, gamma, half]);
        let (parameters, normalised) =
            collect(&graph, &initializers, &HashSet::new(), &HashSet::new());
        assert_eq!(parameters, [weight, gamma]);
        assert!(normalised);
        let (biases, fixed) = (HashSet::from([half]), HashSet::from([weight]));
        let (parameters, _) = collect(&graph, &initializers, &biases, &fixed);
        // Resampled by fixed weights, the image still is what gamma scales.
        assert_eq!(parameters, [half]);
    }
}
