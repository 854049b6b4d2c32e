//! Operations that move elements and compute nothing.

use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, Scalar, Shape, Slice, TensorMetadata};

use super::tensor::dims;

/// `x0, x1, ..` along an axis; constants, which have no frames, are repeated over the batch.
pub fn concat<B: Backend>(axis: usize, output: &[usize], o: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let batch = o.iter().map(|x| dims::<B>(x)[0]).max().unwrap_or(1);
    let repeated = |x: FloatTensor<B>| {
        let mut shape = dims::<B>(&x);
        if shape[0] == batch || axis == 0 || shape.len() != output.len() {
            return x;
        }
        shape[0] = batch;
        B::float_expand(x, Shape::from(shape))
    };
    B::float_cat(o.into_iter().map(repeated).collect(), axis)
}

/// Every frame's part.
pub fn slice<B: Backend>(
    starts: &[usize],
    lengths: &[usize],
    steps: &[usize],
    x: FloatTensor<B>,
) -> FloatTensor<B> {
    let slices: Vec<Slice> = (0..starts.len())
        .map(|axis| match axis {
            0 => Slice::new(0, None, 1),
            _ => span(starts[axis], lengths[axis], steps[axis]),
        })
        .collect();
    B::float_slice(x, &slices)
}

/// The opposite: x lies in an array of the graph's output shape, `value` elsewhere.
pub fn scatter<B: Backend>(
    starts: &[usize],
    steps: &[usize],
    output: &[usize],
    value: f32,
    x: FloatTensor<B>,
) -> FloatTensor<B> {
    let from = dims::<B>(&x);
    let mut shape = output.to_vec();
    shape[0] = from[0];
    let device = B::float_device(&x);
    let whole = B::float_full(Shape::from(shape), Scalar::from(value), &device, x.dtype().into());
    let slices: Vec<Slice> = (0..starts.len())
        .map(|axis| match axis {
            0 => Slice::new(0, None, 1),
            _ => span(starts[axis], from[axis], steps[axis]),
        })
        .collect();
    B::float_slice_assign(whole, &slices, x)
}

/// An image with `pads` (top, left, bottom, right) of `value` around it.
pub fn pad_image<B: Backend>(pads: [usize; 4], value: f32, x: FloatTensor<B>) -> FloatTensor<B> {
    if pads == [0; 4] {
        return x;
    }
    let mut shape = dims::<B>(&x);
    shape[2] += pads[0] + pads[2];
    shape[3] += pads[1] + pads[3];
    scatter::<B>(&[0, 0, pads[0], pads[1]], &[1; 4], &shape, value, x)
}

/// `length` elements from `start`, `step` apart.
fn span(start: usize, length: usize, step: usize) -> Slice {
    let end = start + (length - 1) * step + 1;
    Slice::new(start as isize, Some(end as isize), step as isize)
}
