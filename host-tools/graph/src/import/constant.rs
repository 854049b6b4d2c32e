//! Constants while a model is being read: stored tensors and what is computed from them.

use std::rc::Rc;
use std::sync::Arc;

use super::error::{Outcome, invalid};

/// Elements by type; all integer types are held as i64.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    /// Floating point.
    Float(Arc<[f32]>),
    /// Integers.
    Int(Arc<[i64]>),
    /// Truth values.
    Bool(Arc<[bool]>),
}

impl Data {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::Float(data) => data.len(),
            Data::Int(data) => data.len(),
            Data::Bool(data) => data.len(),
        }
    }

    /// Type for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Data::Float(_) => "float",
            Data::Int(_) => "integer",
            Data::Bool(_) => "bool",
        }
    }

    /// The elements at `indices`, which must all be in range.
    pub fn select(&self, indices: impl Iterator<Item = usize>) -> Data {
        match self {
            Data::Float(data) => Data::Float(indices.map(|i| data[i]).collect()),
            Data::Int(data) => Data::Int(indices.map(|i| data[i]).collect()),
            Data::Bool(data) => Data::Bool(indices.map(|i| data[i]).collect()),
        }
    }
}

/// Where a constant comes from: decides whether arithmetic with it is trainable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An initializer, or one whose elements were only moved or renamed.
    Initializer,
    /// A Constant node, or one whose elements were only moved or renamed.
    Literal,
    /// Computed.
    Computed,
}

/// A named constant.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    /// Name of the ONNX value.
    pub name: String,
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub data: Data,
    /// Where it comes from.
    pub origin: Origin,
    /// For the transpose of a matrix: the matrix.
    pub transpose_of: Option<Rc<Constant>>,
}

impl Constant {
    /// A computed constant; the name is given when it is bound.
    pub fn computed(shape: Vec<usize>, data: Data) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { name: String::new(), shape, data, origin: Origin::Computed, transpose_of: None }
    }

    /// A rank-1 integer constant.
    pub fn integers(values: Vec<i64>) -> Self {
        Self::computed(vec![values.len()], Data::Int(values.into()))
    }

    /// The same elements under another shape.
    pub fn with_shape(&self, shape: Vec<usize>) -> Self {
        Self { shape, transpose_of: None, ..self.clone() }
    }

    /// The float elements.
    pub fn floats(&self) -> Outcome<&Arc<[f32]>> {
        match &self.data {
            Data::Float(data) => Ok(data),
            other => invalid(format!("`{}` is {}, expected float", self.name, other.kind())),
        }
    }

    /// The integer elements.
    pub fn ints(&self) -> Outcome<&[i64]> {
        match &self.data {
            Data::Int(data) => Ok(data),
            other => invalid(format!("`{}` is {}, expected integer", self.name, other.kind())),
        }
    }

    /// The truth values.
    pub fn bools(&self) -> Outcome<&[bool]> {
        match &self.data {
            Data::Bool(data) => Ok(data),
            other => invalid(format!("`{}` is {}, expected bool", self.name, other.kind())),
        }
    }

    /// The only float element.
    pub fn single_float(&self) -> Outcome<f32> {
        match **self.floats()? {
            [value] => Ok(value),
            _ => invalid(format!("`{}` has {} elements, expected 1", self.name, self.data.len())),
        }
    }
}
