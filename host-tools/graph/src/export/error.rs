//! Why a Graph cannot be written.

use std::fmt;

use super::{MAX_CONSTANT_BYTES, OPSETS};

/// Why a Graph cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportError {
    /// The operator set is not one of [`OPSETS`].
    Opset(i64),
    /// The graph has no image.
    NoInput,
    /// An output without values, or without a name of its own.
    Output {
        /// Name of the output.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// The constants are too large for one file.
    TooLarge {
        /// Their size.
        bytes: u64,
    },
    /// The detector needs a feature that is not among the outputs.
    MissingFeature(String),
    /// The detector cannot be written; the reason in words.
    Detector(String),
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opset(opset) => {
                let (first, last) = (OPSETS.start(), OPSETS.end());
                write!(f, "operator set {opset} cannot be written; choose one of {first} to {last}")
            }
            Self::NoInput => write!(f, "the graph has no image input to export"),
            Self::Output { name, reason } => write!(f, "output `{name}`: {reason}"),
            Self::TooLarge { bytes } => write!(
                f,
                "{bytes} bytes of constants do not fit one ONNX file (limit {MAX_CONSTANT_BYTES}), \
                 and external data are not written; use a smaller model"
            ),
            Self::MissingFeature(name) => write!(
                f,
                "the detector reads `{name}`, which the expanded graph does not give; \
                 fit the detector and expand the model with the same inputs and taps"
            ),
            Self::Detector(reason) => write!(f, "detector: {reason}"),
        }
    }
}

impl std::error::Error for ExportError {}
