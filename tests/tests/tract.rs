//! The tract executor fails closed and says what it cannot do, as the engine does.
#![cfg(feature = "tract")]

use gradgate_bundle::Bundle;
use gradgate_engine::detector::evaluate;
use gradgate_engine::{Engine, Frame};
use gradgate_gate::{Limits, Verdict, decide};
use gradgate_graph::expand::{Expanded, Label, expand, expand_aligned};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{Case, cases, references};
use gradgate_tests::executor::{EngineExecutor, Executor, TractExecutor, tract_model};
use gradgate_tests::rng::Rng;
use gradgate_tests::{compile, compile_judged};
use gradgate_tract::{TractError, TractModel};

/// A component's level rises by straight lines between the quantiles of a hundred frames, some of
/// which nearly coincide: there a difference of 1e-7 in a feature moves the score by up to 7e-3, in
/// the engine's fast numerics too.
const SCORE_TOLERANCE: f32 = 5e-2;
/// Elsewhere scores move as features do.
const MEDIAN_TOLERANCE: f32 = 1e-5;

/// A frame of values in 0..1 that bytes would give.
fn unit(frame: &[u8]) -> Vec<f32> {
    frame.iter().map(|v| f32::from(*v) / 255.0).collect()
}

/// A case with every feature that there is.
fn aligned(case: &Case) -> Expanded {
    expand_aligned(&case.graph, &Label::Ones, &Taps::all(), &references(&case.graph)).unwrap()
}

/// What a model runs: operations by name.
fn operations(expanded: &Expanded) -> Vec<String> {
    let compiled = compile(expanded, false);
    tract_model(&compiled, &[]).nodes().map(|(op, _)| op).collect()
}

#[test]
fn scores_agree_with_the_engine_and_bad_frames_never_pass() {
    let mut errors = Vec::new();
    for case in cases() {
        let expanded = aligned(&case);
        let elements = case.graph.input.map(|id| case.graph.value(id).elements()).unwrap();
        let mut rng = Rng(5);
        let frames: Vec<Vec<u8>> = (0..300).map(|_| rng.bytes(elements)).collect();
        let bytes = compile_judged(&expanded, &frames);
        let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
        let limits = Limits::from(engine.bundle().header().detector.as_ref().unwrap());
        let mut arena = vec![0.0; engine.arena_elements()];
        let model = TractModel::load(engine.clone()).unwrap();
        let mut session = model.session().unwrap();
        let mut scratch = vec![0.0; engine.arena_elements()];
        for frame in frames.iter().take(5) {
            let expected = engine.judge(Frame::U8(frame), &mut arena).unwrap().1.unwrap().unwrap();
            let (features, found) = session.judge(Frame::U8(frame)).unwrap();
            let again = evaluate(engine.detector().unwrap(), &features.input(), &mut scratch);
            assert_eq!(found.unwrap(), again, "{}", case.name);
            let found = again.unwrap();
            assert_eq!(found.class, expected.class, "{}", case.name);
            let error = (found.score - expected.score).abs() / expected.score.abs().max(1.0);
            assert!(error <= SCORE_TOLERANCE, "{}: {found:?}, engine {expected:?}", case.name);
            errors.push(error);
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for index in [0, elements / 2, elements - 1] {
                let mut frame = unit(&frames[0]);
                frame[index] = bad;
                let (_, judgement) = session.judge(Frame::F32(&frame)).unwrap();
                let verdict = decide(&judgement.unwrap(), &limits);
                let engine = engine.judge(Frame::F32(&frame), &mut arena).unwrap().1.unwrap();
                // A pool with a stride may leave out a pixel: then the engine judges the frame too.
                let read = engine.is_err();
                assert!(!read || verdict != Verdict::Pass, "{}: {bad} at {index}", case.name);
            }
        }
    }
    errors.sort_by(f32::total_cmp);
    let median = errors[errors.len() / 2];
    assert!(median <= MEDIAN_TOLERANCE, "{median:.2e}");
}

#[test]
fn a_frame_of_another_length_is_refused() {
    let case = cases().into_iter().next().unwrap();
    let expanded = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
    let compiled = compile(&expanded, false);
    let engine = Engine::load(Bundle::parse(&compiled.bytes).unwrap()).unwrap();
    let model = TractModel::load(engine).unwrap();
    let mut session = model.session().unwrap();
    let found = session.run(Frame::U8(&[1, 2, 3]));
    assert!(matches!(found, Err(TractError::Frame { found: 3, .. })), "{found:?}");
}

/// Convolutions are tract's own, forward and backward, and none of them writes its input out once
/// a tap.
#[test]
fn no_operation_expands_its_input() {
    for case in cases() {
        let found = operations(&aligned(&case));
        let expands = |op: &&String| op.starts_with("Deconv") || *op == "Im2col";
        assert_eq!(found.iter().find(expands), None, "{}: {found:?}", case.name);
        let convolves = |op: &String| op.contains("MatMul") || op.ends_with("Conv");
        assert!(found.iter().any(convolves), "{}: {found:?}", case.name);
    }
}

/// The suite compares cosines with the interpreter's; here they are known to be computed, in every
/// weight that can be aligned.
#[test]
fn alignments_agree_with_the_engine() {
    let mut compared = 0;
    for case in cases() {
        let expanded = aligned(&case);
        let found = operations(&expanded);
        let count = found.iter().filter(|op| *op == "ConvAlignment").count();
        assert_eq!(count, expanded.alignments.len(), "{}: {found:?}", case.name);
        let elements = case.graph.input.map(|id| case.graph.value(id).elements()).unwrap();
        let frame = Rng(8).bytes(elements);
        let ours = EngineExecutor.features(&expanded, &frame).alignments;
        let theirs = TractExecutor.features(&expanded, &frame).alignments;
        assert_eq!(ours.len(), theirs.len(), "{}", case.name);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).abs() <= 2e-5, "{}: {theirs}, engine {ours}", case.name);
        }
        compared += ours.iter().filter(|cosine| cosine.abs() > 1e-3).count();
    }
    assert!(compared > 80, "{compared}");
}
