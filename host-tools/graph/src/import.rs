//! ONNX file to [`Graph`]: one image in, logits out, weights as constants, shape arithmetic gone.
//!
//! Flow: `files` reads bytes and external data, `wire` bounds what decoding may allocate, prost
//! decodes, `structure` checks names and order and finds what the logits need, `head` finds image
//! and logits, `builder` converts node by node through `nodes` (values of the network) and `fold`
//! (constants), `parameters` marks what is trainable. Nothing here trusts the file.

mod builder;
mod call;
mod constant;
mod error;
mod files;
mod fold;
mod head;
mod limits;
mod nodes;
mod parameters;
mod shapes;
mod structure;
mod summary;
mod tensor;
mod wire;
mod wrapped;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use prost::Message;

pub use error::{ImportError, UnsupportedNode};
pub use limits::Limits;
pub use structure::OPSETS;
pub use summary::{Summary, multiply_accumulates, summary};

use crate::graph::{Graph, Node, ValueId};
use crate::ops::Op;
use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use builder::Builder;
use call::Binding;
use error::Fault;
use files::External;

/// How to export from PyTorch so that every BatchNorm scale and shift stays a tensor of its own.
pub const EXPORT_RECIPE: &str = "\
torch.onnx.export(
    model.eval(), (torch.zeros(1, 3, 32, 32),), \"model.onnx\",
    input_names=[\"image\"], output_names=[\"logits\"],
    dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
)";

/// What the caller may choose.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Bounds on what the file may ask for.
    pub limits: Limits,
    /// Height and width of the image when the file leaves them open; must not contradict it.
    pub input_hw: Option<[usize; 2]>,
    /// Output, or any value inside the model, that holds the logits. By default the only output,
    /// or the one called `logits`.
    pub output: Option<String>,
}

/// A model ready to be compiled.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The classifier, `input`, `logits` and `parameters` set.
    pub graph: Graph,
    /// What the user should be told.
    pub notes: Vec<Note>,
    /// Version of the default operator set.
    pub opset: i64,
    /// SHA-256 over the file and, in order of their names, its external data files.
    pub model_digest: [u8; 32],
    /// Whether it looks as if the exporter had folded BatchNorm into the convolutions: one of them
    /// has a bias, and no BatchNormalization reads a convolution's result. (DenseNets keep those
    /// that stand before a convolution.) A network that never had BatchNorm looks the same.
    pub folded: bool,
    /// Whether the image is scaled or shifted inside the model.
    pub normalisation_inside: bool,
    /// Tool that wrote the file, and its version.
    pub producer: String,
}

/// Something that the user should be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The output's activation was left out.
    ActivationRemoved {
        /// Its node.
        node: String,
        /// Softmax, LogSoftmax or Sigmoid.
        op: String,
        /// The value that is taken instead.
        logits: String,
    },
    /// No BatchNormalization follows a convolution although convolutions have biases.
    Folded {
        /// Number of trainable tensors.
        parameters: usize,
    },
    /// The file was exported with a batch size; it is compiled for one frame.
    BatchFixed {
        /// The batch size written in the file.
        batch: usize,
    },
    /// The file takes images of shape `[batch, height, width, channels]` and transposes them; the
    /// compiled model takes `[1, channels, height, width]`.
    ChannelsLast,
    /// Logits of shape `[1, classes, 1, ..]` were flattened.
    LogitsFlattened,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActivationRemoved { node, op, logits } => write!(
                f,
                "the output passes through {op} (node `{node}`); the logits are taken before it, \
                 from `{logits}`"
            ),
            Self::Folded { parameters } => write!(
                f,
                "convolutions have biases and no BatchNormalization follows them: unless the \
                 network never had BatchNorm there, the exporter folded it into them. The \
                 {parameters} parameter tensors are a feature schema of their own. To keep \
                 BatchNorm, export with\n{EXPORT_RECIPE}"
            ),
            Self::BatchFixed { batch } => {
                write!(f, "the file was exported for batches of {batch}; one frame is compiled")
            }
            Self::ChannelsLast => {
                write!(f, "the file takes channels last; the compiled model takes channels first")
            }
            Self::LogitsFlattened => write!(f, "the logits had trailing axes of length 1"),
        }
    }
}

/// Imports a model from a file; external data are looked for in its folder.
///
/// # Errors
/// See [`ImportError`]; every message names the file, tensor or node and what to do.
pub fn import_file(path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    let bytes = files::read_model(path, options.limits.file_bytes)?;
    let folder = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("."),
    };
    import_bytes(&bytes, Some(folder), options)
}

/// Imports a model from its bytes; external data only when the model's folder is given.
///
/// # Errors
/// As [`import_file`].
pub fn import_bytes(
    bytes: &[u8],
    folder: Option<&Path>,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let limits = &options.limits;
    if bytes.len() as u64 > limits.file_bytes {
        let (what, found) = ("size in bytes of the model".to_owned(), bytes.len() as u64);
        return Err(ImportError::Limit { what, found, limit: limits.file_bytes });
    }
    wire::check(bytes, limits)?;
    let model = ModelProto::decode(bytes).map_err(|e| ImportError::Malformed(e.to_string()))?;
    let Some(graph) = &model.graph else {
        return Err(ImportError::Malformed("it holds no graph".into()));
    };
    let opset = structure::opset(&model)?;
    limits.check(graph)?;
    let stored = structure::stored(graph)?;
    structure::check_order(graph, &stored)?;
    let external = External::read(&model, folder, limits)?;
    let mut imported = Imported {
        graph: Graph::default(),
        notes: Vec::new(),
        opset,
        model_digest: external.digest(bytes),
        folded: false,
        normalisation_inside: false,
        producer: format!("{} {}", model.producer_name, model.producer_version).trim().to_owned(),
    };
    let source = Source { file: graph, bytes: bytes.len() + external.bytes(), external: &external };
    convert(source, stored, options, &mut imported)?;
    Ok(imported)
}

/// A decoded model.
struct Source<'a> {
    file: &'a GraphProto,
    /// Of the model and its external data.
    bytes: usize,
    external: &'a External,
}

/// Fills in the graph and everything that depends on it.
fn convert(
    Source { file, bytes, external }: Source<'_>,
    stored: HashMap<&str, &TensorProto>,
    options: &ImportOptions,
    imported: &mut Imported,
) -> Result<(), ImportError> {
    let output = head::output(file, options)?;
    let target = head::before_activation(file, output, &mut imported.notes);
    let (needed, mut nodes) = structure::needed_for(file, target);
    let mut inputs = structure::inputs(file, &stored);
    inputs.retain(|input| needed.contains(input.name.as_str()));
    let [input] = inputs.as_slice() else {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(ImportError::Model {
            reason: format!("the logits depend on {} inputs: {names:?}", inputs.len()),
            remedy: "export a classifier that takes one image".into(),
        });
    };
    let mut builder = Builder::new(imported.opset, &options.limits, bytes, stored, external);
    builder.graph.name.clone_from(&file.name);
    let (shape, batch) = head::image(input, options)?;
    builder.batch = batch;
    if batch > 1 {
        imported.notes.push(Note::BatchFixed { batch });
    }
    let whole = |fault| whole_error(fault, target);
    options.limits.volume(&shape).map_err(whole)?;
    let swapped = head::channels_first(&nodes, &input.name);
    let shape = match swapped {
        true => [shape[0], shape[3], shape[1], shape[2]],
        false => shape,
    };
    let image = Binding::Frame(builder.graph.add_input(input.name.clone(), shape));
    builder.bind(&input.name, image.clone());
    if swapped {
        imported.notes.push(Note::ChannelsLast);
        let (done, rest) = nodes.into_iter().partition(|node| node.input.contains(&input.name));
        let done: Vec<&NodeProto> = done;
        nodes = rest;
        done.iter().for_each(|node| builder.bind(&node.output[0], image.clone()));
    }
    add_all(&mut builder, &nodes, &needed)?;
    let binding = builder.lookup(target).map_err(whole)?;
    let logits = logits(&mut builder, binding, target, &mut imported.notes)?;
    builder.graph.logits = Some(logits);
    finish(builder, imported)
}

fn add_all<'a>(
    builder: &mut Builder<'a>,
    nodes: &[&'a NodeProto],
    needed: &HashSet<&str>,
) -> Result<(), ImportError> {
    for node in nodes {
        builder.add(node, needed)?;
    }
    if !builder.refused.is_empty() {
        return Err(ImportError::Unsupported(std::mem::take(&mut builder.refused)));
    }
    Ok(())
}

/// An error about the value `name` itself.
fn whole_error(fault: Fault, name: &str) -> ImportError {
    match fault {
        Fault::Whole(error) => error,
        Fault::Limit { what, found, limit } => ImportError::Limit { what, found, limit },
        Fault::Invalid(reason) | Fault::Unsupported { reason, .. } => ImportError::Model {
            reason: format!("`{name}`: {reason}"),
            remedy: "choose another output".into(),
        },
    }
}

/// The logits as a value of shape `[1, classes]`.
fn logits(
    builder: &mut Builder,
    binding: Binding,
    name: &str,
    notes: &mut Vec<Note>,
) -> Result<ValueId, ImportError> {
    let refuse = |reason: String| ImportError::Model {
        reason: format!("the logits `{name}` {reason}"),
        remedy: "choose the value of shape [batch, classes] as output".into(),
    };
    let Binding::Frame(id) = binding else {
        return Err(refuse("do not depend on the image".into()));
    };
    if let Some(moved) = builder.moved(&[id]) {
        return Err(ImportError::Unsupported(vec![moved.refused()]));
    }
    let shape = builder.shape(id);
    match shape.as_slice() {
        [1, _] => Ok(id),
        [1, classes, rest @ ..] if rest.iter().all(|&length| length == 1) => {
            notes.push(Note::LogitsFlattened);
            let op = Op::Reshape { shape: vec![1, *classes] };
            let flat = format!("{name}/flattened");
            builder.push_as(flat.clone(), flat, op, &[id]).map_err(|fault| whole_error(fault, name))
        }
        other => Err(refuse(format!("have shape {other:?}"))),
    }
}

/// Marks parameters and says what the convolutions tell about the exporter.
fn finish(builder: Builder, imported: &mut Imported) -> Result<(), ImportError> {
    let mut graph = builder.graph;
    let (parameters, normalised) =
        parameters::collect(&graph, &builder.trainable, &builder.biases, &builder.fixed);
    let mut names = HashSet::new();
    if let Some(&twice) = parameters.iter().find(|&&id| !names.insert(&graph.value(id).name)) {
        let name = &graph.value(twice).name;
        return Err(ImportError::Model {
            reason: format!(
                "parameter `{name}` is used in two shapes, so its norm would fall apart"
            ),
            remedy: "use it in one shape, or export a copy for each use".into(),
        });
    }
    graph.parameters = parameters;
    imported.folded = looks_folded(&graph);
    imported.normalisation_inside = normalised;
    if imported.folded {
        imported.notes.push(Note::Folded { parameters: graph.parameters.len() });
    }
    imported.graph = graph;
    Ok(())
}

/// See [`Imported::folded`].
fn looks_folded(graph: &Graph) -> bool {
    let convolutions: HashSet<ValueId> = graph
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Conv(_)))
        .map(|node| node.output)
        .collect();
    let follows = |node: &Node| {
        matches!(node.op, Op::BatchNorm { .. }) && convolutions.contains(&node.inputs[0])
    };
    let biased = |node: &Node| matches!(node.op, Op::Conv(_)) && node.inputs.len() == 3;
    graph.nodes.iter().any(biased) && !graph.nodes.iter().any(follows)
}
