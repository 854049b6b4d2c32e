//! Functions of one variable inside classifiers: each alone, the blocks that are known for
//! them, and
//! compositions as importer and exporters write them.

use gradgate_graph::ops::{Conv, Function, Op, Pool};

use super::{Case, case, pool, same};

/// All of them.
pub fn functions() -> Vec<Case> {
    let mut cases = alone();
    cases.extend(blocks());
    cases.extend(written_out());
    cases
}

/// A convolution, the function, a convolution, so that a gradient gates another.
fn alone() -> Vec<Case> {
    let of = |name, function: Function| {
        case(name, 3, 6, move |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let x = b.op(Op::Function(function), &[x]);
            let x = b.conv(x, 6, 1, same(1), true);
            b.classify(x)
        })
    };
    // Where the function is not defined for all numbers: of 1 + x * x.
    let of_positive = |name, function: Function| {
        case(name, 3, 6, move |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let x = b.op(Op::Mul, &[x, x]);
            let one = b.constant(&[], 0.0, 1.0);
            let x = b.op(Op::Add, &[x, one]);
            let x = b.op(Op::Function(function), &[x]);
            b.classify(x)
        })
    };
    vec![
        of("exp", Function::Exp),
        of("tanh", Function::Tanh),
        of("erf", Function::Erf),
        of("elu", Function::Elu { alpha: 0.8, gamma: 1.0 }),
        of("selu", Function::Elu { alpha: 1.673_263_2, gamma: 1.050_701 }),
        of("softplus", Function::Softplus),
        of("hard sigmoid", Function::HardSigmoid { alpha: 0.6, beta: 0.5 }),
        of("hard swish", Function::HardSwish),
        of("gelu", Function::Gelu),
        of("gelu by tanh", Function::GeluTanh),
        of("cube", Function::Pow { exponent: 3.0 }),
        of_positive("log", Function::Log),
        of_positive("sqrt", Function::Sqrt),
        of_positive("power", Function::Pow { exponent: -0.75 }),
    ]
}

fn blocks() -> Vec<Case> {
    let depthwise = |channels| Conv { groups: channels, ..same(3) };
    vec![
        // MobileNetV3: hard swish, squeeze and excitation by a hard sigmoid, a residual.
        case("hard swish block", 3, 6, |mut b, image| {
            let gate = Op::Function(Function::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 });
            let x = b.conv(image, 8, 3, same(3), false);
            let x = b.batch_norm(x);
            let x = b.op(Op::Function(Function::HardSwish), &[x]);
            let y = b.conv(x, 16, 1, same(1), false);
            let y = b.batch_norm(y);
            let y = b.op(Op::Function(Function::HardSwish), &[y]);
            let y = b.conv(y, 16, 3, depthwise(16), false);
            let y = b.batch_norm(y);
            let pooled = b.op(Op::ReduceMean { axes: vec![2, 3], keep_dims: true }, &[y]);
            let s = b.conv(pooled, 4, 1, same(1), true);
            let s = b.op(Op::Relu, &[s]);
            let s = b.conv(s, 16, 1, same(1), true);
            let s = b.op(gate, &[s]);
            let y = b.op(Op::Mul, &[y, s]);
            let y = b.op(Op::Function(Function::HardSwish), &[y]);
            let y = b.conv(y, 8, 1, same(1), false);
            let y = b.batch_norm(y);
            let sum = b.op(Op::Add, &[y, x]);
            b.classify(sum)
        }),
        // EfficientNet: x * sigmoid(x).
        case("silu block", 3, 6, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), false);
            let x = b.batch_norm(x);
            let gate = b.op(Op::Sigmoid, &[x]);
            let x = b.op(Op::Mul, &[x, gate]);
            let y = b.conv(x, 8, 3, depthwise(8), false);
            let y = b.batch_norm(y);
            let gate = b.op(Op::Sigmoid, &[y]);
            let y = b.op(Op::Mul, &[y, gate]);
            b.classify(y)
        }),
    ]
}

fn written_out() -> Vec<Case> {
    vec![
        // Gelu as PyTorch's exporters write it.
        case("gelu written out", 3, 6, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let [root, one, half] =
                [std::f32::consts::SQRT_2, 1.0, 0.5].map(|v| b.constant(&[], 0.0, v));
            let y = b.op(Op::Div, &[x, root]);
            let y = b.op(Op::Function(Function::Erf), &[y]);
            let y = b.op(Op::Add, &[y, one]);
            let y = b.op(Op::Mul, &[x, y]);
            let y = b.op(Op::Mul, &[y, half]);
            b.classify(y)
        }),
        // LayerNormalization over the channels of each pixel, as the importer writes it.
        case("layer normalisation", 3, 6, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let x = b.op(Op::Transpose { permutation: vec![0, 2, 3, 1] }, &[x]);
            let mean = || Op::ReduceMean { axes: vec![3], keep_dims: true };
            let epsilon = b.constant(&[], 0.0, 1e-5);
            let (scale, shift) = (b.parameter(&[8], 0.3, 1.0), b.parameter(&[8], 0.3, 0.0));
            let centre = b.op(mean(), &[x]);
            let centred = b.op(Op::Sub, &[x, centre]);
            let square = b.op(Op::Mul, &[centred, centred]);
            let variance = b.op(mean(), &[square]);
            let sum = b.op(Op::Add, &[variance, epsilon]);
            let deviation = b.op(Op::Function(Function::Sqrt), &[sum]);
            let x = b.op(Op::Div, &[centred, deviation]);
            let x = b.op(Op::Mul, &[x, scale]);
            let x = b.op(Op::Add, &[x, shift]);
            let x = b.op(Op::Transpose { permutation: vec![0, 3, 1, 2] }, &[x]);
            b.classify(x)
        }),
        // PRelu as the importer writes it: a slope a channel.
        case("prelu", 3, 6, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let slope = b.parameter(&[8, 1, 1], 0.2, 0.25);
            let above = b.op(Op::Relu, &[x]);
            let below = b.op(Op::Clip { min: f32::NEG_INFINITY, max: 0.0 }, &[x]);
            let below = b.op(Op::Mul, &[below, slope]);
            let x = b.op(Op::Add, &[above, below]);
            b.classify(x)
        }),
        // Where as the importer writes it, both branches values of the network.
        case("choice by comparison", 3, 6, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let y = b.conv(image, 8, 1, same(1), true);
            let margin = b.op(Op::Sub, &[x, y]);
            let z = b.conv(x, 8, 1, same(1), true);
            let closed = b.op(Op::ReluGradient, &[margin, y]);
            let other = b.op(Op::Sub, &[y, closed]);
            let then = b.op(Op::ReluGradient, &[margin, z]);
            let x = b.op(Op::Add, &[then, other]);
            b.classify(x)
        }),
        // LogSoftmax over channels as the importer writes it.
        case("log softmax", 3, 6, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let flat = b.op(Op::Reshape { shape: vec![1, 1, 8, 36] }, &[x]);
            let top = b.op(Op::MaxPool(Pool { kernel: [8, 1], ..pool(1, 1) }), &[flat]);
            let top = b.op(Op::Reshape { shape: vec![1, 1, 6, 6] }, &[top]);
            let less = b.op(Op::Sub, &[x, top]);
            let e = b.op(Op::Function(Function::Exp), &[less]);
            let sum = b.op(Op::ReduceSum { axes: vec![1], keep_dims: true }, &[e]);
            let log = b.op(Op::Function(Function::Log), &[sum]);
            let x = b.op(Op::Sub, &[less, log]);
            b.classify(x)
        }),
    ]
}
