//! Sum of squares into one feature.

use gradgate_bundle::op::{NONE, SquaredNormParams};
use gradgate_engine::kernels::lanes::squared_norm;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the norm.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &SquaredNormParams) -> Result<(), TractError> {
    let x = site.value(0)?;
    let op = SliceOp::new("SquaredNorm", &[1], |inputs, norm| {
        norm.fill(squared_norm(inputs.first()?));
        Some(())
    });
    site.features([p.feature.get(), NONE, NONE, NONE], op, &[x])
}
