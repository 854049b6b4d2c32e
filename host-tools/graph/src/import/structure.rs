//! Checks of the graph as a whole before any node is looked at, and what the logits need.

use std::collections::{HashMap, HashSet};

use super::call::node_name;
use super::error::ImportError;
use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

/// Oldest and newest version of the default operator set that is understood.
pub const OPSETS: std::ops::RangeInclusive<i64> = 9..=22;

/// Version of the default operator set.
pub(super) fn opset(model: &ModelProto) -> Result<i64, ImportError> {
    let mut versions = model
        .opset_import
        .iter()
        .filter(|set| matches!(set.domain.as_str(), "" | "ai.onnx"))
        .map(|set| set.version);
    let Some(version) = versions.next() else {
        return Err(ImportError::Malformed("it names no version of the operator set".into()));
    };
    if versions.any(|other| other != version) {
        return Err(ImportError::Malformed("it names two versions of the operator set".into()));
    }
    if !OPSETS.contains(&version) {
        return Err(ImportError::Model {
            reason: format!("the model uses opset {version}"),
            remedy: format!(
                "export it with opset {} to {} (PyTorch: opset_version=18), or convert it with \
                 onnx.version_converter",
                OPSETS.start(),
                OPSETS.end()
            ),
        });
    }
    Ok(version)
}

/// Stored tensors by name.
pub(super) fn stored(graph: &GraphProto) -> Result<HashMap<&str, &TensorProto>, ImportError> {
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().map(|v| v.name.clone()).unwrap_or_default();
        let reason = "is sparse; store it as a dense tensor".into();
        return Err(ImportError::Tensor { name, reason });
    }
    let mut stored = HashMap::with_capacity(graph.initializer.len());
    for tensor in &graph.initializer {
        if stored.insert(tensor.name.as_str(), tensor).is_some() {
            let reason = "is stored twice under this name".into();
            return Err(ImportError::Tensor { name: tensor.name.clone(), reason });
        }
    }
    Ok(stored)
}

/// Inputs that are not stored tensors (files before IR version 4 list those as well).
pub(super) fn inputs<'a>(
    graph: &'a GraphProto,
    stored: &HashMap<&str, &TensorProto>,
) -> Vec<&'a ValueInfoProto> {
    graph.input.iter().filter(|input| !stored.contains_key(input.name.as_str())).collect()
}

/// Refuses names with two producers, undefined names and a wrong order.
pub(super) fn check_order(
    graph: &GraphProto,
    stored: &HashMap<&str, &TensorProto>,
) -> Result<(), ImportError> {
    let mut known: HashSet<&str> = stored.keys().copied().collect();
    for input in inputs(graph, stored) {
        if !known.insert(&input.name) {
            let reason = format!("input `{}` is listed twice", input.name);
            return Err(ImportError::Malformed(reason));
        }
    }
    let produced: HashSet<&str> =
        graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
    for node in &graph.node {
        let refuse = |reason: String| ImportError::Node {
            node: node_name(node),
            op: node.op_type.clone(),
            reason,
        };
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            if !known.contains(name.as_str()) {
                return Err(refuse(match produced.contains(name.as_str()) {
                    true => format!(
                        "it reads `{name}`, which only a later node computes: the graph has a \
                         cycle or is not in topological order"
                    ),
                    false => format!("it reads `{name}`, which is not defined"),
                }));
            }
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !known.insert(name) {
                return Err(refuse(format!("`{name}` is defined a second time")));
            }
        }
    }
    match graph.output.iter().find(|output| !known.contains(output.name.as_str())) {
        Some(lost) => Err(ImportError::Malformed(format!("output `{}` is not defined", lost.name))),
        None => Ok(()),
    }
}

/// Names and nodes that `target` depends on; nodes in the file's order.
pub(super) fn needed_for<'a>(
    graph: &'a GraphProto,
    target: &'a str,
) -> (HashSet<&'a str>, Vec<&'a NodeProto>) {
    let mut names = HashSet::from([target]);
    let mut nodes = Vec::new();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|name| !name.is_empty() && names.contains(name.as_str())) {
            names.extend(node.input.iter().filter(|n| !n.is_empty()).map(String::as_str));
            nodes.push(node);
        }
    }
    nodes.reverse();
    (names, nodes)
}
