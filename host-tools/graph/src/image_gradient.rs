//! The gradient of the image as an ordinary program for any executor.
//!
//! What attacks need. What is differentiated comes with every frame ([`image_gradient`],
//! [`seeded_gradient`]: the frame is the image with rows below it that hold the numbers) or is a
//! loss ([`loss_gradient`]: the frame is the image). The penultimate vector is the gradient.

use crate::expand::{Backward, ExpandError, Expanded, Label, Loss};
use crate::graph::{Graph, NodeId, ShapeError, ValueId};
use crate::ops::Op;

/// A classifier with the backward pass to its image.
#[derive(Clone, Debug)]
pub struct ImageGradient {
    /// The frame is `[1, C, H + rows, W]`; the penultimate vector is the gradient, `[1, C, H, W]`.
    /// No norms are tapped.
    pub expanded: Expanded,
    /// Rows below the image; read in the order of channels, rows, columns they begin with what
    /// [`image_gradient`] and [`seeded_gradient`] name, the rest is not read.
    pub rows: usize,
}

/// What is differentiated beside the logits.
#[derive(Clone, Debug, Default)]
pub struct Seeds {
    /// The squared norm of each of these, times one number.
    pub norms: Vec<ValueId>,
    /// The scalar product of each of these, `[1, d]`, with d numbers.
    pub vectors: Vec<ValueId>,
}

/// Appends the backward pass of `graph` from a cotangent in the frame to the image. The rows begin
/// with the cotangent of each logit.
///
/// # Errors
/// When the graph is no classifier of an image `[1, C, H, W]`, an operation has no gradient rule,
/// or the logits do not depend on the image.
pub fn image_gradient(graph: &Graph) -> Result<ImageGradient, ExpandError> {
    seeded_gradient(graph, &Seeds::default())
}

/// As [`image_gradient`], of `<logits, cotangent>` and what `seeds` names. The rows begin with the
/// cotangent of each logit, the numbers of the norms, those of the vectors.
///
/// # Errors
/// As [`image_gradient`].
pub fn seeded_gradient(graph: &Graph, seeds: &Seeds) -> Result<ImageGradient, ExpandError> {
    let ([channels, height, width], classes) = shapes(graph)?;
    let lengths = seeds.vectors.iter().map(|&id| graph.value(id).elements());
    let numbers = classes + seeds.norms.len() + lengths.sum::<usize>();
    let rows = numbers.div_ceil(channels * width);
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
    let mut at = 0;
    let mut next = |wider: &mut Graph, name: String, length: usize| {
        let op = Op::Slice { starts: vec![0, at], lengths: vec![1, length], steps: vec![1; 2] };
        at += length;
        wider.push(name, op, &[flat])
    };
    let cotangent = next(&mut wider, "gradgate/cotangent".to_owned(), classes)?;
    let mut norms = Vec::new();
    for (place, &value) in seeds.norms.iter().enumerate() {
        let number = next(&mut wider, format!("gradgate/number/{place}"), 1)?;
        let shape = vec![1; graph.shape(value).len()];
        let name = format!("gradgate/number/{place}/shaped");
        norms.push(wider.push(name, Op::Reshape { shape }, &[number])?);
    }
    let mut vectors = Vec::new();
    for (place, &value) in seeds.vectors.iter().enumerate() {
        let length = graph.value(value).elements();
        vectors.push(next(&mut wider, format!("gradgate/vector/{place}"), length)?);
    }
    let copies = copy(graph, &mut wider, image)?;
    let of = |value: ValueId| copies[value.0 as usize].ok_or(ExpandError::NotAClassifier);
    let mut backward = Walk::begin(wider, image);
    for (&value, &number) in seeds.norms.iter().zip(&norms) {
        // The norm's derivative is twice the value.
        let scaled = backward.emit(Op::Mul, &[of(value)?, number])?;
        let doubled = backward.emit(Op::Add, &[scaled, scaled])?;
        backward.0.seed(of(value)?, doubled);
    }
    for (&value, &cotangent) in seeds.vectors.iter().zip(&vectors) {
        backward.0.seed(of(value)?, cotangent);
    }
    let logits = of(graph.logits.ok_or(ExpandError::NotAClassifier)?)?;
    let expanded = backward.finish(logits, cotangent, vec![0.0; classes])?;
    Ok(ImageGradient { expanded, rows })
}

/// Appends the backward pass of `graph` from a loss to the image; the frame is the image alone.
///
/// # Errors
/// As [`image_gradient`], or when the label does not fit.
pub fn loss_gradient(
    graph: &Graph,
    loss: Loss,
    label: &Label,
) -> Result<ImageGradient, ExpandError> {
    let ([channels, height, width], classes) = shapes(graph)?;
    let label = label.vector(classes)?;
    let mut own = Graph { name: graph.name.clone(), ..Graph::default() };
    let image = own.add_input("gradgate/frame", [1, channels, height, width]);
    let copies = copy(graph, &mut own, image)?;
    let logits = graph.logits.and_then(|id| copies[id.0 as usize]);
    let logits = logits.ok_or(ExpandError::NotAClassifier)?;
    let mut backward = Walk::begin(own, image);
    let cotangent = backward.0.loss_cotangent(loss, logits, &label)?;
    Ok(ImageGradient { expanded: backward.finish(logits, cotangent, label)?, rows: 0 })
}

/// Channels, rows and columns of the image, and the number of classes.
fn shapes(graph: &Graph) -> Result<([usize; 3], usize), ExpandError> {
    let (Some(input), Some(logits)) = (graph.input, graph.logits) else {
        return Err(ExpandError::NotAClassifier);
    };
    match (graph.shape(input), graph.shape(logits)) {
        (&[1, channels, height, width], &[1, classes]) => Ok(([channels, height, width], classes)),
        _ => Err(ExpandError::NotAClassifier),
    }
}

/// A backward pass towards the image.
struct Walk(Backward, ValueId, usize);

impl Walk {
    fn begin(graph: Graph, image: ValueId) -> Self {
        let forward_nodes = graph.nodes.len();
        Self(Backward::new(graph, &[image]), image, forward_nodes)
    }

    fn emit(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, ShapeError> {
        self.0.emit("seed", op, inputs)
    }

    fn finish(
        self,
        logits: ValueId,
        cotangent: ValueId,
        label: Vec<f32>,
    ) -> Result<Expanded, ExpandError> {
        let Self(mut backward, image, forward_nodes) = self;
        backward.walk(forward_nodes, logits, cotangent)?;
        // Where a node makes the image of the frame, its rule was given the cotangent.
        let gradient = match backward.take_sum(image)? {
            Some(gradient) => gradient,
            None => backward.cotangent_of(NodeId(0)).ok_or(ExpandError::NoTaps)?,
        };
        let (mut graph, rules) = backward.finish();
        graph.logits = Some(logits);
        Ok(Expanded {
            graph,
            forward_nodes,
            squared_norms: Vec::new(),
            activation_norms: Vec::new(),
            alignments: Vec::new(),
            penultimate: Some(gradient),
            label,
            rules,
        })
    }
}

/// Copies constants and nodes; `image` takes the place of the input. For every value its copy.
fn copy(from: &Graph, to: &mut Graph, image: ValueId) -> Result<Vec<Option<ValueId>>, ShapeError> {
    let mut copies = vec![None; from.values.len()];
    if let Some(input) = from.input {
        copies[input.0 as usize] = Some(image);
    }
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

    /// A convolution, ReLU and a product, with small numbers.
    fn network() -> Graph {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 2, 3, 2]);
        let numbers = |shape: &[usize], by: usize| {
            let n: usize = shape.iter().product();
            let data: Vec<f32> = (0..n).map(|i| (i * by % 11) as f32 / 7.0 - 0.6).collect();
            Tensor::new(shape, data)
        };
        let weight = graph.add_constant("w", numbers(&[3, 2, 1, 1], 5));
        let conv = crate::ops::Conv { strides: [1; 2], pads: [0; 4], dilations: [1; 2], groups: 1 };
        let y = graph.push("conv", Op::Conv(conv), &[image, weight]).unwrap();
        let relu = graph.push("relu", Op::Relu, &[y]).unwrap();
        let flat = graph.push("flat", Op::Reshape { shape: vec![1, 18] }, &[relu]).unwrap();
        let fc = graph.add_constant("fc", numbers(&[4, 18], 7));
        let gemm = Op::Gemm { transpose_b: true };
        graph.logits = Some(graph.push("logits", gemm, &[flat, fc]).unwrap());
        graph.parameters = vec![weight, fc];
        graph
    }

    fn image() -> Vec<f64> {
        (0..12).map(|i| f64::from(i * 5 % 12) / 12.0 + 0.03).collect()
    }

    /// The gradient beside central differences of `of`.
    fn check(program: &ImageGradient, numbers: &[f64], of: impl Fn(&[f64]) -> f64) {
        let frame = [&image()[..], numbers, &vec![9.0; 4 * program.rows]].concat();
        let frame = &frame[..12 + 4 * program.rows];
        let channelwise: Vec<f64> = match program.rows {
            0 => frame.to_vec(),
            rows => {
                let (image, below) = frame.split_at(12);
                let half = |part: &[f64], channel: usize, n: usize| {
                    part[channel * n..(channel + 1) * n].to_vec()
                };
                let of = |c| [half(image, c, 6), half(below, c, 2 * rows)].concat();
                [of(0), of(1)].concat()
            }
        };
        let values = Interp::new(&program.expanded.graph).run(&channelwise);
        let gradient = values.get(program.expanded.penultimate.unwrap());
        for at in 0..12 {
            let moved = |by: f64| {
                let mut image = image();
                image[at] += by;
                of(&image)
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((gradient[at] - slope).abs() < 1e-6, "{at}: {} and {slope}", gradient[at]);
        }
    }

    #[test]
    fn seeds_add_to_the_logits() {
        let graph = network();
        let flat = graph.nodes[2].output;
        let relu = graph.nodes[1].output;
        let seeds = Seeds { norms: vec![relu], vectors: vec![flat] };
        let program = seeded_gradient(&graph, &seeds).unwrap();
        let vector: Vec<f64> = (0..18).map(|i| f64::from(i % 5) - 2.0).collect();
        let numbers = [&[1.0, -2.0, 0.5, 3.0, 0.7], &vector[..]].concat();
        check(&program, &numbers, |image| {
            let values = Interp::new(&graph).run(image);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let logits = values.get(graph.logits.unwrap());
            let (relu, flat) = (values.get(relu), values.get(flat));
            dot(logits, &numbers[..4]) + 0.7 * dot(relu, relu) + dot(flat, &vector)
        });
    }

    #[test]
    fn a_loss_needs_no_rows() {
        let graph = network();
        let program = loss_gradient(&graph, Loss::Sigmoid, &Label::Ones).unwrap();
        check(&program, &[], |image| {
            let values = Interp::new(&graph).run(image);
            let logits = values.get(graph.logits.unwrap());
            logits.iter().map(|z| (-z).exp().ln_1p()).sum::<f64>() / 4.0
        });
    }
}
