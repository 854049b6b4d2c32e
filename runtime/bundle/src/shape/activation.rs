//! Which activations a step may have, and how long their gradients' gates are.

use zerocopy::little_endian::F32;

use super::{Parameters, ShapeError};
use crate::op::{Activation, MASK_BITS};

impl Parameters<'_> {
    /// The step's activation, of its result or of its gate; `None` for a step without one.
    pub fn activation(&self) -> Option<Activation> {
        Activation::from_number(match self {
            Parameters::Conv(p) | Parameters::ConvInputGradient(p) => p.activation.get().into(),
            Parameters::Affine(p) => p.activation.get(),
            Parameters::Unary(p) | Parameters::UnaryGradient(p) => p.kind.get(),
            _ => return None,
        })
    }
}

/// Constants may be infinite (a Clip with one bound), but never NaN.
#[inline(never)]
fn known(number: u32, low: F32, high: F32) -> Result<Activation, ShapeError> {
    if low.get().is_nan() || high.get().is_nan() {
        return Err(ShapeError::Number);
    }
    Activation::from_number(number).ok_or(ShapeError::Number)
}

/// One that has values.
#[inline(never)]
pub(super) fn activation(number: u32, low: F32, high: F32) -> Result<(), ShapeError> {
    match known(number, low, high)? {
        Activation::Mask => Err(ShapeError::Number),
        _ => Ok(()),
    }
}

/// Elements of a mask over `n` elements; `div_ceil` may stay a function that can panic.
pub(super) fn mask_words(n: usize) -> usize {
    n / MASK_BITS + usize::from(!n.is_multiple_of(MASK_BITS))
}

/// Elements of what an activation's gradient over `n` elements is taken at.
#[inline(never)]
pub(super) fn gate(number: u32, low: F32, high: F32, n: usize) -> Result<usize, ShapeError> {
    Ok(match known(number, low, high)? {
        Activation::Mask => mask_words(n),
        _ => n,
    })
}
