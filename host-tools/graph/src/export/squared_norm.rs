//! Sum of the squares of all elements.

use super::site::Site;

/// x
///
/// Two sums, one after the other: runtimes add a million squares one by one, which in f32 costs
/// 1e-4 of their sum (onnxruntime on the 1280 x 960 weights of MobileNetV3's classifier).
pub(super) fn emit(site: &mut Site<'_>) {
    let shape = site.shape(0);
    let long: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] > 1).collect();
    let axes: Vec<usize> = (0..shape.len()).collect();
    let sum = match long[..] {
        [outer, _, ..] => {
            let inner: Vec<usize> = axes.into_iter().filter(|&axis| axis != outer).collect();
            let sums = site.builder.reduce("ReduceSumSquare", site.operand(0), &inner, false);
            site.builder.reduce("ReduceSum", &sums, &[0], false)
        }
        _ => site.builder.reduce("ReduceSumSquare", site.operand(0), &axes, false),
    };
    site.last_reshape(&sum);
}
