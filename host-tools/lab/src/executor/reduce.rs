//! Sums and means over axes, and their opposite.

use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, Shape};

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

/// To the graph's output shape by numpy broadcasting, the batch staying in axis 0.
pub fn expand<B: Backend>(output: &[usize], x: FloatTensor<B>) -> FloatTensor<B> {
    let from = dims::<B>(&x);
    let mut shape = output.to_vec();
    if from.len() == output.len() {
        shape[0] = shape[0].max(from[0]);
    }
    let mut aligned = vec![1; output.len() - from.len()];
    aligned.extend(from);
    B::float_expand(reshape::<B>(x, &aligned), Shape::from(shape))
}
