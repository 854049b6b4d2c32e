//! Concat.

use super::site::Site;

/// x0, x1, ..
pub(super) fn emit(axis: usize, site: &mut Site<'_>) {
    site.last("Concat", &site.operands(), &[("axis", axis.into())]);
}
