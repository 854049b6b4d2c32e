//! The gradient of the image for a cotangent of the logits that comes with every frame.
//!
//! What attacks need, as an ordinary program for any executor: the frame is the image with rows
//! below it that hold the cotangent, and the penultimate vector is the gradient.

use crate::expand::{Backward, ExpandError, Expanded};
use crate::graph::{Graph, NodeId, ShapeError, ValueId};
use crate::ops::Op;

/// A classifier with the backward pass to its image.
#[derive(Clone, Debug)]
pub struct ImageGradient {
    /// The frame is `[1, C, H + rows, W]`; the penultimate vector is the gradient of
    /// `<logits, cotangent>`, `[1, C, H, W]`. No norms are tapped.
    pub expanded: Expanded,
    /// Rows below the image; read in the order of channels, rows, columns they begin with the
    /// cotangent of each logit, the rest is not read.
    pub rows: usize,
}

/// Appends the backward pass of `graph` from a cotangent in the frame to the image.
///
/// # Errors
/// When the graph is no classifier of an image `[1, C, H, W]`, an operation has no gradient rule,
/// or the logits do not depend on the image.
pub fn image_gradient(graph: &Graph) -> Result<ImageGradient, ExpandError> {
    let (Some(input), Some(logits)) = (graph.input, graph.logits) else {
        return Err(ExpandError::NotAClassifier);
    };
    let (&[1, channels, height, width], &[1, classes]) = (graph.shape(input), graph.shape(logits))
    else {
        return Err(ExpandError::NotAClassifier);
    };
    let rows = classes.div_ceil(channels * width);
    let mut wider = Graph { name: graph.name.clone(), ..Graph::default() };
    let frame = wider.add_input("gradgate/frame", [1, channels, height + rows, width]);
    let part = |first, rows| Op::Slice {
        starts: vec![0, 0, first, 0],
        lengths: vec![1, channels, rows, width],
        steps: vec![1; 4],
    };
    let image = wider.push("gradgate/image", part(0, height), &[frame])?;
    let below = wider.push("gradgate/below", part(height, rows), &[frame])?;
    let flat = Op::Reshape { shape: vec![1, channels * rows * width] };
    let flat = wider.push("gradgate/below/flat", flat, &[below])?;
    let first = Op::Slice { starts: vec![0, 0], lengths: vec![1, classes], steps: vec![1; 2] };
    let cotangent = wider.push("gradgate/cotangent", first, &[flat])?;
    let logits = copy(graph, &mut wider, input, image)?[logits.0 as usize];
    wider.logits = logits;
    let logits = logits.ok_or(ExpandError::NotAClassifier)?;
    let forward_nodes = wider.nodes.len();
    let mut backward = Backward::new(wider, &[image]);
    backward.walk(forward_nodes, logits, cotangent)?;
    // The image is the first node's output, so its cotangent is what that node's rule was given.
    let gradient = backward.cotangent_of(NodeId(0)).ok_or(ExpandError::NoTaps)?;
    let (graph, rules) = backward.finish();
    let expanded = Expanded {
        graph,
        forward_nodes,
        squared_norms: Vec::new(),
        activation_norms: Vec::new(),
        alignments: Vec::new(),
        penultimate: Some(gradient),
        label: vec![0.0; classes],
        rules,
    };
    Ok(ImageGradient { expanded, rows })
}

/// Copies constants and nodes; `image` takes the place of `input`. For every value its copy.
fn copy(
    from: &Graph,
    to: &mut Graph,
    input: ValueId,
    image: ValueId,
) -> Result<Vec<Option<ValueId>>, ShapeError> {
    let mut copies = vec![None; from.values.len()];
    copies[input.0 as usize] = Some(image);
    for (index, value) in from.values.iter().enumerate() {
        if let Some(tensor) = &value.constant {
            copies[index] = Some(to.add_constant(value.name.clone(), tensor.clone()));
        }
    }
    for node in &from.nodes {
        let inputs: Vec<ValueId> =
            node.inputs.iter().filter_map(|id| copies[id.0 as usize]).collect();
        let output = from.value(node.output).name.clone();
        let output = to.push_named(node.name.clone(), output, node.op.clone(), &inputs)?;
        copies[node.output.0 as usize] = Some(output);
    }
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Tensor;
    use crate::interp::Interp;

    /// logits = W relu(image), so the gradient is W^T cotangent where the image is positive.
    #[test]
    fn a_linear_classifier_by_hand() {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 1, 1, 2]);
        let relu = graph.push("relu", Op::Relu, &[image]).unwrap();
        let flat = graph.push("flat", Op::Reshape { shape: vec![1, 2] }, &[relu]).unwrap();
        let weight = Tensor::new([3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let weight = graph.add_constant("w", weight);
        let gemm = Op::Gemm { transpose_b: true };
        graph.logits = Some(graph.push("logits", gemm, &[flat, weight]).unwrap());
        let program = image_gradient(&graph).unwrap();
        assert_eq!(program.rows, 2);
        let expanded = &program.expanded;
        let frame = [0.5, -0.5, 1.0, 10.0, 100.0, 7.0];
        let values = Interp::new(&expanded.graph).run(&frame);
        assert_eq!(values.get(expanded.graph.logits.unwrap()), [0.5, 1.5, 2.5]);
        assert_eq!(values.get(expanded.penultimate.unwrap()), [531.0, 0.0]);
    }

    #[test]
    fn no_logits_no_gradient() {
        let mut graph = Graph::default();
        graph.add_input("image", [1, 1, 2, 2]);
        assert!(matches!(image_gradient(&graph), Err(ExpandError::NotAClassifier)));
    }
}
