//! A graph under construction, layer by layer.

use gradgate_graph::graph::{Graph, ShapeError, Tensor, ValueId};
use gradgate_graph::ops::{Conv, Op, Pool};

use crate::error::LabError;
use crate::random::Random;

/// PyTorch's.
const EPSILON: f64 = 1e-5;

/// The graph, and the value that the next layer reads.
pub(super) struct Layers {
    graph: Graph,
    seed: u64,
    /// What the next layer reads.
    pub at: ValueId,
}

/// A square convolution.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
    /// Before and after each axis.
    pub pads: [usize; 2],
    pub bias: bool,
}

impl Window {
    /// A kernel of odd size whose padding keeps the size at stride 1, without bias.
    pub fn new(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, groups: 1, pads: [kernel / 2; 2], bias: false }
    }

    /// Keras' "same": at stride 2 the odd row and column of padding come after the image.
    pub fn keras(kernel: usize, stride: usize) -> Self {
        let total = kernel.saturating_sub(stride);
        Self { pads: [total / 2, total - total / 2], bias: true, ..Self::new(kernel, stride) }
    }
}

impl Layers {
    /// An image `[1, C, H, W]` in 0..1.
    pub fn new(name: &str, [channels, height, width]: [usize; 3], seed: u64) -> Self {
        let mut graph = Graph { name: name.to_owned(), ..Graph::default() };
        let at = graph.add_input("image", [1, channels, height, width]);
        Self { graph, seed, at }
    }

    /// What was built, with the last value as logits.
    pub fn finish(mut self) -> Graph {
        let end = self.graph.values.len() - 1;
        self.graph.values[end].name = "logits".to_owned();
        self.graph.logits = Some(self.at);
        self.graph
    }

    /// Channels of the value that the next layer reads.
    pub fn channels(&self) -> usize {
        self.graph.shape(self.at)[1]
    }

    /// `(x - mean) / deviation` for each channel.
    pub fn normalise(&mut self, mean: &[f32], deviation: &[f32]) -> Result<(), LabError> {
        let mut constant = |name: &str, data: &[f32]| {
            self.graph.add_constant(name, Tensor::new([data.len(), 1, 1], data.to_vec()))
        };
        let (mean, deviation) = (constant("mean", mean), constant("deviation", deviation));
        self.push("centred", Op::Sub, &[mean])?;
        self.push("normalised", Op::Div, &[deviation])
    }

    /// A convolution to `out` channels.
    pub fn conv(&mut self, name: &str, out: usize, window: Window) -> Result<(), LabError> {
        let Window { kernel, stride, groups, pads: [before, after], bias } = window;
        let per_group = self.channels() / groups;
        let shape = [out, per_group, kernel, kernel];
        let variance = 2.0 / (per_group * kernel * kernel) as f64;
        let mut operands = vec![self.drawn(&format!("{name}.weight"), &shape, variance)];
        if bias {
            operands.push(self.filled(&format!("{name}.bias"), out, 0.0, true));
        }
        let pads = [before, before, after, after];
        let conv = Conv { strides: [stride; 2], pads, dilations: [1; 2], groups };
        self.push(name, Op::Conv(conv), &operands)
    }

    /// Batch normalisation.
    pub fn norm(&mut self, name: &str) -> Result<(), LabError> {
        let channels = self.channels();
        let operands = [
            self.filled(&format!("{name}.scale"), channels, 1.0, true),
            self.filled(&format!("{name}.shift"), channels, 0.0, true),
            self.filled(&format!("{name}.mean"), channels, 0.0, false),
            self.filled(&format!("{name}.variance"), channels, 1.0, false),
        ];
        self.push(name, Op::BatchNorm { epsilon: EPSILON }, &operands)
    }

    /// Rectifier.
    pub fn relu(&mut self, name: &str) -> Result<(), LabError> {
        self.push(name, Op::Relu, &[])
    }

    /// Rectifier that ends at 6.
    pub fn relu6(&mut self, name: &str) -> Result<(), LabError> {
        self.push(name, Op::Clip { min: 0.0, max: 6.0 }, &[])
    }

    /// The sum with another value.
    pub fn add(&mut self, name: &str, other: ValueId) -> Result<(), LabError> {
        self.push(name, Op::Add, &[other])
    }

    /// The channels of `first`, then those of the present value.
    pub fn append_to(&mut self, name: &str, first: ValueId) -> Result<(), LabError> {
        let second = std::mem::replace(&mut self.at, first);
        self.push(name, Op::Concat { axis: 1 }, &[second])
    }

    /// Mean over windows of 2 x 2.
    pub fn average_pool(&mut self, name: &str) -> Result<(), LabError> {
        let pool = Pool {
            kernel: [2; 2],
            strides: [2; 2],
            pads: [0; 4],
            dilations: [1; 2],
            ceil_mode: false,
            count_include_pad: false,
        };
        self.push(name, Op::AveragePool(pool), &[])
    }

    /// Shortcut A: every second pixel, with zeros for the missing channels on both sides.
    pub fn thin_out(&mut self, name: &str, out: usize) -> Result<(), LabError> {
        let [_, channels, height, width] = self.shape();
        let lengths = vec![1, channels, height.div_ceil(2), width.div_ceil(2)];
        let slice = Op::Slice { starts: vec![0; 4], lengths, steps: vec![1, 1, 2, 2] };
        self.push(&format!("{name}.pixels"), slice, &[])?;
        let before = (out - channels) / 2;
        let pad = Op::Pad {
            before: vec![0, before, 0, 0],
            after: vec![0, out - channels - before, 0, 0],
            value: 0.0,
        };
        self.push(name, pad, &[])
    }

    /// Mean over all pixels, then a product with bias: the logits.
    pub fn classify(&mut self, classes: usize) -> Result<(), LabError> {
        let features = self.channels();
        self.push("pool", Op::ReduceMean { axes: vec![2, 3], keep_dims: false }, &[])?;
        let shape = [classes, features];
        let weight = self.drawn("classifier.weight", &shape, 1.0 / features as f64);
        let bias = self.filled("classifier.bias", classes, 0.0, true);
        self.push("classifier", Op::Gemm { transpose_b: true }, &[weight, bias])
    }

    fn shape(&self) -> [usize; 4] {
        let shape = self.graph.shape(self.at);
        std::array::from_fn(|axis| shape.get(axis).copied().unwrap_or(1))
    }

    fn push(&mut self, name: &str, op: Op, others: &[ValueId]) -> Result<(), LabError> {
        let mut operands = vec![self.at];
        operands.extend(others);
        let model = |error: ShapeError| LabError::Model(error.to_string());
        self.at = self.graph.push(name, op, &operands).map_err(model)?;
        Ok(())
    }

    /// A trainable tensor of normal numbers; its place in the graph is the counter.
    fn drawn(&mut self, name: &str, shape: &[usize], variance: f64) -> ValueId {
        let mut random = Random::new(self.seed, "weights", self.graph.parameters.len() as u64);
        let deviation = variance.sqrt();
        let elements = shape.iter().product();
        let data: Vec<f32> = (0..elements).map(|_| (random.normal() * deviation) as f32).collect();
        let id = self.graph.add_constant(name, Tensor::new(shape, data));
        self.graph.parameters.push(id);
        id
    }

    fn filled(&mut self, name: &str, length: usize, value: f32, trainable: bool) -> ValueId {
        let id = self.graph.add_constant(name, Tensor::new([length], vec![value; length]));
        if trainable {
            self.graph.parameters.push(id);
        }
        id
    }
}
