//! Convolution and its gradients, by rows.

use super::Operand;
use crate::ops::Conv;

/// One kernel tap of one channel pair: where rows of the input and of the output meet.
struct Tap {
    input_channel: usize,
    output_channel: usize,
    weight: usize,
    ky: usize,
    kx: usize,
}

fn for_each_tap(conv: &Conv, weight: &[usize], mut visit: impl FnMut(Tap)) {
    let [out, per_group, kh, kw] = [weight[0], weight[1], weight[2], weight[3]];
    let out_per_group = out / conv.groups;
    for output_channel in 0..out {
        let first = output_channel / out_per_group * per_group;
        for c in 0..per_group {
            for ky in 0..kh {
                for kx in 0..kw {
                    let weight = ((output_channel * per_group + c) * kh + ky) * kw + kx;
                    visit(Tap { input_channel: first + c, output_channel, weight, ky, kx });
                }
            }
        }
    }
}

/// Output indices along one axis whose tap `k` falls inside the input, and the input index of the
/// first.
fn reach(
    conv: &Conv,
    axis: usize,
    k: usize,
    input: usize,
    output: usize,
) -> (std::ops::Range<usize>, usize) {
    let (stride, offset, pad) = (conv.strides[axis], k * conv.dilations[axis], conv.pads[axis]);
    let first = pad.saturating_sub(offset).div_ceil(stride);
    let end = (input + pad).saturating_sub(offset).div_ceil(stride).min(output);
    (first..end.max(first), (first * stride + offset).saturating_sub(pad))
}

/// Calls `visit(input index, output index)` for every pair of pixels that a tap joins.
fn for_each_pair(
    conv: &Conv,
    tap: &Tap,
    input: &[usize],
    output: &[usize],
    mut visit: impl FnMut(usize, usize),
) {
    let (rows, first_row) = reach(conv, 0, tap.ky, input[2], output[2]);
    let (columns, first_column) = reach(conv, 1, tap.kx, input[3], output[3]);
    for (n, oy) in rows.enumerate() {
        let iy = first_row + n * conv.strides[0];
        let mut from = (tap.input_channel * input[2] + iy) * input[3] + first_column;
        let to = (tap.output_channel * output[2] + oy) * output[3];
        for ox in columns.clone() {
            visit(from, to + ox);
            from += conv.strides[1];
        }
    }
}

pub fn evaluate(conv: &Conv, o: &[Operand<'_>], output: &[usize]) -> Vec<f64> {
    let (x, w) = (o[0], o[1]);
    let pixels = output[2] * output[3];
    let mut y = vec![0.0; output.iter().product()];
    for_each_tap(conv, w.shape, |tap| {
        let weight = w.data[tap.weight];
        for_each_pair(conv, &tap, x.shape, output, |i, o| y[o] += weight * x.data[i]);
    });
    if let Some(bias) = o.get(2) {
        for (channel, row) in y.chunks_mut(pixels).enumerate() {
            row.iter_mut().for_each(|y| *y += bias.data[channel]);
        }
    }
    y
}

pub fn input_gradient(conv: &Conv, g: Operand<'_>, w: Operand<'_>, input: &[usize]) -> Vec<f64> {
    let mut dx = vec![0.0; input.iter().product()];
    for_each_tap(conv, w.shape, |tap| {
        let weight = w.data[tap.weight];
        for_each_pair(conv, &tap, input, g.shape, |i, o| dx[i] += weight * g.data[o]);
    });
    dx
}

/// `output` is `[1, O, C/groups, kh, kw]`.
pub fn weight_gradient(conv: &Conv, x: Operand<'_>, g: Operand<'_>, output: &[usize]) -> Vec<f64> {
    let mut dw = vec![0.0; output.iter().product()];
    for_each_tap(conv, &output[1..], |tap| {
        let mut sum = 0.0;
        for_each_pair(conv, &tap, x.shape, g.shape, |i, o| sum += x.data[i] * g.data[o]);
        dw[tap.weight] = sum;
    });
    dw
}
