//! Product of two frame values, by the engine's kernel: its strides would need copies in tract.

use gradgate_bundle::op::MatMulParams;
use gradgate_engine::kernels::boxes::axes;
use gradgate_engine::kernels::mat_mul::{MatMul, mat_mul};

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds a product.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &MatMulParams) -> Result<(), TractError> {
    let inputs = [site.value(0)?, site.value(1)?];
    let (dims, a, b) = (axes(&p.dims), axes(&p.a_strides), axes(&p.b_strides));
    let inner = p.inner.get() as usize;
    let steps = [p.a_step.get() as usize, p.b_step.get() as usize];
    let op = SliceOp::new("MatMul", &[dims.iter().product()], move |inputs, y| {
        let product = MatMul { dims: &dims, strides: [&a, &b], inner, steps };
        mat_mul(&product, inputs.first()?, inputs.get(1)?, y)
    });
    site.finish(2, op, &inputs)
}
