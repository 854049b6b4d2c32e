//! exp, ln, tanh, sqrt, sigmoid in f32: fixed operations, so the same bits on every target.
//!
//! Only f32 add, subtract, multiply, divide, conversions and integer code; never fused, no libm.
//! Errors are at most 2 units in the last place against f64. NaN in gives NaN out; infinities,
//! zeros and subnormals are defined below. Polynomials are those of Cephes (expf, logf, tanhf; S.
//! Moshier).

#[cfg(feature = "functions")]
pub mod special;

const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// e to the x: +Inf above 88.73, subnormals then +0 below -87.34, 1 at both zeros.
pub fn exp(x: f32) -> f32 {
    if x.is_nan() {
        return f32::NAN;
    }
    if x > 88.722_84 {
        return f32::INFINITY;
    }
    if x < -103.972_08 {
        return 0.0;
    }
    let k = round_to_integer(x * core::f32::consts::LOG2_E);
    let steps = k as f32;
    // The parts of x - k ln 2 and of 1 + r that rounding drops are carried along.
    let (high, low) = (x - steps * LN_2_HIGH, steps * LN_2_LOW);
    let r = high - low;
    let r_rest = (high - r) - low;
    let p = exp_tail(r);
    let one_and_r = 1.0 + r;
    let rest = (r - (one_and_r - 1.0)) + r_rest;
    let y = one_and_r + (p * (r * r) + rest);
    let half = k / 2;
    (y * power_of_two(half)) * power_of_two(k - half)
}

/// `(exp(r) - 1 - r) / (r * r)` for |r| up to half of ln 2.
#[inline(always)]
fn exp_tail(r: f32) -> f32 {
    let mut p = 1.987_569_1e-4f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p * r + 0.5
}

/// Natural logarithm: -Inf at both zeros, NaN below them, +Inf at +Inf.
pub fn ln(x: f32) -> f32 {
    if x.is_nan() || x < 0.0 {
        return f32::NAN;
    }
    if x == 0.0 {
        return f32::NEG_INFINITY;
    }
    if x == f32::INFINITY {
        return x;
    }
    let (mut mantissa, mut exponent) = split(x);
    // Mantissa between sqrt(1/2) and sqrt(2), so that the result has no cancellation near 1.
    if mantissa < core::f32::consts::FRAC_1_SQRT_2 {
        mantissa = mantissa + mantissa;
        exponent -= 1;
    }
    let f = mantissa - 1.0;
    let z = f * f;
    let mut p = 7.037_683_6e-2f32;
    p = p * f - 1.151_461e-1;
    p = p * f + 1.167_699_9e-1;
    p = p * f - 1.242_014_1e-1;
    p = p * f + 1.424_932_3e-1;
    p = p * f - 1.666_805_8e-1;
    p = p * f + 2.000_071_5e-1;
    p = p * f - 2.499_999_4e-1;
    p = p * f + 3.333_333e-1;
    let steps = exponent as f32;
    let low = (f * z * p + steps * LN_2_LOW) - 0.5 * z;
    (f + low) + steps * LN_2_HIGH
}

/// `ln(1 + x)` for x >= 0, accurate for small x, too (Kahan): a confident frame's doubt is far
/// below the spacing of floats at 1, where scores would otherwise tie or jump.
pub fn ln_above_one(x: f32) -> f32 {
    let sum = 1.0 + x;
    if sum == 1.0 { x } else { ln(sum) * (x / (sum - 1.0)) }
}

/// Hyperbolic tangent: -1 and 1 at the infinities; keeps the sign of zero.
pub fn tanh(x: f32) -> f32 {
    if x.is_nan() {
        return f32::NAN;
    }
    let magnitude = if x < 0.0 { -x } else { x };
    if magnitude > 9.1 {
        return if x < 0.0 { -1.0 } else { 1.0 };
    }
    if magnitude >= 0.625 {
        let y = 1.0 - 2.0 / (exp(magnitude + magnitude) + 1.0);
        return if x < 0.0 { -y } else { y };
    }
    // Below 2^-12 the next term is under half a unit; keeps -0 as well.
    if magnitude < 2.441_406_3e-4 {
        return x;
    }
    let z = x * x;
    let mut p = -5.704_988_7e-3f32;
    p = p * z + 2.063_909e-2;
    p = p * z - 5.373_971_6e-2;
    p = p * z + 1.333_142_2e-1;
    p = p * z - 3.333_328e-1;
    p * z * x + x
}

/// Square root, correctly rounded: NaN below zero, keeps the sign of zero.
pub fn sqrt(x: f32) -> f32 {
    if x.is_nan() || x < 0.0 {
        return f32::NAN;
    }
    if x == 0.0 || x == f32::INFINITY {
        return x;
    }
    let (mantissa, exponent) = integer_parts(x);
    // value = mantissa * 2^exponent; an even exponent and 50 or 51 bits give a root of 25 or 26
    // bits.
    let shift = 26 + ((exponent ^ 26) & 1);
    let wide = u64::from(mantissa) << shift;
    let root = integer_root(wide);
    // The sticky bit stands for the remainder, so that the conversion rounds the exact root.
    let sticky = u64::from(root * root != wide);
    let exact = (root << 1) | sticky;
    let scale = (exponent - shift) / 2 - 1;
    let half = scale / 2;
    ((exact as f32) * power_of_two(half)) * power_of_two(scale - half)
}

/// `1 / (1 + exp(-x))`: 0 and 1 at the infinities.
pub fn sigmoid(x: f32) -> f32 {
    if x < 0.0 {
        let e = exp(x);
        let t = 1.0 + e;
        // What rounding 1 + e dropped; without it the error exceeds 2 units near powers of two.
        let rest = e - (t - 1.0);
        let q = e / t;
        q - q * rest / t
    } else {
        1.0 / (1.0 + exp(-x))
    }
}

/// Integer square root of a number below 2^52, a bit of it at a time: the library's is faster and
/// ten times as long, with a division of 64 bits behind it.
fn integer_root(value: u64) -> u64 {
    let (mut root, mut rest) = (0, value);
    let mut bit = 1 << 50;
    while bit != 0 {
        if rest >= root + bit {
            rest -= root + bit;
            root += 2 * bit;
        }
        root >>= 1;
        bit >>= 2;
    }
    root
}

/// Nearest integer, halves away from zero; for |x| < 2^23.
fn round_to_integer(x: f32) -> i32 {
    if x < 0.0 { (x - 0.5) as i32 } else { (x + 0.5) as i32 }
}

/// 2 to the k, for -126 <= k <= 127.
fn power_of_two(k: i32) -> f32 {
    f32::from_bits(((k + 127) as u32) << 23)
}

/// A positive finite value as 24-bit integer times a power of two.
fn integer_parts(x: f32) -> (u32, i32) {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32;
    let fraction = bits & 0x007F_FFFF;
    if exponent > 0 {
        return (fraction | 0x0080_0000, exponent - 150);
    }
    let shift = fraction.leading_zeros() as i32 - 8;
    (fraction << shift, -149 - shift)
}

/// A positive finite value as mantissa in [1/2, 1) times a power of two.
fn split(x: f32) -> (f32, i32) {
    let (mantissa, exponent) = integer_parts(x);
    (f32::from_bits((mantissa & 0x007F_FFFF) | 0x3F00_0000), exponent + 24)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// Distance of y from the exact value, in units of the last place of the exact value.
    fn error_in_ulp(y: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        if y == rounded {
            return 0.0;
        }
        if !y.is_finite() || !rounded.is_finite() {
            return if y.to_bits() == rounded.to_bits() { 0.0 } else { f64::INFINITY };
        }
        let magnitude = rounded.abs();
        let next = f32::from_bits(magnitude.to_bits() + 1);
        (f64::from(y) - exact).abs() / f64::from(next - magnitude)
    }

    /// Worst error over every 61st bit pattern (70 million values).
    fn worst(name: &str, function: fn(f32) -> f32, exact: fn(f64) -> f64, limit: f64) {
        let mut worst = (0.0, 0.0f32);
        for bits in (0..=u32::MAX).step_by(61) {
            let x = f32::from_bits(bits);
            if x.is_nan() {
                assert!(function(x).is_nan(), "{name}({bits:#x})");
                continue;
            }
            let wanted = exact(f64::from(x));
            let got = function(x);
            if wanted.is_nan() {
                assert!(got.is_nan(), "{name}({x:e}) = {got:e}");
                continue;
            }
            let error = error_in_ulp(got, wanted);
            if error > worst.0 {
                worst = (error, x);
            }
        }
        std::eprintln!("{name}: worst {:.3} ulp at {:e}", worst.0, worst.1);
        assert!(worst.0 <= limit, "{name}: {} ulp at {:e}", worst.0, worst.1);
    }

    #[test]
    fn errors_stay_within_two_ulp() {
        worst("exp", exp, f64::exp, 2.0);
        worst("ln", ln, f64::ln, 2.0);
        worst("tanh", tanh, f64::tanh, 2.0);
        worst("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 2.0);
    }

    #[test]
    fn sqrt_is_correctly_rounded() {
        worst("sqrt", sqrt, f64::sqrt, 0.5);
        for bits in (0..0x7F80_0000u32).step_by(257) {
            let x = f32::from_bits(bits);
            assert_eq!(sqrt(x).to_bits(), x.sqrt().to_bits(), "sqrt({x:e})");
        }
    }

    #[test]
    fn special_values_are_defined() {
        let inf = f32::INFINITY;
        type Case = (fn(f32) -> f32, f32, f32);
        let cases: [Case; 17] = [
            (exp, 0.0, 1.0),
            (exp, -0.0, 1.0),
            (exp, inf, inf),
            (exp, -inf, 0.0),
            (exp, -104.0, 0.0),
            (ln, 0.0, -inf),
            (ln, -0.0, -inf),
            (ln, inf, inf),
            (ln, 1.0, 0.0),
            (tanh, inf, 1.0),
            (tanh, -inf, -1.0),
            (tanh, -0.0, -0.0),
            (sqrt, inf, inf),
            (sqrt, -0.0, -0.0),
            (sigmoid, inf, 1.0),
            (sigmoid, -inf, 0.0),
            (sigmoid, 0.0, 0.5),
        ];
        for (function, x, wanted) in cases {
            assert_eq!(function(x).to_bits(), wanted.to_bits(), "f({x}) = {}", function(x));
        }
        let smallest = f32::from_bits(1);
        assert!((f64::from(ln(smallest)) - f64::from(smallest).ln()).abs() < 1e-5);
        assert_eq!(sqrt(smallest).to_bits(), smallest.sqrt().to_bits());
        assert!(ln(-1.0).is_nan() && ln(-inf).is_nan() && sqrt(-1.0).is_nan());
    }

    #[test]
    fn bits_are_frozen() {
        // A digest over 2^16 spread inputs: a change here changes every released score.
        let functions: [fn(f32) -> f32; 5] = [exp, ln, tanh, sqrt, sigmoid];
        let mut digest = 0xcbf2_9ce4_8422_2325u64;
        for function in functions {
            for step in 0..1u32 << 16 {
                let y = function(f32::from_bits(step << 16 | step));
                let bits = if y.is_nan() { 0x7FC0_0000 } else { y.to_bits() };
                digest = (digest ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(digest, 0x1b18_3498_3424_18bc, "{digest:#x}");
    }
}
