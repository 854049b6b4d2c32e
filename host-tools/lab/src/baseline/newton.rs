//! The minimum of a penalised logistic loss.

use gradgate_detect::linear::{cholesky, triangle};

use crate::baseline::Rows;
use crate::baseline::rows::dot;

/// Ten to thirty are usual; scores far from one another take more.
const STEPS: usize = 500;
/// Length of the gradient, relative to its terms, at which the search ends.
const CONVERGED: f64 = 1e-10;

/// Minimises `|w|^2 / 2 + strength * sum(log(1 + exp(-label * (w, b) . row)))` over the rows
/// chosen, by Newton's method with a step that is halved until the loss falls.
///
/// The last column of the rows is 1 and its weight, the intercept b, is free of the penalty.
pub fn minimise(rows: &Rows, labels: &[f64], chosen: &[usize], strength: f64) -> Vec<f64> {
    let mut weights = vec![0.0; rows.width()];
    let mut loss = loss_of(rows, labels, chosen, strength, &weights);
    for _ in 0..STEPS {
        let (gradient, hessian, size) = derivatives(rows, labels, chosen, strength, &weights);
        if gradient.iter().all(|g| g.abs() <= CONVERGED * size) {
            break;
        }
        let direction = solve(&hessian, &gradient);
        let mut step = 1.0;
        let next = loop {
            let moved: Vec<f64> =
                weights.iter().zip(&direction).map(|(w, d)| w - step * d).collect();
            let found = loss_of(rows, labels, chosen, strength, &moved);
            if found < loss {
                break Some((moved, found));
            }
            step /= 2.0;
            if step < f64::EPSILON {
                break None;
            }
        };
        // No step lowers the loss: rounding is all that is left of the gradient.
        let Some((moved, found)) = next else { break };
        (weights, loss) = (moved, found);
    }
    weights
}

fn loss_of(rows: &Rows, labels: &[f64], chosen: &[usize], strength: f64, weights: &[f64]) -> f64 {
    let penalised = &weights[..weights.len() - 1];
    let of_row = |&row: &usize| softplus(-labels[row] * dot(rows.row(row), weights));
    0.5 * dot(penalised, penalised) + strength * chosen.iter().map(of_row).sum::<f64>()
}

/// `log(1 + exp(x))`
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Gradient, lower triangle of the Hessian, and how large the gradient's terms are.
fn derivatives(
    rows: &Rows,
    labels: &[f64],
    chosen: &[usize],
    strength: f64,
    weights: &[f64],
) -> (Vec<f64>, Vec<f64>, f64) {
    let width = weights.len();
    let mut gradient = weights.to_vec();
    gradient[width - 1] = 0.0;
    let mut hessian = vec![0.0; triangle(width, 0)];
    (0..width - 1).for_each(|i| hessian[triangle(i, i)] = 1.0);
    let mut size = 1e-300f64;
    for &row in chosen {
        let (x, y) = (rows.row(row), labels[row]);
        let margin = y * dot(x, weights);
        // Probability of the wrong kind, without overflow.
        let wrong = 1.0 / (1.0 + margin.exp());
        let curvature = strength * wrong * (1.0 - wrong);
        for i in 0..width {
            gradient[i] -= strength * y * wrong * x[i];
            size = size.max((strength * x[i]).abs());
            for j in 0..=i {
                hessian[triangle(i, j)] += curvature * x[i] * x[j];
            }
        }
    }
    (gradient, hessian, size)
}

/// `hessian^-1 gradient`; what rounding makes indefinite is lifted along its diagonal.
fn solve(hessian: &[f64], gradient: &[f64]) -> Vec<f64> {
    let n = gradient.len();
    let mut lifted = hessian.to_vec();
    let mut lift = 1e-14f64;
    let factor = loop {
        match cholesky(&lifted, n) {
            Some(factor) => break factor,
            None => {
                for i in 0..n {
                    lifted[triangle(i, i)] = hessian[triangle(i, i)] * (1.0 + lift) + lift;
                }
                lift *= 10.0;
            }
        }
        if !lift.is_finite() {
            return gradient.to_vec();
        }
    };
    let mut solution = gradient.to_vec();
    for i in 0..n {
        let before = (0..i).map(|j| factor[triangle(i, j)] * solution[j]).sum::<f64>();
        solution[i] = (solution[i] - before) / factor[triangle(i, i)];
    }
    for i in (0..n).rev() {
        let after = (i + 1..n).map(|j| factor[triangle(j, i)] * solution[j]).sum::<f64>();
        solution[i] = (solution[i] - after) / factor[triangle(i, i)];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_vanishes_also_for_large_and_separable_features() {
        let rows = Rows::new(
            3,
            vec![
                900.0, 12_000.0, 1.0, 950.0, 11_000.0, 1.0, 990.0, 13_500.0, 1.0, 3000.0, 70_000.0,
                1.0, 4000.0, 65_000.0, 1.0,
            ],
        );
        let labels = [-1.0, -1.0, -1.0, 1.0, 1.0];
        let every = [0, 1, 2, 3, 4];
        for strength in [1e-4, 1.0, 1e4] {
            let weights = minimise(&rows, &labels, &every, strength);
            let (gradient, _, size) = derivatives(&rows, &labels, &every, strength, &weights);
            assert!(gradient.iter().all(|g| g.abs() < 1e-8 * size), "{strength} {gradient:?}");
        }
    }
}
