//! Convolution and its transpose.

use burn_backend::Backend;
use burn_backend::ops::{ConvOptions, ConvTransposeOptions};
use burn_backend::tensor::FloatTensor;
use gradgate_graph::ops::Conv;

use super::movement;
use super::tensor::dims;

/// `x [n,C,H,W], w, [b]` -> `[n,O,H',W']`
pub fn evaluate<B: Backend>(conv: &Conv, o: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let mut operands = o.into_iter();
    let (Some(x), Some(w)) = (operands.next(), operands.next()) else {
        unreachable!("a convolution has an input and a weight");
    };
    let [top, left, bottom, right] = conv.pads;
    let even = top == bottom && left == right;
    let x = if even { x } else { movement::pad_image::<B>(conv.pads, 0.0, x) };
    let padding = if even { [top, left] } else { [0, 0] };
    let options = ConvOptions::new(conv.strides, padding, conv.dilations, conv.groups);
    B::conv2d(x, w, operands.next(), options)
}

/// `g [n,O,H',W'], w` -> `[n,C,H,W]`: the whole transposed convolution, of which the window that
/// the padding leaves is cut out.
pub fn transposed<B: Backend>(
    conv: &Conv,
    input_hw: [usize; 2],
    o: Vec<FloatTensor<B>>,
) -> FloatTensor<B> {
    let mut operands = o.into_iter();
    let (Some(g), Some(w)) = (operands.next(), operands.next()) else {
        unreachable!("a transposed convolution has an input and a weight");
    };
    let (from, kernel) = (dims::<B>(&g), dims::<B>(&w));
    let (mut missing, mut starts) = ([0; 2], vec![0, 0]);
    for axis in 0..2 {
        let reach = conv.dilations[axis] * (kernel[axis + 2] - 1) + 1;
        let whole = (from[axis + 2] - 1) * conv.strides[axis] + reach;
        missing[axis] = (conv.pads[axis] + input_hw[axis]).saturating_sub(whole);
        starts.push(conv.pads[axis]);
    }
    // Burn allows an output padding only below stride or dilation; the rest is zeros anyway.
    let options =
        ConvTransposeOptions::new(conv.strides, [0, 0], [0, 0], conv.dilations, conv.groups);
    let whole = B::conv_transpose2d(g, w, None, options);
    let whole = movement::pad_image::<B>([0, 0, missing[0], missing[1]], 0.0, whole);
    let channels = dims::<B>(&whole)[1];
    let lengths = [1, channels, input_hw[0], input_hw[1]];
    movement::slice::<B>(&starts, &lengths, &[1; 4], whole)
}
