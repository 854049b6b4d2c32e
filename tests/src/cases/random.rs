//! Random classifiers: what no table of cases would think of.

use gradgate_graph::graph::{Graph, ValueId};
use gradgate_graph::ops::{Conv, Op};

use super::{Builder, pool, same};

/// The classifier of a seed: up to sixteen layers that branch, meet, narrow and widen.
pub fn random(seed: u64) -> Graph {
    let name = format!("random {seed}");
    let (mut b, image) = Builder::new(&name, 3, 8);
    let size = b.rng.range(8, 14);
    let (mut b, image) = if size == 8 { (b, image) } else { Builder::new(&name, 3, size) };
    let channels = b.rng.range(2, 9);
    let mut values = vec![b.conv(image, channels, 3, same(3), true)];
    for _ in 0..b.rng.range(4, 16) {
        // Mostly on from the latest, now and then from an earlier one.
        let back = if b.rng.range(0, 3) == 0 { 3 } else { 0 };
        let at = b.rng.range(values.len().saturating_sub(1 + back), values.len() - 1);
        let next = layer(&mut b, &values, values[at]);
        values.push(next);
    }
    let last = values[values.len() - 1];
    b.classify(last)
}

fn layer(b: &mut Builder, values: &[ValueId], x: ValueId) -> ValueId {
    let shape = b.graph.shape(x).to_vec();
    let (channels, side) = (shape[1], shape[2]);
    match b.rng.range(0, 11) {
        0..=3 => convolution(b, x, channels, side),
        4 => b.batch_norm(x),
        5 => b.op(Op::Relu, &[x]),
        6 => {
            let activations = [
                Op::Clip { min: -0.3, max: 0.6 },
                Op::LeakyRelu { alpha: 0.2 },
                Op::Sigmoid,
                Op::Softmax { axis: 1 },
            ];
            let op = activations[b.rng.range(0, 3)].clone();
            b.op(op, &[x])
        }
        7 | 8 => {
            let same = |&&v: &&ValueId| v != x && b.graph.shape(v) == shape;
            let other = values.iter().find(same).copied().unwrap_or(x);
            let sum = b.op(Op::Add, &[x, other]);
            b.op(Op::Relu, &[sum])
        }
        9 => {
            let same = |&&v: &&ValueId| b.graph.shape(v)[2] == side;
            let other = values.iter().find(same).copied().unwrap_or(x);
            b.op(Op::Concat { axis: 1 }, &[other, x])
        }
        10 if side >= 4 => {
            let op =
                [Op::MaxPool(pool(2, 2)), Op::AveragePool(pool(2, 1))][b.rng.range(0, 1)].clone();
            b.op(op, &[x])
        }
        _ => {
            let mean = b.op(Op::ReduceMean { axes: vec![2, 3], keep_dims: true }, &[x]);
            let gate = b.conv(mean, channels, 1, same(1), true);
            let gate = b.op(Op::Sigmoid, &[gate]);
            b.op(Op::Mul, &[x, gate])
        }
    }
}

/// A convolution, with or without what usually follows it.
fn convolution(b: &mut Builder, x: ValueId, channels: usize, side: usize) -> ValueId {
    let kernel = [1, 3][b.rng.range(0, 1)];
    let stride = if side >= 4 { b.rng.range(1, 2) } else { 1 };
    let depthwise = b.rng.range(0, 4) == 0;
    let groups = if depthwise { channels } else { 1 };
    let out = if depthwise { channels } else { b.rng.range(2, 12) };
    let conv = Conv { strides: [stride; 2], groups, ..same(kernel) };
    let bias = b.rng.range(0, 1) == 1;
    let mut y = b.conv(x, out, kernel, conv, bias);
    if b.rng.range(0, 3) > 0 {
        y = b.batch_norm(y);
    }
    if b.graph.shape(y) == b.graph.shape(x) && b.rng.range(0, 1) == 1 {
        y = b.op(Op::Add, &[y, x]);
    }
    let activations = [Op::Relu, Op::Relu, Op::Clip { min: 0.0, max: 6.0 }];
    match b.rng.range(0, 3) {
        3 => y,
        kind => b.op(activations[kind].clone(), &[y]),
    }
}
