//! Every refusal of the loader, by name.

use gradgate_bundle::Bundle;
use gradgate_bundle::op::{Activation, NONE};
use gradgate_bundle::shape::ShapeError;
use gradgate_engine::{Engine, Frame, LoadError, OperandFault};

use crate::net::*;

/// The loader's refusal after a change of the sound plan.
fn refusal(change: impl FnOnce(&mut Net)) -> LoadError {
    let mut net = Net::new();
    change(&mut net);
    let bytes = net.bytes();
    Engine::load(Bundle::parse(&bytes).unwrap()).expect_err("the plan was accepted")
}

fn operand(step: usize, place: usize, fault: OperandFault) -> LoadError {
    LoadError::Operand { step, place, fault }
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let error = refusal(|n| n.conv.output[0] = 2.into());
    assert_eq!(error, LoadError::Parameters { step: CONV, error: ShapeError::Geometry });
    let error = refusal(|n| n.unary.kind = 77.into());
    assert_eq!(error, LoadError::Parameters { step: UNARY, error: ShapeError::Number });
    let error = refusal(|n| n.pad.y_offset = 3.into());
    assert_eq!(error, LoadError::Parameters { step: PAD, error: ShapeError::Box });
    let error = refusal(|n| n.norm.method = 1.into());
    assert_eq!(error, LoadError::Parameters { step: WEIGHT_NORM, error: ShapeError::Method });
    let error = refusal(|n| n.conv.activation = 99.into());
    assert_eq!(error, LoadError::Parameters { step: CONV, error: ShapeError::Number });
    let error = refusal(|n| n.binary.dims[0] = 0.into());
    assert_eq!(error, LoadError::Parameters { step: BINARY, error: ShapeError::Zero });
}

/// The feature's absence is the whole difference: `cargo test --no-default-features`.
#[test]
fn functions_are_refused_by_name_where_the_engine_lacks_them() {
    for kind in [Activation::Exp, Activation::HardSwish, Activation::Pow] {
        let mut net = Net::new();
        net.unary.kind = (kind as u32).into();
        let bytes = net.bytes();
        let loaded = Engine::load(Bundle::parse(&bytes).unwrap());
        if cfg!(feature = "functions") {
            assert!(loaded.is_ok(), "{kind:?}: {:?}", loaded.err());
            continue;
        }
        let error = loaded.expect_err("no such kernel");
        assert_eq!(error, LoadError::Function { step: UNARY, kind });
        assert!(error.to_string().contains(&format!("{kind:?}")), "{error}");
    }
}

#[test]
fn another_frame_shape_is_refused() {
    let error = refusal(|n| (n.preprocess.height, n.preprocess.width) = (1.into(), 4.into()));
    assert_eq!(error, LoadError::FrameShape { step: 0 });
}

#[test]
fn a_missing_operand_is_refused() {
    let error = refusal(|n| n.operands[CONV][1] = NONE);
    assert_eq!(error, operand(CONV, 1, OperandFault::Missing));
    let error = refusal(|n| n.norm.scale = 2.into());
    assert_eq!(error, operand(WEIGHT_NORM, 4, OperandFault::Missing));
}

#[test]
fn a_surplus_operand_is_refused() {
    let error = refusal(|n| n.operands[UNARY].push(X));
    assert_eq!(error, operand(UNARY, 2, OperandFault::Surplus));
}

#[test]
fn a_wrong_operand_length_is_refused() {
    let error = refusal(|n| n.tensors[usize::from(W)] = blob(0, 11));
    assert_eq!(error, operand(CONV, 1, OperandFault::Length));
    let error = refusal(|n| n.operands[BINARY][1] = W);
    assert_eq!(error, operand(BINARY, 1, OperandFault::Length));
}

#[test]
fn a_weight_that_is_no_constant_is_refused() {
    let error = refusal(|n| {
        n.tensors.push(in_arena(13, 12));
        n.operands[CONV][1] = 8;
    });
    assert_eq!(error, operand(CONV, 1, OperandFault::Weight));
}

#[test]
fn a_result_in_the_blobs_is_refused() {
    let error = refusal(|n| n.operands[UNARY][1] = ONES);
    assert_eq!(error, operand(UNARY, 1, OperandFault::ReadOnly));
}

#[test]
fn a_result_on_its_own_input_is_refused() {
    let error = refusal(|n| n.operands[UNARY][1] = LOGITS);
    assert_eq!(error, operand(UNARY, 1, OperandFault::InPlace));
    let error = refusal(|n| n.tensors[usize::from(SIGMOID)] = in_arena(5, 3));
    assert_eq!(error, LoadError::Overlap { first: LOGITS.into(), second: SIGMOID.into() });
}

#[test]
fn reading_before_writing_is_refused() {
    let error = refusal(|n| n.order.swap(3, 4));
    assert_eq!(error, operand(3, 0, OperandFault::Unwritten));
    let error = refusal(|n| n.order.swap(0, 1));
    assert_eq!(error, operand(0, 0, OperandFault::Unwritten));
}

#[test]
fn a_partial_copy_before_a_full_write_is_refused() {
    let error = refusal(|n| n.order = vec![0, 1, 2, 3, 4, 5, PATCH]);
    assert_eq!(error, operand(6, 1, OperandFault::Unwritten));
}

#[test]
fn sharing_memory_while_alive_is_refused() {
    let error = refusal(|n| n.tensors[usize::from(SCRATCH)] = in_arena(12, 9));
    assert_eq!(error, LoadError::Overlap { first: G.into(), second: SCRATCH.into() });
    // Logits live to the end, whether a step still reads them or not.
    let error = refusal(|n| n.tensors[usize::from(PADDED)] = in_arena(2, 5));
    assert_eq!(error, LoadError::Overlap { first: LOGITS.into(), second: PADDED.into() });
}

#[test]
fn sharing_memory_with_the_features_is_refused() {
    let error = refusal(|n| n.tensors[usize::from(SCRATCH)] = in_arena(14, 9));
    assert_eq!(error, LoadError::FeatureOverlap { tensor: SCRATCH.into() });
}

#[test]
fn an_unknown_or_repeated_feature_is_refused() {
    let error = refusal(|n| n.norm.bias = 3.into());
    assert_eq!(error, LoadError::Feature { step: WEIGHT_NORM, feature: 3 });
    let error = refusal(|n| n.norm.bias = 2.into());
    assert_eq!(error, LoadError::Feature { step: WEIGHT_NORM, feature: 2 });
}

#[test]
fn a_feature_that_nobody_writes_is_refused() {
    assert_eq!(refusal(|n| n.norm.bias = NONE.into()), LoadError::FeaturesMissing);
}

#[test]
fn a_layout_that_contradicts_the_schema_is_refused() {
    let layout = |change: fn(&mut Net)| match refusal(change) {
        LoadError::Layout(what) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(layout(|n| n.layout.logits = X), "the logits are not one per class");
    assert_eq!(layout(|n| n.layout.logits = ONES), "the logits lie outside the arena");
    assert_eq!(layout(|n| n.penultimate = 4), "the penultimate vector has no tensor");
    assert_eq!(
        layout(|n| (n.penultimate, n.layout.penultimate) = (5, X)),
        "the penultimate vector has another length"
    );
    assert_eq!(layout(|n| n.classes = 0), "there are no classes");
    assert_eq!(
        layout(|n| {
            n.tensors.push(in_arena(0, 3));
            n.layout.logits = 8;
        }),
        "the logits are never written"
    );
}

#[test]
fn the_penultimate_vector_lives_to_the_end() {
    let mut net = Net::new();
    (net.penultimate, net.layout.penultimate) = (4, X);
    let bytes = net.bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
    let mut arena = [0.0; 25];
    let features = engine.run(Frame::F32(&[0.1, 0.2, 0.3, 0.4]), &mut arena).unwrap();
    assert_eq!(features.penultimate, [0.1, 0.2, 0.3, 0.4]);
    let error = refusal(|n| {
        (n.penultimate, n.layout.penultimate) = (4, X);
        n.tensors[usize::from(PADDED)] = in_arena(0, 4);
        n.pad.y_elements = 4.into();
        n.patch.y_elements = 4.into();
    });
    assert_eq!(error, LoadError::Overlap { first: X.into(), second: PADDED.into() });
}
