//! A weight gradient itself, for weights that are used several times.

use gradgate_bundle::op::ConvParams;
use gradgate_bundle::shape::ConvShape;
use gradgate_engine::kernels::conv_weight_gradient::conv_weight_gradient;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the gradient.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &ConvParams) -> Result<(), TractError> {
    let s = ConvShape::new(p).map_err(|_| site.unsupported("this geometry"))?;
    let inputs = [site.value(0)?, site.value(1)?];
    let op = SliceOp::new("ConvWeightGradient", &[s.weight_elements()], move |inputs, dw| {
        let [x, g] = inputs else { return None };
        conv_weight_gradient(&s, x, g, dw)
    });
    site.finish(2, op, &inputs)
}
