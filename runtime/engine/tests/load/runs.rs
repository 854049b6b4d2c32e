//! A sound plan's values, run errors, and NaN at every boundary.

use gradgate_bundle::Bundle;
use gradgate_engine::{Engine, Frame, RunError, Written};

use crate::net::*;

#[test]
fn a_sound_plan_gives_the_right_features() {
    let bytes = Net::new().bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
    assert_eq!((engine.arena_elements(), engine.frame_length()), (25, 4));
    let mut arena = [f32::NAN; 30];
    let x = [51.0, 102.0, 0.0, 255.0].map(|v| v / 255.0);
    let from_bytes = {
        let f = engine.run(Frame::U8(&[51, 102, 0, 255]), &mut arena).unwrap();
        // One output block of width 3: [ky][kx][ci][3].
        for (o, logit) in f.logits.iter().enumerate() {
            let expected: f64 = (0..4).map(|t| f64::from(x[t] * WEIGHTS[t * 3 + o])).sum();
            assert!((f64::from(*logit) - expected).abs() < 1e-6, "{logit} {expected}");
        }
        let g = f.logits.iter().map(|z| 1.0 / (1.0 + (-f64::from(*z)).exp()) - 1.0);
        let bias: f64 = g.map(|g| g * g).sum();
        let norm: f64 = x.iter().map(|x| f64::from(x * x)).sum();
        let close = |a: f32, b: f64| assert!((f64::from(a) - b).abs() < 1e-6 * b, "{a} {b}");
        close(f.squared_norms[0], bias * norm);
        close(f.squared_norms[1], bias);
        close(f.activation_norms[0], f.logits.iter().map(|z| f64::from(z * z)).sum());
        assert!(f.penultimate.is_empty());
        assert_eq!((f.squared_norms.len(), f.activation_norms.len()), (2, 1));
        f.squared_norms.to_vec()
    };
    let from_floats = engine.run(Frame::F32(&x), &mut arena).unwrap();
    assert_eq!(from_floats.squared_norms, from_bytes);
    let judged = engine.judge(Frame::F32(&x), &mut arena).unwrap();
    assert!(judged.1.is_none() && judged.0.squared_norms == from_bytes);
}

#[test]
fn wrong_frame_and_arena_lengths_are_run_errors() {
    let bytes = Net::new().bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
    let error = engine.run(Frame::U8(&[0; 3]), &mut [0.0; 25]).unwrap_err();
    assert_eq!(error, RunError::Frame { expected: 4, found: 3 });
    let error = engine.run(Frame::F32(&[0.0; 4]), &mut [0.0; 24]).unwrap_err();
    assert_eq!(error, RunError::Arena { expected: 25, found: 24 });
}

#[test]
fn nan_at_every_boundary_reaches_a_result_unless_dead() {
    let bytes = Net::new().bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
    let frame = Frame::U8(&[51, 102, 7, 255]);
    let mut arena = [0.0; 25];
    let mut boundaries = Vec::new();
    let collect = |step: usize, what: Written, values: &mut [f32]| {
        boundaries.push((step, what, values.len()));
    };
    let clean = format!("{:?}", engine.run_observed(frame, &mut arena, collect).unwrap());
    let steps = |wanted: usize| boundaries.iter().filter(|b| b.0 == wanted).count();
    assert_eq!([steps(0), steps(LAYER_NORM), steps(WEIGHT_NORM)], [1, 1, 3]);
    for &(step, what, length) in &boundaries {
        for i in 0..length {
            let mut arena = [0.0; 25];
            let inject = |s: usize, w: Written, values: &mut [f32]| {
                if (s, w) == (step, what) {
                    values[i] = f32::NAN;
                }
            };
            let found = format!("{:?}", engine.run_observed(frame, &mut arena, inject).unwrap());
            // Scratch and the two copies are dead once written.
            let dead = step >= PAD || what == Written::Operand(6);
            assert_eq!(found.contains("NaN"), !dead, "{step} {what:?} {i}");
            assert!(!dead || found == clean, "{step} {what:?} {i}");
        }
    }
}
