//! Expansion of small classifiers, and what it refuses.

use super::*;
use crate::interp::Interp;

/// `image -> Gemm(w) -> Relu -> [made] -> Gemm(v) -> logits`; v and w are tapped.
fn classifier(made: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Graph {
    let mut graph = Graph::default();
    let image = graph.add_input("image", [1, 1, 2, 2]);
    let constant = |graph: &mut Graph, name| {
        graph.add_constant(name, Tensor::new([4, 4], (0..16).map(|i| i as f32).collect::<Vec<_>>()))
    };
    let (w, v) = (constant(&mut graph, "w"), constant(&mut graph, "v"));
    let gemm = Op::Gemm { transpose_b: true };
    let flat = graph.push("flat", Op::Reshape { shape: vec![1, 4] }, &[image]).unwrap();
    let hidden = graph.push("hidden", gemm.clone(), &[flat, w]).unwrap();
    let hidden = graph.push("relu", Op::Relu, &[hidden]).unwrap();
    let made = made(&mut graph, hidden);
    graph.logits = Some(graph.push("logits", gemm, &[made, v]).unwrap());
    graph.parameters = vec![w, v];
    graph
}

fn error(graph: &Graph, label: &Label, taps: &str) -> Option<ExpandError> {
    expand(graph, label, &Taps::parse(taps)).err()
}

#[test]
fn a_missing_rule_is_refused_by_name_where_it_lies_on_the_way_to_a_tap() {
    let graph = classifier(|graph, x| graph.push("mask", Op::SigmoidGradient, &[x, x]).unwrap());
    let missing = ExpandError::MissingGradient { node: "mask".into(), op: "SigmoidGradient" };
    for taps in ["", "w", "w,v"] {
        assert_eq!(error(&graph, &Label::Ones, taps), Some(missing.clone()), "{taps}");
    }
    assert_eq!(error(&graph, &Label::Ones, "v"), None);
    assert_eq!(error(&graph, &Label::Ones, "none"), None);
    let text = missing.to_string();
    assert!(["mask", "SigmoidGradient", "--taps"].iter().all(|s| text.contains(s)), "{text}");
}

#[test]
fn a_weight_of_an_input_gradient_has_no_rule() {
    let op = Op::GemmInputGradient { transpose_b: true };
    let graph = classifier(|graph, x| {
        let w = graph.nodes[1].inputs[1];
        graph.push("second order", op, &[x, w]).unwrap()
    });
    let missing =
        ExpandError::MissingGradient { node: "second order".into(), op: "GemmInputGradient" };
    assert_eq!(error(&graph, &Label::Ones, ""), Some(missing));
    assert_eq!(error(&graph, &Label::Ones, "v"), None);
}

#[test]
fn labels_are_checked() {
    let graph = classifier(|_, x| x);
    for (label, fits) in [
        (vec![0.0, 1.0, 0.5, -1.0], true),
        (vec![1.0; 3], false),
        (vec![1.0; 5], false),
        (vec![], false),
        (vec![1.0, f32::NAN, 0.0, 0.0], false),
        (vec![1.0, f32::INFINITY, 0.0, 0.0], false),
    ] {
        let found = error(&graph, &Label::Custom(label.clone()), "");
        assert_eq!(!matches!(found, Some(ExpandError::Label(_))), fits, "{label:?}");
    }
    assert_eq!(Label::Ones.vector(3), Ok(vec![1.0; 3]));
    assert_eq!(Label::Ones.vector(1), Ok(vec![0.5]));
    assert_eq!(Label::Zeros.vector(2), Ok(vec![0.0; 2]));
}

/// The loss, from the logits, beside the gradient of the last weight: `cotangent x hidden`.
#[test]
fn the_softmax_loss_is_differentiated_from_any_label() {
    let graph = classifier(|_, x| x);
    let image = [0.01, -0.02, 0.005, 0.01];
    for label in [vec![1.0; 4], vec![0.0, 1.0, 0.0, 0.0], vec![0.0, 2.0, 0.5, 1.0]] {
        let expanded =
            expand_loss(&graph, Loss::Softmax, &Label::Custom(label.clone()), &Taps::parse("v"))
                .unwrap();
        let values = Interp::new(&expanded.graph).run(&image);
        let logits = values.get(expanded.graph.logits.unwrap()).to_vec();
        let loss = |logits: &[f64]| {
            let total = logits.iter().map(|z| z.exp()).sum::<f64>().ln();
            label.iter().zip(logits).map(|(c, z)| f64::from(*c) * (total - z)).sum::<f64>()
        };
        let slope = |class: usize| {
            let moved = |by: f64| {
                let mut moved = logits.clone();
                moved[class] += by;
                loss(&moved)
            };
            (moved(1e-5) - moved(-1e-5)) / 2e-5
        };
        let hidden = values.get(graph.nodes[3].inputs[0]);
        let square = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>();
        let slopes: Vec<f64> = (0..4).map(slope).collect();
        let wanted = square(&slopes) * square(hidden);
        let found = values.get(expanded.squared_norms[0].1)[0];
        assert!((found - wanted).abs() < 1e-7 * wanted, "{label:?}: {found} {wanted}");
    }
}

#[test]
fn without_a_tap_or_a_classifier_there_is_nothing_to_expand() {
    let graph = classifier(|_, x| x);
    assert_eq!(error(&graph, &Label::Ones, "nothing.*"), Some(ExpandError::NoTaps));
    assert_eq!(error(&graph, &Label::Ones, "!*"), Some(ExpandError::NoTaps));
    let mut unreached = graph.clone();
    let far = unreached.add_constant("far", Tensor::scalar(1.0));
    unreached.parameters.push(far);
    assert_eq!(error(&unreached, &Label::Ones, "far"), Some(ExpandError::NoTaps));
    let forward = expand(&graph, &Label::Ones, &Taps::none()).unwrap();
    assert!(forward.squared_norms.is_empty() && forward.rules.is_empty());
    for change in [|g: &mut Graph| g.logits = None, |g: &mut Graph| g.input = None] {
        let mut other = graph.clone();
        change(&mut other);
        assert_eq!(error(&other, &Label::Ones, ""), Some(ExpandError::NotAClassifier));
    }
    let mut image = graph.clone();
    image.logits = image.input;
    assert_eq!(error(&image, &Label::Ones, ""), Some(ExpandError::NotAClassifier));
}

#[test]
fn backpropagation_stops_at_the_deepest_tap() {
    let graph = classifier(|_, x| x);
    let names = |taps: &str| -> Vec<&str> {
        let expanded = expand(&graph, &Label::Ones, &Taps::parse(taps)).unwrap();
        let backward = &expanded.graph.nodes[expanded.forward_nodes..];
        backward.iter().map(|node| node.op.name()).filter(|n| n.contains("Grad")).collect()
    };
    assert_eq!(names("v"), ["GemmWeightGradient"]);
    let all = ["GemmInputGradient", "GemmWeightGradient", "ReluGradient", "GemmWeightGradient"];
    assert_eq!(names("w,v"), all);
    assert_eq!(names("w"), ["GemmInputGradient", "ReluGradient", "GemmWeightGradient"]);
}
