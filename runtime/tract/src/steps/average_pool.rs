//! Average pooling and its gradient.

use gradgate_bundle::op::PoolParams;
use gradgate_bundle::shape::PoolShape;
use gradgate_engine::kernels::average_pool::{average_pool, average_pool_gradient};

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds a pool.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &PoolParams) -> Result<(), TractError> {
    let s = PoolShape::new(p).map_err(|_| site.unsupported("this geometry"))?;
    let x = site.value(0)?;
    let shape = [1, s.output[0], s.output[1], s.channels];
    let op =
        SliceOp::new("AveragePool", &shape, move |inputs, y| average_pool(&s, inputs.first()?, y));
    site.finish(1, op, &[x])
}

/// Adds a pool's gradient.
pub fn wire_gradient(site: &mut Site<'_, '_, '_>, p: &PoolParams) -> Result<(), TractError> {
    let s = PoolShape::new(p).map_err(|_| site.unsupported("this geometry"))?;
    let g = site.value(0)?;
    let shape = [1, s.input[0], s.input[1], s.channels];
    let op = SliceOp::new("AveragePoolGradient", &shape, move |inputs, dx| {
        average_pool_gradient(&s, inputs.first()?, dx)
    });
    site.finish(1, op, &[g])
}
