//! Element-wise kernels whose result takes an input's place: the same bits as apart from it.

use gradgate_bundle::op::{Activation, BinaryKind};
use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::affine::affine;
use gradgate_engine::kernels::binary::binary;
use gradgate_engine::kernels::mask::mask;
use gradgate_engine::kernels::operand::Operand::{self, Absent, InPlace, Slice};
use gradgate_engine::kernels::softmax::{SoftmaxBox, softmax, softmax_gradient};
use gradgate_engine::kernels::unary::{Gate, unary, unary_gradient};

use crate::input_gradient::{derivative, mask_of};
use crate::support::Random;

const KINDS: [Activation; 5] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu,
    Activation::Clip,
    Activation::Sigmoid,
];

fn act(kind: Activation) -> Act {
    Act { kind, low: -0.3, high: 0.4 }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Runs a kernel of one operand apart and in place.
fn one(x: &[f32], kernel: impl Fn(Operand<'_>, &mut [f32]) -> Option<()>) -> Vec<f32> {
    let (mut apart, mut over) = (vec![9.0; x.len()], x.to_vec());
    kernel(Slice(x), &mut apart).unwrap();
    kernel(InPlace, &mut over).unwrap();
    assert_eq!(bits(&apart), bits(&over));
    assert_eq!(kernel(Absent, &mut over), None);
    assert_eq!(kernel(Slice(&x[1..]), &mut over), None);
    apart
}

/// Runs a kernel of two operands apart, on either of them, and on both where they are the same.
fn two(
    a: &[f32],
    b: &[f32],
    kernel: impl Fn(Operand<'_>, Operand<'_>, &mut [f32]) -> Option<()>,
) -> Vec<f32> {
    let (mut apart, mut first, mut second) = (vec![9.0; a.len()], a.to_vec(), b.to_vec());
    kernel(Slice(a), Slice(b), &mut apart).unwrap();
    kernel(InPlace, Slice(b), &mut first).unwrap();
    kernel(Slice(a), InPlace, &mut second).unwrap();
    assert_eq!(bits(&apart), bits(&first));
    assert_eq!(bits(&apart), bits(&second));
    let (mut same, mut both) = (vec![9.0; a.len()], a.to_vec());
    kernel(Slice(a), Slice(a), &mut same).unwrap();
    kernel(InPlace, InPlace, &mut both).unwrap();
    assert_eq!(bits(&same), bits(&both));
    apart
}

#[test]
fn functions_and_their_gradients() {
    for length in [1, 15, 16, 17, 100] {
        let mut random = Random(length as u64);
        let (x, g) = (random.values(length), random.values(length));
        for act in KINDS.map(act) {
            one(&x, |x, y| unary(&act, x, y));
            let found = two(&x, &g, |at, g, dx| unary_gradient(&Gate { act, at }, g, dx));
            let expected: Vec<f32> =
                x.iter().zip(&g).map(|(x, g)| derivative(&act, *x, *g)).collect();
            assert_eq!(bits(&found), bits(&expected), "{length} {act:?}");
        }
    }
}

#[test]
fn a_mask_gates_as_relu_does() {
    for length in [1, 16, 35, 160] {
        let mut random = Random(40 + length as u64);
        let (x, g) = (random.values(length), random.values(length));
        let mut words = vec![9.0; length.div_ceil(16)];
        mask(&x, &mut words).unwrap();
        assert_eq!(words, mask_of(&x));
        let gate = |kind, at| Gate { act: act(kind), at };
        let found = one(&g, |g, dx| unary_gradient(&gate(Activation::Mask, Slice(&words)), g, dx));
        let mut expected = vec![9.0; length];
        let relu = gate(Activation::Relu, Slice(&x));
        unary_gradient(&relu, Slice(&g), &mut expected).unwrap();
        assert_eq!(bits(&found), bits(&expected), "{length}");
        let mut dx = g.clone();
        let in_place = gate(Activation::Mask, InPlace);
        assert_eq!(unary_gradient(&in_place, Slice(&g), &mut dx), None);
    }
}

#[test]
fn affine_maps() {
    let mut random = Random(3);
    let (x, scale, shift) = (random.values(7 * 19), random.values(19), random.values(19));
    for shift in [None, Some(&shift[..])] {
        one(&x, |x, y| affine(x, &scale, shift, &act(Activation::Relu), y));
    }
}

#[test]
fn operations_of_two() {
    let mut random = Random(4);
    let (a, b) = (random.values(24), random.values(24));
    let dims = [1, 1, 1, 2, 3, 4];
    let plain = [0, 0, 0, 12, 4, 1];
    for kind in [BinaryKind::Add, BinaryKind::Sub, BinaryKind::Mul, BinaryKind::Div] {
        two(&a, &b, |a, b, y| binary(kind, &dims, [&plain, &plain], a, b, y));
        // The other operand may be strided as it likes.
        for strides in [[0, 0, 0, 0, 0, 1], [0, 0, 0, 1, 2, 6], [0, 0, 0, 0, 4, 0]] {
            one(&a, |a, y| binary(kind, &dims, [&plain, &strides], a, Slice(&b), y));
            one(&a, |a, y| binary(kind, &dims, [&strides, &plain], Slice(&b), a, y));
        }
    }
}

#[test]
fn softmax_and_its_gradient() {
    for (outer, axis, inner) in [(1, 10, 1), (2, 5, 4)] {
        let b = SoftmaxBox { outer, axis, inner };
        let mut random = Random(axis as u64);
        let (x, g) = (random.values(outer * axis * inner), random.values(outer * axis * inner));
        let y = one(&x, |x, y| softmax(b, x, y));
        two(&y, &g, |y, g, dx| softmax_gradient(b, y, g, dx));
    }
}
