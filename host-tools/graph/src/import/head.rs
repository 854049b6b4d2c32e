//! Which value holds the logits, and at which end the image comes in.

use std::collections::HashMap;

use super::call::node_name;
use super::error::ImportError;
use super::{ImportOptions, Note};
use crate::proto::{GraphProto, NodeProto, ValueInfoProto, data_type};

/// The output of the model that leads to the logits.
pub(super) fn output<'a>(
    graph: &'a GraphProto,
    options: &'a ImportOptions,
) -> Result<&'a str, ImportError> {
    let outputs: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    let list = || format!("`{}`", outputs.join("`, `"));
    if let Some(wanted) = &options.output {
        let inner = graph.node.iter().flat_map(|node| &node.output);
        if outputs.contains(&wanted.as_str()) || inner.clone().any(|name| name == wanted) {
            return Ok(wanted);
        }
        return Err(ImportError::Model {
            reason: format!("the model has no value `{wanted}`"),
            remedy: format!("its outputs are {}", list()),
        });
    }
    match outputs.as_slice() {
        [] => Err(ImportError::Malformed("it has no output".into())),
        [single] => Ok(single),
        several => several.iter().find(|&&name| name == "logits").copied().ok_or_else(|| {
            ImportError::Model {
                reason: format!("the model has several outputs: {}", list()),
                remedy: "name the one that holds the logits".into(),
            }
        }),
    }
}

/// Steps back over a final Softmax, LogSoftmax or Sigmoid, and says so.
pub(super) fn before_activation<'a>(
    graph: &'a GraphProto,
    output: &'a str,
    notes: &mut Vec<Note>,
) -> &'a str {
    let producers: HashMap<&str, &NodeProto> =
        graph.node.iter().filter_map(|node| Some((node.output.first()?.as_str(), node))).collect();
    let mut name = output;
    // The order of nodes has been checked, so that every step goes to an earlier node.
    while let Some((node, input)) = producers.get(name).and_then(|n| Some((n, n.input.first()?))) {
        match node.op_type.as_str() {
            "Identity" => name = input,
            "Softmax" | "LogSoftmax" | "Sigmoid" => {
                notes.push(Note::ActivationRemoved {
                    node: node_name(node),
                    op: node.op_type.clone(),
                    logits: input.clone(),
                });
                return input;
            }
            _ => break,
        }
    }
    output
}

/// Whether every node that reads the image only brings its channels from the last axis to the
/// second, as exporters of TensorFlow models write it.
pub(super) fn channels_first(nodes: &[&NodeProto], image: &str) -> bool {
    let mut readers = nodes.iter().filter(|node| node.input.iter().any(|i| i == image)).peekable();
    let transposes = |node: &&&NodeProto| {
        let permutation = node.attribute.iter().find(|attribute| attribute.name == "perm");
        node.op_type == "Transpose"
            && matches!(node.domain.as_str(), "" | "ai.onnx")
            && node.output.len() == 1
            && permutation.is_some_and(|attribute| attribute.ints == [0, 3, 1, 2])
    };
    readers.peek().is_some() && readers.all(|node| transposes(&node))
}

/// Shape of the image, by its axes, and the batch size that the file was exported with.
pub(super) fn image(
    input: &ValueInfoProto,
    options: &ImportOptions,
) -> Result<([usize; 4], usize), ImportError> {
    let name = &input.name;
    let refuse = |reason: String, remedy: &str| ImportError::Model {
        reason: format!("input `{name}` {reason}"),
        remedy: remedy.into(),
    };
    let Some(tensor) = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()) else {
        return Err(refuse("is no tensor".into(), "export a model that takes one image tensor"));
    };
    if tensor.elem_type != data_type::FLOAT {
        let reason = format!("has element type {}, not float32", tensor.elem_type);
        return Err(refuse(reason, "export a float32 model that takes float32 images"));
    }
    let axes = tensor.shape.as_ref().map(|shape| shape.dim.as_slice()).unwrap_or_default();
    let lengths: Vec<Option<i64>> = axes.iter().map(|axis| axis.dim_value).collect();
    let &[batch, channels, height, width] = lengths.as_slice() else {
        let reason = format!("has {} axes, expected [batch, channels, height, width]", axes.len());
        return Err(refuse(reason, "export the model with an image of rank 4"));
    };
    let fixed = |what: &str, length: Option<i64>, given: Option<usize>| match (length, given) {
        (Some(length), None) if (1..1 << 31).contains(&length) => Ok(length as usize),
        (Some(length), Some(given)) if length == given as i64 && given > 0 => Ok(given),
        (None, Some(given)) if given > 0 && given < 1 << 31 => Ok(given),
        (None, None) => {
            let reason = format!("leaves its {what} open");
            Err(refuse(reason, "export it with a fixed size, or give height and width"))
        }
        (length, given) => {
            let reason = format!("has {what} {}", length.unwrap_or_default());
            Err(refuse(reason, &format!("the size asked for is {given:?}")))
        }
    };
    let given = options.input_hw;
    let shape = [
        1,
        fixed("channel count", channels, None)?,
        fixed("height", height, given.map(|hw| hw[0]))?,
        fixed("width", width, given.map(|hw| hw[1]))?,
    ];
    Ok((shape, batch.and_then(|length| usize::try_from(length).ok()).unwrap_or(1).max(1)))
}
