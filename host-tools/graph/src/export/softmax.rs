//! Softmax and its gradient `y * (g - sum(g * y))`.

use super::site::Site;

/// x
pub(super) fn emit(axis: usize, site: &mut Site<'_>) {
    site.last("Softmax", &site.operands(), &[("axis", axis.into())]);
}

/// y, g
pub(super) fn emit_gradient(axis: usize, site: &mut Site<'_>) {
    let product = site.step("Mul", &site.operands(), &[]);
    let sum = site.builder.reduce("ReduceSum", &product, &[axis], true);
    let centred = site.step("Sub", &[site.operand(1), &sum], &[]);
    site.last("Mul", &[site.operand(0), &centred], &[]);
}
