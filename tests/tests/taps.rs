//! What late taps cost on a real network: backpropagation stops at the deepest one.

use gradgate_bundle::op::OpCode;
use gradgate_frame::Preprocessing;
use gradgate_graph::cost::{MacBudget, Macs};
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::graph::Graph;
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::lower::{Products, lower};
use gradgate_graph::taps::Taps;
use gradgate_graph::taps::depth::choose;
use gradgate_tests::shared;

/// Multiply-adds of one 3 x 3 convolution of the last stage: 8 x 8 pixels, 64 to 64 channels.
const LAST_STAGE: u64 = 64 * 9 * 64 * 64;

fn resnet20() -> Option<Graph> {
    let model = shared("models/resnet20.onnx")?;
    Some(import_file(&model, &ImportOptions::default()).unwrap().graph)
}

#[test]
fn backpropagation_stops_at_the_deepest_tap() {
    let Some(graph) = resnet20() else { return };
    // Five convolutions lie behind the first of the last stage, then the product (64 x 10).
    for (taps, gradients) in [
        ("linear.*", 0),
        ("layer3.2.conv2.weight,linear.*", 0),
        ("layer3.2.conv1.weight,linear.*", 1),
        ("layer3.*,linear.*", 5),
    ] {
        let expanded = expand(&graph, &Label::Ones, &Taps::parse(taps)).unwrap();
        let schedule = lower(&expanded, &Preprocessing::default()).unwrap();
        let large = schedule
            .steps
            .iter()
            .filter(|step| step.opcode == OpCode::ConvInputGradient && step.macs >= LAST_STAGE);
        assert_eq!(large.count(), gradients, "{taps}");
        let backward = Macs::of(&schedule).backward;
        let product = backward - gradients as u64 * LAST_STAGE;
        assert!(product <= 64 * 10, "{taps}: {product} more");
    }
}

#[test]
fn the_last_third_costs_one_and_a_half_forward_passes() {
    let Some(graph) = resnet20() else { return };
    // The norms of scales need the whole weight gradient, or the kept product; without either the
    // others go by pixel Grams where that is less.
    for (taps, products, most) in [
        ("layer3.*,linear.*,!*.bn?.weight", Products::Dropped, 1.5),
        ("layer3.*,linear.*", Products::Kept, 1.5),
        // Five input gradients and six direct norms, the first of them of half the channels.
        ("layer3.*,linear.*", Products::Dropped, 1.62),
    ] {
        let macs = Macs::with_taps(&graph, &Taps::parse(taps), &[], products).unwrap();
        let factor = macs.factor();
        eprintln!("{taps}, products {products:?}: {factor:.3} x forward");
        // The five input gradients alone are 1.29.
        assert!(factor > 1.29 && factor <= most, "{taps}: {macs:?}");
    }
}

#[test]
fn one_and_a_half_forward_passes_reach_into_the_last_stage() {
    let Some(graph) = resnet20() else { return };
    let chosen = choose(&graph, MacBudget::Forward(1.5), &[], Products::Dropped).unwrap();
    let deepest = chosen.deepest.expect("some layer");
    assert!(deepest.starts_with("layer3.") || deepest.starts_with("layer2."), "{deepest}");
    let factor = chosen.macs.factor();
    eprintln!("1.5 x forward: from {deepest}, {factor:.3} x");
    assert!(factor <= 1.5);
}
