//! Functions of one variable and their derivatives, written as their definitions.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use super::Operand;
use crate::ops::Function;

/// x
pub fn evaluate(function: Function, x: Operand<'_>) -> Vec<f64> {
    x.data.iter().map(|&x| value(function, x)).collect()
}

/// x or the result, and the cotangent.
pub fn gradient(function: Function, v: Operand<'_>, g: Operand<'_>) -> Vec<f64> {
    v.data.iter().zip(g.data).map(|(&v, &g)| g * slope(function, v)).collect()
}

fn value(function: Function, x: f64) -> f64 {
    match function {
        Function::Exp => x.exp(),
        Function::Log => x.ln(),
        Function::Sqrt => x.sqrt(),
        Function::Tanh => x.tanh(),
        Function::Erf => erf(x),
        Function::Elu { alpha, gamma } => {
            f64::from(gamma) * if x > 0.0 { x } else { f64::from(alpha) * x.exp_m1() }
        }
        Function::Softplus => (if x > 0.0 { x } else { 0.0 }) + (-x.abs()).exp().ln_1p(),
        Function::HardSigmoid { alpha, beta } => {
            let t = f64::from(alpha) * x + f64::from(beta);
            let t = if t <= 0.0 { 0.0 } else { t };
            if t >= 1.0 { 1.0 } else { t }
        }
        Function::HardSwish if x <= -3.0 => 0.0,
        Function::HardSwish if x >= 3.0 => x,
        Function::HardSwish => x * (x + 3.0) / 6.0,
        Function::Gelu => x * probability(x),
        Function::GeluTanh => x * 0.5 * (1.0 + tanh_argument(x).tanh()),
        Function::Pow { exponent } => x.powf(f64::from(exponent)),
    }
}

/// At the operand, or at the result where [`Function::by_result`] says so.
fn slope(function: Function, v: f64) -> f64 {
    match function {
        Function::Exp => v,
        Function::Log => 1.0 / v,
        Function::Sqrt => 0.5 / v,
        Function::Tanh => 1.0 - v * v,
        Function::Erf => FRAC_2_SQRT_PI * (-v * v).exp(),
        Function::Elu { alpha, gamma } => {
            f64::from(gamma) * if v > 0.0 { 1.0 } else { f64::from(alpha) * v.exp() }
        }
        Function::Softplus => 1.0 / (1.0 + (-v).exp()),
        Function::HardSigmoid { alpha, beta } => {
            let t = f64::from(alpha) * v + f64::from(beta);
            if t > 0.0 && t < 1.0 { f64::from(alpha) } else { 0.0 }
        }
        Function::HardSwish if v <= -3.0 => 0.0,
        Function::HardSwish if v >= 3.0 => 1.0,
        Function::HardSwish => v / 3.0 + 0.5,
        Function::Gelu => probability(v) + v * (-0.5 * v * v).exp() / (2.0 * PI).sqrt(),
        Function::GeluTanh => {
            let t = tanh_argument(v).tanh();
            let inner = (2.0 / PI).sqrt() * (1.0 + 3.0 * 0.044_715 * v * v);
            0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * inner
        }
        Function::Pow { exponent } => f64::from(exponent) * v.powf(f64::from(exponent) - 1.0),
    }
}

/// That a normal variable is below x.
fn probability(x: f64) -> f64 {
    0.5 * (1.0 + erf(x * FRAC_1_SQRT_2))
}

fn tanh_argument(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + 0.044_715 * x * x * x)
}

/// Error function by a series whose terms have one sign, so that nothing cancels; past 6 it is 1 to
/// the last bit.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    sum * (-x * x).exp() * FRAC_2_SQRT_PI
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python's math.erf.
    #[test]
    fn erf_is_exact() {
        for (x, wanted) in [
            (0.0, 0.0),
            (0.25, 0.276_326_390_168_236_9),
            (-1.0, -0.842_700_792_949_714_9),
            (3.5, 0.999_999_256_901_627_7),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - wanted).abs() < 2e-15, "erf({x}) = {}", erf(x));
        }
        assert!(erf(f64::NAN).is_nan());
    }
}
