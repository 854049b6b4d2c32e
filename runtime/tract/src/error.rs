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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_step_and_the_remedy() {
        let (step, opcode) = (3, OpCode::ConvInputGradient);
        let message = || "not so".to_owned();
        for (error, words) in [
            (
                TractError::Unsupported { step, opcode, what: "this geometry" },
                &["step 3", opcode.name(), "this geometry", "use the engine"][..],
            ),
            (
                TractError::Node { step, opcode, message: message() },
                &["step 3", opcode.name(), "not so"],
            ),
            (TractError::Tract(message()), &["tract", "not so"]),
            (TractError::Frame { expected: 12, found: 3 }, &["12", "3 values"]),
        ] {
            let text = error.to_string();
            assert!(words.iter().all(|word| text.contains(word)), "{text}: {words:?}");
        }
    }
}
