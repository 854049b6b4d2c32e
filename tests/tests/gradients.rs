//! Gradients of whole classifiers against differences of the loss: what no rule's own test sees,
//! such as parameters with several uses, values with several readers, and taps that are left out.

use gradgate_graph::expand::{Expanded, Label, expand};
use gradgate_graph::graph::{Graph, Tensor, ValueId};
use gradgate_graph::interp::Interp;
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{cases, composed, imported};
use gradgate_tests::executor::image;
use gradgate_tests::rng::Rng;

/// Largest change of a parameter's element: small, so that hardly any unit crosses a kink, yet
/// some 10 steps of f32.
const STEP: f32 = 2e-6;

/// Of a difference, relative to the longest one in any direction; the loss itself is exact to about
/// 1e-16.
const TOLERANCE: f64 = 1e-6;

/// Mean over classes of the cross-entropy of each logit against the label 1.
fn loss(graph: &Graph, image: &[f64]) -> f64 {
    let values = Interp::new(graph).run(image);
    let logits = values.get(graph.logits.unwrap());
    let single = if logits.len() == 1 { 0.5 } else { 1.0 };
    let one = |z: &f64| (1.0 + (-z).exp()).ln() + (1.0 - single) * z;
    logits.iter().map(one).sum::<f64>() / logits.len() as f64
}

/// The graph with one parameter moved, and the parameter as it is then, rounded.
fn moved(graph: &Graph, parameter: ValueId, by: &[f32]) -> (Graph, Vec<f32>) {
    let mut graph = graph.clone();
    let value = &mut graph.values[parameter.0 as usize];
    let old = value.constant.as_ref().unwrap();
    let data: Vec<f32> = old.data.iter().zip(by).map(|(x, by)| x + by).collect();
    value.constant = Some(Tensor::new(old.shape.clone(), data.clone()));
    (graph, data)
}

/// The gradient whose norm is a feature.
fn gradient(expanded: &Expanded, norm: ValueId, image: &[f64]) -> Vec<f64> {
    let node = expanded.graph.nodes.iter().find(|node| node.output == norm).unwrap();
    Interp::new(&expanded.graph).run(image).get(node.inputs[0]).to_vec()
}

#[test]
fn gradients_of_all_cases_match_differences_of_the_loss() {
    let mut failures = Vec::new();
    for case in cases().into_iter().chain(imported()).chain(composed()) {
        let expanded = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
        let elements = case.graph.value(case.graph.input.unwrap()).elements();
        let mut rng = Rng(9);
        let image = image(&expanded, &rng.bytes(elements));
        for &(parameter, norm) in &expanded.squared_norms {
            let gradient = gradient(&expanded, norm, &image);
            let direction: Vec<f32> = gradient.iter().map(|_| rng.unit() * STEP).collect();
            let back: Vec<f32> = direction.iter().map(|x| -x).collect();
            let (up, high) = moved(&case.graph, parameter, &direction);
            let (down, low) = moved(&case.graph, parameter, &back);
            let numeric = loss(&up, &image) - loss(&down, &image);
            let change: Vec<f64> =
                high.iter().zip(&low).map(|(h, l)| f64::from(*h) - f64::from(*l)).collect();
            let rule: f64 = change.iter().zip(&gradient).map(|(c, g)| c * g).sum();
            let scale = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let error = (numeric - rule).abs() / (scale(&change) * scale(&gradient)).max(1e-12);
            if error > TOLERANCE || error.is_nan() {
                let name = &case.graph.value(parameter).name;
                failures.push(format!("{}, {name}: rule {rule}, loss {numeric}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
