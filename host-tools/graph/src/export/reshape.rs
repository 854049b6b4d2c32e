//! Reshape to a constant shape.

use super::site::Site;

/// x
pub(super) fn emit(site: &mut Site<'_>) {
    site.last_reshape(site.operand(0));
}
