//! AveragePool.

use burn_backend::ops::ConvOptions;
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
    let mean = match pool.dilations {
        [1, 1] => B::avg_pool2d(x, pool.kernel, pool.strides, [0, 0], true, false),
        _ => dilated::<B>(pool, x),
    };
    let factors = factors(pool, &input, output);
    if factors.iter().all(|&factor| factor == 1.0) {
        return mean;
    }
    let factors = TensorData::new(factors, [1, 1, output[2], output[3]]);
    B::float_mul(mean, B::float_from_data(factors, &device))
}

/// The mean of whole windows with gaps, for which Burn has no pool, as a convolution.
fn dilated<B: Backend>(pool: &Pool, x: FloatTensor<B>) -> FloatTensor<B> {
    let channels = dims::<B>(&x)[1];
    let [height, width] = pool.kernel;
    let share = 1.0 / (height * width) as f32;
    let weight = vec![share; channels * height * width];
    let weight = TensorData::new(weight, [channels, 1, height, width]);
    let weight = B::float_from_data(weight, &B::float_device(&x));
    let options = ConvOptions::new(pool.strides, [0, 0], pool.dilations, channels);
    B::conv2d(x, weight, None, options)
}

/// Pixels of a whole window over those that count, for every output pixel.
fn factors(pool: &Pool, input: &[usize], output: &[usize]) -> Vec<f32> {
    let count = |o: usize, axis: usize| {
        let (low, high) = match pool.count_include_pad {
            true => (0, input[axis + 2] + pool.pads[axis] + pool.pads[axis + 2]),
            false => (pool.pads[axis], input[axis + 2] + pool.pads[axis]),
        };
        let at = |k: usize| o * pool.strides[axis] + k * pool.dilations[axis];
        (0..pool.kernel[axis]).filter(|&k| (low..high).contains(&at(k))).count()
    };
    let whole = (pool.kernel[0] * pool.kernel[1]) as f32;
    let row = |y: usize| (0..output[3]).map(move |x| whole / (count(y, 0) * count(x, 1)) as f32);
    (0..output[2]).flat_map(row).collect()
}
