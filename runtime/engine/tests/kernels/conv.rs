//! Convolutions: forward, input gradient, weight norm, weight gradient.

use gradgate_bundle::op::{Activation, ConvParams};
use gradgate_bundle::shape::ConvShape;
use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::conv::{Epilogue, conv};
use gradgate_engine::kernels::conv_alignment::Alignment;
use gradgate_engine::kernels::conv_input_gradient::{GradientEnd, conv_input_gradient};
use gradgate_engine::kernels::conv_weight_gradient::conv_weight_gradient;
use gradgate_engine::kernels::conv_weight_norm::{Norms, WeightNorm};
use gradgate_engine::kernels::operand::Operand;
use zerocopy::FromZeros;

use crate::support::{Random, Real, assert_same, lanes};

/// Input h, w, c; outputs; kernel; strides; dilations; pads; groups.
pub type Case = ([usize; 3], usize, [usize; 2], [usize; 2], [usize; 2], [usize; 4], usize);

pub const CASES: &[Case] = &[
    ([9, 11, 5], 16, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([8, 8, 16], 10, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([8, 8, 3], 40, [3, 3], [2, 2], [1, 1], [1, 1, 1, 1], 1),
    ([8, 9, 6], 17, [3, 2], [2, 1], [1, 1], [0, 1, 1, 0], 1),
    ([12, 12, 4], 12, [3, 3], [1, 1], [2, 3], [2, 3, 2, 3], 1),
    ([7, 7, 4], 8, [3, 3], [1, 1], [3, 3], [2, 0, 3, 1], 1),
    ([5, 13, 7], 33, [1, 1], [1, 1], [1, 1], [0, 0, 0, 0], 1),
    ([8, 8, 5], 20, [1, 1], [2, 2], [1, 1], [0, 0, 0, 0], 1),
    ([1, 1, 64], 10, [1, 1], [1, 1], [1, 1], [0, 0, 0, 0], 1),
    ([1, 6, 21], 1, [1, 1], [1, 1], [1, 1], [0, 0, 0, 0], 1),
    ([1, 1, 8], 24, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([2, 3, 8], 5, [3, 5], [1, 1], [1, 1], [4, 6, 4, 6], 1),
    ([8, 8, 8], 48, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 2),
    ([8, 9, 12], 12, [3, 3], [2, 2], [1, 1], [0, 0, 1, 1], 4),
    ([6, 6, 4], 12, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 4),
    ([9, 9, 24], 24, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 24),
    ([9, 8, 19], 19, [5, 3], [2, 2], [1, 2], [2, 1, 2, 1], 19),
    ([1, 1, 20], 20, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 20),
    ([4, 4, 1], 1, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([3, 40, 2], 16, [1, 7], [1, 3], [1, 2], [0, 5, 0, 2], 1),
    ([5, 7, 1], 8, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1),
    ([2, 3, 20], 20, [3, 3], [1, 1], [1, 1], [4, 5, 4, 5], 20),
    ([9, 10, 16], 16, [3, 3], [1, 1], [2, 3], [2, 3, 2, 3], 16),
    ([11, 10, 12], 12, [3, 5], [2, 3], [3, 2], [3, 4, 3, 4], 12),
];

/// Checked geometry of a case.
pub fn shape(&(input, co, kernel, strides, dilations, pads, groups): &Case) -> ConvShape {
    let mut p = ConvParams::new_zeroed();
    let word = |n: usize| (n as u16).into();
    p.input = input.map(word);
    p.kernel = kernel.map(word);
    p.strides = strides.map(word);
    p.dilations = dilations.map(word);
    p.pads = pads.map(word);
    p.groups = word(groups);
    let out = |axis: usize| {
        let window = dilations[axis] * (kernel[axis] - 1) + 1;
        (input[axis] + pads[axis] + pads[axis + 2] - window) / strides[axis] + 1
    };
    p.output = [out(0), out(1), co].map(word);
    ConvShape::new(&p).unwrap()
}

/// Weights in ONNX order to the blocked layout.
pub fn blocked(s: &ConvShape, w: &[f32]) -> Vec<f32> {
    let mut blocked = vec![f32::NAN; w.len()];
    for o in 0..s.output[2] {
        for c in 0..s.group_input {
            for ky in 0..s.kernel[0] {
                for kx in 0..s.kernel[1] {
                    let onnx = ((o * s.group_input + c) * s.kernel[0] + ky) * s.kernel[1] + kx;
                    blocked[s.blocked_index(o, ky, kx, c)] = w[onnx];
                }
            }
        }
    }
    blocked
}

/// All operands of a case, random.
pub struct Data {
    pub s: ConvShape,
    pub x: Vec<f32>,
    pub w: Vec<f32>,
    pub g: Vec<f32>,
    pub scale: Vec<f32>,
    shift: Vec<f32>,
    skip: Vec<f32>,
}

impl Data {
    pub fn new(case: &Case, seed: u64) -> Data {
        let s = shape(case);
        let mut random = Random(seed);
        Data {
            s,
            x: random.values(s.input_elements()),
            w: random.values(s.weight_elements()),
            g: random.values(s.output_elements()),
            scale: random.values(s.output[2]),
            shift: random.values(s.output[2]),
            skip: random.values(s.output_elements()),
        }
    }

    /// Element of x that tap (ky, kx) of output (oy, ox) reads, unless it lies in the padding.
    fn x_at(&self, oy: usize, ox: usize, ky: usize, kx: usize, c: usize) -> Option<usize> {
        let s = &self.s;
        let y = (oy * s.strides[0] + ky * s.dilations[0]) as i64 - s.pads[0] as i64;
        let x = (ox * s.strides[1] + kx * s.dilations[1]) as i64 - s.pads[1] as i64;
        let inside = 0 <= y && y < s.input[0] as i64 && 0 <= x && x < s.input[1] as i64;
        inside.then(|| (y as usize * s.input[1] + x as usize) * s.input[2] + c)
    }

    fn w_at(&self, o: usize, ky: usize, kx: usize, c: usize) -> f32 {
        let s = &self.s;
        self.w[((o * s.group_input + c) * s.kernel[0] + ky) * s.kernel[1] + kx]
    }

    fn forward<T: Real>(&self, present: u32, act: &Act) -> Vec<T> {
        let s = &self.s;
        let mut y = Vec::new();
        for at in 0..s.output_elements() {
            let (p, o) = (at / s.output[2], at % s.output[2]);
            let first = o / s.group_output * s.group_input;
            let mut acc = T::of(0.0);
            for ky in 0..s.kernel[0] {
                for kx in 0..s.kernel[1] {
                    for c in 0..s.group_input {
                        let place = self.x_at(p / s.output[1], p % s.output[1], ky, kx, first + c);
                        if let Some(i) = place {
                            acc = acc + T::of(self.x[i]) * T::of(self.w_at(o, ky, kx, c));
                        }
                    }
                }
            }
            if present & 1 != 0 {
                acc = acc * T::of(self.scale[o]);
            }
            if present & 2 != 0 {
                acc = acc + T::of(self.shift[o]);
            }
            if present & 4 != 0 {
                acc = acc + T::of(self.skip[at]);
            }
            y.push(match act.kind {
                Activation::Relu if acc <= T::of(0.0) => T::of(0.0),
                Activation::LeakyRelu if acc <= T::of(0.0) => T::of(act.low) * acc,
                Activation::Clip if acc <= T::of(act.low) => T::of(act.low),
                Activation::Clip if acc >= T::of(act.high) => T::of(act.high),
                _ => acc,
            });
        }
        y
    }

    pub fn input_gradient<T: Real>(&self, scaled: bool) -> Vec<T> {
        let s = &self.s;
        let mut dx = Vec::new();
        for at in 0..s.input_elements() {
            let c = at % s.input[2];
            let (group, within) = (c / s.group_input, c % s.group_input);
            let mut acc = T::of(0.0);
            for ky in 0..s.kernel[0] {
                for kx in 0..s.kernel[1] {
                    let meets = |p: &usize| {
                        self.x_at(p / s.output[1], p % s.output[1], ky, kx, c) == Some(at)
                    };
                    // At most one output pixel reads this element through this tap.
                    let Some(p) = (0..s.output[0] * s.output[1]).find(meets) else {
                        continue;
                    };
                    for o in group * s.group_output..(group + 1) * s.group_output {
                        let mut g = T::of(self.g[p * s.output[2] + o]);
                        if scaled {
                            g = g * T::of(self.scale[o]);
                        }
                        acc = acc + g * T::of(self.w_at(o, ky, kx, within));
                    }
                }
            }
            dx.push(acc);
        }
        dx
    }

    /// D in ONNX order.
    fn weight_gradient<T: Real>(&self) -> Vec<T> {
        let s = &self.s;
        let mut dw = Vec::new();
        for at in 0..s.weight_elements() {
            let (kx, rest) = (at % s.kernel[1], at / s.kernel[1]);
            let (ky, rest) = (rest % s.kernel[0], rest / s.kernel[0]);
            let (c, o) = (rest % s.group_input, rest / s.group_input);
            let channel = o / s.group_output * s.group_input + c;
            let mut acc = T::of(0.0);
            for p in 0..s.output[0] * s.output[1] {
                if let Some(i) = self.x_at(p / s.output[1], p % s.output[1], ky, kx, channel) {
                    acc = acc + T::of(self.g[p * s.output[2] + o]) * T::of(self.x[i]);
                }
            }
            dw.push(acc);
        }
        dw
    }

    /// Norms of weight, bias, scale, shift, with `shift` as bias minus mean and `skip`'s head as
    /// 1/sigma.
    fn norms<T: Real>(&self, scaled: bool, shifted: bool) -> [T; 4] {
        let s = &self.s;
        let dw = self.weight_gradient::<T>();
        let square = |v: T| v * v;
        let mut terms: [Vec<T>; 4] = Default::default();
        for o in 0..s.output[2] {
            let (mut r, mut q, mut sum) = (T::of(0.0), T::of(0.0), T::of(0.0));
            for ky in 0..s.kernel[0] {
                for kx in 0..s.kernel[1] {
                    for c in 0..s.group_input {
                        let at = ((o * s.group_input + c) * s.kernel[0] + ky) * s.kernel[1] + kx;
                        r = r + dw[at] * dw[at];
                        q = q + T::of(self.w_at(o, ky, kx, c)) * dw[at];
                    }
                }
            }
            for p in 0..s.output[0] * s.output[1] {
                sum = sum + T::of(self.g[p * s.output[2] + o]);
            }
            let scale = T::of(if scaled { self.scale[o] } else { 1.0 });
            terms[0].push((scale * scale) * r);
            terms[1].push(square(scale * sum));
            let q = if shifted { q + T::of(self.shift[o]) * sum } else { q };
            terms[2].push(square(q * T::of(self.skip[o])));
            terms[3].push(square(sum));
        }
        terms.map(lanes)
    }
}

#[test]
fn forward_equals_naive_loops() {
    let act =
        |kind| Act { kind, low: if kind == Activation::Clip { -0.3 } else { 0.1 }, high: 0.4 };
    let kinds =
        [Activation::Identity, Activation::Relu, Activation::LeakyRelu, Activation::Clip].map(act);
    for (index, case) in CASES.iter().enumerate() {
        let data = Data::new(case, 1 + index as u64);
        let w = blocked(&data.s, &data.w);
        // Bit 3: the skip lies where the result goes.
        for present in (0..8).chain(12..16) {
            let act = kinds[(index + present as usize) % 4];
            let (skip, mut y) = match present & 12 {
                4 => (Operand::Slice(&data.skip), vec![f32::NAN; data.skip.len()]),
                12 => (Operand::InPlace, data.skip.clone()),
                _ => (Operand::Absent, vec![f32::NAN; data.skip.len()]),
            };
            let end = Epilogue {
                scale: (present & 1 != 0).then_some(&data.scale[..]),
                shift: (present & 2 != 0).then_some(&data.shift[..]),
                skip,
                act,
            };
            conv(&data.s, &data.x, &w, &end, &mut y).unwrap();
            let what = format!("{case:?} {present} {act:?}");
            assert_same(&what, &y, &data.forward(present, &act), &data.forward(present, &act));
        }
    }
}

#[test]
fn weight_gradient_equals_naive_loops() {
    for (index, case) in CASES.iter().enumerate() {
        let data = Data::new(case, 200 + index as u64);
        let mut dw = vec![f32::NAN; data.s.weight_elements()];
        conv_weight_gradient(&data.s, &data.x, &data.g, &mut dw).unwrap();
        assert_same(&format!("{case:?}"), &dw, &data.weight_gradient(), &data.weight_gradient());
    }
}

#[test]
fn weight_norm_equals_naive_loops() {
    for (index, case) in CASES.iter().enumerate() {
        let data = Data::new(case, 300 + index as u64);
        let w = blocked(&data.s, &data.w);
        let channels = data.s.output[2];
        // 1 / sigma has no vector of its own: the head of a longer one, or nothing.
        let long = data.skip.len() >= channels;
        for (scaled, shifted) in [(false, false), (true, false), (true, true)] {
            let norm = WeightNorm {
                s: &data.s,
                x: &data.x,
                g: &data.g,
                w: &w,
                scale: scaled.then_some(&data.scale[..]),
                inverse_sigma: long.then_some(&data.skip[..channels]),
                bias_minus_mean: shifted.then_some(&data.shift[..]),
                wants_scale: true,
            };
            let mut scratch = vec![f32::NAN; 3 * channels];
            let all = |n: Norms| [n.weight, n.bias, n.scale, n.shift];
            let found = all(norm.direct(&mut scratch).unwrap());
            let what = format!("{case:?} {scaled} {shifted}");
            let wide: [f64; 4] = data.norms(scaled, shifted);
            let exact: [f32; 4] = data.norms(scaled, shifted);
            for i in 0..4 {
                assert_same(&format!("{what} {i}"), &found[i..=i], &exact[i..=i], &wide[i..=i]);
            }
            let less = WeightNorm { wants_scale: false, inverse_sigma: None, ..norm };
            scratch.fill(f32::NAN);
            let expected = [found[0], found[1], 0.0, found[3]].map(f32::to_bits);
            assert_eq!(
                all(less.direct(&mut scratch).unwrap()).map(f32::to_bits),
                expected,
                "{what}"
            );
        }
    }
}

#[test]
fn gram_equals_its_definition_and_the_direct_method() {
    let case = ([1, 1, 37], 10, [1, 1], [1, 1], [1, 1], [0; 4], 1);
    let data = Data::new(&case, 5);
    let w = blocked(&data.s, &data.w);
    let norm = WeightNorm {
        s: &data.s,
        x: &data.x,
        g: &data.g,
        w: &w,
        scale: Some(&data.scale),
        inverse_sigma: None,
        bias_minus_mean: None,
        wants_scale: false,
    };
    let mut scratch = vec![f32::NAN; 30];
    let (gram, direct) = (norm.gram(&mut scratch).unwrap(), norm.direct(&mut scratch).unwrap());
    let x = lanes(data.x.iter().map(|x| x * x));
    let g = lanes(data.g.iter().zip(&data.scale).map(|(g, s)| (s * (0.0 + g)) * (s * (0.0 + g))));
    assert_eq!(gram.weight.to_bits(), (x * g).to_bits());
    assert_eq!((gram.bias, gram.shift), (direct.bias, direct.shift));
    assert!((gram.weight - direct.weight).abs() < 1e-5 * direct.weight);
}

/// Factors for three classes, in the kernel's order.
fn factors(data: &Data, random: &mut Random) -> [Vec<f32>; 2] {
    let s = &data.s;
    [random.values(3 * s.output[2]), random.values(3 * s.reference_elements())]
}

/// The cosine by NUMERICS.md, from loops over single elements.
fn cosine<T: Real>(data: &Data, u: &[f32], v: &[f32], norm: T, root: impl Fn(T) -> T) -> T {
    let s = &data.s;
    let (pixels, each) = (s.output[0] * s.output[1], s.group_output);
    let weight = |p: usize, group: usize| {
        let outputs = group * each..(group + 1) * each;
        lanes(outputs.map(|o| T::of(u[o]) * T::of(data.g[p * s.output[2] + o])))
    };
    let mut terms = vec![T::of(0.0); s.reference_elements()];
    for c in 0..s.input[2] {
        for ky in 0..s.kernel[0] {
            for kx in 0..s.kernel[1] {
                let mut sum = T::of(0.0);
                for p in 0..pixels {
                    if let Some(i) = data.x_at(p / s.output[1], p % s.output[1], ky, kx, c) {
                        sum = sum + weight(p, c / s.group_input) * T::of(data.x[i]);
                    }
                }
                let at = s.reference_index(c, ky, kx);
                terms[at] = T::of(v[at]) * sum;
            }
        }
    }
    lanes(terms) / root(norm)
}

#[test]
fn alignment_equals_naive_loops() {
    for (index, case) in CASES.iter().enumerate() {
        let data = Data::new(case, 400 + index as u64);
        let [u, v] = factors(&data, &mut Random(500 + index as u64));
        for (class, logits) in
            [[2.0, 1.0, 0.5], [-2.0, 1.0, 1.0], [0.0, 1.0, 1.5]].iter().enumerate()
        {
            let whole = Alignment { s: &data.s, x: &data.x, g: &data.g, u: &u, v: &v, logits };
            let mut scratch = vec![f32::NAN; data.s.output[0] * data.s.output[1]];
            let norm = 3.7;
            let found = whole.cosine(norm, &mut scratch).unwrap();
            let u = &u[class * data.s.output[2]..][..data.s.output[2]];
            let v = &v[class * data.s.reference_elements()..][..data.s.reference_elements()];
            let exact = cosine(&data, u, v, norm, gradgate_engine::math::sqrt);
            let wide = cosine(&data, u, v, f64::from(norm), f64::sqrt);
            assert_eq!(found.to_bits(), exact.to_bits(), "{case:?} {class}: {found} {exact}");
            let scale = f64::from(data.g.iter().map(|g| g.abs()).sum::<f32>());
            assert!((f64::from(found) - wide).abs() < 1e-6 * scale, "{case:?}: {found} {wide}");
        }
    }
}

#[test]
fn alignments_hide_nothing() {
    let data = Data::new(&([3, 3, 2], 4, [2, 2], [1, 1], [1, 1], [0; 4], 1), 6);
    let [u, v] = factors(&data, &mut Random(7));
    let found = |x: &[f32], logits: &[f32], norm: f32| {
        let alignment = Alignment { s: &data.s, x, g: &data.g, u: &u, v: &v, logits };
        alignment.cosine(norm, &mut [0.0; 4]).unwrap()
    };
    let (good, nan, infinite) = ([1.0, 0.5, 0.0], f32::NAN, f32::INFINITY);
    assert!(found(&data.x, &good, 2.0).is_finite());
    assert_eq!(found(&data.x, &good, 0.0), 0.0);
    for norm in [nan, infinite, -1.0] {
        assert!(found(&data.x, &good, norm).is_nan(), "{norm}");
    }
    for bad in [nan, infinite, -infinite] {
        for at in 0..3 {
            let mut logits = good;
            logits[at] = bad;
            assert!(found(&data.x, &logits, 2.0).is_nan(), "{bad} {at}");
        }
        for norm in [2.0, 0.0] {
            let mut x = data.x.clone();
            x[4] = bad;
            assert!(!found(&x, &good, norm).is_finite(), "{bad} {norm}");
        }
    }
    let short =
        Alignment { s: &data.s, x: &data.x, g: &data.g, u: &u, v: &v[1..], logits: &[1.0; 3] };
    let last = Alignment { logits: &[0.0, 0.0, 1.0], ..short };
    assert_eq!(last.cosine(1.0, &mut [0.0; 4]), None);
    let cut = Alignment { x: &data.x[..4], ..short };
    assert_eq!(cut.cosine(1.0, &mut [0.0; 4]), None);
    assert_eq!(Alignment { v: &v, ..short }.cosine(1.0, &mut []), None);
}

#[test]
fn nan_reaches_every_result_that_it_concerns() {
    let case = ([4, 4, 3], 18, [3, 3], [1, 1], [1, 1], [1; 4], 1);
    let mut data = Data::new(&case, 9);
    let w = blocked(&data.s, &data.w);
    data.x[7] = f32::NAN;
    let act = Act { kind: Activation::Relu, low: 0.0, high: 0.0 };
    let end = Epilogue { scale: None, shift: None, skip: Operand::Absent, act };
    let mut y = vec![0.0; data.s.output_elements()];
    conv(&data.s, &data.x, &w, &end, &mut y).unwrap();
    // Pixel (0, 2), seen by 2 x 3 output pixels, all 18 channels.
    assert_eq!(y.iter().filter(|v| v.is_nan()).count(), 2 * 3 * 18);
    data.g[0] = f32::NAN;
    let mut dx = vec![0.0; data.s.input_elements()];
    conv_input_gradient(&data.s, &data.g, &w, None, &GradientEnd::NONE, &mut dx).unwrap();
    assert_eq!(dx.iter().filter(|v| v.is_nan()).count(), 4 * 3);
}

#[test]
fn wrong_lengths_answer_none_and_do_not_panic() {
    for case in CASES {
        let data = Data::new(case, 11);
        let w = blocked(&data.s, &data.w);
        let act = Act::IDENTITY;
        let end = Epilogue { scale: None, shift: None, skip: Operand::Absent, act };
        let mut y = data.g.clone();
        let short = &data.x[..data.x.len() - 1];
        let cut = y.len() - 1;
        assert_eq!(conv(&data.s, &data.x, &w, &end, &mut y[..cut]), None, "{case:?}");
        // Not every last element is read: strides and padding may skip it.
        let _ = conv(&data.s, &data.x, &w[1..], &end, &mut y);
        let _ = conv(&data.s, short, &w, &end, &mut y);
        let mut dx = data.x.clone();
        let _ = conv_input_gradient(&data.s, &data.g[..cut], &w, None, &GradientEnd::NONE, &mut dx);
        let mut dw = data.w.clone();
        let _ = conv_weight_gradient(&data.s, short, &data.g, &mut dw);
    }
}
