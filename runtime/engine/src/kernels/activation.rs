//! Activations and their gradients; what is not finite stays so through every one of them.
//!
//! A bound would hide an infinity (an overflow before Relu comes out as 0), and the frame could
//! pass. So
//! where a bound takes effect, [`not_finite`] is added: +0 for a finite x, NaN for an infinite one.

use gradgate_bundle::op::Activation;

#[cfg(feature = "functions")]
use super::function;
use crate::math::exp;

/// An activation with its constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Act {
    /// Which.
    pub kind: Activation,
    /// Clip's lower bound, LeakyRelu's slope, or a function's first constant.
    pub low: f32,
    /// Clip's upper bound, or a function's second constant.
    pub high: f32,
}

/// +0 for a finite x, NaN for any other: added where a bound would hide an infinity.
#[inline(always)]
#[expect(clippy::eq_op, reason = "inf - inf is NaN")]
pub fn not_finite(x: f32) -> f32 {
    x - x
}

impl Act {
    /// Nothing.
    pub const IDENTITY: Act = Act { kind: Activation::Identity, low: 0.0, high: 0.0 };

    /// In place over all values.
    #[cfg_attr(not(target_arch = "arm"), inline(always))]
    #[cfg_attr(target_arch = "arm", inline(never))]
    pub fn apply(&self, values: &mut [f32]) {
        let (low, high) = (self.low, self.high);
        match self.kind {
            // The loader refuses a mask here: it has no values.
            Activation::Identity | Activation::Mask => {}
            Activation::Relu => each(values, |x| if x <= 0.0 { not_finite(x) } else { x }),
            Activation::LeakyRelu => each(values, |x| if x <= 0.0 { low * x } else { x }),
            Activation::Clip => each(values, |x| {
                let x = if x <= low { low + not_finite(x) } else { x };
                if x >= high { high + not_finite(x) } else { x }
            }),
            Activation::Sigmoid => each(values, |x| 1.0 / (1.0 + exp(-x)) + not_finite(x)),
            #[cfg(feature = "functions")]
            _ => function::apply(self, values),
            // The loader refuses them.
            #[cfg(not(feature = "functions"))]
            _ => {}
        }
    }

    /// `g` through the derivative at `v`: the result for Relu and Sigmoid, else the input; for
    /// functions see their module. A `v` that is NaN gives NaN. `None` for Mask, whose gate is no
    /// vector of values.
    #[cfg_attr(not(target_arch = "arm"), inline(always))]
    #[cfg_attr(target_arch = "arm", inline(never))]
    pub fn gradient(&self, v: &[f32], g: &mut [f32]) -> Option<()> {
        let (low, high) = (self.low, self.high);
        match self.kind {
            Activation::Identity => pairs(v, g, |v, g| if v.is_nan() { v } else { g }),
            Activation::Relu => pairs(v, g, |y, g| {
                let above = (y > 0.0) & (y < f32::INFINITY);
                select(above, y <= 0.0, y, g, not_finite(y))
            }),
            Activation::LeakyRelu => pairs(v, g, |x, g| select(x > 0.0, x <= 0.0, x, g, low * g)),
            Activation::Clip => pairs(v, g, |x, g| {
                let inside = (low < x) & (x < high);
                select(inside, (x <= low) | (x >= high), x, g, not_finite(x))
            }),
            Activation::Sigmoid => pairs(v, g, |y, g| g * (y * (1.0 - y))),
            Activation::Mask => return None,
            #[cfg(feature = "functions")]
            _ => return function::gradient(self, v, g),
            #[cfg(not(feature = "functions"))]
            _ => return None,
        }
        Some(())
    }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|v| *v = f(*v));
}

/// `g` inside, `bound` at the bound, else `v`, which is NaN. Without branches, so that it becomes
/// vector code.
#[inline(always)]
fn select(inside: bool, at_bound: bool, v: f32, g: f32, bound: f32) -> f32 {
    let rest = if at_bound { bound } else { v };
    if inside { g } else { rest }
}

#[inline(always)]
fn pairs(v: &[f32], g: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    g.iter_mut().zip(v).for_each(|(g, v)| *g = f(*v, *g));
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Activation; 5] = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Clip,
        Activation::Sigmoid,
    ];

    fn act(kind: Activation) -> Act {
        Act { kind, low: if kind == Activation::LeakyRelu { 0.1 } else { 0.0 }, high: 6.0 }
    }

    #[test]
    fn nan_survives_every_activation_and_gradient() {
        for kind in KINDS {
            let mut values = [1.0, f32::NAN, -1.0];
            act(kind).apply(&mut values);
            assert!(values[1].is_nan() && !values[0].is_nan(), "{kind:?}");
            let mut dx = [1.0, f32::NAN, 0.0, 2.0];
            act(kind).gradient(&[f32::NAN, 1.0, f32::NAN, -1.0], &mut dx).unwrap();
            assert!(dx[0].is_nan() && dx[1].is_nan() && dx[2].is_nan(), "{kind:?} {dx:?}");
            assert!(!dx[3].is_nan(), "{kind:?}");
        }
    }

    #[test]
    fn infinities_stay_not_finite() {
        for kind in KINDS {
            let mut values = [f32::INFINITY, f32::NEG_INFINITY, 1.0, f32::MAX, f32::MIN];
            act(kind).apply(&mut values);
            assert!(values[..2].iter().all(|x| !x.is_finite()), "{kind:?} {values:?}");
            assert!(values[2..].iter().all(|x| x.is_finite()), "{kind:?} {values:?}");
        }
    }

    #[test]
    fn values_and_gradients_match_their_definitions() {
        let x = [-2.0, -0.0, 0.0, 0.5, 6.0, 7.0];
        let tables: [(Activation, [f32; 6], [f32; 6]); 4] = [
            (Activation::Identity, x, [3.0; 6]),
            (Activation::Relu, [0.0, 0.0, 0.0, 0.5, 6.0, 7.0], [0.0, 0.0, 0.0, 3.0, 3.0, 3.0]),
            (
                Activation::LeakyRelu,
                [-0.2, -0.0, 0.0, 0.5, 6.0, 7.0],
                [0.3, 0.3, 0.3, 3.0, 3.0, 3.0],
            ),
            (Activation::Clip, [0.0, 0.0, 0.0, 0.5, 6.0, 6.0], [0.0, 0.0, 0.0, 3.0, 0.0, 0.0]),
        ];
        for (kind, expected, gradient) in tables {
            let (mut y, mut dx) = (x, [3.0; 6]);
            act(kind).apply(&mut y);
            assert_eq!(y, expected, "{kind:?}");
            let at = if kind == Activation::Relu { y } else { x };
            act(kind).gradient(&at, &mut dx).unwrap();
            for (a, b) in dx.iter().zip(gradient) {
                assert!((a - b).abs() < 1e-6, "{kind:?} {dx:?}");
            }
        }
        let mut y = [0.0, 200.0, -200.0, 1.0];
        act(Activation::Sigmoid).apply(&mut y);
        assert_eq!(y[..3], [0.5, 1.0, 0.0]);
        assert!((f64::from(y[3]) - 0.731_058_578_630_004_9).abs() < 1e-7);
        let mut dx = [2.0];
        act(Activation::Sigmoid).gradient(&[0.25], &mut dx).unwrap();
        assert_eq!(dx, [0.375]);
    }
}
