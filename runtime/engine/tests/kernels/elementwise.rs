//! Affine maps, broadcasting, copies, reductions, products and softmax.

use gradgate_bundle::op::{Activation, BinaryKind};
use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::affine::affine;
use gradgate_engine::kernels::affine_norm::affine_norm;
use gradgate_engine::kernels::binary::binary;
use gradgate_engine::kernels::boxes::Axes;
use gradgate_engine::kernels::copy::{Side, copy};
use gradgate_engine::kernels::mat_mul::{MatMul, mat_mul};
use gradgate_engine::kernels::operand::Operand::Slice;
use gradgate_engine::kernels::reduce::{ReduceBoxes, reduce};
use gradgate_engine::kernels::softmax::{SoftmaxBox, softmax, softmax_gradient};
use gradgate_engine::math::exp;

use crate::support::{Random, Real, assert_same, lanes};

/// All indices of a box in row-major order.
fn indices(dims: &Axes) -> Vec<Axes> {
    let total: usize = dims.iter().product();
    let index = |mut flat: usize| {
        let mut index = [0; 6];
        for axis in (0..6).rev() {
            index[axis] = flat % dims[axis];
            flat /= dims[axis];
        }
        index
    };
    (0..total).map(index).collect()
}

fn dot(index: &Axes, strides: &Axes) -> usize {
    index.iter().zip(strides).map(|(i, s)| i * s).sum()
}

#[test]
fn binary_broadcasts_by_strides() {
    let cases: [(Axes, Axes, Axes); 4] = [
        ([1, 1, 1, 1, 1, 35], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]),
        ([1, 1, 2, 3, 4, 5], [0, 0, 60, 20, 5, 1], [0, 0, 0, 0, 0, 1]),
        ([1, 2, 3, 1, 4, 5], [0, 60, 20, 0, 5, 1], [0, 0, 1, 0, 3, 0]),
        ([2, 2, 2, 2, 2, 3], [0, 3, 6, 0, 12, 1], [16, 8, 4, 2, 1, 32]),
    ];
    let mut random = Random(1);
    let (a, b) = (random.values(200), random.values(200));
    for (dims, a_strides, b_strides) in cases {
        let operation = |kind: BinaryKind, a: f32, b: f32| match kind {
            BinaryKind::Add => a + b,
            BinaryKind::Sub => a - b,
            BinaryKind::Mul => a * b,
            BinaryKind::Div => a / b,
        };
        for kind in [BinaryKind::Add, BinaryKind::Sub, BinaryKind::Mul, BinaryKind::Div] {
            let expected: Vec<u32> = indices(&dims)
                .iter()
                .map(|i| operation(kind, a[dot(i, &a_strides)], b[dot(i, &b_strides)]).to_bits())
                .collect();
            let mut y = vec![9.0; expected.len()];
            let strides = [&a_strides, &b_strides];
            binary(kind, &dims, strides, Slice(&a), Slice(&b), &mut y).unwrap();
            let found: Vec<u32> = y.iter().map(|v| v.to_bits()).collect();
            assert_eq!(found, expected, "{kind:?} {dims:?}");
        }
    }
}

#[test]
fn copy_moves_boxes() {
    let dims = [1, 1, 2, 3, 2, 4];
    let cases: [(Axes, usize, Axes, usize); 3] = [
        ([0, 0, 24, 8, 4, 1], 0, [0, 0, 24, 8, 4, 1], 0),
        ([0, 0, 40, 10, 5, 1], 3, [0, 0, 1, 2, 6, 12], 1),
        ([0, 0, 0, 8, 4, 2], 1, [0, 0, 48, 16, 8, 2], 5),
    ];
    let x = Random(2).values(120);
    for (x_strides, x_offset, y_strides, y_offset) in cases {
        for fill in [None, Some(-7.0)] {
            let mut expected = vec![fill.unwrap_or(9.0); 110];
            for i in indices(&dims) {
                expected[y_offset + dot(&i, &y_strides)] = x[x_offset + dot(&i, &x_strides)];
            }
            let mut y = vec![9.0; 110];
            let from = Side { offset: x_offset, strides: &x_strides };
            let to = Side { offset: y_offset, strides: &y_strides };
            copy(&dims, fill, &x, from, &mut y, to).unwrap();
            assert_eq!(y, expected, "{x_strides:?} {y_strides:?} {fill:?}");
            assert_eq!(copy(&dims, fill, &x[..20], from, &mut y, to), None);
        }
    }
}

fn reduced<T: Real>(boxes: &ReduceBoxes<'_>, mean: bool, x: &[f32]) -> Vec<T> {
    let value = |kept: &Axes| {
        let first = dot(kept, boxes.kept_strides);
        let inner = indices(boxes.reduced);
        let count = T::of(inner.len() as f32);
        let sum = lanes(inner.iter().map(|i| T::of(x[first + dot(i, boxes.reduced_strides)])));
        if mean { sum / count } else { sum }
    };
    indices(boxes.kept).iter().map(value).collect()
}

#[test]
fn reduce_equals_naive_loops() {
    let cases: [(Axes, Axes, Axes, Axes); 4] = [
        ([1, 1, 1, 1, 1, 10], [0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 8, 8], [0, 0, 0, 0, 80, 10]),
        ([1, 1, 1, 1, 5, 3], [0, 0, 0, 0, 3, 1], [1, 1, 1, 1, 1, 1], [0; 6]),
        ([1; 6], [0; 6], [1, 1, 1, 1, 1, 641], [0, 0, 0, 0, 0, 1]),
        ([1, 1, 1, 2, 1, 4], [0, 0, 0, 4, 0, 64], [1, 1, 1, 2, 4, 4], [0, 0, 0, 32, 8, 1]),
    ];
    let x = Random(3).values(700);
    for (kept, kept_strides, inner, inner_strides) in &cases {
        let boxes =
            ReduceBoxes { kept, kept_strides, reduced: inner, reduced_strides: inner_strides };
        for mean in [false, true] {
            let exact: Vec<f32> = reduced(&boxes, mean, &x);
            let mut y = vec![9.0; exact.len()];
            reduce(&boxes, mean, &x, &mut y).unwrap();
            assert_same(&format!("{kept:?} {inner:?}"), &y, &exact, &reduced(&boxes, mean, &x));
        }
    }
}

#[test]
fn affine_and_its_norms_equal_naive_loops() {
    for (pixels, channels) in [(1, 1), (12, 5), (30, 16), (7, 33)] {
        let mut random = Random(channels as u64);
        let (x, g) = (random.values(pixels * channels), random.values(pixels * channels));
        let (scale, shift) = (random.values(channels), random.values(channels));
        let act = Act { kind: Activation::Relu, low: 0.0, high: 0.0 };
        for shift in [None, Some(&shift[..])] {
            let mut y = vec![9.0; x.len()];
            affine(Slice(&x), &scale, shift, &act, &mut y).unwrap();
            for (i, (y, x)) in y.iter().zip(&x).enumerate() {
                let product = x * scale[i % channels];
                let v = shift.map_or(product, |shift| product + shift[i % channels]);
                let v = if v <= 0.0 { 0.0 } else { v };
                assert_eq!(y.to_bits(), v.to_bits());
            }
        }
        let mut scratch = vec![9.0; 2 * channels];
        let found = affine_norm(&x, &g, &scale, &shift, &mut scratch).unwrap();
        let exact: [f32; 2] = affine_norms(&x, &g, &scale, &shift);
        let wide: [f64; 2] = affine_norms(&x, &g, &scale, &shift);
        assert_same("scale", &[found.0], &exact[..1], &wide[..1]);
        assert_same("shift", &[found.1], &exact[1..], &wide[1..]);
    }
}

fn affine_norms<T: Real>(x: &[f32], g: &[f32], inverse: &[f32], mean: &[f32]) -> [T; 2] {
    let channels = mean.len();
    let (mut scales, mut shifts) = (Vec::new(), Vec::new());
    for c in 0..channels {
        let (mut t, mut s) = (T::of(0.0), T::of(0.0));
        for at in (c..x.len()).step_by(channels) {
            t = t + T::of(g[at]) * (T::of(x[at]) - T::of(mean[c]));
            s = s + T::of(g[at]);
        }
        let t = t * T::of(inverse[c]);
        scales.push(t * t);
        shifts.push(s * s);
    }
    [lanes(scales), lanes(shifts)]
}

#[test]
fn softmax_and_its_gradient_equal_naive_loops() {
    for (outer, axis, inner) in [(1, 10, 1), (3, 37, 1), (2, 5, 4), (1, 1, 3)] {
        let b = SoftmaxBox { outer, axis, inner };
        let mut random = Random(axis as u64);
        let x: Vec<f32> = random.values(outer * axis * inner).iter().map(|v| v * 30.0).collect();
        let g = random.values(x.len());
        let (mut y, mut dx) = (vec![9.0; x.len()], vec![9.0; x.len()]);
        softmax(b, Slice(&x), &mut y).unwrap();
        softmax_gradient(b, Slice(&y), Slice(&g), &mut dx).unwrap();
        for o in 0..outer {
            for i in 0..inner {
                let line: Vec<usize> = (0..axis).map(|k| (o * axis + k) * inner + i).collect();
                let max = line
                    .iter()
                    .fold(f32::NEG_INFINITY, |m, at| if x[*at] > m { x[*at] } else { m });
                let total = lanes(line.iter().map(|at| exp(x[*at] - max)));
                let wide: f64 = line.iter().map(|at| f64::from(x[*at] - max).exp()).sum();
                let product = lanes(line.iter().map(|at| y[*at] * g[*at]));
                for at in line {
                    assert_eq!(y[at].to_bits(), (exp(x[at] - max) / total).to_bits());
                    let exact = f64::from(x[at] - max).exp() / wide;
                    assert!((f64::from(y[at]) - exact).abs() < 1e-6, "{} {exact}", y[at]);
                    assert_eq!(dx[at].to_bits(), (y[at] * (g[at] - product)).to_bits());
                }
            }
        }
    }
    let mut y = [0.0; 3];
    let b = SoftmaxBox { outer: 1, axis: 3, inner: 1 };
    softmax(b, Slice(&[1.0, f32::NAN, 2.0]), &mut y).unwrap();
    assert!(y.iter().all(|v| v.is_nan()));
}

fn products<T: Real>(m: &MatMul<'_>, a: &[f32], b: &[f32]) -> Vec<T> {
    let of = |index: &Axes| {
        let [a_at, b_at] = m.strides.map(|strides| dot(index, strides));
        let term = |k: usize| T::of(a[a_at + k * m.steps[0]]) * T::of(b[b_at + k * m.steps[1]]);
        (0..m.inner).fold(T::of(0.0), |sum, k| sum + term(k))
    };
    indices(m.dims).iter().map(of).collect()
}

#[test]
fn products_equal_naive_loops() {
    // Two heads of 3 x 4 by 4 x 5: plain; b transposed; a transposed; channels last (heads lie
    // innermost); a vector by a matrix.
    let cases: [(Axes, Axes, Axes, usize, [usize; 2]); 5] = [
        ([1, 1, 1, 2, 3, 5], [0, 0, 0, 12, 4, 0], [0, 0, 0, 20, 0, 1], 4, [1, 5]),
        ([1, 1, 1, 2, 3, 5], [0, 0, 0, 12, 4, 0], [0, 0, 0, 20, 0, 4], 4, [1, 1]),
        ([1, 1, 1, 2, 3, 5], [0, 0, 0, 12, 1, 0], [0, 0, 0, 20, 0, 1], 4, [3, 5]),
        ([1, 1, 1, 3, 5, 2], [0, 0, 0, 8, 0, 1], [0, 0, 0, 0, 2, 1], 4, [2, 10]),
        ([1, 1, 1, 1, 5, 1], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0], 7, [5, 1]),
    ];
    for (dims, a_strides, b_strides, inner, steps) in cases {
        let m = MatMul { dims: &dims, strides: [&a_strides, &b_strides], inner, steps };
        let mut random = Random(inner as u64);
        let (a, b) = (random.values(64), random.values(64));
        let mut y = vec![9.0; dims.iter().product()];
        mat_mul(&m, &a, &b, &mut y).unwrap();
        assert_same(&format!("{dims:?}"), &y, &products(&m, &a, &b), &products(&m, &a, &b));
        let short = a.get(..steps[0] * (inner - 1)).unwrap();
        assert_eq!(mat_mul(&m, short, &b, &mut y), None);
    }
}
