//! The f32 engine against float64 features on real networks, with ReLU kinks in mind.
//!
//! Two legitimate f32 orders can put a unit near zero on different sides. So: the median over
//! frames of the
//! worst relative error is at most 1e-5, at least 29 of 32 frames are within 1e-4, and every other
//! frame shows such a unit and agrees within 1e-4 once the interpreter is given the engine's signs.

use gradgate_bundle::Bundle;
use gradgate_engine::{Engine, Frame};
use gradgate_graph::expand::{Expanded, Label, expand};
use gradgate_graph::graph::ValueId;
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::interp::{Interp, Masks};
use gradgate_graph::ops::Op;
use gradgate_graph::taps::Taps;
use gradgate_tests::executor::run_engine;
use gradgate_tests::reference::Reference;
use gradgate_tests::{Compiled, compile, shared};

fn worst(expected: &[f64], got: &[f64]) -> f64 {
    let error = |(e, g): (&f64, &f64)| (e - g).abs() / e.abs();
    expected.iter().zip(got).map(error).fold(0.0, f64::max)
}

/// Relu outputs of the engine, from a plan in which every tensor keeps its place.
fn engine_relus(expanded: &Expanded, kept: &Compiled, frame: &[u8]) -> Vec<(ValueId, Vec<f32>)> {
    let engine = Engine::load(Bundle::parse(&kept.bytes).unwrap()).unwrap();
    let mut arena = vec![0.0; kept.plan.arena_elements];
    engine.run(Frame::U8(frame), &mut arena).unwrap();
    let relus = expanded.graph.nodes.iter().filter(|n| n.op == Op::Relu).map(|n| n.output);
    relus
        .map(|value| {
            let tensor = kept.schedule.values.iter().find(|v| v.0 == value).unwrap().1;
            let (offset, n) =
                (kept.plan.offsets[tensor.0].unwrap(), kept.schedule.tensors[tensor.0].elements);
            let shape = expanded.graph.shape(value);
            let (channels, pixels) = (shape[1], n / shape[1]);
            let at = |i: usize| arena[offset + i % pixels * channels + i / pixels];
            (value, (0..n).map(at).collect())
        })
        .collect()
}

fn check(name: &str) {
    let Some(model) = shared(&format!("models/{name}.onnx")) else { return };
    let Some(file) = shared(&format!("models/{name}.reference.safetensors")) else { return };
    let reference = Reference::read(&file);
    let imported = import_file(&model, &ImportOptions::default()).unwrap();
    let expanded = expand(&imported.graph, &Label::Ones, &Taps::all()).unwrap();
    let (compiled, kept) = (compile(&expanded, false), compile(&expanded, true));
    let interp = Interp::new(&expanded.graph);
    let mut errors = Vec::new();
    let mut beyond = 0;
    for (index, frame) in reference.frames.iter().enumerate() {
        let got = run_engine(&compiled, frame);
        assert_eq!(
            got,
            run_engine(&kept, frame),
            "{name} frame {index}: a plan must not change a bit"
        );
        let error = worst(&reference.squared_norms[index], &got.squared_norms);
        errors.push(error);
        if error <= 1e-4 {
            continue;
        }
        beyond += 1;
        let values = interp.run(&reference.images[index]);
        let mut masks = Masks::new();
        let mut kinks = 0;
        for (value, engine) in engine_relus(&expanded, &kept, frame) {
            let own = values.get(value);
            let largest = own.iter().fold(0.0, |a: f64, &b| a.max(b));
            let flipped = |(e, o): (&f32, &f64)| (*e > 0.0) != (*o > 0.0);
            for (e, o) in engine.iter().zip(own).filter(|&pair| flipped(pair)) {
                assert!(
                    f64::from(*e).max(*o) <= 1e-6 * largest,
                    "{name} frame {index}: {e} against {o}"
                );
                kinks += 1;
            }
            masks.insert(value, engine.iter().map(|&x| x > 0.0).collect());
        }
        let masked = interp.features(&expanded, &reference.images[index], &masks);
        let again = worst(&masked.squared_norms, &got.squared_norms);
        println!(
            "{name} frame {index}: {error:.2e}, {kinks} kinks, {again:.2e} with the engine's signs"
        );
        assert!(kinks > 0 && again <= 1e-4, "{name} frame {index}: no kink explains {error:.2e}");
    }
    errors.sort_by(f64::total_cmp);
    let median = (errors[errors.len() / 2 - 1] + errors[errors.len() / 2]) / 2.0;
    println!(
        "{name}: median of worst relative errors {median:.2e}, {beyond} of {} beyond 1e-4",
        errors.len()
    );
    assert!(median <= 1e-5, "{name}: median {median:.2e}");
    assert!(errors.len() - beyond >= 29, "{name}: {beyond} frames beyond 1e-4");
}

#[test]
fn resnet20_agrees_with_float64() {
    check("resnet20");
}

#[test]
fn resnet8_agrees_with_float64() {
    check("resnet8");
}
