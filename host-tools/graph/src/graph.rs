//! The one intermediate representation: a directed acyclic graph of single-output nodes.
//!
//! Values are either *frame values* (axis 0 is the frame, length 1) or constants (no frame axis).
//! Shapes are static. Nodes are kept in topological order because [`Graph::push`] accepts only
//! inputs that exist already. Spatial tensors are NCHW, as in ONNX; memory layout is decided in
//! `lower`, never here.

use std::fmt;
use std::sync::Arc;

use crate::ops::Op;

/// Index of a [`Value`] in [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// Index of a [`Node`] in [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A dense f32 constant in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Length of every axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// Elements, row-major; shared, never copied on clone.
    pub data: Arc<[f32]>,
}

impl Tensor {
    /// A tensor of `shape` over `data`.
    ///
    /// # Panics
    /// When the element count differs from the shape's product: a programmer error.
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Arc<[f32]>>) -> Self {
        let (shape, data) = (shape.into(), data.into());
        assert_eq!(shape.iter().product::<usize>(), data.len(), "shape {shape:?}");
        Self { shape, data }
    }

    /// A rank-0 tensor.
    pub fn scalar(value: f32) -> Self {
        Self::new([], vec![value])
    }
}

/// One edge of the graph.
#[derive(Clone, Debug)]
pub struct Value {
    /// ONNX value name, or a derived one for values made by `expand`.
    pub name: String,
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// The data when the value is a constant; `None` for a frame value.
    pub constant: Option<Tensor>,
}

impl Value {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the value depends on the frame.
    pub fn is_frame(&self) -> bool {
        self.constant.is_none()
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// ONNX node name, or a derived one.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Operands in the op's order.
    pub inputs: Vec<ValueId>,
    /// The one result.
    pub output: ValueId,
}

/// A classifier, or a classifier with its backward pass.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Model name.
    pub name: String,
    /// All values.
    pub values: Vec<Value>,
    /// All nodes in topological order.
    pub nodes: Vec<Node>,
    /// The image, shape `[1, C, H, W]`, in 0..1 unless preprocessing says otherwise.
    pub input: Option<ValueId>,
    /// The logits, shape `[1, classes]`.
    pub logits: Option<ValueId>,
    /// Trainable constants in graph order (order of first use by a node, operand by operand).
    pub parameters: Vec<ValueId>,
}

/// A node that cannot be built: a shape rule refused its operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// Name of the node.
    pub node: String,
    /// Name of the operation.
    pub op: &'static str,
    /// What does not fit.
    pub reason: String,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node `{}` ({}): {}", self.node, self.op, self.reason)
    }
}

impl std::error::Error for ShapeError {}

impl Graph {
    /// Adds a frame value that no node computes: the image.
    pub fn add_input(&mut self, name: impl Into<String>, shape: impl Into<Vec<usize>>) -> ValueId {
        let id = self.add_value(name.into(), shape.into(), None);
        self.input = Some(id);
        id
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: impl Into<String>, tensor: Tensor) -> ValueId {
        self.add_value(name.into(), tensor.shape.clone(), Some(tensor))
    }

    /// Appends a node; its output shape comes from the op's shape rule.
    ///
    /// # Errors
    /// When the op's shape rule refuses the operands.
    pub fn push(
        &mut self,
        name: impl Into<String>,
        op: Op,
        inputs: &[ValueId],
    ) -> Result<ValueId, ShapeError> {
        let name = name.into();
        let output = name.clone();
        self.push_named(name, output, op, inputs)
    }

    /// As [`Graph::push`], with a value name that differs from the node's (ONNX keeps both).
    ///
    /// # Errors
    /// When the op's shape rule refuses the operands.
    pub fn push_named(
        &mut self,
        name: impl Into<String>,
        output: impl Into<String>,
        op: Op,
        inputs: &[ValueId],
    ) -> Result<ValueId, ShapeError> {
        let name = name.into();
        let operands: Vec<&Value> = inputs.iter().map(|&id| self.value(id)).collect();
        let shape = op.shape(&operands).map_err(|reason| ShapeError {
            node: name.clone(),
            op: op.name(),
            reason,
        })?;
        let output = self.add_value(output.into(), shape, None);
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// The value behind an id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// Shape of a value.
    pub fn shape(&self, id: ValueId) -> &[usize] {
        &self.value(id).shape
    }

    /// For every value, the node that computes it (`None` for the image and constants).
    pub fn producers(&self) -> Vec<Option<NodeId>> {
        let mut producers = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            producers[node.output.0 as usize] = Some(NodeId(index as u32));
        }
        producers
    }

    /// For every value, the nodes that read it, in order; a node that reads it twice is listed
    /// twice.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                consumers[input.0 as usize].push(NodeId(index as u32));
            }
        }
        consumers
    }

    fn add_value(&mut self, name: String, shape: Vec<usize>, constant: Option<Tensor>) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.values.push(Value { name, shape, constant });
        id
    }
}
