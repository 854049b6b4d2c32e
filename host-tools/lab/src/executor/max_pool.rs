//! MaxPool.

use burn_backend::Backend;
use burn_backend::tensor::FloatTensor;
use gradgate_graph::ops::Pool;

use super::movement;
use super::tensor::dims;

/// `x [n,C,H,W]` -> `[n,C,H',W']`. Padding is put there beforehand: Burn's own is even on both
/// sides, and its rule for a last partial window is not ONNX's.
pub fn evaluate<B: Backend>(pool: &Pool, output: &[usize], x: FloatTensor<B>) -> FloatTensor<B> {
    let pads = window_pads(pool, &dims::<B>(&x), output);
    let x = movement::pad_image::<B>(pads, f32::NEG_INFINITY, x);
    B::max_pool2d(x, pool.kernel, pool.strides, [0, 0], pool.dilations, false)
}

/// Padding (top, left, bottom, right) by which every window of the output lies in the image; where
/// negative padding would be due, the image is longer than the windows reach, and 0 is right.
pub(super) fn window_pads(pool: &Pool, input: &[usize], output: &[usize]) -> [usize; 4] {
    let mut pads = [pool.pads[0], pool.pads[1], 0, 0];
    for axis in 0..2 {
        let window = pool.dilations[axis] * (pool.kernel[axis] - 1) + 1;
        let reach = (output[axis + 2] - 1) * pool.strides[axis] + window;
        pads[axis + 2] = reach.saturating_sub(pads[axis] + input[axis + 2]);
    }
    pads
}
