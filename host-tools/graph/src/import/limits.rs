//! Bounds on what a model may ask for, so that a hostile file costs bounded memory and time.

use super::call::node_name;
use super::error::{Fault, ImportError, Outcome};
use crate::proto::{GraphProto, NodeProto};

/// Upper bounds; every one is checked before the memory it bounds is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the model file. Default 1 GiB.
    pub file_bytes: u64,
    /// Bytes of all external data files together. Default 4 GiB.
    pub external_bytes: u64,
    /// Protobuf messages and strings in the file. Default 2,000,000.
    pub messages: u64,
    /// Bytes of varint-packed integers, which grow up to eightfold in memory. Default 64 MiB.
    pub packed_bytes: u64,
    /// Messages inside one another. A network without subgraphs needs seven, a subgraph three
    /// more. Default 32; the decoder ends at 100, counted in the same way.
    pub nesting: usize,
    /// Nodes of the graph. Default 100,000.
    pub nodes: usize,
    /// Operands and outputs of a node. Default 4,096.
    pub operands: usize,
    /// Attributes of a node. Default 64: ONNX defines no operator with more than 20.
    pub attributes: usize,
    /// Bytes of a name. Default 4,096: exporters join the names of all modules around a node.
    pub name_bytes: usize,
    /// Elements of one value, stored, computed or activation. Default 2^27.
    pub elements: usize,
    /// Elements of all constants that the graph needs, computed ones included. Default 2^29; never
    /// more than 4 for each byte of the model and its external data, and 2^20.
    pub total_elements: usize,
    /// Axes of a value. Default 8.
    pub rank: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            external_bytes: 4 << 30,
            messages: 2_000_000,
            packed_bytes: 64 << 20,
            nesting: 32,
            nodes: 100_000,
            operands: 4_096,
            attributes: 64,
            name_bytes: 4_096,
            elements: 1 << 27,
            total_elements: 1 << 29,
            rank: 8,
        }
    }
}

impl Limits {
    /// Element count of a shape, refused when rank or count is over the limit.
    pub(super) fn volume(&self, shape: &[usize]) -> Outcome<usize> {
        self.rank(shape.len())?;
        // A zero length must not hide an overflow of the other axes: they are allocated nowhere,
        // but later arithmetic multiplies some of them.
        let count =
            shape.iter().fold(1_usize, |product, &length| product.saturating_mul(length.max(1)));
        if count > self.elements {
            let what = format!("element count of a value of shape {shape:?}");
            let (found, limit) = (count as u64, self.elements as u64);
            return Err(Fault::Limit { what, found, limit });
        }
        Ok(shape.iter().product())
    }

    /// The bounds of constants in a model of so many bytes: what a file computes cannot outgrow it.
    pub(super) fn of_constants(&self, bytes: usize) -> Limits {
        let grown = bytes.saturating_mul(GROWTH).saturating_add(FREE);
        let total_elements = self.total_elements.min(grown);
        Limits { total_elements, elements: self.elements.min(total_elements), ..self.clone() }
    }

    /// Refuses more axes than the limit.
    pub(super) fn rank(&self, axes: usize) -> Outcome<()> {
        if axes > self.rank {
            let (what, found) = ("rank of a value".to_owned(), axes as u64);
            return Err(Fault::Limit { what, found, limit: self.rank as u64 });
        }
        Ok(())
    }

    /// Refuses too many nodes, and nodes with too many or too long parts: before anything is said
    /// about them, so that no message holds an endless name.
    pub(super) fn check(&self, graph: &GraphProto) -> Result<(), ImportError> {
        within(graph.node.len(), self.nodes, || "the graph's node count".into())?;
        self.name(&graph.name, || "the graph's name".into())?;
        for tensor in &graph.initializer {
            self.name(&tensor.name, || "a tensor's name".into())?;
        }
        for value in graph.input.iter().chain(&graph.output) {
            self.name(&value.name, || "the name of an input or output".into())?;
        }
        graph.node.iter().try_for_each(|node| self.node(node))
    }

    fn node(&self, node: &NodeProto) -> Result<(), ImportError> {
        // Messages name a node by these.
        for name in std::iter::once(&node.name).chain(&node.output) {
            self.name(name, || "the name of a node or of its output".into())?;
        }
        let of_node = |what: &'static str| move || format!("node `{}`: {what}", node_name(node));
        let operands = node.input.len().saturating_add(node.output.len());
        within(operands, self.operands, of_node("count of operands and outputs"))?;
        within(node.attribute.len(), self.attributes, of_node("attribute count"))?;
        self.name(&node.op_type, of_node("the operator's name"))?;
        self.name(&node.domain, of_node("the operator's domain"))?;
        for name in &node.input {
            self.name(name, of_node("the name of an operand"))?;
        }
        for attribute in &node.attribute {
            self.name(&attribute.name, of_node("the name of an attribute"))?;
        }
        Ok(())
    }

    fn name(&self, name: &str, what: impl Fn() -> String) -> Result<(), ImportError> {
        within(name.len(), self.name_bytes, || {
            let beginning = &name[..name.floor_char_boundary(BEGINNING)];
            format!("{}: length in bytes of `{beginning}..`", what())
        })
    }
}

/// Elements of constants for each byte of a model: a float weight has four bytes, so sixteen forms
/// of every weight.
const GROWTH: usize = 4;

/// Elements of constants that every model may have: small models compute masks and shapes.
const FREE: usize = 1 << 20;

/// Bytes of a name that is too long that a message shows.
const BEGINNING: usize = 60;

fn within(found: usize, limit: usize, what: impl Fn() -> String) -> Result<(), ImportError> {
    if found > limit {
        let (found, limit) = (found as u64, limit as u64);
        return Err(ImportError::Limit { what: what(), found, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volume_is_checked() {
        let limits = Limits::default();
        for (shape, expected) in [
            (vec![], Some(1)),
            (vec![2, 3], Some(6)),
            (vec![0, 3], Some(0)),
            (vec![1 << 27], Some(1 << 27)),
            (vec![1 << 27, 2], None),
            (vec![0, usize::MAX, 2], None),
            (vec![usize::MAX, usize::MAX], None),
            (vec![1; 9], None),
        ] {
            assert_eq!(limits.volume(&shape).ok(), expected, "{shape:?}");
        }
    }
}
