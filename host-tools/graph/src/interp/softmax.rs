//! Softmax and its gradient.

use super::Operand;

/// Applies `f` to every line along `axis`, given as the indices of its elements.
fn for_each_line(shape: &[usize], axis: usize, mut f: impl FnMut(&[usize])) {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    for o in 0..outer {
        for i in 0..inner {
            let line: Vec<usize> =
                (0..shape[axis]).map(|k| (o * shape[axis] + k) * inner + i).collect();
            f(&line);
        }
    }
}

pub fn evaluate(axis: usize, x: Operand<'_>) -> Vec<f64> {
    let mut y = vec![0.0; x.data.len()];
    for_each_line(x.shape, axis, |line| {
        let top = line.iter().map(|&i| x.data[i]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = line.iter().map(|&i| (x.data[i] - top).exp()).sum();
        line.iter().for_each(|&i| y[i] = (x.data[i] - top).exp() / sum);
    });
    y
}

pub fn gradient(axis: usize, y: Operand<'_>, g: Operand<'_>) -> Vec<f64> {
    let mut dx = vec![0.0; y.data.len()];
    for_each_line(y.shape, axis, |line| {
        let dot: f64 = line.iter().map(|&i| y.data[i] * g.data[i]).sum();
        line.iter().for_each(|&i| dx[i] = y.data[i] * (g.data[i] - dot));
    });
    dx
}
