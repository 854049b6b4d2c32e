//! Slice, and its gradient: zeros between and around the cotangent's elements.

use super::site::Site;

/// x
pub(super) fn emit(starts: &[usize], lengths: &[usize], steps: &[usize], site: &mut Site<'_>) {
    let ends: Vec<usize> = (0..starts.len())
        .map(|axis| starts[axis] + (lengths[axis] - 1) * steps[axis] + 1)
        .collect();
    let axes: Vec<usize> = (0..starts.len()).collect();
    let parts = [starts, &ends, &axes, steps].map(|sizes| site.builder.sizes(sizes));
    site.last("Slice", &[site.operand(0), &parts[0], &parts[1], &parts[2], &parts[3]], &[]);
}

/// g: stretched by `steps` with zeros in between, then padded to the slice's input.
pub(super) fn emit_gradient(starts: &[usize], steps: &[usize], site: &mut Site<'_>) {
    let (lengths, input) = (site.shape(0), site.output_shape());
    let mut gradient = site.operand(0).to_owned();
    if steps.iter().any(|&step| step > 1) {
        gradient = stretch(&gradient, lengths, steps, site);
    }
    let mut pads: Vec<usize> = starts.to_vec();
    for axis in 0..input.len() {
        let end = starts[axis] + (lengths[axis] - 1) * steps[axis] + 1;
        pads.push(input[axis] - end);
    }
    let pads = site.builder.sizes(&pads);
    site.last("Pad", &[&gradient, &pads], &[("mode", "constant".into())]);
}

/// Every axis of length L becomes one of `(L - 1) * step + 1`: a new axis behind it is padded
/// from 1 to `step`, the two are merged, and the zeros behind the last element are cut off.
fn stretch(x: &str, lengths: &[usize], steps: &[usize], site: &mut Site<'_>) -> String {
    let rank = lengths.len();
    let apart: Vec<usize> = lengths.iter().flat_map(|&length| [length, 1]).collect();
    let mut pads = vec![0; 4 * rank];
    for axis in 0..rank {
        pads[2 * rank + 2 * axis + 1] = steps[axis] - 1;
    }
    let merged: Vec<usize> = (0..rank).map(|axis| lengths[axis] * steps[axis]).collect();
    let ends: Vec<usize> = (0..rank).map(|axis| (lengths[axis] - 1) * steps[axis] + 1).collect();
    let pads = site.builder.sizes(&pads);
    let apart = site.builder.reshape(x, &apart);
    let padded = site.step("Pad", &[&apart, &pads], &[("mode", "constant".into())]);
    let merged = site.builder.reshape(&padded, &merged);
    let starts = site.builder.sizes(&vec![0; rank]);
    let ends = site.builder.sizes(&ends);
    site.step("Slice", &[&merged, &starts, &ends], &[])
}
