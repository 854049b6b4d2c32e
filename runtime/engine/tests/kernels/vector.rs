//! Vector kernels against the scalar ones: bit for bit in exact numerics on every instruction set
//! of this machine, with and without threads, within tolerance in fast ones.

use gradgate_bundle::op::Activation;
use gradgate_engine::compute::{Compute, Workers};
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::conv::{Epilogue, conv};
use gradgate_engine::kernels::conv_input_gradient::{GradientEnd, conv_input_gradient};
use gradgate_engine::kernels::conv_weight_norm::WeightNorm;
use gradgate_engine::kernels::lanes::squared_norm;
use gradgate_engine::kernels::operand::Operand;
use gradgate_engine::kernels::unary::Gate;
use gradgate_engine::vector::{self, Vector};

use crate::conv::{CASES, Case, Data, blocked};
use crate::input_gradient::mask_of;
use crate::support::Random;

/// More shapes, large enough to be cut into parts and to fill every size of tile.
const LARGE: &[Case] = &[
    ([23, 29, 16], 48, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([17, 32, 32], 64, [3, 3], [2, 2], [1, 1], [1, 1, 1, 1], 1),
    ([16, 16, 40], 72, [3, 3], [1, 1], [2, 2], [2, 2, 2, 2], 1),
    ([33, 31, 96], 96, [3, 3], [2, 2], [1, 1], [0, 0, 1, 1], 96),
    ([40, 40, 160], 160, [5, 5], [1, 1], [1, 1], [2, 2, 2, 2], 160),
    ([19, 21, 64], 64, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 4),
    ([15, 15, 48], 160, [1, 1], [1, 1], [1, 1], [0, 0, 0, 0], 1),
    ([31, 31, 3], 64, [7, 7], [2, 2], [1, 1], [3, 3, 3, 3], 1),
    ([24, 24, 24], 33, [3, 3], [3, 2], [1, 2], [2, 1, 0, 2], 1),
    // Winograd's method: odd sizes, uneven and missing borders, narrow blocks, chunks of tiles.
    ([13, 17, 20], 24, [3, 3], [1, 1], [1, 1], [0, 2, 1, 0], 1),
    ([9, 8, 13], 40, [3, 3], [1, 1], [1, 1], [2, 2, 2, 2], 1),
    ([6, 7, 48], 12, [3, 3], [1, 1], [1, 1], [0, 0, 0, 0], 1),
    ([32, 60, 16], 16, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([5, 141, 32], 32, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    // More weights than source: threads take channels.
    ([7, 6, 72], 72, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([4, 4, 80], 104, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([9, 9, 64], 200, [3, 3], [2, 2], [1, 1], [1, 1, 1, 1], 1),
];

/// Runs tasks backwards, each on a thread of its own.
pub struct Threads(pub usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: &mut [&mut (dyn FnMut() + Send)]) {
        std::thread::scope(|scope| {
            for task in tasks.iter_mut().rev() {
                scope.spawn(task);
            }
        });
    }
}

/// Operands, and what the scalar kernels make of them.
struct Expected {
    data: Data,
    w: Vec<f32>,
    gate: Vec<f32>,
    results: [Vec<f32>; 3],
}

impl Expected {
    fn new(case: &Case, index: usize) -> Expected {
        let data = Data::new(case, 500 + index as u64);
        let w = blocked(&data.s, &data.w);
        let gate = Random(7 + index as u64).values(data.x.len());
        let mut expected = Expected { data, w, gate, results: Default::default() };
        expected.results = expected.compute(None, index, [&[], &[]]);
        expected
    }

    /// Weights as the convolution and its input gradient read them.
    fn prepared(&self, isa: Isa, numerics: Numerics) -> [Vec<f32>; 2] {
        use vector::{conv, conv_input_gradient as turned};
        let (s, w) = (&self.data.s, &self.w);
        let mut kept = vec![f32::NAN; conv::prepared_elements(s, numerics)];
        if !kept.is_empty() {
            conv::prepare(isa, s, w, &mut kept).unwrap();
        }
        let mut back = vec![f32::NAN; turned::prepared_elements(s, numerics)];
        turned::prepare(isa, numerics, s, w, &mut back).unwrap();
        [kept, back]
    }

    /// The convolution, its input gradient and its norms; operands vary with `index`.
    /// The prepared weights of the first two are given, or empty.
    fn compute(
        &self,
        vector: Option<&Vector<'_>>,
        index: usize,
        [kept, turned]: [&[f32]; 2],
    ) -> [Vec<f32>; 3] {
        let Expected { data, w, gate, .. } = self;
        let s = &data.s;
        let mut space = vec![f32::NAN; 1 << 20];
        let mut y = data.g.clone();
        let end = Epilogue {
            scale: index.is_multiple_of(2).then_some(&data.scale),
            shift: (!index.is_multiple_of(3)).then_some(&data.scale),
            skip: [Operand::Absent, Operand::Slice(&data.g), Operand::InPlace][index % 3],
            act: Act { kind: Activation::Relu, low: 0.0, high: 0.0 },
        };
        match vector {
            None => conv(s, &data.x, w, &end, &mut y),
            Some(v) => vector::conv::conv(v, s, &data.x, (w, kept), &end, &mut y, &mut space),
        }
        .unwrap();
        let mut dx = data.x.clone();
        let mask = mask_of(gate);
        let kind = [Activation::Relu, Activation::Mask, Activation::Clip][index % 3];
        let at = if kind == Activation::Mask { &mask } else { gate };
        let end = GradientEnd {
            addend: [Operand::InPlace, Operand::Slice(gate), Operand::Absent][index % 3],
            gate: Gate { act: Act { kind, low: -0.5, high: 0.5 }, at: Operand::Slice(at) },
        };
        let scale = (index % 2 == 1).then_some(&data.scale[..]);
        match vector {
            None => conv_input_gradient(s, &data.g, w, scale, &end, &mut dx),
            Some(v) => {
                let w = (&w[..], turned);
                let (dx, space) = (&mut dx, &mut space);
                use vector::conv_input_gradient::conv_input_gradient;
                conv_input_gradient(v, s, &data.g, w, scale, &end, dx, space)
            }
        }
        .unwrap();
        let norm = WeightNorm {
            s,
            x: &data.x,
            g: &data.g,
            w,
            scale: index.is_multiple_of(2).then_some(&data.scale),
            inverse_sigma: Some(&data.scale),
            bias_minus_mean: index.is_multiple_of(3).then_some(&data.scale),
            wants_scale: index % 4 != 3,
        };
        let mut scratch = vec![f32::NAN; 3 * s.output[2]];
        let norms = match vector {
            None => norm.direct(&mut scratch),
            Some(v) => {
                vector::conv_weight_norm::conv_weight_norm(v, &norm, &mut scratch, &mut space)
            }
        }
        .unwrap();
        [y, dx, vec![norms.weight, norms.bias, norms.scale, norms.shift]]
    }
}

#[test]
fn vector_kernels_equal_the_scalar_ones() {
    let pools: [Option<&dyn Workers>; 3] = [None, Some(&Threads(2)), Some(&Threads(5))];
    for (index, case) in CASES.iter().chain(LARGE).enumerate() {
        let expected = Expected::new(case, index);
        for isa in Isa::available() {
            for numerics in [Numerics::Exact, Numerics::Fast] {
                let mut alone = None;
                // Emulated, this test takes minutes: fast kernels with as many threads as needed to
                // show that they do not matter.
                let pools = if numerics == Numerics::Fast { &pools[..2] } else { &pools[..] };
                for &workers in pools {
                    let compute = Compute { isa: Some(isa), numerics, workers, prepared: &[] };
                    let what = format!("{case:?} {compute:?}");
                    let vector = Vector::new(&compute).unwrap();
                    let found = expected.compute(Some(&vector), index, [&[], &[]]);
                    for (found, expected) in found.iter().zip(&expected.results) {
                        compare(&what, numerics, found, expected);
                    }
                    assert_eq!(*alone.get_or_insert(found.clone()), found, "{what}: threads");
                    if workers.is_none() {
                        let [kept, turned] = expected.prepared(isa, numerics);
                        let with = expected.compute(Some(&vector), index, [&kept, &turned]);
                        assert_eq!(with, found, "{what}: prepared weights");
                    }
                }
            }
        }
    }
}

/// Fused products and other sums differ by rounding: 1e-5 of the largest value.
fn compare(what: &str, numerics: Numerics, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30f32, |m, v| m.max(v.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        match numerics {
            Numerics::Exact => {
                assert_eq!(found.to_bits(), expected.to_bits(), "{what}, value {i}");
            }
            Numerics::Fast => {
                let error = (found - expected).abs() / largest;
                assert!(error <= 1e-5, "{what}, value {i}: {found} for {expected}");
            }
        }
    }
}

#[test]
fn squared_norms_equal_the_scalar_one() {
    for length in [0, 1, 15, 16, 17, 160, 1001] {
        let x = Random(length as u64).values(length);
        for isa in Isa::available() {
            let norm = isa.run(Numerics::Exact, vector::squared_norm::SquaredNorm(&x));
            assert_eq!(norm.to_bits(), squared_norm(&x).to_bits(), "{length} values, {isa:?}");
        }
    }
}

#[test]
fn the_instruction_sets_of_this_machine_are_named() {
    let names: Vec<_> = Isa::available().map(Isa::name).collect();
    println!("instruction sets: {}", names.join(" "));
    if !names.contains(&"avx512") {
        eprintln!("SKIPPED: no AVX-512 on this machine");
    }
    assert_eq!(Isa::best().map(Isa::name), names.last().copied());
}
