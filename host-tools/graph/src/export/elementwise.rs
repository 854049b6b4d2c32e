//! Add, Sub, Mul, Div: ONNX broadcasts as numpy does.

use super::site::Site;

/// `op` is the ONNX name.
pub(super) fn emit(op: &str, site: &mut Site<'_>) {
    site.last(op, &site.operands(), &[]);
}
