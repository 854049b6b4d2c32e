//! Transpose.

use super::site::Site;

/// x
pub(super) fn emit(permutation: &[usize], site: &mut Site<'_>) {
    site.last("Transpose", &site.operands(), &[("perm", permutation.into())]);
}
