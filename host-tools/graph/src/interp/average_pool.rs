//! AveragePool and its gradient.

use super::Operand;
use super::max_pool::for_each_window;
use crate::ops::Pool;

/// The divisor of every output pixel of one channel: pixels inside the image, or inside the
/// padded image when padding counts.
fn divisors(pool: &Pool, input: &[usize], output: &[usize]) -> Vec<f64> {
    let count = |o: usize, axis: usize| {
        let (low, high) = match pool.count_include_pad {
            true => (0, input[axis + 2] + pool.pads[axis] + pool.pads[axis + 2]),
            false => (pool.pads[axis], input[axis + 2] + pool.pads[axis]),
        };
        let position = |k: usize| o * pool.strides[axis] + k * pool.dilations[axis];
        (0..pool.kernel[axis]).filter(|&k| (low..high).contains(&position(k))).count()
    };
    let row = |oy: usize| (0..output[3]).map(move |ox| (count(oy, 0) * count(ox, 1)) as f64);
    (0..output[2]).flat_map(row).collect()
}

pub fn evaluate(pool: &Pool, x: Operand<'_>, output: &[usize]) -> Vec<f64> {
    let divisors = divisors(pool, x.shape, output);
    let mut y = vec![0.0; output.iter().product()];
    for_each_window(pool, x.shape, output, |o, window| {
        y[o] = window.iter().map(|&i| x.data[i]).sum::<f64>() / divisors[o % divisors.len()];
    });
    y
}

pub fn gradient(pool: &Pool, g: Operand<'_>, input: &[usize]) -> Vec<f64> {
    let divisors = divisors(pool, input, g.shape);
    let mut dx = vec![0.0; input.iter().product()];
    for_each_window(pool, input, g.shape, |o, window| {
        let share = g.data[o] / divisors[o % divisors.len()];
        window.iter().for_each(|&i| dx[i] += share);
    });
    dx
}
