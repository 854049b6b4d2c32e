//! AveragePool.

use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, TensorData};
use gradgate_graph::ops::Pool;

use super::max_pool::window_pads;
use super::movement;
use super::tensor::dims;

/// `x [n,C,H,W]` -> `[n,C,H',W']`: the mean of whole windows over an image padded with zeros,
/// corrected where a window counts fewer pixels.
pub fn evaluate<B: Backend>(pool: &Pool, output: &[usize], x: FloatTensor<B>) -> FloatTensor<B> {
    let input = dims::<B>(&x);
    let device = B::float_device(&x);
    let x = movement::pad_image::<B>(window_pads(pool, &input, output), 0.0, x);
    let mean = B::avg_pool2d(x, pool.kernel, pool.strides, [0, 0], true, false);
    let factors = factors(pool, &input, output);
    if factors.iter().all(|&factor| factor == 1.0) {
        return mean;
    }
    let factors = TensorData::new(factors, [1, 1, output[2], output[3]]);
    B::float_mul(mean, B::float_from_data(factors, &device))
}

/// Pixels of a whole window over those that count, for every output pixel.
fn factors(pool: &Pool, input: &[usize], output: &[usize]) -> Vec<f32> {
    let count = |o: usize, axis: usize| {
        let (low, high) = match pool.count_include_pad {
            true => (0, input[axis + 2] + pool.pads[axis] + pool.pads[axis + 2]),
            false => (pool.pads[axis], input[axis + 2] + pool.pads[axis]),
        };
        let first = o * pool.strides[axis];
        (first..first + pool.kernel[axis]).filter(|at| (low..high).contains(at)).count()
    };
    let whole = (pool.kernel[0] * pool.kernel[1]) as f32;
    let row = |y: usize| (0..output[3]).map(move |x| whole / (count(y, 0) * count(x, 1)) as f32);
    (0..output[2]).flat_map(row).collect()
}
