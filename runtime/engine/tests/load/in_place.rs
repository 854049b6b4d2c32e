//! A result that takes an input's interval: what the loader accepts and what it refuses.

use gradgate_bundle::Bundle;
use gradgate_bundle::op::*;
use gradgate_engine::{Engine, Frame, LoadError, OperandFault};
use zerocopy::{FromZeros, IntoBytes};

use crate::net::*;

/// The first tensor that a test adds.
const Y: u16 = 8;
const FRAME: [f32; 4] = [0.1, 0.2, 0.3, 0.4];

/// The features of the changed plan, or its refusal.
fn outcome(change: impl FnOnce(&mut Net)) -> Result<Vec<f32>, LoadError> {
    let mut net = Net::new();
    change(&mut net);
    let bytes = net.bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap())?;
    let mut arena = [f32::NAN; 40];
    let features = engine.run(Frame::F32(&FRAME), &mut arena).unwrap();
    Ok([features.logits, features.squared_norms, features.activation_norms].concat())
}

fn overlap(first: u16, second: u16) -> Result<Vec<f32>, LoadError> {
    Err(LoadError::Overlap { first: first.into(), second: second.into() })
}

fn boxes(values: [u32; BOX_RANK]) -> [zerocopy::little_endian::U32; BOX_RANK] {
    values.map(Into::into)
}

/// `X op X` over 2 x 2, the second operand with these strides.
fn doubled(b_strides: [u32; BOX_RANK]) -> Vec<u8> {
    let mut p = BinaryParams::new_zeroed();
    (p.dims, p.a_strides) = (boxes([1, 1, 1, 1, 2, 2]), boxes([0, 0, 0, 0, 2, 1]));
    p.b_strides = boxes(b_strides);
    p.as_bytes().to_vec()
}

/// Appends a step over X (4 elements) whose result is a new tensor at X's own place.
fn over_x(net: &mut Net, opcode: OpCode, params: Vec<u8>, inputs: &[u16]) {
    net.tensors.push(net.tensors[usize::from(X)]);
    net.extra = Some((opcode, params, [inputs, &[Y]].concat()));
}

#[test]
fn a_result_on_a_dying_input_is_accepted_and_changes_nothing() {
    let plain = outcome(|_| ());
    // The sigmoid lies where the gradient comes to lie.
    let found = outcome(|n| n.tensors[usize::from(SIGMOID)] = in_arena(10, 3));
    assert_eq!(found, plain);
    // Both operands are the input.
    let found = outcome(|n| over_x(n, OpCode::Binary, doubled([0, 0, 0, 0, 2, 1]), &[X, X]));
    assert_eq!(found, plain);
}

#[test]
fn a_result_across_an_input_is_refused() {
    for offset in [9, 11] {
        let found = outcome(|n| n.tensors[usize::from(SIGMOID)] = in_arena(offset, 3));
        assert_eq!(found, overlap(SIGMOID, G), "{offset}");
    }
}

#[test]
fn a_result_on_an_input_that_is_still_needed_is_refused() {
    // By a later step.
    let found = outcome(|n| {
        n.tensors[usize::from(SIGMOID)] = in_arena(10, 3);
        n.operands[PAD][0] = SIGMOID;
    });
    assert_eq!(found, overlap(SIGMOID, G));
    // As a result of the network.
    let found = outcome(|n| n.tensors[usize::from(SIGMOID)] = in_arena(4, 3));
    assert_eq!(found, overlap(LOGITS, SIGMOID));
    // Its last step has passed, but the result was begun before.
    let found = outcome(|n| {
        n.tensors[usize::from(PADDED)] = in_arena(10, 3);
        (n.pad.y_elements, n.pad.y_offset) = (3.into(), 0.into());
        n.patch = CopyParams { fills: 0.into(), ..n.pad };
    });
    assert_eq!(found, overlap(G, PADDED));
}

#[test]
fn a_result_on_an_input_that_the_step_does_not_read_is_refused() {
    let found = outcome(|n| {
        n.order = vec![0, 1, 2, 3, 4, 5, PAD];
        n.tensors.push(n.tensors[usize::from(G)]);
        let mut p = UnaryParams::new_zeroed();
        p.elements = 3.into();
        n.extra = Some((OpCode::Unary, p.as_bytes().to_vec(), vec![G, Y]));
        n.tensors[usize::from(PADDED)] = in_arena(10, 5);
    });
    assert_eq!(found, overlap(G, PADDED));
}

#[test]
fn a_result_on_an_input_at_a_place_that_is_not_read_index_by_index_is_refused() {
    let copy = |n: &mut Net| {
        let mut p = n.pad;
        (p.dims, p.x_elements, p.y_elements) = (boxes([1, 1, 1, 1, 1, 4]), 4.into(), 4.into());
        (p.fills, p.y_offset) = (0.into(), 0.into());
        p.as_bytes().to_vec()
    };
    let found = outcome(|n| {
        let params = copy(n);
        over_x(n, OpCode::Copy, params, &[X]);
    });
    assert_eq!(found, overlap(X, Y));
    // At one place index by index, at the other transposed or broadcast.
    for strides in [[0, 0, 0, 0, 1, 2], [0, 0, 0, 0, 0, 3]] {
        let found = outcome(|n| over_x(n, OpCode::Binary, doubled(strides), &[X, X]));
        assert_eq!(found, overlap(X, Y), "{strides:?}");
    }
}

#[test]
fn the_same_tensor_as_input_and_result_is_refused() {
    let found = outcome(|n| {
        let mut p = UnaryParams::new_zeroed();
        p.elements = 4.into();
        n.extra = Some((OpCode::Unary, p.as_bytes().to_vec(), vec![X, X]));
    });
    let fault = OperandFault::InPlace;
    assert_eq!(found, Err(LoadError::Operand { step: 8, place: 1, fault }));
}

#[test]
fn an_input_gradient_takes_its_addend_or_its_gate() {
    // 1 x 1, one channel, weight 1 over 2 x 2 pixels: dx = X + X, through the activation at X.
    let params = |kind: Activation| {
        let mut p = ConvParams::new_zeroed();
        (p.input, p.output) = ([2, 2, 1].map(Into::into), [2, 2, 1].map(Into::into));
        (p.kernel, p.strides) = ([1.into(); 2], [1.into(); 2]);
        (p.dilations, p.groups) = ([1.into(); 2], 1.into());
        p.activation = (kind as u16).into();
        p.as_bytes().to_vec()
    };
    const G4: u16 = 9;
    const ONE: u16 = 10;
    let run = |kind: Activation, addend: u16, gate: u16, gate_elements: u32| {
        outcome(|n| {
            over_x(n, OpCode::ConvInputGradient, params(kind), &[G4, ONE, NONE, addend, gate]);
            n.tensors.extend([blob(0, 4), blob(48, 1), blob(0, gate_elements)]);
        })
    };
    let plain = outcome(|_| ());
    const BLOB: u16 = 11;
    for (kind, addend, gate, elements) in [
        (Activation::Identity, X, NONE, 4),
        (Activation::Relu, NONE, X, 4),
        (Activation::Relu, X, BLOB, 4),
        (Activation::Relu, BLOB, X, 4),
        (Activation::Relu, X, X, 4),
        (Activation::Mask, X, BLOB, 1),
    ] {
        assert_eq!(run(kind, addend, gate, elements), plain, "{kind:?} {addend} {gate}");
    }
    let fault = |place, fault| Err(LoadError::Operand { step: 8, place, fault });
    assert_eq!(run(Activation::Relu, X, NONE, 4), fault(4, OperandFault::Missing));
    assert_eq!(run(Activation::Mask, X, BLOB, 4), fault(4, OperandFault::Length));
    assert_eq!(run(Activation::Relu, X, BLOB, 1), fault(4, OperandFault::Length));
    // The cotangent is read at other indices than the result's.
    let found = outcome(|n| {
        let params = params(Activation::Identity);
        over_x(n, OpCode::ConvInputGradient, params, &[X, 9, NONE, NONE, NONE]);
        n.tensors.push(blob(48, 1));
    });
    assert_eq!(found, overlap(X, Y));
}
