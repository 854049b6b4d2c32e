//! Functions of one variable beyond the activations, and their gradients.
//!
//! Behind the feature `functions`: a device of 64 KiB leaves them out. What is not finite stays so:
//! [`not_finite`] of the operand is added to every result, where a bound would hide an infinity.

use core::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use gradgate_bundle::op::Activation;

use super::activation::{Act, not_finite};
use crate::math::special::{erf, erfc, exp_less_one, power};
use crate::math::{exp, ln, ln_above_one, sigmoid, sqrt, tanh};

/// Square root of 2 over pi.
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
/// Of the cube in Gelu's approximation.
const CUBE: f32 = 0.044_715;
/// 1 over the square root of 2 pi: the normal density at 0.
const DENSITY: f32 = 0.398_942_3;
/// Past this Gelu's approximation is x or 0 to the last bit, and products of its slope overflow.
const GELU_TANH_FLAT: f32 = 10.0;

/// In place over all values; an activation that is no function leaves them as they are.
#[inline(never)]
pub fn apply(act: &Act, values: &mut [f32]) {
    let (low, high) = (act.low, act.high);
    match act.kind {
        Activation::Exp => each(values, exp),
        Activation::Log => each(values, ln),
        Activation::Sqrt => each(values, sqrt),
        Activation::Tanh => each(values, tanh),
        Activation::Erf => each(values, erf),
        Activation::Elu => {
            each(values, |x| high * if x > 0.0 { x } else { low * exp_less_one(x) });
        }
        Activation::Softplus => each(values, softplus),
        Activation::HardSigmoid => each(values, |x| unit(low * x + high)),
        Activation::HardSwish => each(values, hard_swish),
        Activation::Gelu => each(values, |x| x * probability(x)),
        Activation::GeluTanh => each(values, |x| x * approximate_probability(x)),
        Activation::Pow => each(values, |x| power(x, low)),
        Activation::Identity
        | Activation::Relu
        | Activation::LeakyRelu
        | Activation::Clip
        | Activation::Sigmoid
        | Activation::Mask => {}
    }
}

/// `g` times the derivative at `v`: the result for Exp, Sqrt and Tanh, else the operand. `None`
/// for an activation that is no function.
#[inline(never)]
pub fn gradient(act: &Act, v: &[f32], g: &mut [f32]) -> Option<()> {
    let (low, high) = (act.low, act.high);
    match act.kind {
        Activation::Exp => pairs(v, g, |y, g| g * y),
        Activation::Log => pairs(v, g, |x, g| g / x),
        Activation::Sqrt => pairs(v, g, |y, g| g / (y + y)),
        Activation::Tanh => pairs(v, g, |y, g| g * (1.0 - y * y)),
        Activation::Erf => pairs(v, g, |x, g| g * (FRAC_2_SQRT_PI * exp(-(x * x)))),
        Activation::Elu => {
            pairs(v, g, |x, g| g * (high * if x > 0.0 { 1.0 } else { low * exp(x) }));
        }
        Activation::Softplus => pairs(v, g, |x, g| g * sigmoid(x)),
        Activation::HardSigmoid => pairs(v, g, |x, g| {
            let t = low * x + high;
            g * if (0.0 < t) & (t < 1.0) { low } else { 0.0 }
        }),
        Activation::HardSwish => pairs(v, g, |x, g| g * hard_swish_slope(x)),
        Activation::Gelu => {
            pairs(v, g, |x, g| g * (probability(x) + x * (DENSITY * exp(-0.5 * (x * x)))))
        }
        Activation::GeluTanh => pairs(v, g, |x, g| g * gelu_tanh_slope(x)),
        Activation::Pow => pairs(v, g, |x, g| g * (low * power(x, low - 1.0))),
        Activation::Identity
        | Activation::Relu
        | Activation::LeakyRelu
        | Activation::Clip
        | Activation::Sigmoid
        | Activation::Mask => return None,
    }
    Some(())
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|v| *v = f(*v) + not_finite(*v));
}

#[inline(always)]
fn pairs(v: &[f32], g: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    g.iter_mut().zip(v).for_each(|(g, v)| *g = f(*v, *g) + not_finite(*v));
}

/// Between 0 and 1.
fn unit(t: f32) -> f32 {
    let t = if t <= 0.0 { 0.0 } else { t };
    if t >= 1.0 { 1.0 } else { t }
}

/// The exponential of a negative number alone, so that nothing overflows.
fn softplus(x: f32) -> f32 {
    let (above, magnitude) = if x <= 0.0 { (0.0, -x) } else { (x, x) };
    above + ln_above_one(exp(-magnitude))
}

fn hard_swish(x: f32) -> f32 {
    let inside = x * (x + 3.0) / 6.0;
    let above = if x >= 3.0 { x } else { inside };
    if x <= -3.0 { 0.0 } else { above }
}

fn hard_swish_slope(x: f32) -> f32 {
    let inside = x / 3.0 + 0.5;
    let above = if x >= 3.0 { 1.0 } else { inside };
    if x <= -3.0 { 0.0 } else { above }
}

/// That a normal variable is below x.
fn probability(x: f32) -> f32 {
    0.5 * erfc(-x * FRAC_1_SQRT_2)
}

/// `(1 + tanh(t)) / 2` is the sigmoid of 2 t, without a cancellation.
fn approximate_probability(x: f32) -> f32 {
    let t = SQRT_2_OVER_PI * (x * (1.0 + CUBE * (x * x)));
    sigmoid(t + t)
}

fn gelu_tanh_slope(x: f32) -> f32 {
    if x >= GELU_TANH_FLAT {
        return 1.0;
    }
    if x <= -GELU_TANH_FLAT {
        return 0.0;
    }
    let s = approximate_probability(x);
    let slope = SQRT_2_OVER_PI * (1.0 + 3.0 * CUBE * (x * x));
    s + x * (s * (1.0 - s)) * (slope + slope)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Wire numbers of the functions.
    fn kinds() -> Vec<Activation> {
        (0..64).filter_map(Activation::from_number).filter(|kind| kind.is_function()).collect()
    }

    /// Constants under which the function is defined and curved around 1.
    fn act(kind: Activation) -> Act {
        match kind {
            Activation::Elu => Act { kind, low: 0.75, high: 1.25 },
            Activation::HardSigmoid => Act { kind, low: 0.2, high: 0.5 },
            Activation::Pow => Act { kind, low: 1.5, high: 0.0 },
            _ => Act { kind, low: 0.0, high: 0.0 },
        }
    }

    fn value(act: &Act, x: f32) -> f32 {
        let mut y = [x];
        apply(act, &mut y);
        y[0]
    }

    fn slope(act: &Act, x: f32) -> f32 {
        let by_result = matches!(act.kind, Activation::Exp | Activation::Sqrt | Activation::Tanh);
        let mut g = [1.0];
        let at = if by_result { value(act, x) } else { x };
        gradient(act, &[at], &mut g).unwrap();
        g[0]
    }

    #[test]
    fn what_is_not_finite_survives() {
        for act in kinds().into_iter().map(act) {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let y = value(&act, bad);
                assert!(!y.is_finite(), "{act:?}({bad}) = {y}");
                for (v, g) in [(bad, 1.0), (bad, 0.0), (0.5, bad)] {
                    let mut dx = [g];
                    gradient(&act, &[v], &mut dx).unwrap();
                    assert!(!dx[0].is_finite(), "{act:?}: {g} at {v} gives {}", dx[0]);
                }
            }
        }
    }

    /// What is defined everywhere stays finite for whatever finite operand does not overflow.
    #[test]
    fn far_operands_have_finite_results() {
        let far = [40.0, 200.0, 1e10, 1e20, 1e30];
        for act in kinds().into_iter().map(act) {
            let grows = matches!(act.kind, Activation::Exp | Activation::Pow);
            let positive = matches!(act.kind, Activation::Log | Activation::Sqrt);
            for x in far.into_iter().flat_map(|x| [x, -x]) {
                if grows || (positive && x < 0.0) {
                    continue;
                }
                let (y, slope) = (value(&act, x), slope(&act, x));
                assert!(y.is_finite() && slope.is_finite(), "{act:?} at {x}: {y}, {slope}");
            }
        }
    }

    /// Values and slopes at 0.75 and -1.25, or 2.5, by mpmath with 40 digits.
    #[test]
    fn values_are_literals() {
        let table: [(Activation, f32, f64, f64); 24] = [
            (Activation::Exp, 0.75, 2.11700001661, 2.11700001661),
            (Activation::Exp, -1.25, 0.28650479686, 0.28650479686),
            (Activation::Log, 0.75, -0.287682072452, 1.33333333333),
            (Activation::Log, 2.5, 0.916290731874, 0.4),
            (Activation::Sqrt, 0.75, 0.866025403784, 0.57735026919),
            (Activation::Sqrt, 2.5, 1.58113883008, 0.316227766017),
            (Activation::Tanh, 0.75, 0.635148952387, 0.596585808281),
            (Activation::Tanh, -1.25, -0.848283639958, 0.28041486618),
            (Activation::Erf, 0.75, 0.711155633654, 0.642931069195),
            (Activation::Erf, -1.25, -0.922900128256, 0.236521122447),
            (Activation::Elu, 0.75, 0.9375, 1.25),
            (Activation::Elu, -1.25, -0.668901752944, 0.268598247056),
            (Activation::Softplus, 0.75, 1.13687100611, 0.679178699175),
            (Activation::Softplus, -1.25, 0.251929081345, 0.222700138825),
            (Activation::HardSigmoid, 0.75, 0.650000002235, 0.20000000298),
            (Activation::HardSigmoid, -1.25, 0.249999996275, 0.20000000298),
            (Activation::HardSwish, 0.75, 0.46875, 0.75),
            (Activation::HardSwish, -1.25, -0.364583333333, 0.0833333333333),
            (Activation::Gelu, 0.75, 0.580029485717, 0.999225721739),
            (Activation::Gelu, -1.25, -0.132062217084, -0.122661583069),
            (Activation::GeluTanh, 0.75, 0.579960555166, 0.998938256137),
            (Activation::GeluTanh, -1.25, -0.13228579703, -0.12249263225),
            (Activation::Pow, 0.75, 0.649519052838, 1.29903810568),
            (Activation::Pow, 2.5, 3.95284707521, 2.37170824513),
        ];
        for (kind, x, y, dy) in table {
            let act = act(kind);
            for (found, wanted) in [(value(&act, x), y), (slope(&act, x), dy)] {
                let error = (f64::from(found) - wanted).abs() / wanted.abs().max(1e-30);
                assert!(error < 1e-6, "{kind:?} at {x}: {found} expected {wanted}");
            }
        }
    }
}
