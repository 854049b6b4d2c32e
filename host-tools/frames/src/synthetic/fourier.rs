//! Phases of a frame's spatial frequencies, by a Fourier transform for sides of any length.
//!
//! Mixed radix: the cost of a line is its length times the sum of its prime factors. Only sums and
//! products of f64 in a fixed order, so that bits are the same everywhere.

use crate::random::{Random, sine};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    fn times(self, other: Complex) -> Complex {
        Complex {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    fn plus(self, other: Complex) -> Complex {
        Complex { re: self.re + other.re, im: self.im + other.im }
    }

    /// On the unit circle.
    fn turned(turns: f64) -> Complex {
        Complex { re: sine(turns + 0.25), im: sine(turns) }
    }
}

/// Turns the phase of every frequency but the mean by a random angle times `strength`, the same in
/// all channels.
pub(super) fn scramble(
    pixels: &mut [u8],
    [height, width, channels]: [usize; 3],
    strength: f64,
    random: &mut Random,
) {
    let count = height * width;
    let draws: Vec<f64> = (0..count).map(|_| f64::from(random.unit())).collect();
    // Opposite frequencies turn by opposite angles, so that the frame stays real; the difference of
    // two uniform numbers is uniform again on the circle.
    let turn = |at: usize| {
        let (row, column) = (at / width, at % width);
        let opposite = (height - row) % height * width + (width - column) % width;
        Complex::turned((draws[at] - draws[opposite]) * strength)
    };
    let turns: Vec<Complex> = (0..count).map(turn).collect();
    let plane = Plane::new(height, width);
    for channel in 0..channels {
        let samples = pixels.iter().skip(channel).step_by(channels);
        let mut values: Vec<Complex> =
            samples.map(|&v| Complex { re: f64::from(v), im: 0.0 }).collect();
        plane.transform(&mut values, false);
        values.iter_mut().zip(&turns).for_each(|(value, turn)| *value = value.times(*turn));
        plane.transform(&mut values, true);
        for (sample, value) in pixels.iter_mut().skip(channel).step_by(channels).zip(values) {
            *sample = (value.re / count as f64 + 0.5) as u8;
        }
    }
}

/// Roots of unity for both sides of a frame.
struct Plane {
    width: usize,
    rows: Vec<Complex>,
    columns: Vec<Complex>,
}

impl Plane {
    fn new(height: usize, width: usize) -> Plane {
        let roots =
            |n: usize| (0..n).map(|k| Complex::turned(-(k as f64) / n as f64)).collect::<Vec<_>>();
        Plane { width, rows: roots(width), columns: roots(height) }
    }

    /// Both axes; `back` without the division by the number of samples.
    fn transform(&self, values: &mut [Complex], back: bool) {
        if back {
            conjugate(values);
        }
        for row in values.chunks_exact_mut(self.width) {
            let line = transformed(row, 0, 1, row.len(), &self.rows);
            row.copy_from_slice(&line);
        }
        for column in 0..self.width {
            let line = transformed(values, column, self.width, self.columns.len(), &self.columns);
            for (row, value) in line.into_iter().enumerate() {
                values[row * self.width + column] = value;
            }
        }
        if back {
            conjugate(values);
        }
    }
}

fn conjugate(values: &mut [Complex]) {
    values.iter_mut().for_each(|value| value.im = -value.im);
}

/// The transform of `n` values, `step` apart from `first` on; `roots` are those of a multiple of
/// `n`. As deep as `n` has prime factors.
fn transformed(
    values: &[Complex],
    first: usize,
    step: usize,
    n: usize,
    roots: &[Complex],
) -> Vec<Complex> {
    if n <= 1 {
        return values[first..].iter().take(n).copied().collect();
    }
    let factor = (2..).find(|p| n.is_multiple_of(*p) || p * p > n).unwrap_or(n);
    let factor = if n.is_multiple_of(factor) { factor } else { n };
    let part = n / factor;
    let parts: Vec<Vec<Complex>> = (0..factor)
        .map(|q| transformed(values, first + q * step, step * factor, part, roots))
        .collect();
    let spread = roots.len() / n;
    let sum = |k: usize| {
        let term = |q: usize| parts[q][k % part].times(roots[q * k % n * spread]);
        (1..factor).fold(parts[0][k % part], |sum, q| sum.plus(term(q)))
    };
    (0..n).map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length_agree_with_the_definition() {
        for n in [1, 2, 3, 5, 7, 8, 12, 13, 30, 49] {
            let value = |i: usize| Complex { re: (i * 7 % 11) as f64, im: (i * 3 % 5) as f64 };
            let values: Vec<Complex> = (0..n).map(value).collect();
            let roots = Plane::new(1, n).rows;
            let line = transformed(&values, 0, 1, n, &roots);
            for (k, got) in line.iter().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, value) in values.iter().enumerate() {
                    let angle = -std::f64::consts::TAU * (i * k % n) as f64 / n as f64;
                    re += value.re * angle.cos() - value.im * angle.sin();
                    im += value.re * angle.sin() + value.im * angle.cos();
                }
                assert!((got.re - re).abs() + (got.im - im).abs() < 1e-6, "{n}, {k}");
            }
        }
    }

    #[test]
    fn without_strength_nothing_changes_and_the_mean_always_stays() {
        let before: Vec<u8> = (0..6 * 10).map(|i| (90 + i * 37 % 61) as u8).collect();
        let mut same = before.clone();
        scramble(&mut same, [6, 10, 1], 0.0, &mut Random::of(&[1]));
        assert_eq!(same, before);
        let mut other = before.clone();
        scramble(&mut other, [6, 10, 1], 1.0, &mut Random::of(&[1]));
        let sum = |pixels: &[u8]| pixels.iter().map(|&v| i64::from(v)).sum::<i64>();
        assert!(other != before && (sum(&other) - sum(&before)).abs() < 30);
    }
}
