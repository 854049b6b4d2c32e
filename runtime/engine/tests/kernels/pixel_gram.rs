//! The weight norm by Gram matrices of pixels: against the definition written out, against the
//! direct method, and vector kernels against scalar ones.

use gradgate_engine::kernels::conv_weight_norm::{Norms, WeightNorm};
use gradgate_engine::kernels::pixel_gram::pixel_gram;

use crate::conv::{CASES, Case, Data, blocked};

/// Shapes for which the method is meant, beside those of all convolutions.
const FEW_PIXELS: &[Case] = &[
    ([8, 8, 64], 64, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([8, 8, 32], 48, [3, 3], [2, 2], [1, 1], [1, 1, 1, 1], 1),
    ([4, 4, 100], 36, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([7, 5, 40], 24, [1, 1], [1, 1], [1, 1], [0, 0, 0, 0], 1),
    ([9, 7, 20], 30, [3, 3], [1, 1], [2, 2], [2, 2, 2, 2], 1),
];

/// Operands of one case.
struct Operands {
    data: Data,
    w: Vec<f32>,
}

impl Operands {
    fn new(case: &Case, index: usize) -> Option<Operands> {
        let data = Data::new(case, 70 + index as u64);
        data.s.pixel_gram()?;
        let w = blocked(&data.s, &data.w);
        Some(Operands { data, w })
    }

    fn norm(&self, index: usize) -> WeightNorm<'_> {
        WeightNorm {
            s: &self.data.s,
            x: &self.data.x,
            g: &self.data.g,
            w: &self.w,
            scale: index.is_multiple_of(2).then_some(&self.data.scale),
            inverse_sigma: Some(&self.data.scale),
            bias_minus_mean: (!index.is_multiple_of(3)).then_some(&self.data.scale),
            wants_scale: false,
        }
    }

    fn scalar(&self, index: usize) -> Norms {
        let mut scratch = self.scratch();
        pixel_gram(&self.norm(index), &mut scratch).unwrap()
    }

    fn scratch(&self) -> Vec<f32> {
        let s = &self.data.s;
        vec![f32::NAN; 3 * s.output[2] + s.pixel_gram().unwrap().elements()]
    }

    /// The definition, without a matrix of the input: products of pixels where a tap needs them.
    fn defined(&self, index: usize) -> f32 {
        let s = &self.data.s;
        let [rows, columns, outputs] = s.output;
        let padded = s.pads[1] + s.input[1] + s.pads[3];
        let norm = self.norm(index);
        let g =
            |p: usize, o: usize| norm.g[p * outputs + o] * norm.scale.map_or(1.0, |scale| scale[o]);
        let input = |p: usize, ky: usize, kx: usize| {
            let y = p / columns * s.strides[0] + ky * s.dilations[0];
            let x = p % columns * s.strides[1] + kx * s.dilations[1];
            let (y, x) = (y.checked_sub(s.pads[0])?, x.checked_sub(s.pads[1])?);
            (y < s.input[0] && x < s.input[1]).then_some((y * s.input[1] + x) * s.input[2])
        };
        let mut lanes = [0.0f32; 16];
        for p in 0..rows * columns {
            for q in p..rows * columns {
                let mut x_pq = 0.0f32;
                for tap in 0..s.kernel[0] * s.kernel[1] {
                    let (ky, kx) = (tap / s.kernel[1], tap % s.kernel[1]);
                    if let (Some(a), Some(b)) = (input(p, ky, kx), input(q, ky, kx)) {
                        let terms = (0..s.input[2]).map(|c| norm.x[a + c] * norm.x[b + c]);
                        x_pq += terms.fold(0.0, |sum, term| sum + term);
                    }
                }
                let g_pq = (0..outputs).fold(0.0, |sum, o| sum + g(p, o) * g(q, o));
                let term = x_pq * g_pq;
                let lane = (q / columns * padded + q % columns) % 16;
                lanes[lane] += if q == p { term } else { term + term };
            }
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        lanes[0]
    }
}

fn operands() -> impl Iterator<Item = (usize, &'static Case, Operands)> {
    let cases = CASES.iter().chain(FEW_PIXELS).enumerate();
    cases.filter_map(|(index, case)| Some((index, case, Operands::new(case, index)?)))
}

#[test]
fn pixel_gram_equals_its_definition() {
    for (index, case, operands) in operands() {
        let (found, expected) = (operands.scalar(index).weight, operands.defined(index));
        assert_eq!(found.to_bits(), expected.to_bits(), "{case:?}: {found} {expected}");
    }
}

#[test]
fn pixel_gram_agrees_with_the_direct_method() {
    for (index, case, operands) in operands() {
        let mut scratch = operands.scratch();
        let direct = operands.norm(index).direct(&mut scratch).unwrap();
        let gram = operands.scalar(index);
        for (found, expected) in
            [(gram.weight, direct.weight), (gram.bias, direct.bias), (gram.shift, direct.shift)]
        {
            let error = (found - expected).abs();
            assert!(error <= 2e-5 * expected, "{case:?}: {gram:?} {direct:?}");
        }
    }
}

#[test]
fn a_short_scratch_answers_none() {
    let operands = Operands::new(&FEW_PIXELS[0], 1).unwrap();
    let norm = operands.norm(1);
    let mut short = operands.scratch();
    short.pop();
    assert_eq!(pixel_gram(&norm, &mut short), None);
}

/// Vector kernels exist on these alone.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector_kernels {
    use gradgate_engine::compute::{Compute, Workers};
    use gradgate_engine::isa::{Isa, Numerics};
    use gradgate_engine::vector::{self, Vector};

    use super::operands;
    use crate::vector::Threads;

    #[test]
    fn equals_the_scalar_one() {
        for (index, case, operands) in operands() {
            let expected = operands.scalar(index);
            for isa in Isa::available() {
                for (numerics, workers) in [
                    (Numerics::Exact, None),
                    (Numerics::Exact, Some(&Threads(3) as &dyn Workers)),
                    (Numerics::Fast, None),
                ] {
                    let compute = Compute { isa: Some(isa), numerics, workers, prepared: &[] };
                    let vector = Vector::new(&compute).unwrap();
                    let mut workspace =
                        vec![f32::NAN; vector::pixel_gram::workspace(&operands.data.s)];
                    let (norm, mut scratch) = (operands.norm(index), operands.scratch());
                    let found = vector::pixel_gram::pixel_gram(
                        &vector,
                        &norm,
                        &mut scratch,
                        &mut workspace,
                    )
                    .unwrap();
                    match numerics {
                        Numerics::Exact => assert_eq!(found, expected, "{case:?} {isa:?}"),
                        Numerics::Fast => {
                            let error = (found.weight - expected.weight).abs();
                            assert!(error <= 1e-5 * expected.weight, "{case:?} {isa:?} {found:?}");
                        }
                    }
                }
            }
        }
    }
}
