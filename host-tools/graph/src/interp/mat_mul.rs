//! Product of two frame values.

use super::Operand;

pub fn evaluate(
    [transpose_a, transpose_b]: [bool; 2],
    o: &[Operand<'_>],
    output: &[usize],
) -> Vec<f64> {
    let (a, b) = (o[0], o[1]);
    let last_two = |shape: &[usize]| [shape[shape.len() - 2], shape[shape.len() - 1]];
    let ([m, n], sides) = (last_two(output), last_two(a.shape));
    let k = sides[usize::from(!transpose_a)];
    let at = |transposed: bool, [rows, columns]: [usize; 2], i: usize, j: usize| {
        if transposed { j * rows + i } else { i * columns + j }
    };
    let product = |a: &[f64], b: &[f64], i: usize, j: usize| -> f64 {
        let term = |l: usize| a[at(transpose_a, [m, k], i, l)] * b[at(transpose_b, [k, n], l, j)];
        (0..k).map(term).sum()
    };
    let pairs = a.data.chunks(m * k).zip(b.data.chunks(k * n));
    let matrix = |(a, b): (&[f64], &[f64])| -> Vec<f64> {
        (0..m * n).map(|index| product(a, b, index / n, index % n)).collect()
    };
    pairs.flat_map(matrix).collect()
}
