//! Binary operations with broadcasting, and Expand.

use super::{Operand, for_each_index, strides};

/// Strides of an operand seen in `output`'s axes; 0 where it is repeated.
fn broadcast_strides(shape: &[usize], output: &[usize]) -> Vec<usize> {
    let own = strides(shape);
    let missing = output.len() - shape.len();
    let stride = |axis: usize| match axis.checked_sub(missing) {
        Some(own_axis) if shape[own_axis] != 1 => own[own_axis],
        _ => 0,
    };
    (0..output.len()).map(stride).collect()
}

pub fn expand(x: Operand<'_>, output: &[usize]) -> Vec<f64> {
    let mut y = vec![0.0; output.iter().product()];
    for_each_index(output, &broadcast_strides(x.shape, output), 0, |flat, at| y[flat] = x.data[at]);
    y
}

pub fn evaluate(o: &[Operand<'_>], output: &[usize], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let (a, b) = (expand(o[0], output), expand(o[1], output));
    a.iter().zip(&b).map(|(&a, &b)| f(a, b)).collect()
}
