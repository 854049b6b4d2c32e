//! Product by a constant matrix and its gradients.

use super::Operand;

/// Index of weight element (k, n).
fn at(transpose_b: bool, shape: &[usize], k: usize, n: usize) -> usize {
    if transpose_b { n * shape[1] + k } else { k * shape[1] + n }
}

pub fn evaluate(transpose_b: bool, o: &[Operand<'_>], output: &[usize]) -> Vec<f64> {
    let (x, w) = (o[0], o[1]);
    let (inner, outer) = (x.shape[x.shape.len() - 1], output[output.len() - 1]);
    let product = |row: &[f64], n: usize| -> f64 {
        let sum: f64 = (0..inner).map(|k| row[k] * w.data[at(transpose_b, w.shape, k, n)]).sum();
        sum + o.get(2).map_or(0.0, |bias| bias.data[n])
    };
    x.data.chunks(inner).flat_map(|row| (0..outer).map(move |n| product(row, n))).collect()
}

pub fn input_gradient(transpose_b: bool, o: &[Operand<'_>], output: &[usize]) -> Vec<f64> {
    let (g, w) = (o[0], o[1]);
    let (inner, outer) = (output[output.len() - 1], g.shape[g.shape.len() - 1]);
    let product = |row: &[f64], k: usize| -> f64 {
        (0..outer).map(|n| row[n] * w.data[at(transpose_b, w.shape, k, n)]).sum()
    };
    g.data.chunks(outer).flat_map(|row| (0..inner).map(move |k| product(row, k))).collect()
}

pub fn weight_gradient(transpose_b: bool, o: &[Operand<'_>], output: &[usize]) -> Vec<f64> {
    let (x, g) = (o[0], o[1]);
    let (inner, outer) = (x.shape[x.shape.len() - 1], g.shape[g.shape.len() - 1]);
    let mut dw = vec![0.0; inner * outer];
    for (x, g) in x.data.chunks(inner).zip(g.data.chunks(outer)) {
        for k in 0..inner {
            for n in 0..outer {
                dw[at(transpose_b, &output[1..], k, n)] += x[k] * g[n];
            }
        }
    }
    dw
}
