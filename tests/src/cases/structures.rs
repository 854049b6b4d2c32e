//! Classifiers whose values are shared, meet, change rank or are results: what fusion, layouts and
//! lifetimes must not get wrong.

use gradgate_graph::graph::ValueId;
use gradgate_graph::ops::{Conv, Op};

use super::{Builder, Case, case, pool, same};

/// All of them.
pub fn structures() -> Vec<Case> {
    let mut cases = shared_parameters();
    cases.extend(meetings());
    cases.extend(products());
    cases.extend(vectors());
    cases.extend(broadcasts());
    cases.extend(edges());
    cases
}

fn reshape(shape: &[usize]) -> Op {
    Op::Reshape { shape: shape.to_vec() }
}

fn mean(axes: &[usize], keep_dims: bool) -> Op {
    Op::ReduceMean { axes: axes.to_vec(), keep_dims }
}

/// A normalisation of four channels with the given scale and shift.
fn normalise(b: &mut Builder, x: ValueId, scale: ValueId, shift: ValueId) -> ValueId {
    let (mean, variance) = (b.constant(&[4], 0.3, 0.0), b.constant(&[4], 0.4, 1.0));
    b.op(Op::BatchNorm { epsilon: 1e-5 }, &[x, scale, shift, mean, variance])
}

fn shared_parameters() -> Vec<Case> {
    vec![
        case("matrix used both ways", 3, 4, |mut b, image| {
            let x = b.op(reshape(&[1, 48]), &[image]);
            let w = b.parameter(&[48, 48], 0.2, 0.0);
            let x = b.op(Op::Gemm { transpose_b: true }, &[x, w]);
            let x = b.op(Op::Relu, &[x]);
            let x = b.op(Op::Gemm { transpose_b: false }, &[x, w]);
            b.gemm_head(x)
        }),
        case("weight shared over groups", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let w = b.parameter(&[40, 4, 1, 1], 0.5, 0.0);
            let x = b.op(Op::Conv(same(1)), &[x, w]);
            let (starts, steps) = (vec![0; 4], vec![1; 4]);
            let x = b.op(Op::Slice { starts, lengths: vec![1, 8, 4, 4], steps }, &[x]);
            let x = b.op(Op::Conv(Conv { groups: 2, ..same(1) }), &[x, w]);
            b.classify(x)
        }),
        case("shared scale and shift", 3, 4, |mut b, image| {
            let (scale, shift) = (b.parameter(&[4], 0.5, 1.0), b.parameter(&[4], 0.5, 0.0));
            let x = b.conv(image, 4, 3, same(3), true);
            let x = normalise(&mut b, x, scale, shift);
            let x = b.op(Op::Relu, &[x]);
            let x = b.conv(x, 4, 3, same(3), false);
            let x = normalise(&mut b, x, scale, shift);
            let x = b.op(mean(&[2, 3], false), &[x]);
            let x = normalise(&mut b, x, scale, shift);
            b.gemm_head(x)
        }),
        case("bias, scale and shift are one", 3, 4, |mut b, image| {
            let w = b.parameter(&[4, 3, 3, 3], 0.3, 0.0);
            let one = b.parameter(&[4], 0.5, 1.0);
            let x = b.op(Op::Conv(same(3)), &[image, w, one]);
            let x = normalise(&mut b, x, one, one);
            b.classify(x)
        }),
    ]
}

fn meetings() -> Vec<Case> {
    vec![
        case("three convolutions meet", 3, 4, |mut b, image| {
            let left = b.conv(image, 4, 3, same(3), true);
            let right = b.conv(image, 4, 1, same(1), true);
            let x = b.op(Op::Add, &[right, left]);
            let late = b.conv(image, 4, 5, same(5), true);
            let x = b.op(Op::Add, &[x, late]);
            let x = b.op(Op::LeakyRelu { alpha: 0.3 }, &[x]);
            let twice = b.op(Op::Add, &[x, x]);
            b.classify(twice)
        }),
        case("clipped residual", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let y = b.conv(x, 4, 3, same(3), false);
            let y = b.batch_norm(y);
            let y = b.op(Op::Add, &[x, y]);
            let y = b.op(Op::Clip { min: -0.3, max: 0.5 }, &[y]);
            let z = b.conv(y, 4, 3, same(3), false);
            let z = b.batch_norm(z);
            let z = b.op(Op::Add, &[z, y]);
            let z = b.op(Op::Add, &[z, x]);
            b.classify(z)
        }),
        case("several readers", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let first = b.batch_norm(x);
            let second = b.batch_norm(x);
            let relu = b.op(Op::Relu, &[first]);
            let clip = b.op(Op::Clip { min: -0.1, max: 0.5 }, &[first]);
            let leaky = b.op(Op::LeakyRelu { alpha: 0.3 }, &[first]);
            let y = b.op(Op::Mul, &[relu, clip]);
            let y = b.op(Op::Add, &[y, leaky]);
            let y = b.op(Op::Sub, &[y, second]);
            let y = b.op(Op::Add, &[y, x]);
            b.classify(y)
        }),
        case("image as skip", 3, 4, |mut b, image| {
            let x = b.conv(image, 3, 3, same(3), true);
            let x = b.batch_norm(x);
            let x = b.op(Op::Add, &[x, image]);
            let x = b.op(Op::Relu, &[x]);
            let x = b.op(Op::Concat { axis: 1 }, &[x, image, x]);
            let x = b.op(Op::Mul, &[x, x]);
            b.classify(x)
        }),
        case("joined with itself", 3, 4, |mut b, image| {
            let x = b.conv(image, 3, 3, same(3), true);
            let alone = b.op(Op::Concat { axis: 1 }, &[x]);
            let x = b.op(Op::Concat { axis: 2 }, &[x, alone, x]);
            let x = b.op(Op::Concat { axis: 3 }, &[x, x]);
            let x = b.op(Op::Concat { axis: 1 }, &[x, x]);
            let x = b.conv(x, 3, 3, same(3), true);
            b.classify(x)
        }),
    ]
}

/// Products along the last axis of values of rank 3 and 4, whose channels lie elsewhere.
fn products() -> Vec<Case> {
    vec![
        case("channels-last block", 3, 6, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(Op::Transpose { permutation: vec![0, 2, 3, 1] }, &[x]);
            let (w, bias) = (b.parameter(&[4, 4], 0.5, 0.0), b.parameter(&[4], 0.5, 0.0));
            let y = b.op(Op::Gemm { transpose_b: false }, &[x, w, bias]);
            let x = b.op(Op::Add, &[y, x]);
            let x = b.op(Op::Relu, &[x]);
            let x = b.op(Op::Transpose { permutation: vec![0, 3, 1, 2] }, &[x]);
            b.classify(x)
        }),
        case("residual over columns", 3, 6, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(reshape(&[1, 9, 16]), &[x]);
            let (w, bias) = (b.parameter(&[16, 16], 0.5, 0.0), b.parameter(&[16], 0.5, 0.0));
            let y = b.op(Op::Gemm { transpose_b: true }, &[x, w, bias]);
            let x = b.op(Op::Add, &[x, y]);
            let x = b.op(Op::LeakyRelu { alpha: 0.2 }, &[x]);
            let x = b.op(reshape(&[1, 144]), &[x]);
            b.gemm_head(x)
        }),
        case("normalised product over columns", 3, 6, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let w = b.parameter(&[6, 6], 0.5, 0.0);
            let x = b.op(Op::Gemm { transpose_b: false }, &[x, w]);
            let x = b.batch_norm(x);
            b.classify(x)
        }),
        case("shared product over columns", 3, 4, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(reshape(&[1, 3, 4, 8]), &[x]);
            let (w, bias) = (b.parameter(&[8, 8], 0.3, 0.0), b.parameter(&[8], 0.3, 0.0));
            let x = b.op(Op::Gemm { transpose_b: false }, &[x, w, bias]);
            let x = b.op(Op::Relu, &[x]);
            let x = b.op(Op::Gemm { transpose_b: false }, &[x, w, bias]);
            let x = b.op(reshape(&[1, 96]), &[x]);
            b.gemm_head(x)
        }),
        case("softmax over every axis", 3, 4, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(reshape(&[1, 3, 2, 16]), &[x]);
            let w = b.parameter(&[9, 16], 0.3, 0.0);
            let x = b.op(Op::Gemm { transpose_b: true }, &[x, w]);
            let x = b.op(Op::Softmax { axis: 3 }, &[x]);
            let x = b.op(Op::Softmax { axis: 2 }, &[x]);
            let x = b.op(Op::Softmax { axis: 1 }, &[x]);
            let x = b.op(reshape(&[1, 54]), &[x]);
            b.gemm_head(x)
        }),
    ]
}

/// Vectors, and results under several names.
fn vectors() -> Vec<Case> {
    vec![
        case("normalised logits", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(reshape(&[1, 64]), &[x]);
            let (w, bias) = (b.parameter(&[12, 64], 0.2, 0.0), b.parameter(&[12], 0.5, 0.0));
            let x = b.op(Op::Gemm { transpose_b: true }, &[x, w, bias]);
            let x = b.batch_norm(x);
            let x = b.op(Op::Relu, &[x]);
            let w = b.parameter(&[12, 5], 0.5, 0.0);
            let x = b.op(Op::Gemm { transpose_b: false }, &[x, w]);
            let x = b.batch_norm(x);
            b.finish(x)
        }),
        case("vector normalised twice", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(mean(&[2, 3], false), &[x]);
            let x = b.batch_norm(x);
            let x = b.batch_norm(x);
            b.gemm_head(x)
        }),
        case("grey image as vector", 1, 4, |mut b, image| {
            let x = b.op(reshape(&[1, 16]), &[image]);
            let w = b.parameter(&[16, 16], 0.1, 0.0);
            let y = b.op(Op::Gemm { transpose_b: true }, &[x, w]);
            let y = b.op(Op::Add, &[y, x]);
            b.gemm_head(y)
        }),
        case("image before the logits", 1, 4, |mut b, image| {
            let x = b.op(reshape(&[1, 16]), &[image]);
            b.gemm_head(x)
        }),
        case("convolution gives logits", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(Op::Relu, &[x]);
            let x = b.op(mean(&[2, 3], true), &[x]);
            let x = b.conv(x, 5, 1, same(1), true);
            let logits = b.op(reshape(&[1, 5]), &[x]);
            let _read_further = b.op(Op::Softmax { axis: 1 }, &[logits]);
            b.finish(logits)
        }),
        case("logits renamed, scaled and shifted", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(mean(&[2, 3], false), &[x]);
            let (w, bias) = (b.parameter(&[5, 4], 0.5, 0.0), b.parameter(&[5], 0.5, 0.0));
            let mut x = b.op(Op::Gemm { transpose_b: true }, &[x, w, bias]);
            x = b.op(reshape(&[1, 5, 1, 1]), &[x]);
            x = b.op(reshape(&[1, 5]), &[x]);
            for shape in [&[5][..], &[1, 5], &[1], &[]] {
                let (scale, shift) = (b.parameter(shape, 0.5, 1.0), b.parameter(shape, 0.5, 0.0));
                x = b.op(Op::Mul, &[x, scale]);
                x = b.op(Op::Add, &[shift, x]);
            }
            b.finish(x)
        }),
    ]
}

fn broadcasts() -> Vec<Case> {
    vec![
        case("constants on the left", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let gate = b.op(Op::Sigmoid, &[x]);
            let one = b.constant(&[], 0.0, 1.0);
            let rest = b.op(Op::Sub, &[one, gate]);
            let c = b.parameter(&[4, 1, 1], 0.2, 1.0);
            let x = b.op(Op::Div, &[c, rest]);
            b.classify(x)
        }),
        case("parameters by position", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let whole = b.parameter(&[1, 4, 4, 4], 0.2, 1.0);
            let x = b.op(Op::Add, &[x, whole]);
            let map = b.parameter(&[4, 4, 4], 0.2, 1.0);
            let x = b.op(Op::Mul, &[map, x]);
            let columns = b.parameter(&[4], 0.2, 1.0);
            let x = b.op(Op::Div, &[x, columns]);
            let rows = b.parameter(&[4, 1], 0.2, 1.0);
            let x = b.op(Op::Sub, &[rows, x]);
            b.classify(x)
        }),
        case("means over every axis", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let map = b.op(mean(&[1], true), &[x]);
            let x = b.op(Op::Mul, &[x, map]);
            let all = b.op(mean(&[1, 2, 3], true), &[x]);
            let x = b.op(Op::Sub, &[x, all]);
            let x = b.op(Op::Sigmoid, &[x]);
            let all = b.op(mean(&[1, 2, 3], false), &[x]);
            let x = b.op(Op::Mul, &[x, all]);
            let columns = b.op(mean(&[1, 2], false), &[x]);
            let x = b.op(Op::Mul, &[x, columns]);
            let x = b.op(mean(&[2], false), &[x]);
            let x = b.op(reshape(&[1, 16]), &[x]);
            b.gemm_head(x)
        }),
        case("outer product", 3, 4, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let channels = b.op(mean(&[2, 3], true), &[x]);
            let rows = b.op(mean(&[1, 3], true), &[x]);
            let columns = b.op(mean(&[1, 2], true), &[x]);
            let x = b.op(Op::Mul, &[channels, rows]);
            let x = b.op(Op::Add, &[x, columns]);
            b.classify(x)
        }),
        case("means of rank 5", 3, 4, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(reshape(&[1, 2, 3, 4, 4]), &[x]);
            let x = b.op(mean(&[1], false), &[x]);
            let x = b.conv(x, 6, 3, same(3), true);
            let x = b.op(reshape(&[1, 2, 3, 4, 4]), &[x]);
            let x = b.op(Op::Transpose { permutation: vec![0, 4, 2, 3, 1] }, &[x]);
            let x = b.op(mean(&[2, 4], true), &[x]);
            let x = b.op(reshape(&[1, 16]), &[x]);
            b.gemm_head(x)
        }),
    ]
}

/// Normalised groups, single pixels, slopes and bounds without a fused gradient.
fn edges() -> Vec<Case> {
    vec![
        case("normalised groups with bias", 3, 6, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.batch_norm(x);
            let x = b.op(Op::Relu, &[x]);
            let x = b.conv(x, 12, 3, Conv { groups: 3, ..same(3) }, true);
            let x = b.batch_norm(x);
            let x = b.op(Op::LeakyRelu { alpha: 0.1 }, &[x]);
            let x = b.conv(x, 12, 3, Conv { groups: 12, ..same(3) }, true);
            let x = b.batch_norm(x);
            b.classify(x)
        }),
        case("single pixels", 3, 4, |mut b, image| {
            let halving = |kernel| Conv { strides: [2, 2], ..same(kernel) };
            let x = b.conv(image, 6, 3, halving(3), true);
            let x = b.conv(x, 6, 1, halving(1), true);
            let x = b.batch_norm(x);
            let x = b.op(Op::Relu, &[x]);
            let x = b.conv(x, 6, 3, same(3), true);
            let x = b.batch_norm(x);
            b.classify(x)
        }),
        case("unusual slopes and bounds", 3, 4, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(Op::LeakyRelu { alpha: -0.5 }, &[x]);
            let x = b.conv(x, 6, 3, same(3), true);
            let x = b.op(Op::LeakyRelu { alpha: 0.0 }, &[x]);
            let x = b.conv(x, 6, 3, same(3), true);
            let x = b.op(Op::Clip { min: f32::NEG_INFINITY, max: 0.2 }, &[x]);
            let x = b.op(Op::Clip { min: -0.1, max: f32::INFINITY }, &[x]);
            b.classify(x)
        }),
        case("two global pools", 3, 4, |mut b, image| {
            let x = b.conv(image, 3, 3, same(3), true);
            let largest = b.op(Op::MaxPool(pool(4, 1)), &[x]);
            let average = b.op(Op::AveragePool(pool(4, 1)), &[x]);
            let x = b.op(Op::Concat { axis: 1 }, &[largest, average]);
            let x = b.op(reshape(&[1, 6]), &[x]);
            b.gemm_head(x)
        }),
        case("branch that leads nowhere", 3, 4, |mut b, image| {
            let x = b.conv(image, 3, 3, same(3), true);
            let y = b.op(Op::Relu, &[x]);
            let _dead = b.op(Op::Sigmoid, &[y]);
            b.classify(x)
        }),
    ]
}
