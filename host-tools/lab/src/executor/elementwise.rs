//! Operations of one or two values, element by element.

use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, get_device_settings};

use super::tensor::{dims, reshape};

/// Two operands with numpy broadcasting; `frames` tells which of them depend on the frame.
pub fn binary<B: Backend>(
    o: Vec<FloatTensor<B>>,
    frames: &[bool],
    operation: impl Fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
) -> FloatTensor<B> {
    let rank = o.iter().map(|tensor| dims::<B>(tensor).len()).max().unwrap_or(0);
    let mut aligned =
        o.into_iter().zip(frames).map(|(tensor, &frame)| aligned::<B>(tensor, frame, rank));
    match (aligned.next(), aligned.next()) {
        (Some(a), Some(b)) => operation(a, b),
        _ => unreachable!("two operands"),
    }
}

/// With axes of length 1 put in up to a rank: in front, but behind the axis of frames.
pub(super) fn aligned<B: Backend>(
    tensor: FloatTensor<B>,
    frame: bool,
    rank: usize,
) -> FloatTensor<B> {
    let mut shape = dims::<B>(&tensor);
    if shape.len() == rank {
        return tensor;
    }
    let at = usize::from(frame);
    shape.splice(at..at, vec![1; rank - shape.len()]);
    reshape::<B>(tensor, &shape)
}

/// `y, g`: g where y > 0, else 0.
pub fn gate<B: Backend>(o: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let mut operands = o.into_iter();
    let (Some(y), Some(g)) = (operands.next(), operands.next()) else {
        unreachable!("two operands");
    };
    let kind = get_device_settings::<B>(&B::float_device(&y)).bool_dtype;
    let closed = B::float_lower_equal_elem(y, 0f32.into(), kind);
    B::float_mask_fill(g, closed, 0f32.into())
}

/// Between two bounds, either of which may be infinite.
pub fn clip<B: Backend>(min: f32, max: f32, x: FloatTensor<B>) -> FloatTensor<B> {
    let x = if max < f32::INFINITY { B::float_clamp_max(x, max.into()) } else { x };
    if min > f32::NEG_INFINITY { B::float_clamp_min(x, min.into()) } else { x }
}
