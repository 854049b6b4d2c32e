//! Products of two frame values, and what stands around them in a vision transformer.

use gradgate_graph::graph::ValueId;
use gradgate_graph::ops::{Conv, Function, Op};

use super::{Builder, Case, case, same};

/// All of them.
pub fn attention() -> Vec<Case> {
    vec![
        case("one head", 3, 4, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(Op::Reshape { shape: vec![1, 6, 16] }, &[x]);
            let x = b.op(Op::Transpose { permutation: vec![0, 2, 1] }, &[x]);
            let [q, v] = [0; 2].map(|_| project(&mut b, x, 6, 5));
            let k = key(&mut b, x, 6, 5);
            let scores = product(&mut b, [false, true], q, k);
            let weights = b.op(Op::Softmax { axis: 2 }, &[scores]);
            let x = product(&mut b, [false, false], weights, v);
            let x = b.op(Op::ReduceMean { axes: vec![1], keep_dims: false }, &[x]);
            b.gemm_head(x)
        }),
        case("transposed products", 3, 4, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(Op::Reshape { shape: vec![1, 2, 6, 8] }, &[x]);
            let y = b.op(Op::Relu, &[x]);
            let square = product(&mut b, [false, true], x, y);
            let other = product(&mut b, [true, true], x, square);
            let wide = product(&mut b, [true, false], y, x);
            let narrow = product(&mut b, [true, true], other, wide);
            let own = product(&mut b, [false, true], narrow, narrow);
            let x = b.op(Op::Reshape { shape: vec![1, 72] }, &[own]);
            b.gemm_head(x)
        }),
        case("transformer block", 3, 4, |mut b, image| {
            let patches = Conv { strides: [2, 2], ..same(2) };
            let x = b.conv(image, 8, 2, Conv { pads: [0; 4], ..patches }, true);
            let x = b.op(Op::Reshape { shape: vec![1, 8, 4] }, &[x]);
            let x = b.op(Op::Transpose { permutation: vec![0, 2, 1] }, &[x]);
            let token = b.parameter(&[1, 1, 8], 0.5, 0.0);
            let token = b.op(Op::Expand { shape: vec![1, 1, 8] }, &[token]);
            let x = b.op(Op::Concat { axis: 1 }, &[token, x]);
            let places = b.parameter(&[1, 5, 8], 0.5, 0.0);
            let x = b.op(Op::Add, &[x, places]);
            let y = layer_norm(&mut b, x);
            let y = heads(&mut b, y);
            let x = b.op(Op::Add, &[x, y]);
            let y = layer_norm(&mut b, x);
            let y = project(&mut b, y, 8, 12);
            let y = b.op(Op::Function(Function::Gelu), &[y]);
            let y = project(&mut b, y, 12, 8);
            let x = b.op(Op::Add, &[x, y]);
            let x = layer_norm(&mut b, x);
            let lengths = vec![1, 1, 8];
            let steps = vec![1; 3];
            let x = b.op(Op::Slice { starts: vec![0; 3], lengths, steps }, &[x]);
            let x = b.op(Op::Reshape { shape: vec![1, 8] }, &[x]);
            b.gemm_head(x)
        }),
    ]
}

fn product(b: &mut Builder, transposed: [bool; 2], x: ValueId, y: ValueId) -> ValueId {
    let [transpose_a, transpose_b] = transposed;
    b.op(Op::MatMul { transpose_a, transpose_b }, &[x, y])
}

/// A Linear layer over the last axis.
fn project(b: &mut Builder, x: ValueId, inner: usize, outer: usize) -> ValueId {
    let (w, bias) = (b.parameter(&[outer, inner], 0.5, 0.0), b.parameter(&[outer], 0.3, 0.0));
    b.op(Op::Gemm { transpose_b: true }, &[x, w, bias])
}

/// Without a bias: softmax does not feel one, whose gradient would be nothing but rounding.
fn key(b: &mut Builder, x: ValueId, inner: usize, outer: usize) -> ValueId {
    let w = b.parameter(&[outer, inner], 0.5, 0.0);
    b.op(Op::Gemm { transpose_b: true }, &[x, w])
}

/// Two heads of four, as PyTorch exports them.
fn heads(b: &mut Builder, x: ValueId) -> ValueId {
    let of_heads = |b: &mut Builder, y: ValueId, permutation: [usize; 4]| {
        let y = b.op(Op::Reshape { shape: vec![1, 5, 2, 4] }, &[y]);
        b.op(Op::Transpose { permutation: permutation.to_vec() }, &[y])
    };
    let [q, v] = [0; 2].map(|_| {
        let y = project(b, x, 8, 8);
        of_heads(b, y, [0, 2, 1, 3])
    });
    let k = key(b, x, 8, 8);
    let k = of_heads(b, k, [0, 2, 3, 1]);
    let scores = product(b, [false, false], q, k);
    let scale = b.constant(&[], 0.0, 0.5);
    let scores = b.op(Op::Mul, &[scores, scale]);
    let weights = b.op(Op::Softmax { axis: 3 }, &[scores]);
    let y = product(b, [false, false], weights, v);
    let y = b.op(Op::Transpose { permutation: vec![0, 2, 1, 3] }, &[y]);
    let y = b.op(Op::Reshape { shape: vec![1, 5, 8] }, &[y]);
    project(b, y, 8, 8)
}

/// LayerNormalization over the last axis of eight, as import writes it out.
fn layer_norm(b: &mut Builder, x: ValueId) -> ValueId {
    let mean = || Op::ReduceMean { axes: vec![2], keep_dims: true };
    let average = b.op(mean(), &[x]);
    let centred = b.op(Op::Sub, &[x, average]);
    let square = b.op(Op::Mul, &[centred, centred]);
    let variance = b.op(mean(), &[square]);
    let epsilon = b.constant(&[], 0.0, 1e-5);
    let sum = b.op(Op::Add, &[variance, epsilon]);
    let deviation = b.op(Op::Function(Function::Sqrt), &[sum]);
    let y = b.op(Op::Div, &[centred, deviation]);
    let (scale, shift) = (b.parameter(&[8], 0.3, 1.0), b.parameter(&[8], 0.3, 0.0));
    let y = b.op(Op::Mul, &[y, scale]);
    b.op(Op::Add, &[y, shift])
}
