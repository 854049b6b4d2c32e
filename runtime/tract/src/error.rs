//! Why a bundle is not run through tract.

use std::fmt;

use gradgate_bundle::op::OpCode;

/// See each variant.
#[derive(Debug)]
pub enum TractError {
    /// A step that has no counterpart here.
    Unsupported {
        /// Step index.
        step: usize,
        /// Its operation.
        opcode: OpCode,
        /// What of it is not supported.
        what: &'static str,
    },
    /// tract refused a node while the model was built.
    Node {
        /// Step index.
        step: usize,
        /// Its operation.
        opcode: OpCode,
        /// tract's words.
        message: String,
    },
    /// tract failed on the model as a whole, or on a frame.
    Tract(String),
    /// The frame is not rows x columns x channels long.
    Frame {
        /// Values that the bundle asks for.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

impl TractError {
    /// tract's error with what it was doing.
    pub(crate) fn of(error: impl fmt::Display) -> TractError {
        TractError::Tract(format!("{error:#}"))
    }
}

impl fmt::Display for TractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TractError::Unsupported { step, opcode, what } => {
                let name = opcode.name();
                write!(f, "step {step}, {name}: tract cannot run {what}; use the engine")
            }
            TractError::Node { step, opcode, message } => {
                write!(f, "step {step}, {}: tract refuses it: {message}", opcode.name())
            }
            TractError::Tract(message) => write!(f, "tract: {message}"),
            TractError::Frame { expected, found } => {
                write!(f, "the frame has {found} values, the bundle asks for {expected}")
            }
        }
    }
}

impl std::error::Error for TractError {}
