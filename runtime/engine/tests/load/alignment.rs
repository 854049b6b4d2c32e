//! A step that reads a feature: refused before the feature is written, right behind it.

use gradgate_bundle::Bundle;
use gradgate_bundle::op::{ConvAlignmentParams, NONE, OpCode};
use gradgate_engine::{Engine, Frame, LoadError};
use zerocopy::{FromZeros, IntoBytes};

use crate::net::*;

/// Features of the sound plan: norms of weight and bias, the logits' norm, then the alignment.
const WEIGHT: u16 = 0;
const LOGITS_NORM: u16 = 2;
const COSINE: u16 = 3;

/// The sound plan with an alignment of the convolution's weight that runs as step `place` and
/// divides by the root of feature `norm`. References are the first values of the weight.
fn aligned(norm: u16, place: usize) -> Net {
    let mut net = Net::new();
    let mut params = ConvAlignmentParams::new_zeroed();
    (params.conv, params.classes) = (net.conv, 3.into());
    (params.norm, params.feature) = (norm.into(), COSINE.into());
    let first = net.tensors.len() as u16;
    net.tensors.extend([blob(0, 9), blob(0, 12), in_arena(13, 1)]);
    let operands = vec![X, G, first, first + 1, LOGITS, first + 2];
    net.extra = Some((OpCode::ConvAlignment, params.as_bytes().to_vec(), operands));
    (net.extra_place, net.alignments) = (place, "w");
    net.layout.arena_elements = 26;
    net
}

fn refusal(norm: u16, place: usize) -> LoadError {
    let bytes = aligned(norm, place).bytes();
    Engine::load(Bundle::parse(&bytes).unwrap()).expect_err("the plan was accepted")
}

#[test]
fn a_feature_that_is_read_before_it_is_written_is_refused() {
    // Right before the step that writes it.
    let step = WEIGHT_NORM;
    let unwritten = |feature: u16| LoadError::FeatureUnwritten { step, feature: feature.into() };
    assert_eq!(refusal(WEIGHT, step), unwritten(WEIGHT));
    // Its own, one beyond the schema, none at all; whatever else has been written by then.
    for feature in [COSINE, COSINE + 1, NONE] {
        assert_eq!(refusal(feature, step), unwritten(feature));
        let after = LoadError::FeatureUnwritten { step: 8, feature: feature.into() };
        assert_eq!(refusal(feature, 8), after);
    }
    let text = unwritten(WEIGHT).to_string();
    assert_eq!(text, "step 5: feature 0 is read before it is written");
}

#[test]
fn a_feature_that_is_read_after_it_is_written_divides() {
    let x = [51.0, 102.0, 0.0, 255.0].map(|v: f64| v / 255.0);
    // Behind the weight's norm, whatever runs in between; a layer's norm is a feature, too.
    let cases = [(WEIGHT, WEIGHT_NORM + 1), (WEIGHT, 8), (LOGITS_NORM, WEIGHT_NORM)];
    for (norm, place) in cases {
        let bytes = aligned(norm, place).bytes();
        let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
        let mut arena = [f32::NAN; 26];
        let found = engine.run(Frame::U8(&[51, 102, 0, 255]), &mut arena).unwrap();
        let logits = found.logits.iter().map(|z| f64::from(*z));
        let class = logits.clone().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
        let g: Vec<f64> = logits.map(|z| 1.0 / (1.0 + (-z).exp()) - 1.0).collect();
        let row = |length: usize| WEIGHTS[class * length..][..length].iter().copied();
        let dot = |row: &mut dyn Iterator<Item = f32>, values: &[f64]| -> f64 {
            row.zip(values).map(|(a, b)| f64::from(a) * b).sum()
        };
        let product = dot(&mut row(3), &g) * dot(&mut row(4), &x);
        let square = match norm {
            WEIGHT => found.squared_norms[0],
            _ => found.activation_norms[0],
        };
        let expected = product / f64::from(square).sqrt();
        let cosine = f64::from(found.alignments[0]);
        // f32 against f64 over sums of four terms.
        assert!((cosine - expected).abs() < 1e-6 * expected.abs(), "{norm} {place}: {cosine}");
    }
}
