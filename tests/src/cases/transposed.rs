//! Transposed convolutions: a decoder's step, groups, rows beyond the last window.

use gradgate_graph::ops::{Conv, Op};

use super::{Case, case, same};

/// All of them.
pub fn transposed() -> Vec<Case> {
    let of = |name, conv: Conv, weight: [usize; 4], input_hw: [usize; 2]| {
        case(name, 3, 4, move |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(Op::Relu, &[x]);
            let w = b.parameter(&weight, 0.4, 0.0);
            let channels = weight[1] * conv.groups;
            let x = b.op(Op::ConvInputGradient { conv, input_hw }, &[x, w]);
            let bias = b.parameter(&[channels, 1, 1], 0.3, 0.0);
            let x = b.op(Op::Add, &[x, bias]);
            let x = b.op(Op::Relu, &[x]);
            let x = b.conv(x, 5, 3, same(3), true);
            b.classify(x)
        })
    };
    let doubling = Conv { strides: [2, 2], pads: [0; 4], ..same(2) };
    let odd = Conv { strides: [2, 2], ..same(3) };
    let grouped = Conv { groups: 2, ..odd.clone() };
    vec![
        of("transposed convolution", doubling, [6, 4, 2, 2], [8, 8]),
        of("transposed convolution, beyond", odd, [6, 4, 3, 3], [8, 8]),
        of("transposed convolution, groups", grouped, [6, 2, 3, 3], [7, 7]),
        of("transposed convolution, stride 1", same(3), [6, 4, 3, 3], [4, 4]),
    ]
}
