//! Signs of sixteen neighbours in one value.

use gradgate_bundle::op::{MASK_BITS, MaskParams};
use gradgate_engine::kernels::mask::mask;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the mask.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &MaskParams) -> Result<(), TractError> {
    let x = site.value(0)?;
    let words = (p.elements.get() as usize).div_ceil(MASK_BITS);
    let op = SliceOp::new("Mask", &[words], |inputs, words| mask(inputs.first()?, words));
    site.finish(1, op, &[x])
}
