//! Per-channel affine map with an activation.

use gradgate_bundle::op::AffineParams;
use gradgate_engine::kernels::affine::affine;
use gradgate_engine::kernels::operand::Operand;

use super::unary::act;
use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the map.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &AffineParams) -> Result<(), TractError> {
    let x = site.value(0)?;
    let scale = site.constant(1)?;
    let shift = site.optional(2)?;
    let act = act(site, p.activation.get(), p.low, p.high)?;
    let shape = site.shape(x)?;
    let op = SliceOp::in_place("Affine", &shape, move |_, y| {
        affine(Operand::InPlace, &scale, shift.as_deref(), &act, y)
    });
    site.finish(3, op, &[x])
}
