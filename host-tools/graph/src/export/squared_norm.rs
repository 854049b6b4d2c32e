//! Sum of the squares of all elements.

use super::site::Site;

/// x
pub(super) fn emit(site: &mut Site<'_>) {
    let axes: Vec<usize> = (0..site.shape(0).len()).collect();
    let sum = site.builder.reduce("ReduceSumSquare", site.operand(0), &axes, false);
    site.last_reshape(&sum);
}
