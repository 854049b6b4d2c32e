//! Sum and mean over axes.

use super::{Operand, for_each_index, strides};

pub fn evaluate(axes: &[usize], mean: bool, x: Operand<'_>) -> Vec<f64> {
    let kept: Vec<usize> = (0..x.shape.len())
        .map(|axis| if axes.contains(&axis) { 1 } else { x.shape[axis] })
        .collect();
    let mut to = strides(&kept);
    axes.iter().for_each(|&axis| to[axis] = 0);
    let mut y = vec![0.0; kept.iter().product()];
    for_each_index(x.shape, &to, 0, |flat, at| y[at] += x.data[flat]);
    if mean {
        let count = (x.data.len() / y.len().max(1)) as f64;
        y.iter_mut().for_each(|y| *y /= count);
    }
    y
}
