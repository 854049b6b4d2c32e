//! MaxPool and its gradient.

use super::Operand;
use crate::ops::Pool;

/// Calls `visit(output index, input indices of its window inside the image)`, windows in raster
/// order.
pub(super) fn for_each_window(
    pool: &Pool,
    input: &[usize],
    output: &[usize],
    mut visit: impl FnMut(usize, &[usize]),
) {
    let (h, w, oh, ow) = (input[2], input[3], output[2], output[3]);
    let taps = |o: usize, axis: usize, limit: usize| {
        let first = o * pool.strides[axis];
        let inside = move |k: usize| {
            (first + k * pool.dilations[axis]).checked_sub(pool.pads[axis]).filter(|&i| i < limit)
        };
        (0..pool.kernel[axis]).filter_map(inside).collect::<Vec<_>>()
    };
    for channel in 0..input[1] {
        for oy in 0..oh {
            let rows = taps(oy, 0, h);
            for ox in 0..ow {
                let columns = taps(ox, 1, w);
                let pixel = |&y: &usize| columns.iter().map(move |x| (channel * h + y) * w + x);
                let window: Vec<usize> = rows.iter().flat_map(pixel).collect();
                visit((channel * oh + oy) * ow + ox, &window);
            }
        }
    }
}

/// The first maximum of a window among these numbers.
pub(super) fn first_maximum(window: &[usize], compared: &[f64]) -> Option<usize> {
    window.iter().copied().reduce(|best, i| if compared[i] > compared[best] { i } else { best })
}

/// Of each window of x the element where `compared`, usually x itself, is largest.
pub fn evaluate(pool: &Pool, x: Operand<'_>, compared: &[f64], output: &[usize]) -> Vec<f64> {
    let mut y = vec![f64::NEG_INFINITY; output.iter().product()];
    for_each_window(pool, x.shape, output, |o, window| {
        if let Some(best) = first_maximum(window, compared) {
            y[o] = x.data[best];
        }
    });
    y
}

pub fn gradient(pool: &Pool, input: &[usize], compared: &[f64], g: Operand<'_>) -> Vec<f64> {
    let mut dx = vec![0.0; compared.len()];
    for_each_window(pool, input, g.shape, |o, window| {
        if let Some(best) = first_maximum(window, compared) {
            dx[best] += g.data[o];
        }
    });
    dx
}
