//! Element-wise operations with broadcasting by strides.

use gradgate_bundle::op::{BinaryKind, BinaryParams};
use gradgate_engine::kernels::binary::binary;
use gradgate_engine::kernels::boxes::axes;
use gradgate_engine::kernels::operand::Operand;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the operation.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &BinaryParams) -> Result<(), TractError> {
    let kind = BinaryKind::from_number(p.kind.get());
    let kind = kind.ok_or_else(|| site.unsupported("this kind"))?;
    let inputs = [site.value(0)?, site.value(1)?];
    let (dims, a_strides, b_strides) = (axes(&p.dims), axes(&p.a_strides), axes(&p.b_strides));
    let op = SliceOp::new("Binary", &[dims.iter().product()], move |inputs, y| {
        let [a, b] = inputs else { return None };
        binary(kind, &dims, [&a_strides, &b_strides], Operand::Slice(a), Operand::Slice(b), y)
    });
    site.finish(2, op, &inputs)
}
