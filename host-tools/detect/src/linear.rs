//! The little dense linear algebra that fitting needs, in f64, lower triangles stored by rows.

/// Index of (row, column) in a lower triangle stored by rows.
pub fn triangle(row: usize, column: usize) -> usize {
    row * (row + 1) / 2 + column
}

/// Cholesky factor C of a symmetric matrix given as lower triangle: `A = C C^T`. `None` when the
/// matrix is not positive definite.
pub fn cholesky(lower: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut factor = lower.to_vec();
    for row in 0..n {
        for column in 0..=row {
            let (a, b) = (triangle(row, 0), triangle(column, 0));
            let products = factor[a..a + column].iter().zip(&factor[b..b + column]);
            let rest = factor[a + column] - products.map(|(x, y)| x * y).sum::<f64>();
            factor[a + column] = if row == column {
                if !(rest > 0.0 && rest.is_finite()) {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / factor[b + column]
            };
        }
    }
    Some(factor)
}

/// Inverse of a lower triangle with a diagonal without zeros.
pub fn invert_lower(lower: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; lower.len()];
    for column in 0..n {
        inverse[triangle(column, column)] = 1.0 / lower[triangle(column, column)];
        for row in column + 1..n {
            let mut sum = 0.0;
            for k in column..row {
                sum += lower[triangle(row, k)] * inverse[triangle(k, column)];
            }
            inverse[triangle(row, column)] = -sum / lower[triangle(row, row)];
        }
    }
    inverse
}

/// Covariance of centred rows, shrunk towards a multiple of the identity by Ledoit and Wolf's
/// (2004) optimal weight. Returns the lower triangle and the weight of the identity.
pub fn shrunk_covariance(rows: &[f64], n: usize) -> (Vec<f64>, f64) {
    let count = rows.len() / n;
    let mut lower = vec![0.0; n * (n + 1) / 2];
    for row in rows.chunks_exact(n) {
        for i in 0..n {
            let start = triangle(i, 0);
            for (place, value) in lower[start..=start + i].iter_mut().zip(row) {
                *place += row[i] * value;
            }
        }
    }
    lower.iter_mut().for_each(|value| *value /= count as f64);
    let entries = |i: usize, j: usize| if i == j { 1.0 } else { 2.0 };
    let scale = (0..n).map(|i| lower[triangle(i, i)]).sum::<f64>() / n as f64;
    let (mut square, mut fourth) = (0.0, 0.0);
    for i in 0..n {
        for j in 0..=i {
            square += entries(i, j) * lower[triangle(i, j)].powi(2);
        }
    }
    for row in rows.chunks_exact(n) {
        fourth += row.iter().map(|value| value * value).sum::<f64>().powi(2);
    }
    // Distance of the sample covariance from the multiple of the identity, and its own noise.
    let spread = square - n as f64 * scale * scale;
    let noise = (fourth / count as f64 - square) / count as f64;
    let weight = if spread > 0.0 { (noise / spread).clamp(0.0, 1.0) } else { 1.0 };
    for i in 0..n {
        for j in 0..=i {
            lower[triangle(i, j)] *= 1.0 - weight;
        }
        lower[triangle(i, i)] += weight * scale;
    }
    (lower, weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn inverse_factor_whitens() {
        let (n, count) = (7, 400);
        let mut random = Random::new(1, "linear");
        let mut rows = vec![];
        for _ in 0..count {
            let common = random.normal();
            rows.extend((0..n).map(|i| common + (i + 1) as f64 * random.normal()));
        }
        let (covariance, weight) = shrunk_covariance(&rows, n);
        assert!(weight < 0.1, "{weight}");
        let factor = cholesky(&covariance, n).unwrap();
        let inverse = invert_lower(&factor, n);
        // L A L^T is the identity.
        let full = |m: &[f64], i: usize, j: usize| {
            if i >= j { m[triangle(i, j)] } else { m[triangle(j, i)] }
        };
        for i in 0..n {
            for j in 0..n {
                let mut sum = 0.0;
                for a in 0..=i {
                    for b in 0..=j {
                        let middle = full(&covariance, a, b);
                        sum += inverse[triangle(i, a)] * middle * inverse[triangle(j, b)];
                    }
                }
                let wanted = if i == j { 1.0 } else { 0.0 };
                assert!((sum - wanted).abs() < 1e-10, "{i} {j} {sum}");
            }
        }
    }

    #[test]
    fn few_rows_are_shrunk_hard_and_stay_definite() {
        let n = 30;
        let mut random = Random::new(2, "linear");
        let rows: Vec<f64> = (0..10 * n).map(|_| random.normal()).collect();
        let (covariance, weight) = shrunk_covariance(&rows, n);
        assert!(weight > 0.5, "{weight}");
        assert!(cholesky(&covariance, n).is_some());
        assert!(cholesky(&[1.0, 2.0, 1.0], 2).is_none());
        assert!(cholesky(&[0.0], 1).is_none());
    }
}
