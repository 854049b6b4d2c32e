//! Element-wise functions of one operand, and their gradients.

use gradgate_bundle::op::{Activation, UnaryParams};
use gradgate_engine::kernels::activation::Act;
use gradgate_engine::kernels::operand::Operand;
use gradgate_engine::kernels::unary::{Gate, unary, unary_gradient};
use zerocopy::little_endian::F32;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// The engine's activation.
///
/// # Errors
/// A number that this version does not know.
pub fn act(site: &Site<'_, '_, '_>, kind: u32, low: F32, high: F32) -> Result<Act, TractError> {
    let kind = Activation::from_number(kind).ok_or_else(|| site.unsupported("this activation"))?;
    Ok(Act { kind, low: low.get(), high: high.get() })
}

/// An activation's gradient, over the cotangent in place; its second input is the gate.
///
/// # Errors
/// As [`act`].
pub fn gradient(
    site: &Site<'_, '_, '_>,
    shape: &[usize],
    kind: u32,
    low: F32,
    high: F32,
) -> Result<SliceOp, TractError> {
    let act = act(site, kind, low, high)?;
    Ok(SliceOp::in_place("UnaryGradient", shape, move |inputs, dx| {
        let gate = Gate { act, at: Operand::Slice(inputs.first()?) };
        unary_gradient(&gate, Operand::InPlace, dx)
    }))
}

/// Adds an activation.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &UnaryParams) -> Result<(), TractError> {
    let act = act(site, p.kind.get(), p.low, p.high)?;
    let x = site.value(0)?;
    let shape = site.shape(x)?;
    let op = SliceOp::in_place("Unary", &shape, move |_, y| unary(&act, Operand::InPlace, y));
    site.finish(1, op, &[x])
}

/// Adds an activation's gradient.
pub fn wire_gradient(site: &mut Site<'_, '_, '_>, p: &UnaryParams) -> Result<(), TractError> {
    let (gate, g) = (site.value(0)?, site.value(1)?);
    let shape = site.shape(g)?;
    let op = gradient(site, &shape, p.kind.get(), p.low, p.high)?;
    site.finish(2, op, &[g, gate])
}
