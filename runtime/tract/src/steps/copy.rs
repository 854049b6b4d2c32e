//! Strided copy between boxes.

use gradgate_bundle::op::CopyParams;
use gradgate_bundle::shape::Parameters;
use gradgate_engine::kernels::boxes::axes;
use gradgate_engine::kernels::copy::{Side, copy};

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the copy. One that writes only a part of y continues y's value, in place.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &CopyParams) -> Result<(), TractError> {
    let (dims, x_strides, y_strides) = (axes(&p.dims), axes(&p.x_strides), axes(&p.y_strides));
    let (x_offset, y_offset) = (p.x_offset.get() as usize, p.y_offset.get() as usize);
    let fill = (p.fills.get() == 1).then_some(p.fill.get());
    let shape = [p.y_elements.get() as usize];
    let body = move |inputs: &[&[f32]], y: &mut [f32]| {
        let from = Side { offset: x_offset, strides: &x_strides };
        let to = Side { offset: y_offset, strides: &y_strides };
        copy(&dims, fill, inputs.first()?, from, y, to)
    };
    let x = site.value(0)?;
    if Parameters::Copy(p).writes_in_full() {
        return site.finish(1, SliceOp::new("Copy", &shape, body), &[x]);
    }
    let y = site.value(1)?;
    site.finish(1, SliceOp::in_place("Copy", &shape, body), &[y, x])
}
