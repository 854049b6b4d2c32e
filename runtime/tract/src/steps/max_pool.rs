//! Max pooling and its gradient: tract's own drops NaN and has no gradient.

use gradgate_bundle::op::PoolParams;
use gradgate_bundle::shape::PoolShape;
use gradgate_engine::kernels::max_pool::{max_pool, max_pool_gradient};

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds a pool.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &PoolParams) -> Result<(), TractError> {
    let s = PoolShape::new(p).map_err(|_| site.unsupported("this geometry"))?;
    let x = site.value(0)?;
    let shape = [1, s.output[0], s.output[1], s.channels];
    let op = SliceOp::new("MaxPool", &shape, move |inputs, y| max_pool(&s, inputs.first()?, y));
    site.finish(1, op, &[x])
}

/// Adds a pool's gradient.
pub fn wire_gradient(site: &mut Site<'_, '_, '_>, p: &PoolParams) -> Result<(), TractError> {
    let s = PoolShape::new(p).map_err(|_| site.unsupported("this geometry"))?;
    let inputs = [site.value(0)?, site.value(1)?];
    let shape = [1, s.input[0], s.input[1], s.channels];
    let op = SliceOp::new("MaxPoolGradient", &shape, move |inputs, dx| {
        let [x, g] = inputs else { return None };
        max_pool_gradient(&s, x, g, dx)
    });
    site.finish(2, op, &inputs)
}
