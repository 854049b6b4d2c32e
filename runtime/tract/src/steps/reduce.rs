//! Sum or mean over some axes.

use gradgate_bundle::op::ReduceParams;
use gradgate_engine::kernels::boxes::axes;
use gradgate_engine::kernels::reduce::{ReduceBoxes, reduce};

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the reduction.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &ReduceParams) -> Result<(), TractError> {
    let x = site.value(0)?;
    let (kept, reduced) = (axes(&p.kept), axes(&p.reduced));
    let (kept_strides, reduced_strides) = (axes(&p.kept_strides), axes(&p.reduced_strides));
    let mean = p.kind.get() == 1;
    let op = SliceOp::new("Reduce", &[kept.iter().product()], move |inputs, y| {
        let boxes = ReduceBoxes {
            kept: &kept,
            kept_strides: &kept_strides,
            reduced: &reduced,
            reduced_strides: &reduced_strides,
        };
        reduce(&boxes, mean, inputs.first()?, y)
    });
    site.finish(1, op, &[x])
}
