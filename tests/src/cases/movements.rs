//! Values that are cut, repeated, joined and pooled as importers write it: attention by pools,
//! halves that gate each other, borders of their own, blocks of pixels.

use gradgate_graph::graph::ValueId;
use gradgate_graph::ops::{Op, Pool};

use super::{Builder, Case, case, pool, same};

/// All of them.
pub fn movements() -> Vec<Case> {
    let mut cases = pools();
    cases.extend(parts());
    cases
}

fn pools() -> Vec<Case> {
    let asymmetric = Pool {
        kernel: [3, 2],
        strides: [2, 1],
        pads: [1, 0, 0, 1],
        dilations: [1, 2],
        ..pool(3, 2)
    };
    let hanging = Pool { kernel: [3, 3], strides: [2, 2], ceil_mode: true, ..pool(3, 2) };
    let pooled = |name, op: Op| {
        case(name, 3, 8, move |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(op, &[x]);
            let x = b.conv(x, 6, 3, same(3), true);
            b.classify(x)
        })
    };
    vec![
        pooled("max pool, asymmetric and dilated", Op::MaxPool(asymmetric.clone())),
        pooled("average pool, asymmetric and dilated", Op::AveragePool(asymmetric)),
        pooled("max pool over the edge", Op::MaxPool(hanging.clone())),
        pooled("average pool over the edge", Op::AveragePool(hanging.clone())),
        pooled(
            "average pool over the edge counting pads",
            Op::AveragePool(Pool { pads: [1; 4], count_include_pad: true, ..hanging }),
        ),
        // Channel and pixel attention: one weight for the mean and the maximum of each channel,
        // then a gate from the mean and the maximum over channels.
        case("attention by pools", 3, 8, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let w = b.parameter(&[8, 8, 1, 1], 0.5, 0.0);
            let mean = b.op(Op::ReduceMean { axes: vec![2, 3], keep_dims: true }, &[x]);
            let top = b.op(Op::MaxPool(pool(8, 1)), &[x]);
            let [mean, top] = [mean, top].map(|v| b.op(Op::Conv(same(1)), &[v, w]));
            let gate = b.op(Op::Add, &[mean, top]);
            let gate = b.op(Op::Sigmoid, &[gate]);
            let x = b.op(Op::Mul, &[x, gate]);
            let mean = b.op(Op::ReduceMean { axes: vec![1], keep_dims: true }, &[x]);
            let flat = b.op(Op::Reshape { shape: vec![1, 1, 8, 64] }, &[x]);
            let top = b.op(Op::MaxPool(Pool { kernel: [8, 1], ..pool(1, 1) }), &[flat]);
            let top = b.op(Op::Reshape { shape: vec![1, 1, 8, 8] }, &[top]);
            let gate = b.op(Op::Concat { axis: 1 }, &[mean, top]);
            let gate = b.conv(gate, 1, 7, same(7), false);
            let gate = b.op(Op::Sigmoid, &[gate]);
            let x = b.op(Op::Mul, &[x, gate]);
            b.classify(x)
        }),
    ]
}

fn cut(b: &mut Builder, x: ValueId, axis: usize, start: usize, length: usize) -> ValueId {
    let mut lengths = b.graph.shape(x).to_vec();
    let (mut starts, steps) = (vec![0; lengths.len()], vec![1; lengths.len()]);
    (starts[axis], lengths[axis]) = (start, length);
    b.op(Op::Slice { starts, lengths, steps }, &[x])
}

fn parts() -> Vec<Case> {
    vec![
        case("halves that gate each other", 3, 6, |mut b, image| {
            let x = b.conv(image, 12, 3, same(3), true);
            let (left, right) = (cut(&mut b, x, 1, 0, 6), cut(&mut b, x, 1, 6, 6));
            let gate = b.op(Op::Sigmoid, &[right]);
            let x = b.op(Op::Mul, &[left, gate]);
            b.classify(x)
        }),
        case("mirrored and repeated borders", 3, 6, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let rows = [2, 1].map(|row| cut(&mut b, x, 2, row, 1));
            let last = cut(&mut b, x, 2, 4, 1);
            let x = b.op(Op::Concat { axis: 2 }, &[rows[0], rows[1], x, last]);
            let edge = cut(&mut b, x, 3, 5, 1);
            let edge = b.op(Op::Expand { shape: vec![1, 6, 9, 2] }, &[edge]);
            let x = b.op(Op::Concat { axis: 3 }, &[x, edge]);
            let x = b.conv(x, 6, 3, same(3), true);
            b.classify(x)
        }),
        case("global context", 3, 6, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let mean = b.op(Op::ReduceSum { axes: vec![2, 3], keep_dims: true }, &[x]);
            let mean = b.op(Op::Expand { shape: vec![1, 6, 6, 6] }, &[mean]);
            let x = b.op(Op::Concat { axis: 1 }, &[x, mean]);
            let x = b.conv(x, 6, 1, same(1), true);
            b.classify(x)
        }),
        case("blocks of pixels", 3, 6, |mut b, image| {
            let x = b.conv(image, 12, 3, same(3), true);
            let x = b.op(Op::Reshape { shape: vec![1, 3, 2, 2, 6, 6] }, &[x]);
            let x = b.op(Op::Transpose { permutation: vec![0, 1, 4, 2, 5, 3] }, &[x]);
            let x = b.op(Op::Reshape { shape: vec![1, 3, 12, 12] }, &[x]);
            let x = b.conv(x, 4, 3, same(3), true);
            b.classify(x)
        }),
        // Linear enlargement of one axis by two.
        case("blended neighbours", 3, 6, |mut b, image| {
            let x = b.conv(image, 5, 3, same(3), true);
            let phases = [[[0, 1], [0, 5]], [[1, 5], [5, 1]]].map(|spans| {
                let parts = spans.map(|[start, length]| cut(&mut b, x, 2, start, length));
                let neighbour = b.op(Op::Concat { axis: 2 }, &parts);
                let [near, far] = [0.75, 0.25].map(|v| b.constant(&[], 0.0, v));
                let (own, other) = (b.op(Op::Mul, &[x, near]), b.op(Op::Mul, &[neighbour, far]));
                let blend = b.op(Op::Add, &[own, other]);
                b.op(Op::Reshape { shape: vec![1, 5, 6, 1, 6] }, &[blend])
            });
            let x = b.op(Op::Concat { axis: 3 }, &phases);
            let x = b.op(Op::Reshape { shape: vec![1, 5, 12, 6] }, &[x]);
            let x = b.conv(x, 5, 3, same(3), true);
            b.classify(x)
        }),
    ]
}
