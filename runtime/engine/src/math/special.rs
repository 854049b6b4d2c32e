//! erf, erfc, `exp(x) - 1` and powers in f32: fixed operations, as their parent's.
//!
//! NaN in gives NaN out. Polynomials of erf and erfc are those of Cephes (ndtrf; S. Moshier).
//! Relative errors against f64 are at most 1e-6 (test `errors_are_as_stated`), erf's 3e-7; a power
//! that is no whole number up to 64 adds 1.5e-7 times the logarithm of its result.

use super::{exp, exp_tail, ln};

/// Whole exponents up to this are products; past it a power goes through exp and ln.
const WHOLE_MAX: i32 = 64;

/// Error function: -1 and 1 at the infinities.
pub fn erf(x: f32) -> f32 {
    let magnitude = if x < 0.0 { -x } else { x };
    if magnitude < 1.0 {
        return x * erf_ratio(x * x);
    }
    // From 4 on the complement is under half a unit of 1; NaN goes through it.
    let y = if magnitude > 4.0 { 1.0 } else { 1.0 - erfc_from_one(magnitude) };
    if x < 0.0 { -y } else { y }
}

/// `1 - erf(x)` without its cancellation: 2 and 0 at the infinities, +0 above 10.1.
pub fn erfc(x: f32) -> f32 {
    if x >= 1.0 {
        erfc_from_one(x)
    } else if x <= -1.0 {
        2.0 - erfc_from_one(-x)
    } else {
        1.0 - erf(x)
    }
}

/// `erf(x) / x` by the square of x, which is below 1.
fn erf_ratio(z: f32) -> f32 {
    let mut p = 7.853_861_4e-5f32;
    p = p * z - 8.010_194e-4;
    p = p * z + 5.188_327_6e-3;
    p = p * z - 2.685_381_2e-2;
    p = p * z + 1.128_358_5e-1;
    p = p * z - 3.761_262_7e-1;
    p * z + core::f32::consts::FRAC_2_SQRT_PI
}

/// erfc of a number of at least 1, or of NaN.
fn erfc_from_one(x: f32) -> f32 {
    if x > 10.1 {
        return 0.0;
    }
    let z = x * x;
    // What rounding the square dropped: 12 bits squared are exact.
    let high = f32::from_bits(x.to_bits() & 0xFFFF_F000);
    let low = x - high;
    let rest = ((high * high - z) + 2.0 * high * low) + low * low;
    let e = exp(-z);
    let q = 1.0 / x;
    let y = q * q;
    let p = if x < 2.0 { erfc_ratio_to_two(y) } else { erfc_ratio_from_two(y) };
    (e - e * rest) * q * p
}

/// `x * exp(x * x) * erfc(x)` by `1 / (x * x)`, for x in 1..2.
fn erfc_ratio_to_two(y: f32) -> f32 {
    let mut p = 2.326_819_9e-2f32;
    p = p * y - 1.387_039_4e-1;
    p = p * y + 3.687_424_7e-1;
    p = p * y - 5.824_733e-1;
    p = p * y + 6.210_004_7e-1;
    p = p * y - 4.944_515_2e-1;
    p = p * y + 3.404_88e-1;
    p = p * y - 2.741_127e-1;
    p * y + 5.638_259_6e-1
}

/// The same for x from 2 on.
fn erfc_ratio_from_two(y: f32) -> f32 {
    let mut p = -1.047_766_4e1f32;
    p = p * y + 1.297_72e1;
    p = p * y - 7.495_519;
    p = p * y + 2.921_019;
    p = p * y - 1.015_265_3;
    p = p * y + 4.218_463_5e-1;
    p = p * y - 2.820_767_5e-1;
    p * y + 5.641_896e-1
}

/// `exp(x) - 1` without its cancellation near 0.
pub fn exp_less_one(x: f32) -> f32 {
    if x.abs() < 0.34 {
        return exp_tail(x) * (x * x) + x;
    }
    exp(x) - 1.0
}

/// x to a power: NaN below zero, unless the exponent is a whole number up to `WHOLE_MAX`.
pub fn power(x: f32, exponent: f32) -> f32 {
    let whole = exponent as i32;
    if whole as f32 != exponent || !(-WHOLE_MAX..=WHOLE_MAX).contains(&whole) {
        return exp(exponent * ln(x));
    }
    let (mut rest, mut square, mut product) = (whole.unsigned_abs(), x, 1.0);
    while rest > 0 {
        if rest & 1 == 1 {
            product *= square;
        }
        rest >>= 1;
        if rest > 0 {
            square *= square;
        }
    }
    if whole < 0 { 1.0 / product } else { product }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// erf in f64 by a series whose terms are all positive; to 1e-15 up to 6.
    fn erf_exact(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..400 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        sum * (-x * x).exp() * core::f64::consts::FRAC_2_SQRT_PI
    }

    fn worst(name: &str, function: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, to: [f32; 2]) {
        let mut worst = (0.0, 0.0);
        for step in 0..=400_000u32 {
            let x = to[0] + (to[1] - to[0]) * step as f32 / 400_000.0;
            let wanted = exact(f64::from(x));
            let error = (f64::from(function(x)) - wanted).abs() / wanted.abs().max(1e-30);
            if error > worst.0 {
                worst = (error, x);
            }
        }
        std::eprintln!("{name}: worst {:.2e} at {:e}", worst.0, worst.1);
        let limit = if name == "erf" { 3e-7 } else { 1e-6 };
        assert!(worst.0 <= limit, "{name}: {:e} at {:e}", worst.0, worst.1);
    }

    #[test]
    fn errors_are_as_stated() {
        worst("erf", erf, erf_exact, [1e-6, 6.0]);
        worst("erf", erf, erf_exact, [-6.0, -1e-6]);
        worst("erfc", erfc, |x| 1.0 - erf_exact(x), [-6.0, 3.0]);
        worst("exp - 1", exp_less_one, f64::exp_m1, [-30.0, -1e-6]);
        worst("exp - 1", exp_less_one, f64::exp_m1, [1e-6, 1.0]);
        worst("x^3", |x| power(x, 3.0), |x| x * x * x, [-9.0, 9.0]);
        worst("x^-5", |x| power(x, -5.0), |x| x.powi(-5), [0.25, 9.0]);
        worst("x^0.3", |x| power(x, 0.3), |x| x.powf(f64::from(0.3f32)), [0.125, 9.0]);
    }

    /// Far tails, where the series above has lost its digits: Python's math.erfc.
    #[test]
    fn tails_are_literals() {
        for (x, wanted) in [
            (3.5f32, 7.430983723414e-7),
            (5.0, 1.537459794428e-12),
            (7.25, 1.146690081482e-24),
            (9.0, 4.137031746514e-37),
        ] {
            let error = (f64::from(erfc(x)) / wanted - 1.0).abs();
            assert!(error < 1e-6, "erfc({x}): {error:e}");
        }
    }

    #[test]
    fn special_values_are_defined() {
        let inf = f32::INFINITY;
        let cases = [
            (erf(inf), 1.0),
            (erf(-inf), -1.0),
            (erf(-0.0), -0.0),
            (erfc(inf), 0.0),
            (erfc(-inf), 2.0),
            (erfc(f32::MAX), 0.0),
            (exp_less_one(-inf), -1.0),
            (exp_less_one(inf), inf),
            (power(0.0, 0.5), 0.0),
            (power(0.0, -0.5), inf),
            (power(0.0, -1.0), inf),
            (power(-2.0, 3.0), -8.0),
            (power(5.0, 0.0), 1.0),
        ];
        for (index, (found, wanted)) in cases.into_iter().enumerate() {
            assert_eq!(found.to_bits(), f32::to_bits(wanted), "case {index}: {found}");
        }
        let nan = f32::NAN;
        let all = [erf(nan), erfc(nan), exp_less_one(nan), power(nan, 2.0)];
        assert!(all.iter().all(|y| y.is_nan()));
        assert!(power(-1.0, 0.5).is_nan() && power(nan, 0.5).is_nan());
    }

    #[test]
    fn bits_are_frozen() {
        // A digest over spread inputs: a change here changes every released score.
        let functions: [fn(f32) -> f32; 4] = [erf, erfc, exp_less_one, |x| power(x, 1.7)];
        let mut digest = 0xcbf2_9ce4_8422_2325u64;
        for function in functions {
            for step in 0..1u32 << 16 {
                let y = function(f32::from_bits(step << 16 | step));
                let bits = if y.is_nan() { 0x7FC0_0000 } else { y.to_bits() };
                digest = (digest ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(digest, 0xc931_f15c_8677_8ff5, "{digest:#x}");
    }
}
