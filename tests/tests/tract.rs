//! The tract executor fails closed and says what it cannot do, as the engine does.
#![cfg(feature = "tract")]

use gradgate_bundle::Bundle;
use gradgate_engine::{Engine, Frame};
use gradgate_gate::{Limits, Verdict, decide};
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::cases;
use gradgate_tests::compile_judged;
use gradgate_tests::rng::Rng;
use gradgate_tract::{TractError, TractModel};

/// A frame of values in 0..1 that bytes would give.
fn unit(frame: &[u8]) -> Vec<f32> {
    frame.iter().map(|v| f32::from(*v) / 255.0).collect()
}

#[test]
fn scores_agree_with_the_engine_and_bad_frames_never_pass() {
    for case in cases() {
        let expanded = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
        let elements = case.graph.input.map(|id| case.graph.value(id).elements()).unwrap();
        let mut rng = Rng(5);
        let frames: Vec<Vec<u8>> = (0..300).map(|_| rng.bytes(elements)).collect();
        let bytes = compile_judged(&expanded, &frames);
        let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
        let limits = Limits::from(engine.bundle().header().detector.as_ref().unwrap());
        let mut arena = vec![0.0; engine.arena_elements()];
        let model = TractModel::load(engine.clone()).unwrap();
        let mut session = model.session().unwrap();
        for frame in frames.iter().take(5) {
            let expected = engine.judge(Frame::U8(frame), &mut arena).unwrap().1.unwrap().unwrap();
            let (_, found) = session.judge(Frame::U8(frame)).unwrap();
            let found = found.unwrap().unwrap();
            assert_eq!(found.class, expected.class, "{}", case.name);
            let error = (found.score - expected.score).abs() / expected.score.abs().max(1.0);
            assert!(error <= 1e-3, "{}: {found:?}, engine {expected:?}", case.name);
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
}

#[test]
fn a_frame_of_another_length_is_refused() {
    let case = cases().into_iter().next().unwrap();
    let expanded = expand(&case.graph, &Label::Ones, &Taps::all()).unwrap();
    let compiled = gradgate_tests::compile(&expanded, false);
    let engine = Engine::load(Bundle::parse(&compiled.bytes).unwrap()).unwrap();
    let model = TractModel::load(engine).unwrap();
    let mut session = model.session().unwrap();
    let found = session.run(Frame::U8(&[1, 2, 3]));
    assert!(matches!(found, Err(TractError::Frame { found: 3, .. })), "{found:?}");
    assert!(model.nodes().any(|(op, _)| op.contains("MatMul") || op.contains("Conv")));
}
