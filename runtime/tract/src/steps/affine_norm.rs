//! Squared norms of a stand-alone normalisation's scale and shift.

use gradgate_bundle::op::{AffineNormParams, NONE};
use gradgate_engine::kernels::affine_norm::affine_norm;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the norms.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &AffineNormParams) -> Result<(), TractError> {
    let inputs = [site.value(0)?, site.value(1)?];
    let (inverse_sigma, mean) = (site.constant(2)?, site.constant(3)?);
    let op = SliceOp::new("AffineNorm", &[4], move |inputs, norms| {
        let [x, g] = inputs else { return None };
        let mut scratch = vec![0.0; 2 * inverse_sigma.len()];
        let (scale, shift) = affine_norm(x, g, &inverse_sigma, &mean, &mut scratch)?;
        norms.copy_from_slice(&[scale, shift, 0.0, 0.0]);
        Some(())
    });
    site.features([p.scale.get(), p.shift.get(), NONE, NONE], op, &inputs)
}
