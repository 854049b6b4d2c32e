//! Concatenation.

use super::{Operand, for_each_index, strides};

pub fn evaluate(axis: usize, o: &[Operand<'_>], output: &[usize]) -> Vec<f64> {
    let mut y = vec![0.0; output.iter().product()];
    let to = strides(output);
    let mut start = 0;
    for x in o {
        for_each_index(x.shape, &to, start * to[axis], |flat, at| y[at] = x.data[flat]);
        start += x.shape[axis];
    }
    y
}
