//! Best rank-1 factors of a matrix, by power iteration: fixed start, fixed number of steps.

/// Steps; each shrinks what remains of the second direction by the square of the ratio of the two
/// largest singular values. Where these are almost equal, either direction is as good.
pub const ITERATIONS: usize = 40;

/// Factors of a direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// Over output channels; of length 1 where every group's v is.
    pub u: Vec<f64>,
    /// Over inputs, a unit vector a group (0 for a group without energy).
    pub v: Vec<f64>,
    /// Share of the matrix's energy that they keep.
    pub kept: f64,
}

/// Rank-1 factors of `matrix` `[outputs][inputs]`, each of `groups` blocks of rows by itself, of
/// length 1 together; `None` for a matrix of zeros.
pub fn rank_one(matrix: &[f64], outputs: usize, groups: usize) -> Option<Direction> {
    let inputs = matrix.len() / outputs;
    let (mut u, mut v) = (vec![], vec![]);
    for block in matrix.chunks(outputs / groups * inputs) {
        let factor = strongest(block, inputs);
        u.extend(times(block, &factor));
        v.extend(factor);
    }
    let kept = square(&u);
    let energy = square(matrix);
    if kept <= 0.0 || !energy.is_finite() {
        return None;
    }
    let length = kept.sqrt();
    u.iter_mut().for_each(|x| *x /= length);
    Some(Direction { u, v, kept: kept / energy })
}

/// The first right singular vector, from the longest row.
fn strongest(block: &[f64], inputs: usize) -> Vec<f64> {
    let mut start = &block[..inputs];
    for row in block.chunks(inputs) {
        if square(row) > square(start) {
            start = row;
        }
    }
    let mut v = unit(start.to_vec());
    for _ in 0..ITERATIONS {
        let u = times(block, &v);
        let mut next = vec![0.0; inputs];
        for (row, weight) in block.chunks(inputs).zip(u) {
            next.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
        }
        v = unit(next);
    }
    v
}

/// The product with a vector.
fn times(block: &[f64], v: &[f64]) -> Vec<f64> {
    block.chunks(v.len()).map(|row| row.iter().zip(v).map(|(x, v)| x * v).sum()).collect()
}

fn square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn unit(mut x: Vec<f64>) -> Vec<f64> {
    let length = square(&x).sqrt();
    if length > 0.0 {
        x.iter_mut().for_each(|x| *x /= length);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Eigenvalues of a symmetric matrix by cyclic Jacobi rotations, largest first, with the first
    /// one's vector.
    fn jacobi(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<f64>) {
        let n = a.len();
        let mut vectors: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
        for _ in 0..60 {
            for p in 0..n {
                for q in p + 1..n {
                    if a[p][q].abs() < 1e-300 {
                        continue;
                    }
                    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                    let c = 1.0 / (t * t + 1.0).sqrt();
                    let s = t * c;
                    for row in [&mut a, &mut vectors].into_iter().flatten() {
                        let (x, y) = (row[p], row[q]);
                        (row[p], row[q]) = (c * x - s * y, s * x + c * y);
                    }
                    for k in 0..n {
                        let (x, y) = (a[p][k], a[q][k]);
                        (a[p][k], a[q][k]) = (c * x - s * y, s * x + c * y);
                    }
                }
            }
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
        let first = vectors.iter().map(|row| row[order[0]]).collect();
        (order.iter().map(|&i| a[i][i]).collect(), first)
    }

    fn gram(block: &[f64], inputs: usize) -> Vec<Vec<f64>> {
        let entry = |i: usize, j: usize| block.chunks(inputs).map(|row| row[i] * row[j]).sum();
        (0..inputs).map(|i| (0..inputs).map(|j| entry(i, j)).collect()).collect()
    }

    #[test]
    fn factors_equal_those_of_jacobi_on_the_gram_matrix() {
        for seed in 0..60 {
            let mut random = Random::new(seed, "rank one");
            let groups = 1 + random.below(3);
            let (each, inputs) = (1 + random.below(6), 1 + random.below(8));
            let mut matrix = vec![];
            for _ in 0..groups {
                // A direction under noise, so that the first singular value stands apart.
                let row: Vec<f64> = (0..inputs).map(|_| random.normal()).collect();
                for _ in 0..each {
                    let weight = random.normal();
                    matrix.extend(row.iter().map(|x| weight * x + 0.2 * random.normal()));
                }
            }
            let found = rank_one(&matrix, groups * each, groups).unwrap();
            let mut kept = 0.0;
            for (group, block) in matrix.chunks(each * inputs).enumerate() {
                let (values, vector) = jacobi(gram(block, inputs));
                kept += values[0];
                let own = &found.v[group * inputs..][..inputs];
                let agreement: f64 = own.iter().zip(&vector).map(|(a, b)| a * b).sum();
                if values.len() < 2 || values[1] < 0.5 * values[0] {
                    assert!((agreement.abs() - 1.0).abs() < 1e-9, "seed {seed}: {agreement}");
                }
            }
            let energy = square(&matrix);
            assert!((found.kept - kept / energy).abs() < 1e-7, "seed {seed}: {}", found.kept);
            assert!((square(&found.u) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_matrix_of_rank_one_is_kept_whole_and_zeros_have_no_direction() {
        let (u, v) = ([3.0, -4.0, 0.0], [1.0, 2.0, -2.0, 4.0]);
        let matrix: Vec<f64> = u.iter().flat_map(|u| v.iter().map(move |v| u * v)).collect();
        let found = rank_one(&matrix, 3, 1).unwrap();
        assert!((found.kept - 1.0).abs() < 1e-15);
        let back = found.u.iter().flat_map(|u| found.v.iter().map(move |v| 25.0 * u * v));
        assert!(back.zip(&matrix).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(rank_one(&[0.0; 6], 2, 1), None);
        assert_eq!(rank_one(&[f64::NAN; 6], 2, 1), None);
        // A dead group beside a live one.
        let half = rank_one(&[0.0, 0.0, 1.0, 2.0], 2, 2).unwrap();
        assert_eq!((half.u[0], &half.v[..2]), (0.0, &[0.0, 0.0][..]));
    }
}
