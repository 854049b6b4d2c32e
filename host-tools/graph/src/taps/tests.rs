//! Layers, budgets and descriptions on a small network whose costs are counted by hand.

use super::depth::{ChoiceError, Kind, additions, candidates, choose, layers};
use super::{Taps, describe, glob};
use crate::alignment::Reference;
use crate::cost::{MacBudget, Macs};
use crate::graph::{Graph, Tensor, ValueId};
use crate::lower::Products;
use crate::ops::{Conv, Op};

/// 2 x 4 x 4 image; two residual blocks of a 3 x 3 convolution with normalisation; a product with
/// bias. Multiply-adds: 4 x 4 x 9 x 2 x 2 = 576 each convolution, 32 x 3 = 96 the product.
fn network() -> Graph {
    let mut graph = Graph::default();
    let mut x = graph.add_input("image", [1, 1, 4, 4]);
    x = graph.push("double", Op::Concat { axis: 1 }, &[x, x]).unwrap();
    for block in ["layer1.conv", "layer2.conv"] {
        let conv = Conv { strides: [1, 1], pads: [1; 4], dilations: [1, 1], groups: 1 };
        let weight = Tensor::new([2, 2, 3, 3], vec![0.1; 36]);
        let w = parameter(&mut graph, &format!("{block}.weight"), weight);
        let y = graph.push(block, Op::Conv(conv), &[x, w]).unwrap();
        let norm = block.replace("conv", "bn");
        let mut inputs = vec![y];
        for part in ["weight", "bias"] {
            let tensor = Tensor::new([2], vec![1.0; 2]);
            inputs.push(parameter(&mut graph, &format!("{norm}.{part}"), tensor));
        }
        for part in ["mean", "variance"] {
            inputs.push(graph.add_constant(part, Tensor::new([2], vec![1.0; 2])));
        }
        let y = graph.push(&norm, Op::BatchNorm { epsilon: 1e-5 }, &inputs).unwrap();
        let y = graph.push("relu", Op::Relu, &[y]).unwrap();
        x = graph.push("add", Op::Add, &[x, y]).unwrap();
    }
    let flat = graph.push("flat", Op::Reshape { shape: vec![1, 32] }, &[x]).unwrap();
    let w = parameter(&mut graph, "fc.weight", Tensor::new([3, 32], vec![0.1; 96]));
    let logits = graph.push("product", Op::Gemm { transpose_b: true }, &[flat, w]).unwrap();
    let b = parameter(&mut graph, "fc.bias", Tensor::new([3], vec![0.0; 3]));
    graph.logits = Some(graph.push("logits", Op::Add, &[logits, b]).unwrap());
    graph
}

fn parameter(graph: &mut Graph, name: &str, tensor: Tensor) -> ValueId {
    let id = graph.add_constant(name, tensor);
    graph.parameters.push(id);
    id
}

fn costs(graph: &Graph, taps: &Taps) -> Macs {
    Macs::with_taps(graph, taps, &[], Products::Dropped).unwrap()
}

fn names(graph: &Graph, parameters: &[ValueId]) -> String {
    let names: Vec<&str> = parameters.iter().map(|&p| graph.value(p).name.as_str()).collect();
    names.join(" ")
}

#[test]
fn a_layer_is_a_product_with_what_follows_it() {
    let graph = network();
    let found: Vec<(String, String)> = layers(&graph)
        .iter()
        .map(|layer| (layer.name.clone(), names(&graph, &layer.parameters)))
        .collect();
    let layer = |name: &str, parameters: &str| (name.to_owned(), parameters.to_owned());
    let wanted = [
        layer("layer1.conv", "layer1.conv.weight layer1.bn.weight layer1.bn.bias"),
        layer("layer2.conv", "layer2.conv.weight layer2.bn.weight layer2.bn.bias"),
        layer("fc", "fc.weight fc.bias"),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn kinds_by_table() {
    let graph = network();
    let layers = layers(&graph);
    for (kind, wanted) in [
        (Kind::All, "layer2.conv.weight layer2.bn.weight layer2.bn.bias fc.weight fc.bias"),
        (Kind::WithoutScales, "layer2.conv.weight layer2.bn.bias fc.weight fc.bias"),
        (Kind::Weights, "layer2.conv.weight fc.weight"),
        (Kind::Normalisation, "layer2.bn.weight layer2.bn.bias"),
        (Kind::Shifts, "layer2.bn.bias fc.bias"),
    ] {
        assert_eq!(names(&graph, &kind.select(&graph, &layers[1..])), wanted);
    }
}

#[test]
fn budgets_choose_the_largest_suffix() {
    let graph = network();
    let forward = 2 * 576 + 96;
    // The product's norm is a Gram one (32 squares); then each layer adds its norms, and each but
    // the deepest an input gradient.
    let (head, last) = (forward + 32, forward + 32 + 96 + 576);
    let all = last + 576 + 576;
    let cases = [
        (MacBudget::MultiplyAdds(forward), None, forward),
        (MacBudget::Forward(1.0), None, forward),
        (MacBudget::MultiplyAdds(head), Some("fc"), head),
        (MacBudget::MultiplyAdds(last - 1), Some("fc"), head),
        (MacBudget::MultiplyAdds(last), Some("layer2.conv"), last),
        (MacBudget::MultiplyAdds(all - 1), Some("layer2.conv"), last),
        (MacBudget::MultiplyAdds(all), Some("layer1.conv"), all),
        (MacBudget::Forward(10.0), Some("layer1.conv"), all),
    ];
    for (budget, deepest, total) in cases {
        let chosen = choose(&graph, budget, &[], Products::Dropped).unwrap();
        assert_eq!(chosen.deepest.as_deref(), deepest, "{budget}");
        assert_eq!(chosen.macs.total(), total, "{budget}");
        assert_eq!(chosen.taps.forward_only(), deepest.is_none());
        // The choice is exactly its explicit list.
        assert_eq!(chosen.macs, costs(&graph, &chosen.taps));
    }
    let less = MacBudget::MultiplyAdds(forward - 1);
    let error = choose(&graph, less, &[], Products::Dropped).unwrap_err();
    assert_eq!(error, ChoiceError::Budget { limit: forward - 1, forward });
    assert!(error.to_string().contains(&format!("the smallest budget is {forward}")), "{error}");
}

/// A direction for a weight of `network`, the same for each of the three classes.
fn reference(name: &str, outputs: usize, inputs: usize) -> Reference {
    let row = |length: usize| [vec![1.0], vec![0.0; length - 1]].concat();
    let rows = |length: usize| row(length).repeat(3);
    Reference { parameter: name.into(), u: rows(outputs), v: rows(inputs) }
}

#[test]
fn a_budget_counts_the_alignments_of_its_layers() {
    let graph = network();
    let references = [reference("layer2.conv.weight", 2, 18), reference("fc.weight", 3, 32)];
    // As above; of a convolution one output channel more, of the product one row and the weights.
    let forward = 2 * 576 + 96;
    let (product, conv) = (32 + 3, 16 * 18 + 16 * 2);
    let (head, last) = (forward + 32 + product, forward + 32 + product + 96 + 576 + conv);
    for (limit, deepest, total) in [
        (head - 1, None, forward),
        (head, Some("fc"), head),
        (last - 1, Some("fc"), head),
        (last, Some("layer2.conv"), last),
    ] {
        let budget = MacBudget::MultiplyAdds(limit);
        let chosen = choose(&graph, budget, &references, Products::Dropped).unwrap();
        assert_eq!((chosen.deepest.as_deref(), chosen.macs.total()), (deepest, total), "{limit}");
    }
}

#[test]
fn backpropagation_stops_at_the_deepest_tap() {
    let graph = network();
    for (taps, backward, norms) in [
        ("fc.*", 0, 32),
        ("layer2.*", 96, 576),
        ("layer2.bn.bias", 96, 0),
        ("layer1.conv.weight", 96 + 576, 576),
        ("none", 0, 0),
    ] {
        let macs = costs(&graph, &Taps::parse(taps));
        assert_eq!((macs.backward, macs.norms), (backward, norms), "{taps}");
    }
}

#[test]
fn descriptions_read_back() {
    let graph = network();
    let layers = layers(&graph);
    let wanted = [
        (Kind::All, 0, "*"),
        (Kind::All, 1, "layer2.*,fc.*"),
        (Kind::All, 2, "fc.*"),
        (Kind::All, 3, "none"),
        (Kind::Shifts, 1, "layer2.bn.bias,fc.bias"),
        (Kind::Normalisation, 0, "layer1.bn.*,layer2.bn.*"),
    ];
    for (kind, from, wanted) in wanted {
        let selected = kind.select(&graph, &layers[from..]);
        let text = describe(&graph, &selected);
        assert_eq!(text, wanted);
        for taps in [Taps::parse(&text), Taps::exactly(&graph, &selected)] {
            let back: Vec<ValueId> =
                graph.parameters.iter().copied().filter(|&p| taps.selects(&graph, p)).collect();
            assert_eq!(back, selected, "{text}");
        }
    }
}

#[test]
fn globs() {
    let cases = [
        ("*", "", true),
        ("layer3.*", "layer3.0.conv1.weight", true),
        ("layer3.*", "layer2.0.conv1.weight", false),
        ("*.weight", "bn1.weight", true),
        ("*bn?.bias", "layer1.0.bn2.bias", true),
        ("a*b*c", "a-b-b-d", false),
        ("a*b*c", "a-b-b-c", true),
        ("conv1.weight", "conv1.weight2", false),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }
}

#[test]
fn candidates_are_every_suffix_of_every_kind_once() {
    let graph = network();
    let found: Vec<(String, String)> = candidates(&graph, 24)
        .iter()
        .map(|c| (c.name.clone(), describe(&graph, &c.parameters)))
        .collect();
    let candidate = |name: &str, taps: &str| (name.to_owned(), taps.to_owned());
    let wanted = [
        candidate("forward only", "none"),
        candidate("from fc", "fc.*"),
        candidate("from fc, weights", "fc.weight"),
        candidate("from fc, shifts", "fc.bias"),
        candidate("from layer2.conv", "layer2.*,fc.*"),
        candidate("from layer2.conv, without scales", "layer2.conv.*,layer2.bn.bias,fc.*"),
        candidate("from layer2.conv, weights", "layer2.conv.*,fc.weight"),
        candidate("from layer2.conv, normalisation", "layer2.bn.*"),
        candidate("from layer2.conv, shifts", "layer2.bn.bias,fc.bias"),
        candidate("from layer1.conv", "*"),
        candidate(
            "from layer1.conv, without scales",
            "layer1.conv.*,layer1.bn.bias,layer2.conv.*,layer2.bn.bias,fc.*",
        ),
        candidate("from layer1.conv, weights", "layer1.conv.*,layer2.conv.*,fc.weight"),
        candidate("from layer1.conv, normalisation", "layer1.bn.*,layer2.bn.*"),
        candidate("from layer1.conv, shifts", "layer1.bn.bias,layer2.bn.bias,fc.bias"),
    ];
    assert_eq!(found, wanted);
    let ends: Vec<String> =
        candidates(&graph, 2).iter().map(|c| c.name.clone()).filter(|n| !n.contains(',')).collect();
    assert_eq!(ends, ["forward only", "from fc", "from layer1.conv"]);
    // Of three layers each kind that it holds, apart.
    assert_eq!(additions(&graph, 24).len(), 3 + 5 + 5);
}
