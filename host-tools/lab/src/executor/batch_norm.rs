//! BatchNorm, by running statistics or by those of the batch.

use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, Scalar};

use super::tensor::{dims, per_channel, reshape};

/// Mean and biased variance of a batch, each `[C]`.
#[derive(Clone, Debug)]
pub struct Statistics<B: Backend> {
    /// Mean over frames and pixels.
    pub mean: FloatTensor<B>,
    /// Variance over frames and pixels, divided by their number.
    pub variance: FloatTensor<B>,
    /// How many numbers a channel has in the batch.
    pub count: usize,
}

/// `x, scale, shift, mean, variance` -> as x.
pub fn inference<B: Backend>(epsilon: f64, o: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let [x, scale, shift, mean, variance] = five(o);
    let factor = B::float_div(scale, deviation::<B>(epsilon, variance));
    let offset = B::float_sub(shift, B::float_mul(mean, factor.clone()));
    affine::<B>(x, factor, offset)
}

/// The same by the statistics of the batch.
pub fn training<B: Backend>(
    epsilon: f64,
    o: Vec<FloatTensor<B>>,
) -> (FloatTensor<B>, Statistics<B>) {
    let [x, scale, shift, ..] = five(o);
    let shape = dims::<B>(&x);
    let (frames, channels) = (shape[0], shape[1]);
    let pixels: usize = shape[2..].iter().product();
    let flat = reshape::<B>(x, &[frames, channels, pixels]);
    let mean = channel_mean::<B>(flat.clone());
    let centred = B::float_sub(flat, mean.clone());
    let variance = channel_mean::<B>(B::float_mul(centred.clone(), centred.clone()));
    let vector = |tensor: FloatTensor<B>| reshape::<B>(tensor, &[channels]);
    let factor = B::float_div(scale, deviation::<B>(epsilon, vector(variance.clone())));
    let result = affine::<B>(centred, factor, shift);
    let statistics = Statistics {
        mean: B::float_detach(vector(mean)),
        variance: B::float_detach(vector(variance)),
        count: frames * pixels,
    };
    (reshape::<B>(result, &shape), statistics)
}

/// Mean over axes 0 and 2 of `[n, C, p]`, as `[1, C, 1]`.
fn channel_mean<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mean_dim(B::float_mean_dim(x, 2), 0)
}

fn deviation<B: Backend>(epsilon: f64, variance: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sqrt(B::float_add_scalar(variance, Scalar::from(epsilon)))
}

fn affine<B: Backend>(
    x: FloatTensor<B>,
    factor: FloatTensor<B>,
    offset: FloatTensor<B>,
) -> FloatTensor<B> {
    let rank = dims::<B>(&x).len();
    let scaled = B::float_mul(x, per_channel::<B>(factor, rank));
    B::float_add(scaled, per_channel::<B>(offset, rank))
}

fn five<T>(operands: Vec<T>) -> [T; 5] {
    operands.try_into().unwrap_or_else(|_| unreachable!("BatchNorm has five operands"))
}
