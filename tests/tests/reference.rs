//! The interpreter against float64 automatic differentiation on networks that nobody here trained.

use gradgate_graph::expand::{Label, expand};
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::interp::{Choices, Interp};
use gradgate_graph::taps::Taps;
use gradgate_tests::reference::Reference;
use gradgate_tests::shared;

fn check(name: &str, parameters: usize) {
    let Some(model) = shared(&format!("models/{name}.onnx")) else { return };
    let Some(file) = shared(&format!("models/{name}.reference.safetensors")) else { return };
    let reference = Reference::read(&file);
    let imported = import_file(&model, &ImportOptions::default()).unwrap();
    let expanded = expand(&imported.graph, &Label::Ones, &Taps::all()).unwrap();
    let names: Vec<&str> = expanded
        .squared_norms
        .iter()
        .map(|&(p, _)| expanded.graph.value(p).name.as_str())
        .collect();
    assert_eq!(names, reference.parameters);
    assert_eq!(names.len(), parameters);
    let interp = Interp::new(&expanded.graph);
    let mut worst = 0.0_f64;
    for (frame, image) in reference.images.iter().enumerate() {
        let features = interp.features(&expanded, image, &Choices::new());
        let pairs = features.squared_norms.iter().zip(&reference.squared_norms[frame]);
        let logits = features.logits.iter().zip(&reference.logits[frame]);
        for (got, expected) in pairs.chain(logits) {
            worst = worst.max((got - expected).abs() / expected.abs());
        }
    }
    println!("{name}: worst relative error {worst:.3e} over {} frames", reference.images.len());
    assert!(worst <= 1e-9, "{name}: worst relative error {worst:.3e}");
}

#[test]
fn resnet20_matches_to_1e_9() {
    check("resnet20", 59);
}

#[test]
fn resnet8_matches_to_1e_9() {
    check("resnet8", 34);
}
