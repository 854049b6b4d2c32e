//! Eigenvalues and eigenvectors of symmetric matrices, in f64.

use crate::baseline::Rows;

/// Sweeps after which an entry off the diagonal that is left is rounding; 6 to 10 are usual.
const SWEEPS: usize = 60;

/// `A = sum over i of values[i] * vectors[i] vectors[i]^T`.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// Ascending.
    pub values: Vec<f64>,
    /// Orthonormal; `vectors.row(i)` belongs to `values[i]`.
    pub vectors: Rows,
}

impl Eigen {
    /// Of a symmetric matrix `[n][n]`, by cyclic Jacobi rotations: slower than other ways, short,
    /// and without a case that fails. 512 rows take seconds.
    pub fn of(matrix: &Rows) -> Self {
        let n = matrix.width();
        let mut a: Vec<Vec<f64>> = matrix.iter().map(<[f64]>::to_vec).collect();
        let mut v: Vec<Vec<f64>> = (0..n).map(|i| unit(n, i)).collect();
        let largest = matrix.values().iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        // What stays off the diagonal moves no eigenvalue by more than the rounding of the input.
        let negligible = largest * f64::EPSILON / (4 * n.max(1)) as f64;
        for _ in 0..SWEEPS {
            if !sweep(&mut a, &mut v, negligible) {
                break;
            }
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| a[i][i].total_cmp(&a[j][j]));
        let mut vectors = Rows::empty(n);
        order.iter().for_each(|&i| vectors.push(v[i].iter().copied()));
        Self { values: order.iter().map(|&i| a[i][i]).collect(), vectors }
    }

    /// Rows `vectors[i] / sqrt(values[i])`, which whiten: the pseudo-inverse is their transpose
    /// times them. Directions whose eigenvalue is at most `n * epsilon * largest` are left out, the
    /// rule of scipy's `pinvh`.
    pub fn whitening(&self) -> Rows {
        let n = self.vectors.width();
        let largest = self.values.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
        let limit = largest * n as f64 * f64::EPSILON;
        let mut rows = Rows::empty(n);
        for (value, vector) in self.values.iter().zip(self.vectors.iter()) {
            if *value > limit {
                rows.push(vector.iter().map(|x| x / value.sqrt()));
            }
        }
        rows
    }
}

fn unit(n: usize, one: usize) -> Vec<f64> {
    let mut row = vec![0.0; n];
    row[one] = 1.0;
    row
}

/// Turns every pair of axes once; whether there was anything to turn.
fn sweep(a: &mut [Vec<f64>], v: &mut [Vec<f64>], negligible: f64) -> bool {
    let mut turned = false;
    for p in 0..a.len() {
        for q in p + 1..a.len() {
            let (off, first, second) = (a[p][q], a[p][p], a[q][q]);
            if off.abs() <= negligible {
                continue;
            }
            turned = true;
            let theta = (second - first) / (2.0 * off);
            let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
            let cosine = 1.0 / t.hypot(1.0);
            rotate(a, v, p, q, cosine, t * cosine);
            (a[p][q], a[q][p]) = (0.0, 0.0);
        }
    }
    turned
}

fn rotate(a: &mut [Vec<f64>], v: &mut [Vec<f64>], p: usize, q: usize, c: f64, s: f64) {
    let turn = |x: &mut f64, y: &mut f64| (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    for row in a.iter_mut() {
        let (left, right) = row.split_at_mut(q);
        turn(&mut left[p], &mut right[0]);
    }
    for matrix in [a, v] {
        let (left, right) = matrix.split_at_mut(q);
        left[p].iter_mut().zip(&mut right[0]).for_each(|(x, y)| turn(x, y));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::rows::dot;

    /// `B B^T` of numbers without a pattern, `rank` columns.
    fn gram(n: usize, rank: usize) -> Rows {
        let b: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                (0..rank).map(|j| ((1 + i * 37 + j * 101 + i * j * 13) as f64).sin()).collect()
            })
            .collect();
        Rows::new(n, (0..n * n).map(|at| dot(&b[at / n], &b[at % n])).collect())
    }

    fn rebuilt(eigen: &Eigen, at: (usize, usize)) -> f64 {
        let terms = eigen.values.iter().zip(eigen.vectors.iter());
        terms.map(|(value, vector)| value * vector[at.0] * vector[at.1]).sum()
    }

    #[test]
    fn a_matrix_is_rebuilt_from_its_eigenvectors() {
        for (n, rank) in [(1, 1), (2, 2), (17, 17), (17, 5)] {
            let matrix = gram(n, rank);
            let eigen = Eigen::of(&matrix);
            for i in 0..n {
                for j in 0..n {
                    let product = dot(eigen.vectors.row(i), eigen.vectors.row(j));
                    assert!((product - f64::from(u8::from(i == j))).abs() < 1e-13, "{n} {i} {j}");
                    let error = rebuilt(&eigen, (i, j)) - matrix.row(i)[j];
                    assert!(error.abs() < 1e-12, "{n} {i} {j} {error}");
                }
            }
            assert!(eigen.values.is_sorted(), "{n}");
            assert_eq!(eigen.whitening().len(), rank, "{n}");
        }
    }

    #[test]
    fn a_two_by_two_matrix_has_the_eigenvalues_of_the_formula() {
        let eigen = Eigen::of(&Rows::new(2, vec![2.0, 1.0, 1.0, 2.0]));
        assert!((eigen.values[0] - 1.0).abs() < 1e-15 && (eigen.values[1] - 3.0).abs() < 1e-15);
        let eigen = Eigen::of(&Rows::new(2, vec![0.0, 1.0, 1.0, 0.0]));
        assert!((eigen.values[0] + 1.0).abs() < 1e-15 && (eigen.values[1] - 1.0).abs() < 1e-15);
        assert!(Eigen::of(&Rows::new(2, vec![0.0; 4])).whitening().is_empty());
    }
}
