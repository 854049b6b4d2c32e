//! Writes a Graph, forward and backward alike, as standard ONNX that any runtime executes.
//!
//! Only operators of the default domain are used; each op's spelling is in the file of its name.
//! Names of the model's nodes, values and initializers are kept; what is added begins with
//! `gradgate/`. Nodes that no output needs are left out. The frame axis has length 1.

mod average_pool;
mod batch_norm;
pub mod builder;
mod concat;
mod conv;
mod detector;
mod elementwise;
mod gemm;
mod max_pool;
mod pad;
mod pool;
mod reduce;
mod reshape;
mod site;
mod slice;
mod softmax;
mod squared_norm;
mod transpose;
mod unary;

use std::fmt;
use std::ops::RangeInclusive;

use prost::Message;

pub use builder::{Attribute, Builder};
pub use detector::{DetectorExport, FeatureNames};

use crate::graph::{Graph, ValueId};
use crate::ops::Op;
use crate::proto::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};
use builder::value_info;
use site::Site;

/// Operator sets that can be written. Before 17 ScatterElements, ReduceSum and others differ.
pub const OPSETS: RangeInclusive<i64> = 17..=22;

/// Bytes of constants beyond which a model would need external data: protobuf ends at 2 GiB.
pub const MAX_CONSTANT_BYTES: u64 = 1_900_000_000;

/// One named result of the exported model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOutput {
    /// Name in the file.
    pub name: String,
    /// The value, or the parts of a row.
    pub values: Vec<ValueId>,
    /// Whether the values are flattened and joined as `[1, total elements]`.
    pub row: bool,
}

impl ExportOutput {
    /// A value in its own shape.
    pub fn value(name: impl Into<String>, value: ValueId) -> Self {
        Self { name: name.into(), values: vec![value], row: false }
    }

    /// Values flattened and joined, in order: `[1, total elements]`.
    pub fn row(name: impl Into<String>, values: impl Into<Vec<ValueId>>) -> Self {
        Self { name: name.into(), values: values.into(), row: true }
    }
}

/// How the file is written and what it says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Version of the default operator set, one of [`OPSETS`].
    pub opset: i64,
    /// Version of the tool that writes the file.
    pub producer_version: String,
    /// `metadata_props`: label, schema, digests; written in this order.
    pub metadata: Vec<(String, String)>,
}

impl Default for ExportOptions {
    fn default() -> Self {
        let producer_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { opset: 17, producer_version, metadata: Vec::new() }
    }
}

/// Why a Graph cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportError {
    /// The operator set is not one of [`OPSETS`].
    Opset(i64),
    /// The graph has no image.
    NoInput,
    /// An output without values or with a name that the image or another output has.
    Output {
        /// Name of the output.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// The constants are too large for one file.
    TooLarge {
        /// Their size.
        bytes: u64,
    },
    /// The detector needs a feature that is not among the outputs.
    MissingFeature(String),
    /// The detector cannot be written; the reason in words.
    Detector(String),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opset(opset) => {
                let (first, last) = (OPSETS.start(), OPSETS.end());
                write!(f, "operator set {opset} cannot be written; choose one of {first} to {last}")
            }
            Self::NoInput => write!(f, "the graph has no image input to export"),
            Self::Output { name, reason } => write!(f, "output `{name}`: {reason}"),
            Self::TooLarge { bytes } => write!(
                f,
                "{bytes} bytes of constants do not fit one ONNX file (limit {MAX_CONSTANT_BYTES}), \
                 and external data are not written; use a smaller model"
            ),
            Self::MissingFeature(name) => write!(
                f,
                "the detector reads `{name}`, which the expanded graph does not give; \
                 fit the detector and expand the model with the same inputs and taps"
            ),
            Self::Detector(reason) => write!(f, "detector: {reason}"),
        }
    }
}

impl std::error::Error for ExportError {}

/// Encodes `graph` as an ONNX file with the given outputs and, with a detector, `score` `[1]`.
///
/// # Errors
/// See [`ExportError`].
pub fn export(
    graph: &Graph,
    outputs: &[ExportOutput],
    detector: Option<&dyn DetectorExport>,
    options: &ExportOptions,
) -> Result<Vec<u8>, ExportError> {
    Ok(model(graph, outputs, detector, options)?.encode_to_vec())
}

/// As [`export`], before encoding.
pub(crate) fn model(
    graph: &Graph,
    outputs: &[ExportOutput],
    detector: Option<&dyn DetectorExport>,
    options: &ExportOptions,
) -> Result<ModelProto, ExportError> {
    if !OPSETS.contains(&options.opset) {
        return Err(ExportError::Opset(options.opset));
    }
    let input = graph.input.ok_or(ExportError::NoInput)?;
    let live = live_values(graph, outputs);
    check_size(graph, &live)?;
    let mut builder = Builder::new(options.opset);
    let names = names(graph, &live, outputs, detector.is_some(), &mut builder)?;
    let mut message = GraphProto { name: graph.name.clone(), ..GraphProto::default() };
    write_constants(graph, &live, &names, &mut builder);
    write_nodes(graph, &live, &names, &mut builder);
    let mut features = FeatureNames::default();
    for output in outputs {
        let shape = write_output(graph, output, &names, &mut builder);
        message.output.push(value_info(&output.name, &shape));
        features.add(&output.name, &shape);
    }
    if let Some(detector) = detector {
        detector::write(detector, &features, &mut builder)?;
        message.output.push(value_info(detector::SCORE, &[1]));
    }
    message.input.push(value_info(&names[input.0 as usize], graph.shape(input)));
    message.value_info = inner_types(graph, &live, &names, &message);
    (message.node, message.initializer) = (builder.nodes, builder.initializers);
    Ok(wrap(message, options))
}

fn wrap(mut graph: GraphProto, options: &ExportOptions) -> ModelProto {
    // The checker refuses a graph without a name.
    if graph.name.is_empty() {
        graph.name = "gradgate".to_owned();
    }
    let property = |(key, value): &(String, String)| StringStringEntryProto {
        key: key.clone(),
        value: value.clone(),
    };
    // The first file format whose specification lists the operator set.
    let ir_version = match options.opset {
        ..=18 => 8,
        19..=20 => 9,
        _ => 10,
    };
    ModelProto {
        ir_version,
        producer_name: "gradgate".to_owned(),
        producer_version: options.producer_version.clone(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: options.opset }],
        metadata_props: options.metadata.iter().map(property).collect(),
        ..ModelProto::default()
    }
}

/// Which values the outputs need; the image always.
fn live_values(graph: &Graph, outputs: &[ExportOutput]) -> Vec<bool> {
    let mut live = vec![false; graph.values.len()];
    for value in outputs.iter().flat_map(|output| &output.values).chain(&graph.input) {
        live[value.0 as usize] = true;
    }
    for node in graph.nodes.iter().rev() {
        if live[node.output.0 as usize] {
            for input in &node.inputs {
                live[input.0 as usize] = true;
            }
        }
    }
    live
}

fn check_size(graph: &Graph, live: &[bool]) -> Result<(), ExportError> {
    let constants = graph.values.iter().zip(live).filter(|(value, live)| **live && !value.is_frame());
    let bytes = constants.map(|(value, _)| 4 * value.elements() as u64).sum();
    if bytes > MAX_CONSTANT_BYTES {
        return Err(ExportError::TooLarge { bytes });
    }
    Ok(())
}

/// A unique ONNX name for every live value. The image and the outputs come first: another value
/// that bears the name of an output gives it up.
fn names(
    graph: &Graph,
    live: &[bool],
    outputs: &[ExportOutput],
    score: bool,
    builder: &mut Builder,
) -> Result<Vec<String>, ExportError> {
    let mut names = vec![String::new(); graph.values.len()];
    if let Some(input) = graph.input {
        let name = &graph.value(input).name;
        names[input.0 as usize] = match builder.claim_value(name) {
            true => name.clone(),
            false => builder.fresh("image"),
        };
    }
    let score = score.then_some(detector::SCORE);
    for name in outputs.iter().map(|output| output.name.as_str()).chain(score) {
        if !builder.claim_value(name) {
            let reason = "the name is empty or belongs to the image or another output";
            return Err(ExportError::Output { name: name.to_owned(), reason });
        }
    }
    for output in outputs {
        let &[value] = output.values.as_slice() else {
            if !output.values.is_empty() {
                continue;
            }
            let reason = "there is nothing to join";
            return Err(ExportError::Output { name: output.name.clone(), reason });
        };
        if !output.row && graph.value(value).name == output.name && Some(value) != graph.input {
            names[value.0 as usize] = output.name.clone();
        }
    }
    for (index, value) in graph.values.iter().enumerate() {
        if live[index] && names[index].is_empty() {
            names[index] = match builder.claim_value(&value.name) {
                true => value.name.clone(),
                false => builder.fresh(if value.name.is_empty() { "value" } else { &value.name }),
            };
        }
    }
    Ok(names)
}

fn write_constants(graph: &Graph, live: &[bool], names: &[String], builder: &mut Builder) {
    for (index, value) in graph.values.iter().enumerate() {
        if let (true, Some(tensor)) = (live[index], &value.constant) {
            builder.constant_f32(&names[index], &tensor.shape, &tensor.data);
        }
    }
}

fn write_nodes(graph: &Graph, live: &[bool], names: &[String], builder: &mut Builder) {
    let nodes: Vec<_> = graph.nodes.iter().filter(|node| live[node.output.0 as usize]).collect();
    let node_names: Vec<String> = nodes.iter().map(|node| builder.claim_node(&node.name)).collect();
    for (node, name) in nodes.into_iter().zip(&node_names) {
        builder.scope(name);
        emit(&node.op, &mut Site { graph, node, names, name, builder });
    }
    builder.scope("");
}

/// Types of the Graph's own inner values, so that tools without shape inference read the file.
fn inner_types(
    graph: &Graph,
    live: &[bool],
    names: &[String],
    message: &GraphProto,
) -> Vec<crate::proto::ValueInfoProto> {
    let computed = graph.nodes.iter().map(|node| node.output.0 as usize).filter(|&v| live[v]);
    computed
        .filter(|&value| message.output.iter().all(|output| output.name != names[value]))
        .map(|value| value_info(&names[value], &graph.values[value].shape))
        .collect()
}

/// Writes what an output needs beyond its values; gives its shape.
fn write_output(
    graph: &Graph,
    output: &ExportOutput,
    names: &[String],
    builder: &mut Builder,
) -> Vec<usize> {
    builder.scope(&output.name);
    let name = |value: ValueId| names[value.0 as usize].as_str();
    if let (&[value], false) = (output.values.as_slice(), output.row) {
        if name(value) != output.name {
            builder.node_into("Identity", &[name(value)], &[], &[&output.name]);
        }
        return graph.shape(value).to_vec();
    }
    let mut parts = Vec::new();
    let mut total = 0;
    for &value in &output.values {
        let count = graph.value(value).elements();
        let flat = graph.shape(value).len() == 1;
        parts.push(if flat { name(value).to_owned() } else { builder.reshape(name(value), &[count]) });
        total += count;
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let joined = builder.node("Concat", &parts, &[("axis", 0_usize.into())]);
    let shape = builder.sizes(&[1, total]);
    builder.node_into("Reshape", &[&joined, &shape], &[], &[&output.name]);
    vec![1, total]
}

/// The one table from ops to their spellings.
fn emit(op: &Op, site: &mut Site<'_>) {
    match op {
        Op::Conv(conv) => conv::emit(conv, site),
        Op::ConvInputGradient { conv, input_hw } => {
            conv::emit_input_gradient(conv, *input_hw, site);
        }
        Op::ConvWeightGradient { conv, kernel_hw } => {
            conv::emit_weight_gradient(conv, *kernel_hw, site);
        }
        Op::BatchNorm { epsilon } => batch_norm::emit(*epsilon, site),
        Op::BatchNormInputGradient { epsilon } => batch_norm::emit_input_gradient(*epsilon, site),
        Op::BatchNormScaleGradient { epsilon } => batch_norm::emit_scale_gradient(*epsilon, site),
        Op::Gemm { transpose_b } => gemm::emit(*transpose_b, site),
        Op::GemmInputGradient { transpose_b } => gemm::emit_input_gradient(*transpose_b, site),
        Op::GemmWeightGradient { transpose_b } => gemm::emit_weight_gradient(*transpose_b, site),
        Op::Add | Op::Sub | Op::Mul | Op::Div => elementwise::emit(op.name(), site),
        Op::Relu | Op::Sigmoid => unary::emit(op.name(), site),
        Op::ReluGradient => unary::emit_relu_gradient(site),
        Op::LeakyRelu { alpha } => unary::emit_leaky_relu(*alpha, site),
        Op::LeakyReluGradient { alpha } => unary::emit_leaky_relu_gradient(*alpha, site),
        Op::Clip { min, max } => unary::emit_clip(*min, *max, site),
        Op::ClipGradient { min, max } => unary::emit_clip_gradient(*min, *max, site),
        Op::SigmoidGradient => unary::emit_sigmoid_gradient(site),
        Op::Softmax { axis } => softmax::emit(*axis, site),
        Op::SoftmaxGradient { axis } => softmax::emit_gradient(*axis, site),
        Op::MaxPool(pool) => max_pool::emit(pool, site),
        Op::MaxPoolGradient(pool) => max_pool::emit_gradient(pool, site),
        Op::AveragePool(pool) => average_pool::emit(pool, site),
        Op::AveragePoolGradient { pool, .. } => average_pool::emit_gradient(pool, site),
        Op::ReduceMean { axes, keep_dims } | Op::ReduceSum { axes, keep_dims } => {
            reduce::emit(op.name(), axes, *keep_dims, site);
        }
        Op::Expand { shape } => reduce::emit_expand(shape, site),
        Op::Concat { axis } => concat::emit(*axis, site),
        Op::Slice { starts, lengths, steps } => slice::emit(starts, lengths, steps, site),
        Op::SliceGradient { starts, steps, .. } => slice::emit_gradient(starts, steps, site),
        Op::Pad { before, after, value } => pad::emit(before, after, *value, site),
        Op::Transpose { permutation } => transpose::emit(permutation, site),
        Op::Reshape { .. } => reshape::emit(site),
        Op::SquaredNorm => squared_norm::emit(site),
    }
}
