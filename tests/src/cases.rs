//! Small classifiers, one per behaviour: the suite's data. Weights are random from the case's name.

mod attention;
mod functions;
mod imported;
mod movements;
pub mod random;
mod structures;
mod transposed;

pub use imported::{composed, imported};

use gradgate_graph::alignment::{Reference, Weight, weights};
use gradgate_graph::graph::{Graph, Tensor, ValueId};
use gradgate_graph::ops::alignment::rows;
use gradgate_graph::ops::{Conv, Op, Pool};

use crate::rng::Rng;

/// One classifier.
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    /// The classifier.
    pub graph: Graph,
}

/// A graph under construction with random weights.
pub struct Builder {
    graph: Graph,
    rng: Rng,
    count: usize,
}

impl Builder {
    /// An empty classifier over an image `[1, channels, size, size]`; also the image.
    pub fn new(name: &str, channels: usize, size: usize) -> (Self, ValueId) {
        let seed = name.bytes().fold(11u64, |h, b| h.wrapping_mul(131).wrapping_add(u64::from(b)));
        let mut graph = Graph { name: name.to_owned(), ..Graph::default() };
        let image = graph.add_input("image", [1, channels, size, size]);
        (Self { graph, rng: Rng(seed), count: 0 }, image)
    }

    /// A trainable constant in -scale..scale around `offset`.
    pub fn parameter(&mut self, shape: &[usize], scale: f32, offset: f32) -> ValueId {
        let id = self.constant(shape, scale, offset);
        self.graph.parameters.push(id);
        id
    }

    /// A constant that is not trainable.
    pub fn constant(&mut self, shape: &[usize], scale: f32, offset: f32) -> ValueId {
        let data: Vec<f32> =
            (0..shape.iter().product()).map(|_| self.rng.unit() * scale + offset).collect();
        self.count += 1;
        self.graph.add_constant(format!("c{}", self.count), Tensor::new(shape, data))
    }

    /// Any op.
    ///
    /// # Panics
    /// When its shape rule refuses.
    pub fn op(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.count += 1;
        self.graph.push(format!("n{}", self.count), op, inputs).unwrap_or_else(|e| panic!("{e}"))
    }

    /// A convolution with `out` channels, with or without bias.
    pub fn conv(
        &mut self,
        x: ValueId,
        out: usize,
        kernel: usize,
        conv: Conv,
        bias: bool,
    ) -> ValueId {
        let channels = self.graph.shape(x)[1] / conv.groups;
        let scale = (3.0 / (channels * kernel * kernel) as f32).sqrt();
        let w = self.parameter(&[out, channels, kernel, kernel], scale, 0.0);
        let mut inputs = vec![x, w];
        if bias {
            inputs.push(self.parameter(&[out], 0.2, 0.0));
        }
        self.op(Op::Conv(conv), &inputs)
    }

    /// A normalisation.
    pub fn batch_norm(&mut self, x: ValueId) -> ValueId {
        let c = [self.graph.shape(x)[1]];
        let scale = self.parameter(&c, 0.5, 1.0);
        let shift = self.parameter(&c, 0.3, 0.1);
        let (mean, variance) = (self.constant(&c, 0.3, 0.0), self.constant(&c, 0.4, 1.0));
        self.op(Op::BatchNorm { epsilon: 1e-5 }, &[x, scale, shift, mean, variance])
    }

    /// Global average, then a Gemm to five logits: ends the classifier.
    pub fn classify(mut self, x: ValueId) -> Graph {
        let mean = self.op(Op::ReduceMean { axes: vec![2, 3], keep_dims: false }, &[x]);
        self.gemm_head(mean)
    }

    /// A Gemm from a vector to five logits: ends the classifier.
    pub fn gemm_head(mut self, x: ValueId) -> Graph {
        let inner = self.graph.shape(x)[1];
        let w = self.parameter(&[5, inner], (3.0 / inner as f32).sqrt(), 0.0);
        let b = self.parameter(&[5], 0.5, 0.0);
        let logits = self.op(Op::Gemm { transpose_b: true }, &[x, w, b]);
        self.finish(logits)
    }

    /// Ends the classifier with the given logits.
    pub fn finish(mut self, logits: ValueId) -> Graph {
        self.graph.logits = Some(logits);
        self.graph
    }
}

/// A convolution of stride 1 with equal padding.
pub fn same(kernel: usize) -> Conv {
    Conv { strides: [1, 1], pads: [kernel / 2; 4], dilations: [1, 1], groups: 1 }
}

fn pool(kernel: usize, stride: usize) -> Pool {
    Pool {
        kernel: [kernel; 2],
        strides: [stride; 2],
        pads: [0; 4],
        dilations: [1, 1],
        ceil_mode: false,
        count_include_pad: false,
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = convolutions();
    cases.extend(networks());
    cases.extend(layouts());
    cases.extend(activations_and_pools());
    cases.extend(few_pixels());
    cases.extend(structures::structures());
    cases.extend(functions::functions());
    cases.extend(attention::attention());
    cases.extend(transposed::transposed());
    cases.extend(movements::movements());
    cases
}

fn case(
    name: &'static str,
    channels: usize,
    size: usize,
    build: impl FnOnce(Builder, ValueId) -> Graph,
) -> Case {
    let (builder, image) = Builder::new(name, channels, size);
    Case { name, graph: build(builder, image) }
}

fn convolutions() -> Vec<Case> {
    let variant = |name, conv: Conv, channels: usize, out: usize, kernel| {
        case(name, 3, 9, move |mut b, image| {
            let stem = b.conv(image, channels, 3, same(3), true);
            let stem = b.op(Op::Relu, &[stem]);
            let x = b.conv(stem, out, kernel, conv, true);
            let x = b.op(Op::Relu, &[x]);
            b.classify(x)
        })
    };
    vec![
        variant("conv 3x3", same(3), 8, 20, 3),
        variant("conv 1x1", same(1), 8, 17, 1),
        variant("conv 5x5", same(5), 4, 6, 5),
        variant("conv stride 2", Conv { strides: [2, 2], ..same(3) }, 8, 16, 3),
        variant(
            "conv asymmetric",
            Conv { strides: [2, 1], pads: [0, 1, 1, 2], ..same(3) },
            6,
            10,
            3,
        ),
        variant(
            "conv dilated",
            Conv { dilations: [2, 3], pads: [2, 3, 2, 3], ..same(3) },
            4,
            18,
            3,
        ),
        variant("conv valid", Conv { pads: [0; 4], ..same(3) }, 5, 33, 3),
        variant("conv grouped", Conv { groups: 2, ..same(3) }, 8, 20, 3),
        variant("conv depthwise", Conv { groups: 20, ..same(3) }, 20, 20, 3),
        variant("conv depthwise stride 2", Conv { groups: 8, strides: [2, 2], ..same(3) }, 8, 8, 3),
        variant("conv depth multiplier 2", Conv { groups: 6, ..same(3) }, 6, 12, 3),
    ]
}

fn few_pixels() -> Vec<Case> {
    vec![
        // Few pixels and many channels: norms by Gram matrices of pixels.
        case("few pixels", 3, 8, |mut b, image| {
            let x = b.conv(image, 20, 3, Conv { strides: [2, 2], ..same(3) }, true);
            let x = b.op(Op::Relu, &[x]);
            let x = b.conv(x, 40, 3, same(3), true);
            let x = b.op(Op::Relu, &[x]);
            let dilated = Conv { dilations: [2, 2], pads: [2, 1, 3, 2], ..same(3) };
            let x = b.conv(x, 36, 3, dilated, false);
            let x = b.op(Op::Relu, &[x]);
            let x = b.conv(x, 48, 3, Conv { strides: [2, 1], pads: [0, 1, 1, 1], ..same(3) }, true);
            let x = b.op(Op::Relu, &[x]);
            b.classify(x)
        }),
        // The same behind normalisations, whose scale's norm needs the product or all of D.
        case("few pixels, normalised", 3, 8, |mut b, image| {
            let x = b.conv(image, 32, 3, Conv { strides: [2, 2], ..same(3) }, false);
            let x = b.batch_norm(x);
            let x = b.op(Op::Relu, &[x]);
            let y = b.conv(x, 32, 3, same(3), true);
            let y = b.batch_norm(y);
            let y = b.op(Op::Relu, &[y]);
            let y = b.conv(y, 32, 3, same(3), false);
            let y = b.batch_norm(y);
            let sum = b.op(Op::Add, &[y, x]);
            let sum = b.op(Op::Relu, &[sum]);
            b.classify(sum)
        }),
    ]
}

fn networks() -> Vec<Case> {
    vec![
        case("residual block", 3, 8, |mut b, image| {
            let x = b.conv(image, 16, 3, same(3), false);
            let x = b.batch_norm(x);
            let x = b.op(Op::Relu, &[x]);
            let y = b.conv(x, 16, 3, same(3), true);
            let y = b.batch_norm(y);
            let y = b.op(Op::Relu, &[y]);
            let y = b.conv(y, 16, 3, same(3), false);
            let y = b.batch_norm(y);
            let sum = b.op(Op::Add, &[y, x]);
            let sum = b.op(Op::Relu, &[sum]);
            b.classify(sum)
        }),
        case("downsampling residual", 3, 8, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), false);
            let x = b.batch_norm(x);
            let x = b.op(Op::Relu, &[x]);
            let stride = Conv { strides: [2, 2], ..same(3) };
            let y = b.conv(x, 16, 3, stride.clone(), false);
            let y = b.batch_norm(y);
            let short = b.conv(x, 16, 1, Conv { pads: [0; 4], ..stride }, false);
            let short = b.batch_norm(short);
            let sum = b.op(Op::Add, &[y, short]);
            let sum = b.op(Op::Relu, &[sum]);
            b.classify(sum)
        }),
        case("dense block", 3, 8, |mut b, image| {
            let mut x = b.conv(image, 8, 3, same(3), false);
            for _ in 0..3 {
                let y = b.batch_norm(x);
                let y = b.op(Op::Relu, &[y]);
                let y = b.conv(y, 6, 3, same(3), false);
                x = b.op(Op::Concat { axis: 1 }, &[x, y]);
            }
            let x = b.batch_norm(x);
            let x = b.op(Op::Relu, &[x]);
            let x = b.op(Op::AveragePool(pool(2, 2)), &[x]);
            b.classify(x)
        }),
        case("inverted residual", 3, 8, |mut b, image| {
            let six = Op::Clip { min: 0.0, max: 6.0 };
            let x = b.conv(image, 8, 3, same(3), false);
            let x = b.batch_norm(x);
            let x = b.op(six.clone(), &[x]);
            let y = b.conv(x, 24, 1, same(1), false);
            let y = b.batch_norm(y);
            let y = b.op(six.clone(), &[y]);
            let y = b.conv(y, 24, 3, Conv { groups: 24, ..same(3) }, false);
            let y = b.batch_norm(y);
            let y = b.op(six, &[y]);
            let y = b.conv(y, 8, 1, same(1), false);
            let y = b.batch_norm(y);
            let sum = b.op(Op::Add, &[x, y]);
            b.classify(sum)
        }),
        case("shared weight", 3, 7, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), false);
            let x = b.op(Op::Relu, &[x]);
            let w = b.parameter(&[6, 6, 3, 3], 0.2, 0.0);
            let bias = b.parameter(&[6], 0.2, 0.0);
            let y = b.op(Op::Conv(same(3)), &[x, w, bias]);
            let y = b.op(Op::Relu, &[y]);
            let y = b.op(Op::Conv(same(3)), &[y, w, bias]);
            b.classify(y)
        }),
        case("shared weight behind normalisation", 3, 7, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), false);
            let w = b.parameter(&[6, 6, 3, 3], 0.2, 0.0);
            let y = b.op(Op::Conv(same(3)), &[x, w]);
            let y = b.batch_norm(y);
            let y = b.op(Op::Relu, &[y]);
            let y = b.op(Op::Conv(same(3)), &[y, w]);
            let y = b.batch_norm(y);
            b.classify(y)
        }),
        case("single logit", 1, 6, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(Op::ReduceMean { axes: vec![2, 3], keep_dims: false }, &[x]);
            let w = b.parameter(&[4, 1], 0.5, 0.0);
            let logits = b.op(Op::Gemm { transpose_b: false }, &[x, w]);
            b.finish(logits)
        }),
        case("input normalisation", 3, 6, |mut b, image| {
            let mean = b.constant(&[1, 3, 1, 1], 0.1, 0.5);
            let std = b.constant(&[3, 1, 1], 0.05, 0.25);
            let x = b.op(Op::Sub, &[image, mean]);
            let x = b.op(Op::Div, &[x, std]);
            let x = b.conv(x, 8, 3, same(3), true);
            let x = b.op(Op::Relu, &[x]);
            b.classify(x)
        }),
    ]
}

fn layouts() -> Vec<Case> {
    vec![
        case("option A shortcut", 3, 8, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), false);
            let x = b.op(Op::Relu, &[x]);
            let slice = Op::Slice {
                starts: vec![0; 4],
                lengths: vec![1, 4, 4, 4],
                steps: vec![1, 1, 2, 2],
            };
            let short = b.op(slice, &[x]);
            let pad = Op::Pad { before: vec![0, 2, 0, 0], after: vec![0, 2, 0, 0], value: 0.0 };
            let short = b.op(pad, &[short]);
            let y = b.conv(x, 8, 3, Conv { strides: [2, 2], ..same(3) }, false);
            let y = b.batch_norm(y);
            let sum = b.op(Op::Add, &[y, short]);
            let sum = b.op(Op::Relu, &[sum]);
            b.classify(sum)
        }),
        case("flatten", 3, 6, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(Op::Relu, &[x]);
            let x = b.op(Op::Reshape { shape: vec![1, 144] }, &[x]);
            b.gemm_head(x)
        }),
        case("transpose and back", 3, 6, |mut b, image| {
            let x = b.conv(image, 4, 3, same(3), true);
            let x = b.op(Op::Transpose { permutation: vec![0, 2, 3, 1] }, &[x]);
            let w = b.parameter(&[4, 7], 0.5, 0.0);
            let x = b.op(Op::Gemm { transpose_b: false }, &[x, w]);
            let x = b.op(Op::Transpose { permutation: vec![0, 3, 1, 2] }, &[x]);
            let x = b.op(Op::Relu, &[x]);
            b.classify(x)
        }),
        case("tokens", 3, 6, |mut b, image| {
            let x = b.conv(image, 5, 3, same(3), true);
            let x = b.op(Op::Reshape { shape: vec![1, 5, 36] }, &[x]);
            let x = b.op(Op::Transpose { permutation: vec![0, 2, 1] }, &[x]);
            let w = b.parameter(&[8, 5], 0.5, 0.0);
            let bias = b.parameter(&[8], 0.5, 0.0);
            let x = b.op(Op::Gemm { transpose_b: true }, &[x, w, bias]);
            let x = b.op(Op::Softmax { axis: 2 }, &[x]);
            let x = b.op(Op::Reshape { shape: vec![1, 6, 6, 8] }, &[x]);
            let x = b.op(Op::Transpose { permutation: vec![0, 3, 1, 2] }, &[x]);
            b.classify(x)
        }),
        case("shuffle", 3, 4, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let x = b.op(Op::Reshape { shape: vec![1, 2, 3, 4, 4] }, &[x]);
            let x = b.op(Op::Transpose { permutation: vec![0, 2, 1, 3, 4] }, &[x]);
            let x = b.op(Op::Reshape { shape: vec![1, 6, 4, 4] }, &[x]);
            let x = b.conv(x, 6, 3, Conv { groups: 2, ..same(3) }, true);
            b.classify(x)
        }),
        case("channel slices", 3, 5, |mut b, image| {
            let x = b.conv(image, 6, 3, same(3), true);
            let half = |start: usize| Op::Slice {
                starts: vec![0, start, 0, 0],
                lengths: vec![1, 3, 5, 5],
                steps: vec![1; 4],
            };
            let (left, right) = (b.op(half(0), &[x]), b.op(half(3), &[x]));
            let product = b.op(Op::Mul, &[left, right]);
            let gate = b.op(Op::Sigmoid, &[left]);
            let x = b.op(Op::Concat { axis: 1 }, &[product, gate, right]);
            b.classify(x)
        }),
    ]
}

fn activations_and_pools() -> Vec<Case> {
    let activation = |name, op: Op| {
        case(name, 3, 6, move |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let x = b.op(op, &[x]);
            b.classify(x)
        })
    };
    let pooled = |name, op: Op| {
        case(name, 3, 9, move |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let x = b.op(op, &[x]);
            let x = b.conv(x, 4, 1, same(1), false);
            b.classify(x)
        })
    };
    let padded = Pool { pads: [1; 4], ..pool(3, 2) };
    vec![
        activation("leaky relu", Op::LeakyRelu { alpha: 0.1 }),
        activation("clip", Op::Clip { min: -0.2, max: 0.4 }),
        activation("sigmoid", Op::Sigmoid),
        activation("softmax over channels", Op::Softmax { axis: 1 }),
        pooled("max pool", Op::MaxPool(pool(2, 2))),
        pooled("max pool overlapping", Op::MaxPool(padded.clone())),
        pooled("average pool", Op::AveragePool(pool(3, 2))),
        pooled("average pool padded", Op::AveragePool(padded.clone())),
        pooled(
            "average pool counting pads",
            Op::AveragePool(Pool { count_include_pad: true, ..padded }),
        ),
        case("squeeze and excitation", 3, 6, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), true);
            let x = b.op(Op::Relu, &[x]);
            let pooled = b.op(Op::ReduceMean { axes: vec![2, 3], keep_dims: true }, &[x]);
            let gate = b.conv(pooled, 8, 1, same(1), true);
            let gate = b.op(Op::Sigmoid, &[gate]);
            let x = b.op(Op::Mul, &[x, gate]);
            b.classify(x)
        }),
        case("learnt scale and shift", 3, 6, |mut b, image| {
            let x = b.conv(image, 8, 3, same(3), false);
            let scale = b.parameter(&[8, 1, 1], 0.5, 1.0);
            let shift = b.parameter(&[1, 8, 1, 1], 0.5, 0.0);
            let x = b.op(Op::Mul, &[x, scale]);
            let x = b.op(Op::Add, &[x, shift]);
            let x = b.op(Op::Relu, &[x]);
            b.classify(x)
        }),
    ]
}

/// A made-up reference for every weight that can be aligned: random directions of length 1, other
/// ones for every class.
pub fn references(graph: &Graph) -> Vec<Reference> {
    let classes = graph.logits.map_or(0, |logits| graph.value(logits).elements());
    let mut rng = Rng(23);
    let reference = |weight: &Weight| {
        let (mut u, mut v) = (Vec::new(), Vec::new());
        for _ in 0..rows(classes) {
            let mut squares = 0.0;
            let mut row = Vec::new();
            for _ in 0..weight.groups {
                let mut factor = |length: usize| {
                    let values: Vec<f32> = (0..length).map(|_| rng.unit()).collect();
                    let square: f32 = values.iter().map(|x| x * x).sum();
                    (values, square)
                };
                let (inputs, length) = factor(weight.inputs);
                v.extend(inputs.iter().map(|x| x / length.sqrt()));
                let (outputs, square) = factor(weight.outputs / weight.groups);
                squares += square;
                row.extend(outputs);
            }
            u.extend(row.iter().map(|x| x / squares.sqrt()));
        }
        Reference { parameter: graph.value(weight.parameter).name.clone(), u, v }
    };
    weights(graph).iter().map(reference).collect()
}
