//! One suite of cases on every executor: features agree with the f64 interpreter.

use gradgate_bundle::op::{ConvWeightNormParams, OpCode};
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_graph::alignment::weights;
use gradgate_graph::expand::{Expanded, Label, expand, expand_aligned};
use gradgate_graph::interp::Features;
use gradgate_graph::schedule::Schedule;
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{Case, cases, composed, imported, references};
#[cfg(feature = "tract")]
use gradgate_tests::executor::TractExecutor;
use gradgate_tests::executor::{
    EngineExecutor, Executor, InterpExecutor, KeptExecutor, VectorExecutor, run_engine,
    run_engine_with,
};
use gradgate_tests::rng::Rng;
use gradgate_tests::{Compiled, compile, compile_kept};

/// Vector kernels fall back to the scalar ones where there is no instruction set.
const EXECUTORS: &[&dyn Executor] = &[
    &EngineExecutor,
    &KeptExecutor,
    &VectorExecutor(Numerics::Exact),
    &VectorExecutor(Numerics::Fast),
    #[cfg(feature = "tract")]
    &TractExecutor,
];

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

/// Cosines are relative to 1, save where the gradient itself is a sum of cancelled terms.
fn cosines(expected: &Features, got: &Features) -> Result<f64, String> {
    let with_one = |cosines: &[f64]| [cosines, &[1.0]].concat();
    worst("alignments", &with_one(&expected.alignments), &with_one(&got.alignments), 1.0)
}

/// What differs between the executors and the interpreter on some frames.
fn differences(expanded: &Expanded, frames: &[Vec<u8>]) -> Vec<String> {
    let expected = InterpExecutor.of_frames(expanded, frames);
    let of = |executor: &&dyn Executor| {
        let got = executor.of_frames(expanded, frames);
        assert_eq!(got.len(), frames.len(), "{}", executor.name());
        let pairs = expected.iter().zip(&got);
        let errors: Vec<String> = pairs.flat_map(|(e, g)| difference(e, g)).collect();
        let name = executor.name();
        errors.into_iter().map(move |error| format!("{name}: {error}"))
    };
    EXECUTORS.iter().flat_map(of).collect()
}

/// What differs on one frame.
fn difference(e: &Features, g: &Features) -> impl Iterator<Item = String> {
    let results = [
        worst("logits", &e.logits, &g.logits, 1.0),
        worst("squared_norms", &e.squared_norms, &g.squared_norms, NORM_FLOOR),
        worst("activation_norms", &e.activation_norms, &g.activation_norms, NORM_FLOOR),
        worst("penultimate", &e.penultimate, &g.penultimate, 1.0),
        cosines(e, g),
    ];
    results.into_iter().filter_map(Result::err)
}

fn elements(case: &Case) -> usize {
    case.graph.input.map(|id| case.graph.value(id).elements()).unwrap()
}

#[test]
fn executors_agree_with_the_interpreter() {
    let mut failures = Vec::new();
    for case in cases().into_iter().chain(imported()).chain(composed()) {
        for label in [Label::Ones, Label::Zeros] {
            let references = references(&case.graph);
            let expanded = expand_aligned(&case.graph, &label, &Taps::all(), &references).unwrap();
            let mut rng = Rng(42);
            let frames: Vec<Vec<u8>> = (0..3).map(|_| rng.bytes(elements(&case))).collect();
            let found = differences(&expanded, &frames);
            failures.extend(found.into_iter().map(|error| format!("{}: {error}", case.name)));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_instruction_set_gives_the_scalar_bits() {
    for case in cases() {
        let references = references(&case.graph);
        let expanded = expand_aligned(&case.graph, &Label::Ones, &Taps::all(), &references);
        let compiled = compile(&expanded.unwrap(), false);
        let frame = Rng(17).bytes(elements(&case));
        let expected = run_engine(&compiled, &frame);
        for isa in Isa::available() {
            let found = run_engine_with(&compiled, &frame, Some(isa), Numerics::Exact);
            assert_eq!(found, expected, "{}: {}", case.name, isa.name());
        }
    }
}

/// Methods of a schedule's weight norms: 0 direct, 1 Gram of one pixel, 2 Gram of pixels.
fn norm_methods(schedule: &Schedule) -> Vec<u8> {
    let at = std::mem::offset_of!(ConvWeightNormParams, method);
    let norms = schedule.steps.iter().filter(|step| step.opcode == OpCode::ConvWeightNorm);
    norms.map(|step| step.params[at]).collect()
}

/// The cases meant for it have norms by Gram matrices of pixels: what agrees above was computed so.
#[test]
fn few_pixels_take_the_pixel_gram() {
    let pixel_grams = |name: &str, compile: fn(&Expanded) -> Compiled| {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let expanded = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
        let compiled = compile(&expanded);
        let methods = norm_methods(&compiled.schedule);
        (methods.iter().filter(|&&method| method == 2).count(), compiled.schedule.macs())
    };
    assert_eq!(pixel_grams("few pixels", |e| compile(e, false)).0, 3);
    let (dropped, more) = pixel_grams("few pixels, normalised", |e| compile(e, false));
    let (kept, fewer) = pixel_grams("few pixels, normalised", compile_kept);
    assert_eq!((dropped, kept), (0, 2));
    assert!(fewer < more, "{fewer} {more}");
}

/// Backpropagation stops and fuses elsewhere for every selection; the numbers stay.
#[test]
fn a_parameter_alone_has_the_norm_that_it_has_among_all() {
    let mut failures = Vec::new();
    for case in cases() {
        let frame = Rng(5).bytes(elements(&case));
        let all = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
        let norms = InterpExecutor.features(&all, &frame).squared_norms;
        let mut check = |tap: &str, expected: &[f64]| {
            let some = expand(&case.graph, &Label::Ones, &Taps::parse(tap)).unwrap();
            let got = InterpExecutor.features(&some, &frame).squared_norms;
            let mut found = differences(&some, std::slice::from_ref(&frame));
            found.extend(worst("interp", expected, &got, NORM_FLOOR).err());
            let name = case.name;
            failures.extend(found.into_iter().map(|error| format!("{name}, tap {tap}: {error}")));
        };
        for (&(parameter, _), norm) in all.squared_norms.iter().zip(norms) {
            check(&case.graph.value(parameter).name, &[norm]);
        }
        check("none", &[]);
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// An alignment reads a norm and moves no other feature.
#[test]
fn alignments_change_no_other_feature() {
    let mut aligned = 0;
    for case in cases() {
        let frame = Rng(6).bytes(elements(&case));
        let plain = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
        let references = references(&case.graph);
        let more = expand_aligned(&case.graph, &Label::Ones, &Taps::all(), &references).unwrap();
        assert_eq!(more.alignments.len(), weights(&case.graph).len(), "{}", case.name);
        aligned += more.alignments.len();
        let without = EngineExecutor.features(&plain, &frame);
        let with = EngineExecutor.features(&more, &frame);
        let bound = 1.0 + 1e-5;
        assert!(with.alignments.iter().all(|cosine| cosine.abs() <= bound), "{}", case.name);
        assert_eq!(Features { alignments: vec![], ..with }, without, "{}", case.name);
    }
    assert!(aligned > 80, "{aligned}");
}

#[test]
fn every_parameter_of_every_case_is_a_feature() {
    for case in cases() {
        let expanded = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
        let tapped: Vec<_> = expanded.squared_norms.iter().map(|&(p, _)| p).collect();
        assert_eq!(tapped, case.graph.parameters, "{}", case.name);
    }
}
