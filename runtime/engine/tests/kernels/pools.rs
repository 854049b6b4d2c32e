//! Pools and their gradients.

use gradgate_bundle::op::PoolParams;
use gradgate_bundle::shape::PoolShape;
use gradgate_engine::kernels::average_pool::{average_pool, average_pool_gradient};
use gradgate_engine::kernels::max_pool::{max_pool, max_pool_gradient};
use zerocopy::FromZeros;

use crate::support::{Random, Real, assert_same};

/// Input h, w, c; output h, w; kernel; strides; dilations; pads.
type Case = ([usize; 3], [usize; 2], [usize; 2], [usize; 2], [usize; 2], [usize; 4]);

const CASES: &[Case] = &[
    ([8, 8, 19], [4, 4], [2, 2], [2, 2], [1, 1], [0; 4]),
    ([9, 7, 3], [5, 4], [3, 3], [2, 2], [1, 1], [1; 4]),
    ([7, 7, 16], [4, 4], [2, 2], [2, 2], [1, 1], [0; 4]),
    ([7, 9, 5], [7, 9], [3, 3], [1, 1], [1, 1], [1; 4]),
    ([7, 9, 5], [4, 6], [3, 2], [1, 1], [2, 3], [0, 0, 1, 0]),
    ([6, 6, 33], [1, 1], [6, 6], [1, 1], [1, 1], [0; 4]),
    ([1, 1, 4], [1, 1], [3, 3], [2, 2], [1, 1], [1; 4]),
    ([8, 8, 2], [4, 4], [3, 3], [2, 2], [1, 1], [0; 4]),
];

fn shape(&(input, output, kernel, strides, dilations, pads): &Case, include: bool) -> PoolShape {
    let mut p = PoolParams::new_zeroed();
    let word = |n: usize| (n as u16).into();
    p.input = [input[0], input[1]].map(word);
    p.output = output.map(word);
    p.kernel = kernel.map(word);
    p.strides = strides.map(word);
    p.dilations = dilations.map(word);
    p.pads = pads.map(word);
    p.channels = word(input[2]);
    p.count_include_pad = word(usize::from(include));
    PoolShape::new(&p).unwrap_or_else(|e| panic!("{e:?}: {input:?} {kernel:?}"))
}

/// Elements of x in the window of output pixel `p`, and the window's size within the padded input.
fn window(s: &PoolShape, p: usize, c: usize) -> (Vec<usize>, usize) {
    let (oy, ox) = (p / s.output[1], p % s.output[1]);
    let (mut taps, mut padded) = (Vec::new(), 0);
    for ky in 0..s.kernel[0] {
        for kx in 0..s.kernel[1] {
            let y = (oy * s.strides[0] + ky * s.dilations[0]) as i64 - s.pads[0] as i64;
            let x = (ox * s.strides[1] + kx * s.dilations[1]) as i64 - s.pads[1] as i64;
            let (h, w) = (s.input[0] as i64, s.input[1] as i64);
            if (0..h).contains(&y) && (0..w).contains(&x) {
                taps.push((y as usize * s.input[1] + x as usize) * s.channels + c);
            }
            if y < h + s.pads[2] as i64 && x < w + s.pads[3] as i64 {
                padded += 1;
            }
        }
    }
    (taps, padded)
}

/// First largest element; the first NaN, if any.
fn winner(taps: &[usize], x: &[f32]) -> usize {
    if let Some(at) = taps.iter().find(|at| x[**at].is_nan()) {
        return *at;
    }
    let mut best = taps[0];
    for &at in taps {
        if x[at] > x[best] {
            best = at;
        }
    }
    best
}

fn each_output(s: &PoolShape, mut f: impl FnMut(usize, Vec<usize>, usize)) {
    for at in 0..s.output_elements() {
        let (taps, padded) = window(s, at / s.channels, at % s.channels);
        f(at, taps, padded);
    }
}

#[test]
fn max_pool_and_its_gradient_equal_naive_loops() {
    for (index, case) in CASES.iter().enumerate() {
        let s = shape(case, false);
        let mut random = Random(index as u64);
        // Few distinct values, so that ties are common; one NaN.
        let mut x: Vec<f32> =
            (0..s.input_elements()).map(|_| random.below(4) as f32 - 2.0).collect();
        let middle = x.len() / 2;
        x[middle] = f32::NAN;
        let g = random.values(s.output_elements());
        let mut expected = (vec![0.0; s.output_elements()], vec![0.0f32; s.input_elements()]);
        each_output(&s, |at, taps, _| {
            let from = winner(&taps, &x);
            expected.0[at] = x[from];
            expected.1[from] += g[at];
        });
        let (mut y, mut dx) = (vec![9.0; g.len()], vec![9.0; x.len()]);
        max_pool(&s, &x, &mut y).unwrap();
        max_pool_gradient(&s, &x, &g, &mut dx).unwrap();
        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&y), bits(&expected.0), "{case:?}");
        assert_eq!(bits(&dx), bits(&expected.1), "{case:?}");
    }
}

fn averages<T: Real>(s: &PoolShape, x: &[f32]) -> Vec<T> {
    let mut y = Vec::new();
    each_output(s, |_, taps, padded| {
        let sum = taps.iter().fold(T::of(0.0), |sum, at| sum + T::of(x[*at]));
        y.push(sum / T::of(if s.count_include_pad { padded } else { taps.len() } as f32));
    });
    y
}

fn average_gradients<T: Real>(s: &PoolShape, g: &[f32]) -> Vec<T> {
    let mut dx = vec![T::of(0.0); s.input_elements()];
    each_output(s, |at, taps, padded| {
        let divisor = T::of(if s.count_include_pad { padded } else { taps.len() } as f32);
        taps.iter().for_each(|tap| dx[*tap] = dx[*tap] + T::of(g[at]) / divisor);
    });
    dx
}

#[test]
fn average_pool_and_its_gradient_equal_naive_loops() {
    for (index, case) in CASES.iter().enumerate() {
        for include in [false, true] {
            let s = shape(case, include);
            let mut random = Random(50 + index as u64);
            let (x, g) = (random.values(s.input_elements()), random.values(s.output_elements()));
            let (mut y, mut dx) = (vec![9.0; g.len()], vec![9.0; x.len()]);
            average_pool(&s, &x, &mut y).unwrap();
            assert_same(&format!("{case:?}"), &y, &averages(&s, &x), &averages(&s, &x));
            average_pool_gradient(&s, &g, &mut dx).unwrap();
            let (exact, wide) = (average_gradients(&s, &g), average_gradients(&s, &g));
            assert_same(&format!("{case:?}"), &dx, &exact, &wide);
        }
    }
}
