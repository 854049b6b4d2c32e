//! Sums and means over axes, and their opposite.

use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, Shape};

use super::elementwise::aligned;
use super::tensor::{dims, reshape};

/// Mean over axes, in the graph's output shape.
pub fn mean<B: Backend>(axes: &[usize], output: &[usize], x: FloatTensor<B>) -> FloatTensor<B> {
    let shape = dims::<B>(&x);
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let sum = sum::<B>(axes, output, x);
    B::float_mul_scalar(sum, (1.0 / count as f32).into())
}

/// Sum over axes, in the graph's output shape.
pub fn sum<B: Backend>(axes: &[usize], output: &[usize], x: FloatTensor<B>) -> FloatTensor<B> {
    let batch = dims::<B>(&x)[0];
    let sum = axes.iter().fold(x, |x, &axis| B::float_sum_dim(x, axis));
    let mut shape = output.to_vec();
    if let Some(first) = shape.first_mut() {
        *first = batch;
    }
    reshape::<B>(sum, &shape)
}

/// To the graph's output shape by numpy broadcasting, the batch of a frame value staying in axis 0.
pub fn expand<B: Backend>(output: &[usize], frame: bool, x: FloatTensor<B>) -> FloatTensor<B> {
    let mut shape = output.to_vec();
    if frame {
        shape[0] = dims::<B>(&x)[0];
    }
    B::float_expand(aligned::<B>(x, frame, output.len()), Shape::from(shape))
}
