//! Where detectors of others look into a network: the one rule for all of them.
//!
//! Lee et al. (2018) read their ResNets after the stem and after each stage, and their DenseNet
//! after the stem, before each down-sampling and at the end. In terms of a graph: the first
//! activation, the last one at each spatial size, and so the very last. A ResNet of n stages gives
//! n + 1 blocks, a DenseNet of three dense blocks gives 4.

use gradgate_graph::graph::{Graph, Node, NodeId, ValueId};
use gradgate_graph::ops::{Function, Op};
use gradgate_graph::taps;

use crate::baseline::Rows;
use crate::classifier::logits_of;
use crate::error::LabError;

/// Values that detectors read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// `[n, classes]`
    pub logits: ValueId,
    /// What the last layer turns into logits, `[n, d]`, where a product of a vector does that.
    pub penultimate: Option<ValueId>,
    /// Outputs of blocks, `[n, C, H, W]`, from the image to the logits; the penultimate vector
    /// alone in a network without spatial activations.
    pub blocks: Vec<ValueId>,
}

/// The last layer: `logits = weights * penultimate + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// `[classes][d]`
    pub weights: Rows,
    /// One per class.
    pub bias: Vec<f64>,
}

impl Layers {
    /// The layers of a classifier.
    ///
    /// # Errors
    /// When it has no logits.
    pub fn of(graph: &Graph) -> Result<Self, LabError> {
        let logits = logits_of(graph)?;
        let penultimate = taps::penultimate(graph);
        let mut blocks = blocks(graph);
        if blocks.is_empty() {
            blocks.extend(penultimate);
        }
        Ok(Self { logits, penultimate, blocks })
    }
}

/// The first spatial activation, and the last one at each spatial size.
fn blocks(graph: &Graph) -> Vec<ValueId> {
    let activations = activations(graph);
    let size = |id: ValueId| &graph.shape(id)[2..];
    let is_last = |place: usize| {
        let later = &activations[place + 1..];
        !later.iter().any(|&other| size(other) == size(activations[place]))
    };
    let ends = |&(place, _): &(usize, &ValueId)| place == 0 || is_last(place);
    activations.iter().enumerate().filter(ends).map(|(_, &value)| value).collect()
}

/// Outputs of activations over more than one pixel, in graph order. What gates a channel (squeeze
/// and excitation) has one pixel and is none of them. Where a network has channels last (ConvNeXt),
/// its axes are taken for channels first all the same.
fn activations(graph: &Graph) -> Vec<ValueId> {
    let consumers = graph.consumers();
    let mut activations = Vec::new();
    for node in &graph.nodes {
        if !is_activation(&node.op) {
            continue;
        }
        let value = gated(graph, &consumers, node);
        let spatial = matches!(graph.shape(value), [_, _, h, w] if h * w > 1);
        if spatial && !activations.contains(&value) {
            activations.push(value);
        }
    }
    activations
}

/// The other functions are parts of normalisations, norms and losses.
fn is_activation(op: &Op) -> bool {
    match op {
        Op::Relu | Op::LeakyRelu { .. } | Op::Clip { .. } | Op::Sigmoid => true,
        Op::Function(function) => !matches!(
            function,
            Function::Exp | Function::Log | Function::Sqrt | Function::Pow { .. }
        ),
        _ => false,
    }
}

/// SiLU, hard swish and GELU written out are a gate times its own input: the activation is the
/// product.
fn gated(graph: &Graph, consumers: &[Vec<NodeId>], node: &Node) -> ValueId {
    let mut value = node.output;
    while let [NodeId(only)] = consumers[value.0 as usize][..] {
        let next = &graph.nodes[only as usize];
        let same_shape = graph.shape(next.output) == graph.shape(node.output);
        if !(matches!(next.op, Op::Mul | Op::Div) && same_shape) {
            break;
        }
        value = next.output;
    }
    value
}

impl Head {
    /// The last layer of a classifier.
    ///
    /// # Errors
    /// When something else than a bias stands between the product and the logits.
    pub fn of(graph: &Graph) -> Result<Self, LabError> {
        let refused = || {
            LabError::Model(format!(
                "model `{}`: the logits are not a product plus a bias, so the last layer's \
                 weights are unknown; leave out the detectors that read them (fdbd, vim)",
                graph.name
            ))
        };
        let producers = graph.producers();
        let mut value = logits_of(graph)?;
        let mut bias = vec![0.0; graph.value(value).elements()];
        loop {
            let node = producers[value.0 as usize].ok_or_else(refused)?;
            let node = &graph.nodes[node.0 as usize];
            match node.op {
                Op::Gemm { transpose_b } => {
                    let weights = weights(graph, node, transpose_b).ok_or_else(refused)?;
                    add_constant(graph, node.inputs.get(2), &mut bias).ok_or_else(refused)?;
                    return Ok(Self { weights, bias });
                }
                Op::Add => {
                    let is_frame = |id: &&ValueId| graph.value(**id).is_frame();
                    let (frames, constants): (Vec<_>, Vec<_>) =
                        node.inputs.iter().partition(is_frame);
                    add_constant(graph, constants.first().copied(), &mut bias)
                        .ok_or_else(refused)?;
                    let [only] = frames[..] else { return Err(refused()) };
                    value = *only;
                }
                Op::Reshape { .. } => value = node.inputs[0],
                _ => return Err(refused()),
            }
        }
    }
}

fn weights(graph: &Graph, node: &Node, transpose_b: bool) -> Option<Rows> {
    let tensor = graph.value(*node.inputs.get(1)?).constant.as_ref()?;
    let &[first, second] = &tensor.shape[..] else { return None };
    let at = |index: usize| f64::from(tensor.data[index]);
    let values = match transpose_b {
        true => (0..first * second).map(at).collect(),
        false => (0..first * second).map(|i| at(i % first * second + i / first)).collect(),
    };
    (first * second > 0).then(|| Rows::new(if transpose_b { second } else { first }, values))
}

/// Adds a constant, one for all classes or one a class; none is zero.
fn add_constant(graph: &Graph, id: Option<&ValueId>, bias: &mut [f64]) -> Option<()> {
    let Some(id) = id else { return Some(()) };
    let tensor = graph.value(*id).constant.as_ref()?;
    let fits = tensor.data.len() == 1 || tensor.data.len() == bias.len();
    let of = |class: usize| f64::from(tensor.data[class % tensor.data.len()]);
    fits.then(|| bias.iter_mut().enumerate().for_each(|(class, b)| *b += of(class)))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use gradgate_graph::graph::Tensor;
    use gradgate_graph::import::import_file;

    use super::*;

    fn family(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
        folder.join(format!("families/{name}.onnx"))
    }

    fn check(path: &Path, width: Option<usize>, blocks: &[[usize; 3]]) {
        let graph = import_file(path, &Default::default()).expect("a model").graph;
        let layers = Layers::of(&graph).expect("layers");
        let shapes: Vec<&[usize]> = layers.blocks.iter().map(|&id| &graph.shape(id)[1..]).collect();
        assert_eq!(shapes, blocks, "{}", path.display());
        let penultimate = layers.penultimate.map(|id| graph.shape(id)[1]);
        assert_eq!(penultimate, width, "{}", path.display());
        if let Some(width) = width {
            let head = Head::of(&graph).expect("a last layer");
            assert_eq!(head.weights.width(), width, "{}", path.display());
            assert_eq!(head.weights.len(), head.bias.len(), "{}", path.display());
        }
    }

    #[test]
    fn blocks_end_where_the_spatial_size_changes() {
        for (name, width, blocks) in [
            ("resnet.dynamo", 16, vec![[6, 8, 8], [6, 8, 8], [16, 4, 4]]),
            ("densenet.torchscript", 12, vec![[6, 8, 8], [12, 4, 4], [12, 2, 2]]),
            ("mobilenet_v2.dynamo", 8, vec![[6, 8, 8], [12, 8, 8], [16, 4, 4]]),
            ("mobilenet_v3.dynamo", 8, vec![[8, 8, 8], [16, 8, 8], [16, 4, 4]]),
            ("efficientnet.torchscript", 8, vec![[8, 8, 8], [16, 4, 4]]),
            ("efficientnet.dynamo", 8, vec![[8, 8, 8], [16, 4, 4]]),
            ("shufflenet_v2.dynamo", 16, vec![[6, 8, 8], [4, 4, 4], [6, 2, 2]]),
        ] {
            check(&family(name), Some(width), &blocks);
        }
    }

    #[test]
    fn networks_for_cifar_have_a_stem_and_three_stages() {
        let blocks = [[16, 32, 32], [16, 32, 32], [32, 16, 16], [64, 8, 8]];
        for name in ["resnet20", "resnet20-folded", "resnet8"] {
            let Some(path) = gradgate_tests::shared(&format!("models/{name}.onnx")) else { return };
            check(&path, Some(64), &blocks);
        }
    }

    #[test]
    fn without_spatial_activations_the_penultimate_vector_is_the_only_block() {
        let graph = import_file(&family("vit.dynamo"), &Default::default()).unwrap().graph;
        let layers = Layers::of(&graph).unwrap();
        assert_eq!(layers.blocks, [layers.penultimate.unwrap()]);
        let path = family("squeezenet.dynamo");
        let graph = import_file(&path, &Default::default()).unwrap().graph;
        assert_eq!(Layers::of(&graph).unwrap().penultimate, None);
        assert!(Head::of(&graph).unwrap_err().to_string().contains("fdbd"));
    }

    /// `logits = [1, 2] w + b`, the weight as ONNX's MatMul has it.
    #[test]
    fn weights_are_read_class_by_class() {
        let mut graph = Graph::default();
        let image = graph.add_input("image", [1, 2, 1, 1]);
        let flat = Op::Reshape { shape: vec![1, 2] };
        let flat = graph.push("flat", flat, &[image]).unwrap();
        let w = Tensor::new([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let w = graph.add_constant("w", w);
        let product = Op::Gemm { transpose_b: false };
        let product = graph.push("product", product, &[flat, w]).unwrap();
        let b = graph.add_constant("b", Tensor::new([3], vec![0.5, 0.25, 0.0]));
        let once = graph.push("once", Op::Add, &[b, product]).unwrap();
        graph.logits = Some(graph.push("twice", Op::Add, &[once, b]).unwrap());
        let head = Head::of(&graph).unwrap();
        assert_eq!(head.weights, Rows::new(2, vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
        assert_eq!(head.bias, [1.0, 0.5, 0.0]);
    }
}
