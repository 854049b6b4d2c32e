//! Pad with a constant.

use super::site::Site;

/// x
pub(super) fn emit(before: &[usize], after: &[usize], value: f32, site: &mut Site<'_>) {
    let pads = site.builder.sizes(&[before, after].concat());
    let value = site.builder.scalar(value);
    site.last("Pad", &[site.operand(0), &pads, &value], &[("mode", "constant".into())]);
}
