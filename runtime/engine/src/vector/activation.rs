//! Activations and their gradients in registers; what `kernels::activation` computes, to the bit.

use gradgate_bundle::op::{Activation, LANES};

use crate::isa::Simd;
use crate::kernels::activation::Act;

/// The activation of sixteen values.
#[inline(always)]
pub fn apply<S: Simd>(simd: S, act: &Act, x: S::Lanes) -> S::Lanes {
    match act.kind {
        Activation::Identity => x,
        Activation::Relu => simd.select(x, simd.splat(0.0), simd.subtract(x, x), x),
        Activation::Clip => {
            let (low, high) = (simd.splat(act.low), simd.splat(act.high));
            let x = simd.select(x, low, bounded(simd, low, x), x);
            simd.select(high, x, bounded(simd, high, x), x)
        }
        _ => {
            let mut values = [0.0; LANES];
            simd.store(x, &mut values);
            act.apply(&mut values);
            simd.load(&values)
        }
    }
}

/// The bound, or NaN where it would hide an infinity.
#[inline(always)]
fn bounded<S: Simd>(simd: S, bound: S::Lanes, x: S::Lanes) -> S::Lanes {
    simd.add(bound, simd.subtract(x, x))
}

/// `g` through the derivative at `v`; `None` where that is not done in registers.
#[inline(always)]
pub fn gradient<S: Simd>(simd: S, act: &Act, v: S::Lanes, g: S::Lanes) -> Option<S::Lanes> {
    let zero = simd.splat(0.0);
    match act.kind {
        Activation::Relu => {
            let above = simd.select(zero, v, g, v);
            let above = simd.select(simd.splat(f32::INFINITY), v, v, above);
            Some(simd.select(v, zero, simd.subtract(v, v), above))
        }
        Activation::Clip => {
            let (low, high) = (simd.splat(act.low), simd.splat(act.high));
            let above = simd.select(low, v, g, v);
            let none = simd.subtract(v, v);
            let below = simd.select(v, low, none, above);
            Some(simd.select(high, v, none, below))
        }
        _ => None,
    }
}
