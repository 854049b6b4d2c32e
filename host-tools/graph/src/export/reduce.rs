//! ReduceMean, ReduceSum, Expand.

use super::site::Site;

/// `op` is the ONNX name.
pub(super) fn emit(op: &str, axes: &[usize], keep_dims: bool, site: &mut Site<'_>) {
    site.last_reduce(op, site.operand(0), axes, keep_dims);
}

/// x
pub(super) fn emit_expand(shape: &[usize], site: &mut Site<'_>) {
    let shape = site.builder.sizes(shape);
    site.last("Expand", &[site.operand(0), &shape], &[]);
}
