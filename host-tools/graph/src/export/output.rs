//! The named results of an exported model.

use super::builder::Builder;
use crate::expand::Expanded;
use crate::graph::{Graph, ValueId};

/// Where an output comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A value in its own shape.
    Value(ValueId),
    /// Values flattened and joined, in order: `[1, total elements]`.
    Row(Vec<ValueId>),
}

/// One named result of the exported model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOutput {
    /// Name in the file.
    pub name: String,
    /// What it holds.
    pub source: Source,
}

impl ExportOutput {
    /// A value in its own shape.
    pub fn value(name: impl Into<String>, value: ValueId) -> Self {
        Self { name: name.into(), source: Source::Value(value) }
    }

    /// Values flattened and joined, in order: `[1, total elements]`.
    pub fn row(name: impl Into<String>, values: impl Into<Vec<ValueId>>) -> Self {
        Self { name: name.into(), source: Source::Row(values.into()) }
    }

    /// Every feature of an expanded classifier, as far as it has them, in this order: `logits`
    /// `[1, classes]`, `squared_norms` `[1, parameters]`, `activation_norms` `[1, layers]`,
    /// `penultimate` `[1, d]`, `alignments` `[1, weights]`.
    pub fn features(expanded: &Expanded) -> Vec<Self> {
        let norms = |taps: &[(ValueId, ValueId)]| -> Vec<ValueId> {
            taps.iter().map(|&(_, norm)| norm).collect()
        };
        let row = |name, taps: &[(ValueId, ValueId)]| {
            (!taps.is_empty()).then(|| Self::row(name, norms(taps)))
        };
        let logits = expanded.graph.logits.map(|value| Self::value("logits", value));
        let penultimate = expanded.penultimate.map(|value| Self::value("penultimate", value));
        let squared_norms = row("squared_norms", &expanded.squared_norms);
        let activation_norms = row("activation_norms", &expanded.activation_norms);
        let alignments = row("alignments", &expanded.alignments);
        let all = [logits, squared_norms, activation_norms, penultimate, alignments];
        all.into_iter().flatten().collect()
    }

    pub(super) fn values(&self) -> &[ValueId] {
        match &self.source {
            Source::Value(value) => std::slice::from_ref(value),
            Source::Row(values) => values,
        }
    }
}

/// Writes what an output needs beyond its values; gives its shape.
pub(super) fn write(
    graph: &Graph,
    output: &ExportOutput,
    names: &[String],
    builder: &mut Builder,
) -> Vec<usize> {
    builder.scope(&output.name);
    let name = |value: ValueId| names[value.0 as usize].as_str();
    let values = match &output.source {
        Source::Row(values) => values,
        &Source::Value(value) => {
            if name(value) != output.name {
                builder.node_into("Identity", &[name(value)], &[], &[&output.name]);
            }
            return graph.shape(value).to_vec();
        }
    };
    let mut parts = Vec::new();
    for &value in values {
        let flat = graph.shape(value).len() == 1;
        let count = graph.value(value).elements();
        let part =
            if flat { name(value).to_owned() } else { builder.reshape(name(value), &[count]) };
        parts.push(part);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let total = values.iter().map(|&value| graph.value(value).elements()).sum();
    let joined = builder.node("Concat", &parts, &[("axis", 0_usize.into())]);
    let shape = builder.sizes(&[1, total]);
    builder.node_into("Reshape", &[&joined, &shape], &[], &[&output.name]);
    vec![1, total]
}
