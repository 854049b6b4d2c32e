//! Convolutions against sums written down plainly, normalisation against difference quotients.

use super::*;
use crate::random::Random;

fn random(count: usize, index: u64) -> Vec<f32> {
    let mut random = Random::new(3, "kernels", index);
    (0..count).map(|_| random.between(-1.0, 1.0) as f32).collect()
}

struct Case {
    conv: Conv,
    frames: usize,
    input: [usize; 3],
    weight: [usize; 4],
}

fn case(
    frames: usize,
    input: [usize; 3],
    weight: [usize; 4],
    strides: [usize; 2],
    pads: [usize; 4],
    dilations: [usize; 2],
) -> Case {
    let groups = input[0] / weight[1];
    Case { conv: Conv { strides, pads, dilations, groups }, frames, input, weight }
}

fn cases() -> Vec<Case> {
    vec![
        case(1, [1, 1, 1], [1, 1, 1, 1], [1, 1], [0; 4], [1, 1]),
        case(3, [3, 8, 8], [5, 3, 3, 3], [1, 1], [1; 4], [1, 1]),
        case(2, [2, 7, 9], [4, 2, 3, 3], [2, 2], [0, 0, 1, 1], [1, 1]),
        case(2, [2, 7, 9], [3, 2, 3, 2], [2, 1], [1, 0, 1, 1], [1, 1]),
        case(2, [4, 6, 6], [8, 4, 1, 1], [2, 2], [0; 4], [1, 1]),
        case(2, [2, 6, 5], [3, 2, 1, 1], [1, 1], [1; 4], [1, 1]),
        case(2, [4, 9, 8], [6, 2, 3, 3], [1, 1], [2, 1, 0, 3], [2, 1]),
        case(2, [6, 9, 9], [6, 1, 3, 3], [2, 2], [1; 4], [1, 1]),
        case(2, [2, 11, 10], [2, 2, 3, 3], [3, 2], [2, 2, 2, 2], [2, 3]),
        case(2, [3, 12, 12], [2, 3, 5, 5], [4, 4], [0; 4], [1, 1]),
        case(70, [2, 4, 4], [3, 2, 3, 3], [1, 1], [1; 4], [1, 1]),
        // One frame is more than a chunk.
        case(2, [8, 90, 90], [2, 8, 3, 3], [1, 1], [1; 4], [1, 1]),
    ]
}

/// Calls `visit` with the places of y, x and w of every product.
fn products_of(case: &Case, mut visit: impl FnMut(usize, usize, usize)) {
    let Case { conv, frames, input: [channels, height, width], weight: [out, inner, kh, kw] } =
        case;
    let [rows, columns] = conv.output_hw([*height, *width], [*kh, *kw]).expect("fits");
    for frame in 0..*frames {
        for o in 0..*out {
            for (oy, ox) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                let y = ((frame * out + o) * rows + oy) * columns + ox;
                for c in 0..*inner {
                    for (ky, kx) in (0..*kh).flat_map(|y| (0..*kw).map(move |x| (y, x))) {
                        let iy = oy * conv.strides[0] + ky * conv.dilations[0];
                        let ix = ox * conv.strides[1] + kx * conv.dilations[1];
                        let (iy, ix) =
                            (iy.wrapping_sub(conv.pads[0]), ix.wrapping_sub(conv.pads[1]));
                        if iy < *height && ix < *width {
                            let channel = o / (out / conv.groups) * inner + c;
                            let x = ((frame * channels + channel) * height + iy) * width + ix;
                            visit(y, x, ((o * inner + c) * kh + ky) * kw + kx);
                        }
                    }
                }
            }
        }
    }
}

fn close(got: &[f32], wanted: &[f64], what: &str) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1.0, |m, x| x.abs().max(m));
    for (at, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        assert!((f64::from(*got) - wanted).abs() < 1e-5 * scale, "{what} {at}: {got} {wanted}");
    }
}

#[test]
fn convolutions_and_gradients_are_the_plain_sums() {
    for (index, case) in cases().iter().enumerate() {
        let convolution = Convolution::new(&case.conv, case.input, case.weight);
        let [rows, columns] = convolution.output_hw();
        let x = random(case.frames * case.input.iter().product::<usize>(), 0);
        let w = random(case.weight.iter().product(), 1);
        let bias = random(case.weight[0], 2);
        let dy = random(case.frames * case.weight[0] * rows * columns, 3);
        let pixels = rows * columns;
        let mut y: Vec<f64> =
            (0..dy.len()).map(|at| f64::from(bias[at / pixels % bias.len()])).collect();
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        products_of(case, |at, from, weight| {
            y[at] += f64::from(x[from]) * f64::from(w[weight]);
            dx[from] += f64::from(dy[at]) * f64::from(w[weight]);
            dw[weight] += f64::from(dy[at]) * f64::from(x[from]);
        });
        let mut db = vec![0.0; bias.len()];
        dy.iter().enumerate().for_each(|(at, g)| db[at / pixels % bias.len()] += f64::from(*g));
        close(&convolution.forward(&x, &w, Some(&bias)), &y, &format!("case {index}: y"));
        close(&convolution.input_gradient(&dy, &w), &dx, &format!("case {index}: dx"));
        close(&convolution.weight_gradient(&x, &dy), &dw, &format!("case {index}: dw"));
        close(&convolution.bias_gradient(&dy), &db, &format!("case {index}: db"));
    }
}

/// The sum of `weights * y`, whose gradients [`normalise_gradient`] gives.
fn objective(x: &[f64], scale: &[f64], shift: &[f64], weights: &[f32], epsilon: f64) -> f64 {
    let (channels, pixels) = (scale.len(), 5);
    let mut total = 0.0;
    for c in 0..channels {
        let own: Vec<usize> = (0..x.len()).filter(|at| at / pixels % channels == c).collect();
        let count = own.len() as f64;
        let mean = own.iter().map(|&at| x[at]).sum::<f64>() / count;
        let variance = own.iter().map(|&at| (x[at] - mean).powi(2)).sum::<f64>() / count;
        let y = |at: usize| (x[at] - mean) / (variance + epsilon).sqrt() * scale[c] + shift[c];
        total += own.iter().map(|&at| y(at) * f64::from(weights[at])).sum::<f64>();
    }
    total
}

#[test]
fn normalisation_and_its_gradients_are_right() {
    let (channels, pixels, epsilon) = (3, 5, 1e-3);
    let x = random(4 * channels * pixels, 5);
    let (scale, shift) = (random(channels, 6), random(channels, 7));
    let weights = random(x.len(), 8);
    let done = normalise(&x, [channels, pixels], &scale, &shift, epsilon);
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let inputs = [wide(&x), wide(&scale), wide(&shift)];
    let at = |i: &[Vec<f64>; 3]| objective(&i[0], &i[1], &i[2], &weights, epsilon);
    let total: f64 = done.y.iter().zip(&weights).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum();
    assert!((total - at(&inputs)).abs() < 1e-5, "{total}");
    let gradients = normalise_gradient(
        &x,
        &weights,
        [channels, pixels],
        &scale,
        &done.mean,
        &done.variance,
        epsilon,
    );
    for (input, gradient) in gradients.iter().enumerate() {
        let slopes: Vec<f64> = (0..gradient.len())
            .map(|index| {
                let moved = |step: f64| {
                    let mut inputs = inputs.clone();
                    inputs[input][index] += step;
                    at(&inputs)
                };
                (moved(1e-5) - moved(-1e-5)) / 2e-5
            })
            .collect();
        close(gradient, &slopes, ["dx", "dscale", "dshift"][input]);
    }
}
