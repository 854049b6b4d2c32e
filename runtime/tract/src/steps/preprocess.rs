//! From the frame to the input tensor.

use gradgate_bundle::op::PreprocessParams;
use gradgate_engine::kernels::preprocess::Preprocess;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// The frame's values are in 0..1 already: a session divides bytes by 255.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &PreprocessParams) -> Result<(), TractError> {
    let shape = [1, p.height.get() as usize, p.width.get() as usize, p.channels.get() as usize];
    let p = *p;
    let op = SliceOp::new("Preprocess", &shape, move |inputs, y| {
        Preprocess::new(&p).floats(inputs.first()?, y);
        Some(())
    });
    let frame = site.wires.frame;
    site.finish(0, op, &[frame])
}
