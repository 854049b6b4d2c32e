//! Permutation of axes.

use super::{Operand, for_each_index, strides};

pub fn evaluate(permutation: &[usize], x: Operand<'_>, output: &[usize]) -> Vec<f64> {
    let own = strides(x.shape);
    let from: Vec<usize> = permutation.iter().map(|&axis| own[axis]).collect();
    let mut y = vec![0.0; x.data.len()];
    for_each_index(output, &from, 0, |flat, at| y[flat] = x.data[at]);
    y
}
