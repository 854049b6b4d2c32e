//! Softmax and its gradient.

use gradgate_bundle::op::SoftmaxParams;
use gradgate_engine::kernels::operand::Operand;
use gradgate_engine::kernels::softmax::{SoftmaxBox, softmax, softmax_gradient};

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

fn lengths(p: &SoftmaxParams) -> SoftmaxBox {
    let length = |n: zerocopy::little_endian::U32| n.get() as usize;
    SoftmaxBox { outer: length(p.outer), axis: length(p.axis), inner: length(p.inner) }
}

/// Adds a softmax.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &SoftmaxParams) -> Result<(), TractError> {
    let x = site.value(0)?;
    let (shape, b) = (site.shape(x)?, lengths(p));
    let op = SliceOp::in_place("Softmax", &shape, move |_, y| softmax(b, Operand::InPlace, y));
    site.finish(1, op, &[x])
}

/// Adds a softmax's gradient.
pub fn wire_gradient(site: &mut Site<'_, '_, '_>, p: &SoftmaxParams) -> Result<(), TractError> {
    let inputs = [site.value(1)?, site.value(0)?];
    let (shape, b) = (site.shape(inputs[0])?, lengths(p));
    let op = SliceOp::in_place("SoftmaxGradient", &shape, move |inputs, dx| {
        softmax_gradient(b, Operand::Slice(inputs.first()?), Operand::InPlace, dx)
    });
    site.finish(2, op, &inputs)
}
