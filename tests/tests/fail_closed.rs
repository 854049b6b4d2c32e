//! A value that is not finite, at any tensor boundary, never passes.
//!
//! After every step, NaN and both infinities are put into the first, middle and last value of
//! everything
//! that the step wrote. A value that nothing reads any more is dead: it must leave the score's
//! bits as
//! they were.

use gradgate_bundle::Bundle;
use gradgate_engine::{Engine, Frame, Written};
use gradgate_gate::{Limits, Verdict, decide};
use gradgate_graph::expand::{Label, expand_aligned};
use gradgate_graph::taps::Taps;
use gradgate_tests::cases::{cases, references};
use gradgate_tests::compile_judged;
use gradgate_tests::rng::Rng;

const BAD: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// A boundary: what a step wrote, and where in it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Boundary {
    step: usize,
    written: Written,
    index: usize,
}

fn boundaries(engine: &Engine<'_>, frame: &[u8], arena: &mut [f32]) -> Vec<Boundary> {
    let mut found = Vec::new();
    let note = |step, written, values: &mut [f32]| {
        for index in [0, values.len() / 2, values.len() - 1] {
            found.push(Boundary { step, written, index });
        }
    };
    engine.run_observed(Frame::U8(frame), arena, note).unwrap();
    found.dedup();
    found
}

/// Verdict and the score's bits with `bad` at one boundary.
fn judge(
    engine: &Engine<'_>,
    frame: &[u8],
    arena: &mut [f32],
    place: Option<(Boundary, f32)>,
) -> (Verdict, Option<u32>) {
    let inject = |step, written, values: &mut [f32]| match place {
        Some((b, bad)) if (b.step, b.written) == (step, written) => values[b.index] = bad,
        _ => {}
    };
    let (_, judgement) = engine.judge_observed(Frame::U8(frame), arena, inject).unwrap();
    let judgement = judgement.expect("a detector");
    let limits = Limits::from(engine.bundle().header().detector.as_ref().expect("a detector"));
    (decide(&judgement, &limits), judgement.ok().map(|seen| seen.score.to_bits()))
}

#[test]
fn a_value_that_is_not_finite_never_passes() {
    let (mut tried, mut dead) = (0, 0);
    for case in cases() {
        let references = references(&case.graph);
        let expanded =
            expand_aligned(&case.graph, &Label::Ones, &Taps::all(), &references).unwrap();
        let elements = case.graph.input.map(|id| case.graph.value(id).elements()).unwrap();
        let mut rng = Rng(5);
        let frames: Vec<Vec<u8>> = (0..300).map(|_| rng.bytes(elements)).collect();
        let bytes = compile_judged(&expanded, &frames);
        let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
        let mut arena = vec![0.0; engine.arena_elements()];
        let passes = |frame: &&Vec<u8>| judge(&engine, frame, &mut arena, None).0 == Verdict::Pass;
        let frame = frames.iter().find(passes).expect("some frame passes");
        let (_, clean) = judge(&engine, frame, &mut arena, None);
        for boundary in boundaries(&engine, frame, &mut arena) {
            for bad in BAD {
                let (verdict, score) = judge(&engine, frame, &mut arena, Some((boundary, bad)));
                tried += 1;
                if verdict == Verdict::Pass {
                    dead += 1;
                    assert_eq!(score, clean, "{}: {bad} at {boundary:?} passes", case.name);
                }
            }
        }
    }
    println!("{tried} injections, {dead} of them into dead values");
    assert!(
        dead * 5 < tried,
        "{dead} of {tried} injections had no effect: the test looks elsewhere"
    );
}
