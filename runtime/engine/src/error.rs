//! Why a plan is refused, and why a frame is not run.

use core::fmt;

use gradgate_bundle::detector::DetectorError;
use gradgate_bundle::op::Activation;
use gradgate_bundle::op::OpCode;
use gradgate_bundle::shape::ShapeError;

/// What is wrong with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperandFault {
    /// Must be there.
    Missing,
    /// The operation has no such operand.
    Surplus,
    /// Another length than the parameters ask for.
    Length,
    /// A result in the blobs.
    ReadOnly,
    /// The result is also an input.
    InPlace,
    /// Read, or written in part, before it was written in full.
    Unwritten,
    /// A convolution's weight that is no constant.
    Weight,
}

/// Why a bundle's plan is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The floating-point unit flushes subnormals or does not round to nearest even.
    FloatMode,
    /// A step's parameters make no sense.
    Parameters {
        /// Step index.
        step: usize,
        /// What is wrong.
        error: ShapeError,
    },
    /// A step needs a function that this engine was built without (feature `functions`).
    Function {
        /// Step index.
        step: usize,
        /// Which.
        kind: Activation,
    },
    /// A step needs an operation that this engine was built without (feature `attention`).
    Operation {
        /// Step index.
        step: usize,
        /// Which.
        opcode: OpCode,
    },
    /// A `Preprocess` step for another frame than the manifest states.
    FrameShape {
        /// Step index.
        step: usize,
    },
    /// An operand that does not fit the step.
    Operand {
        /// Step index.
        step: usize,
        /// Place in the record.
        place: usize,
        /// What is wrong.
        fault: OperandFault,
    },
    /// Two tensors share memory while both are needed.
    Overlap {
        /// Tensor index.
        first: usize,
        /// Tensor index.
        second: usize,
    },
    /// A tensor that is needed after the first feature was written shares memory with the features.
    FeatureOverlap {
        /// Tensor index.
        tensor: usize,
    },
    /// A feature that the schema does not have, or that was written before.
    Feature {
        /// Step index.
        step: usize,
        /// Feature index.
        feature: usize,
    },
    /// A step reads a feature that no earlier step wrote.
    FeatureUnwritten {
        /// Step index.
        step: usize,
        /// Feature number.
        feature: usize,
    },
    /// The steps write fewer features than the schema names.
    FeaturesMissing,
    /// The layout contradicts the schema or the plan; says what.
    Layout(&'static str),
    /// The detector's arrays are wrong.
    Detector(DetectorError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::FloatMode => f.write_str(
                "the floating-point unit flushes subnormals to zero or does not round to nearest \
                 even: switch that mode off before loading",
            ),
            LoadError::Parameters { step, error } => {
                write!(f, "step {step}: parameters are refused ({error:?})")
            }
            LoadError::Function { step, kind } => {
                write!(f, "step {step}: this engine was built without the function {kind:?}")
            }
            LoadError::Operation { step, opcode } => {
                write!(f, "step {step}: this engine was built without {}", opcode.name())
            }
            LoadError::FrameShape { step } => {
                write!(f, "step {step}: preprocesses another frame size than the manifest states")
            }
            LoadError::Operand { step, place, fault } => {
                write!(f, "step {step}: operand {place} is refused ({fault:?})")
            }
            LoadError::Overlap { first, second } => {
                write!(f, "tensors {first} and {second} share memory while both are needed")
            }
            LoadError::FeatureOverlap { tensor } => {
                write!(f, "tensor {tensor} shares memory with the features while both are needed")
            }
            LoadError::Feature { step, feature } => {
                write!(f, "step {step}: feature {feature} is unknown or was written before")
            }
            LoadError::FeatureUnwritten { step, feature } => {
                write!(f, "step {step}: feature {feature} is read before it is written")
            }
            LoadError::FeaturesMissing => f.write_str("not every feature of the schema is written"),
            LoadError::Layout(what) => write!(f, "layout: {what}"),
            LoadError::Detector(error) => write!(f, "the detector is refused ({error:?})"),
        }
    }
}

impl core::error::Error for LoadError {}

/// Why a frame was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunError {
    /// The frame is not rows x columns x channels long.
    Frame {
        /// Values that the bundle asks for.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// The arena is too short.
    Arena {
        /// f32 elements that the bundle asks for.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A step did not fit its operands although the loader accepted it: a defect in this crate,
    /// reported instead of a panic. Cannot happen as far as the tests know.
    Defect {
        /// Step index.
        step: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Frame { expected, found } => {
                write!(f, "the frame has {found} values, the bundle asks for {expected}")
            }
            RunError::Arena { expected, found } => {
                write!(f, "the arena has {found} elements, the bundle asks for {expected}")
            }
            RunError::Defect { step } => write!(f, "defect in the engine at step {step}"),
        }
    }
}

impl core::error::Error for RunError {}
