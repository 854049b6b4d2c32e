//! The input gradient and what finishes its elements: addend, gate, in place or not.

use gradgate_bundle::op::Activation;
use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::conv_input_gradient::{GradientEnd, conv_input_gradient};
use gradgate_engine::kernels::operand::Operand;
use gradgate_engine::kernels::unary::Gate;

use crate::conv::{CASES, Data, blocked};
use crate::support::{Random, Real, assert_same};

/// Where an operand lies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Absent,
    Apart,
    Result,
}

impl At {
    fn operand(self, values: &[f32]) -> Operand<'_> {
        match self {
            At::Absent => Operand::Absent,
            At::Apart => Operand::Slice(values),
            At::Result => Operand::InPlace,
        }
    }
}

const KINDS: [Activation; 6] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu,
    Activation::Clip,
    Activation::Sigmoid,
    Activation::Mask,
];

/// An activation's gradient at a value that is a number; for Mask, at the value that it was of.
pub fn derivative<T: Real>(act: &Act, v: f32, g: T) -> T {
    let zero = T::of(0.0);
    match act.kind {
        Activation::Identity => g,
        Activation::Relu | Activation::Mask if v > 0.0 => g,
        Activation::LeakyRelu if v > 0.0 => g,
        Activation::LeakyRelu => T::of(act.low) * g,
        Activation::Clip if act.low < v && v < act.high => g,
        Activation::Sigmoid => g * (T::of(v) * (T::of(1.0) - T::of(v))),
        _ => zero,
    }
}

/// The mask of `x`, written out.
pub fn mask_of(x: &[f32]) -> Vec<f32> {
    let word = |x: &[f32]| (0..x.len()).filter(|i| x[*i] > 0.0).map(|i| 1 << i).sum::<u32>();
    x.chunks(16).map(|x| word(x) as f32).collect()
}

#[test]
fn input_gradient_equals_naive_loops() {
    let places = [
        (At::Absent, At::Absent),
        (At::Apart, At::Absent),
        (At::Result, At::Absent),
        (At::Absent, At::Apart),
        (At::Absent, At::Result),
        (At::Apart, At::Apart),
        (At::Result, At::Apart),
        (At::Apart, At::Result),
    ];
    for (index, case) in CASES.iter().enumerate() {
        let data = Data::new(case, 100 + index as u64);
        let w = blocked(&data.s, &data.w);
        let mut random = Random(900 + index as u64);
        let (addend, gate) = (random.values(data.x.len()), random.values(data.x.len()));
        for scaled in [false, true] {
            let plain = (data.input_gradient(scaled), data.input_gradient(scaled));
            let scale = scaled.then_some(&data.scale[..]);
            for (at, (add, through)) in places.into_iter().enumerate() {
                let act = Act { kind: KINDS[(index + at) % 6], low: -0.3, high: 0.4 };
                let masked = act.kind == Activation::Mask;
                if through == At::Result && masked {
                    continue;
                }
                let words = if masked { mask_of(&gate) } else { gate.clone() };
                let act = if through == At::Absent { Act::IDENTITY } else { act };
                let end = GradientEnd {
                    addend: add.operand(&addend),
                    gate: Gate { act, at: through.operand(&words) },
                };
                let mut dx = match (add, through) {
                    (At::Result, _) => addend.clone(),
                    (_, At::Result) => gate.clone(),
                    _ => vec![f32::NAN; data.x.len()],
                };
                conv_input_gradient(&data.s, &data.g, &w, scale, &end, &mut dx).unwrap();
                let ends = Ends { addend: &addend, gate: &gate, add, through, act };
                let what = format!("{case:?} {scaled} {add:?} {through:?} {act:?}");
                assert_same(&what, &dx, &ends.of(&plain.0), &ends.of(&plain.1));
            }
        }
    }
}

struct Ends<'a> {
    addend: &'a [f32],
    gate: &'a [f32],
    add: At,
    through: At,
    act: Act,
}

impl Ends<'_> {
    fn of<T: Real>(&self, plain: &[T]) -> Vec<T> {
        let finish = |(i, &v): (usize, &T)| {
            let v = if self.add == At::Absent { v } else { v + T::of(self.addend[i]) };
            if self.through == At::Absent { v } else { derivative(&self.act, self.gate[i], v) }
        };
        plain.iter().enumerate().map(finish).collect()
    }
}

#[test]
fn a_tensor_that_is_addend_and_gate_may_take_the_result() {
    let data = Data::new(&CASES[0], 7);
    let w = blocked(&data.s, &data.w);
    let act = Act { kind: Activation::Relu, low: 0.0, high: 0.0 };
    let run = |operand: Operand<'_>, mut dx: Vec<f32>| {
        let end = GradientEnd { addend: operand, gate: Gate { act, at: operand } };
        conv_input_gradient(&data.s, &data.g, &w, None, &end, &mut dx).unwrap();
        dx.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let apart = run(Operand::Slice(&data.x), vec![f32::NAN; data.x.len()]);
    assert_eq!(apart, run(Operand::InPlace, data.x.clone()));
}

#[test]
fn a_corrupted_mask_gives_nan_and_a_mask_in_place_is_refused() {
    let data = Data::new(&CASES[1], 8);
    let w = blocked(&data.s, &data.w);
    let act = Act { kind: Activation::Mask, low: 0.0, high: 0.0 };
    let mut words = mask_of(&data.x);
    words[3] = 0.5;
    let end = |at| GradientEnd { addend: Operand::Absent, gate: Gate { act, at } };
    let mut dx = vec![0.0; data.x.len()];
    let sliced = end(Operand::Slice(&words));
    conv_input_gradient(&data.s, &data.g, &w, None, &sliced, &mut dx).unwrap();
    let nan: Vec<usize> = (0..dx.len()).filter(|i| dx[*i].is_nan()).collect();
    assert_eq!(nan, (48..64).collect::<Vec<_>>());
    let refused = end(Operand::InPlace);
    assert_eq!(conv_input_gradient(&data.s, &data.g, &w, None, &refused, &mut dx), None);
}
