//! One suite of cases on every executor: features agree with the f64 interpreter.

use gradgate_graph::expand::{Label, expand};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::cases;
use gradgate_tests::executor::{EngineExecutor, Executor, InterpExecutor};
use gradgate_tests::rng::Rng;

/// f32 rounding over small networks, relative to each norm, or to the largest entry of a vector.
const TOLERANCE: f64 = 2e-5;

/// Norms this far below the largest are sums of cancelled terms: held to an absolute floor.
const NORM_FLOOR: f64 = 1e-6;

/// Worst error relative to each value, values below `floor` times the largest taken as that.
fn worst(name: &str, expected: &[f64], got: &[f64], floor: f64) -> Result<f64, String> {
    if expected.len() != got.len() {
        return Err(format!("{name}: {} values, expected {}", got.len(), expected.len()));
    }
    let floor = floor * expected.iter().fold(1e-30, |a: f64, b| a.max(b.abs()));
    let error = |(e, g): (&f64, &f64)| (e - g).abs() / e.abs().max(floor);
    let errors: Vec<f64> = expected.iter().zip(got).map(error).collect();
    match errors.iter().position(|error| *error > TOLERANCE || error.is_nan()) {
        Some(i) => Err(format!("{name}[{i}]: {} expected {}", got[i], expected[i])),
        None => Ok(errors.into_iter().fold(0.0, f64::max)),
    }
}

#[test]
fn executors_agree_with_the_interpreter() {
    let executors: [&dyn Executor; 1] = [&EngineExecutor];
    let mut failures = Vec::new();
    for case in cases() {
        for label in [Label::Ones, Label::Zeros] {
            let expanded = expand(&case.graph, &label, &Taps::all()).unwrap();
            let input = case.graph.input.map(|id| case.graph.value(id).elements()).unwrap();
            let mut rng = Rng(42);
            for _ in 0..3 {
                let frame = rng.bytes(input);
                let expected = InterpExecutor.features(&expanded, &frame);
                for executor in executors {
                    let got = executor.features(&expanded, &frame);
                    let results = [
                        worst("logits", &expected.logits, &got.logits, 1.0),
                        worst(
                            "squared_norms",
                            &expected.squared_norms,
                            &got.squared_norms,
                            NORM_FLOOR,
                        ),
                        worst(
                            "activation_norms",
                            &expected.activation_norms,
                            &got.activation_norms,
                            NORM_FLOOR,
                        ),
                        worst("penultimate", &expected.penultimate, &got.penultimate, 1.0),
                    ];
                    for error in results.into_iter().filter_map(Result::err) {
                        failures.push(format!("{} on {}: {error}", case.name, executor.name()));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_parameter_of_every_case_is_a_feature() {
    for case in cases() {
        let expanded = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
        let tapped: Vec<_> = expanded.squared_norms.iter().map(|&(p, _)| p).collect();
        assert_eq!(tapped, case.graph.parameters, "{}", case.name);
    }
}
