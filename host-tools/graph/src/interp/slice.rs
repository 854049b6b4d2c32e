//! Slice, and scattering into a filled tensor (the gradient of Slice, and Pad).

use super::{Operand, for_each_index, strides};

fn walk(shape: &[usize], starts: &[usize], steps: &[usize]) -> (Vec<usize>, usize) {
    let strides = strides(shape);
    let start = strides.iter().zip(starts).map(|(stride, start)| stride * start).sum();
    (strides.iter().zip(steps).map(|(stride, step)| stride * step).collect(), start)
}

pub fn evaluate(starts: &[usize], steps: &[usize], x: Operand<'_>, output: &[usize]) -> Vec<f64> {
    let (from, start) = walk(x.shape, starts, steps);
    let mut y = vec![0.0; output.iter().product()];
    for_each_index(output, &from, start, |flat, at| y[flat] = x.data[at]);
    y
}

pub fn scatter(
    starts: &[usize],
    steps: &[usize],
    x: Operand<'_>,
    output: &[usize],
    fill: f64,
) -> Vec<f64> {
    let (to, start) = walk(output, starts, steps);
    let mut y = vec![fill; output.iter().product()];
    for_each_index(x.shape, &to, start, |flat, at| y[at] = x.data[flat]);
    y
}
