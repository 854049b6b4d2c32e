//! Writes ONNX nodes, constants and unique names: what every op's spelling and a detector share.
//!
//! All operators are of the default domain. Names of the model are kept; every name made here
//! begins with `gradgate/`, then the current [`Builder::scope`], then the operator.

use std::collections::{HashMap, HashSet};

use crate::proto::{
    AttributeProto, DimensionProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, attribute_type, data_type,
};

const PREFIX: &str = "gradgate/";

/// Value of a node's attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// One integer; ONNX spells booleans so, too.
    Int(i64),
    /// Integers.
    Ints(Vec<i64>),
    /// One float.
    Float(f32),
    /// Text.
    Text(String),
}

impl From<usize> for Attribute {
    fn from(value: usize) -> Self {
        Self::Int(value as i64)
    }
}

impl From<bool> for Attribute {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl From<f32> for Attribute {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Attribute {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&[usize]> for Attribute {
    fn from(values: &[usize]) -> Self {
        Self::Ints(values.iter().map(|&value| value as i64).collect())
    }
}

impl<const N: usize> From<[usize; N]> for Attribute {
    fn from(values: [usize; N]) -> Self {
        values.as_slice().into()
    }
}

/// An attribute with its name.
pub type Named<'a> = (&'a str, Attribute);

/// Collects the nodes and initializers of one ONNX graph.
#[derive(Debug)]
pub struct Builder {
    opset: i64,
    scope: String,
    values: HashSet<String>,
    node_names: HashSet<String>,
    integers: HashMap<(Vec<usize>, Vec<i64>), String>,
    scalars: HashMap<u32, String>,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) initializers: Vec<TensorProto>,
}

impl Builder {
    /// An empty graph that will be written for `opset` of the default domain.
    pub fn new(opset: i64) -> Self {
        Self {
            opset,
            scope: String::new(),
            values: HashSet::new(),
            node_names: HashSet::new(),
            integers: HashMap::new(),
            scalars: HashMap::new(),
            nodes: Vec::new(),
            initializers: Vec::new(),
        }
    }

    /// Version of the default operator set that the graph is written for.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Sets what the names of the following nodes begin with: the graph's node, or `detector`.
    pub fn scope(&mut self, scope: &str) {
        self.scope = scope.strip_prefix(PREFIX).unwrap_or(scope).to_owned();
    }

    /// A value name that nothing has yet: `gradgate/{scope}/{hint}`, numbered where taken.
    pub fn fresh(&mut self, hint: &str) -> String {
        let base = self.scoped(hint);
        unique(&mut self.values, base)
    }

    /// Adds an f32 constant, row-major, under a fresh name; gives the name.
    ///
    /// # Panics
    /// When the element count differs from the shape's product: a programmer error.
    pub fn initializer_f32(&mut self, hint: &str, shape: &[usize], data: &[f32]) -> String {
        let name = self.fresh(hint);
        self.constant_f32(&name, shape, data);
        name
    }

    /// A constant of rank 0; equal ones are stored once.
    pub fn scalar(&mut self, value: f32) -> String {
        if let Some(name) = self.scalars.get(&value.to_bits()) {
            return name.clone();
        }
        let name = unique(&mut self.values, format!("{PREFIX}scalar"));
        self.constant_f32(&name, &[], &[value]);
        self.scalars.insert(value.to_bits(), name.clone());
        name
    }

    /// An i64 constant (shapes, axes, indices), row-major; equal ones are stored once.
    ///
    /// # Panics
    /// When the element count differs from the shape's product: a programmer error.
    pub fn initializer_i64(&mut self, shape: &[usize], data: &[i64]) -> String {
        let key = (shape.to_vec(), data.to_vec());
        if let Some(name) = self.integers.get(&key) {
            return name.clone();
        }
        let name = unique(&mut self.values, format!("{PREFIX}integers"));
        let raw = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&name, shape, data.len(), data_type::INT64, raw);
        self.integers.insert(key, name.clone());
        name
    }

    /// An i64 vector of sizes, as [`Builder::initializer_i64`].
    pub fn sizes(&mut self, sizes: &[usize]) -> String {
        let data: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
        self.initializer_i64(&[sizes.len()], &data)
    }

    /// Adds a node with one result under a fresh name; gives that name. An empty input name
    /// stands for an optional operand left out.
    pub fn node(&mut self, op: &str, inputs: &[&str], attributes: &[Named<'_>]) -> String {
        let output = self.fresh(op);
        self.node_into(op, inputs, attributes, &[&output]);
        output
    }

    /// As [`Builder::node`], writing results that have names already.
    pub fn node_into(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: &[Named<'_>],
        outputs: &[&str],
    ) {
        let base = self.scoped(op);
        let name = unique(&mut self.node_names, base);
        self.node_named(name, op, inputs, attributes, outputs);
    }

    /// `x` with another shape of the same element count.
    pub fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        let shape = self.sizes(shape);
        self.node("Reshape", &[x, &shape], &[])
    }

    /// `ReduceSum`, `ReduceMean` or `ReduceSumSquare` over `axes`, at least one; its operands
    /// and attributes differ by operator set.
    pub fn reduce(&mut self, op: &str, x: &str, axes: &[usize], keep_dims: bool) -> String {
        let output = self.fresh(op);
        self.scoped_reduce(op, x, axes, keep_dims, |builder, inputs, attributes| {
            builder.node_into(op, inputs, attributes, &[&output]);
        });
        output
    }

    /// Hands `write` the operands and attributes of a reduction.
    pub(super) fn scoped_reduce(
        &mut self,
        op: &str,
        x: &str,
        axes: &[usize],
        keep_dims: bool,
        write: impl FnOnce(&mut Self, &[&str], &[Named<'_>]),
    ) {
        let keep = ("keepdims", keep_dims.into());
        // ReduceSum takes its axes as an operand from opset 13, the others from opset 18.
        if op == "ReduceSum" || self.opset >= 18 {
            let axes = self.sizes(axes);
            write(self, &[x, &axes], &[keep]);
        } else {
            write(self, &[x], &[("axes", axes.into()), keep]);
        }
    }

    pub(super) fn node_named(
        &mut self,
        name: String,
        op: &str,
        inputs: &[&str],
        attributes: &[Named<'_>],
        outputs: &[&str],
    ) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: outputs.iter().map(|&output| output.to_owned()).collect(),
            name,
            op_type: op.to_owned(),
            attribute: attributes.iter().map(attribute).collect(),
            ..NodeProto::default()
        });
    }

    /// Takes a value name as it stands; false when it is taken already or empty.
    pub(super) fn claim_value(&mut self, name: &str) -> bool {
        !name.is_empty() && self.values.insert(name.to_owned())
    }

    /// Takes a node name as it stands, or a numbered one where it is taken or empty.
    pub(super) fn claim_node(&mut self, name: &str) -> String {
        if !name.is_empty() && self.node_names.insert(name.to_owned()) {
            return name.to_owned();
        }
        unique(&mut self.node_names, prefixed(if name.is_empty() { "node" } else { name }))
    }

    pub(super) fn constant_f32(&mut self, name: &str, shape: &[usize], data: &[f32]) {
        let raw = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, shape, data.len(), data_type::FLOAT, raw);
    }

    fn constant(&mut self, name: &str, shape: &[usize], count: usize, kind: i32, raw: Vec<u8>) {
        assert_eq!(shape.iter().product::<usize>(), count, "`{name}` of shape {shape:?}");
        self.initializers.push(TensorProto {
            dims: shape.iter().map(|&length| length as i64).collect(),
            data_type: kind,
            name: name.to_owned(),
            raw_data: raw,
            ..TensorProto::default()
        });
    }

    fn scoped(&self, hint: &str) -> String {
        if self.scope.is_empty() {
            return prefixed(hint);
        }
        format!("{PREFIX}{}/{hint}", self.scope)
    }
}

/// The type of an f32 value.
pub(super) fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let axis = |&length: &usize| DimensionProto { dim_value: Some(length as i64), dim_param: None };
    let shape = TensorShapeProto { dim: shape.iter().map(axis).collect() };
    let tensor = TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(shape) };
    let kind = TypeProto { tensor_type: Some(tensor) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind) }
}

fn prefixed(name: &str) -> String {
    if name.starts_with(PREFIX) { name.to_owned() } else { format!("{PREFIX}{name}") }
}

fn unique(taken: &mut HashSet<String>, base: String) -> String {
    if taken.insert(base.clone()) {
        return base;
    }
    let mut number = 1_usize;
    loop {
        let name = format!("{base}_{number}");
        if taken.insert(name.clone()) {
            return name;
        }
        number += 1;
    }
}

fn attribute((name, value): &Named<'_>) -> AttributeProto {
    let empty = AttributeProto { name: (*name).to_owned(), ..AttributeProto::default() };
    match value.clone() {
        Attribute::Int(i) => AttributeProto { i, r#type: attribute_type::INT, ..empty },
        Attribute::Ints(ints) => AttributeProto { ints, r#type: attribute_type::INTS, ..empty },
        Attribute::Float(f) => AttributeProto { f, r#type: attribute_type::FLOAT, ..empty },
        Attribute::Text(text) => {
            AttributeProto { s: text.into_bytes(), r#type: attribute_type::STRING, ..empty }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_names_never_repeat() {
        let mut builder = Builder::new(17);
        assert!(builder.claim_value("gradgate/conv/Mul"));
        assert!(!builder.claim_value("gradgate/conv/Mul"));
        builder.scope("gradgate/conv");
        assert_eq!(builder.fresh("Mul"), "gradgate/conv/Mul_1");
        assert_eq!(builder.fresh("Mul"), "gradgate/conv/Mul_2");
        assert_eq!(builder.claim_node("a"), "a");
        assert_eq!(builder.claim_node("a"), "gradgate/a");
        assert_eq!(builder.claim_node(""), "gradgate/node");
    }

    #[test]
    fn equal_small_constants_are_stored_once() {
        let mut builder = Builder::new(17);
        let first = builder.sizes(&[1, 2]);
        assert_eq!(builder.sizes(&[1, 2]), first);
        assert_ne!(builder.initializer_i64(&[2, 1], &[1, 2]), first);
        assert_ne!(builder.scalar(0.0), builder.scalar(-0.0));
        assert_eq!(builder.initializers.len(), 4);
        assert_eq!(builder.initializers[0].raw_data.len(), 16);
    }

    #[test]
    fn reductions_follow_the_operator_set() {
        for (opset, op, inputs, attributes) in [
            (17, "ReduceMean", 1, 2),
            (17, "ReduceSumSquare", 1, 2),
            (17, "ReduceSum", 2, 1),
            (18, "ReduceMean", 2, 1),
        ] {
            let mut builder = Builder::new(opset);
            builder.reduce(op, "x", &[1], false);
            assert_eq!(builder.nodes[0].input.len(), inputs, "{op} {opset}");
            assert_eq!(builder.nodes[0].attribute.len(), attributes, "{op} {opset}");
        }
    }
}
