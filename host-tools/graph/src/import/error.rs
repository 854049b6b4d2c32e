//! Why a model cannot be imported: always which node, value or file, and what to do about it.

use std::fmt;

/// A refused model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// A file cannot be read or may not be read.
    File {
        /// The file, as the user or the model named it.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes are no ONNX model, or contradict the format.
    Malformed(String),
    /// The model exceeds a limit of [`super::Limits`].
    Limit {
        /// What is counted, and of which value or node.
        what: String,
        /// How many there are, at least: counting ends past the limit.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A stored tensor is unusable.
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A node contradicts the operator's definition.
    Node {
        /// Name of the node (of its first output when it has none).
        node: String,
        /// Operator.
        op: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model as a whole is not a classifier of one image as understood here.
    Model {
        /// What does not fit.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Valid ONNX that cannot be compiled; every such node that the logits need is listed.
    Unsupported(Vec<UnsupportedNode>),
}

/// One node that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Name of the node (of its first output when it has none).
    pub node: String,
    /// Operator, with its domain unless that is the default one.
    pub op: String,
    /// Why not.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, op, reason, remedy } = self;
        write!(f, "node `{node}` ({op}): {reason}; {remedy}")
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, reason } => write!(f, "file `{file}`: {reason}"),
            Self::Malformed(reason) => write!(f, "not a valid ONNX model: {reason}"),
            Self::Limit { what, found, limit } => {
                write!(f, "{what} is {found}, over the limit of {limit}")
            }
            Self::Tensor { name, reason } => write!(f, "tensor `{name}`: {reason}"),
            Self::Node { node, op, reason } => write!(f, "node `{node}` ({op}): {reason}"),
            Self::Model { reason, remedy } => write!(f, "{reason}; {remedy}"),
            Self::Unsupported(nodes) => {
                write!(f, "{} node(s) cannot be compiled", nodes.len())?;
                nodes.iter().try_for_each(|node| write!(f, "\n  {node}"))
            }
        }
    }
}

impl std::error::Error for ImportError {}

/// Why one node is refused; the node's name is added where the fault is caught.
#[derive(Debug)]
pub(super) enum Fault {
    /// Valid, but not compiled here.
    Unsupported {
        /// Why not.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Contradicts the operator's definition.
    Invalid(String),
    /// Too large.
    Limit {
        /// What is counted.
        what: String,
        /// How many there are, at least.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Already complete.
    Whole(ImportError),
}

/// Result of converting a part of a node.
pub(super) type Outcome<T> = Result<T, Fault>;

/// A fault for valid nodes that are not compiled.
pub(super) fn unsupported<T>(reason: impl Into<String>, remedy: impl Into<String>) -> Outcome<T> {
    Err(Fault::Unsupported { reason: reason.into(), remedy: remedy.into() })
}

/// A fault for nodes that contradict their operator's definition.
pub(super) fn invalid<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Fault::Invalid(reason.into()))
}

impl From<ImportError> for Fault {
    fn from(error: ImportError) -> Self {
        Fault::Whole(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_thing_and_the_remedy() {
        let node = UnsupportedNode {
            node: "rnn".into(),
            op: "LSTM".into(),
            reason: "the operator is not supported".into(),
            remedy: "leave it out".into(),
        };
        let text = ImportError::Unsupported(vec![node.clone(), node]).to_string();
        assert!(text.starts_with("2 node(s)"), "{text}");
        assert!(text.contains("`rnn` (LSTM)") && text.contains("leave it out"), "{text}");
        let text = ImportError::Limit { what: "node count".into(), found: 4, limit: 3 }.to_string();
        assert_eq!(text, "node count is 4, over the limit of 3");
    }
}
