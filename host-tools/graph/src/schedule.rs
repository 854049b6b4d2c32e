//! An ordered list of kernel calls over tensors: what `lower` makes and `plan` places.

use gradgate_bundle::op::OpCode;

use crate::graph::ValueId;

/// Index of a [`ScheduledTensor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub usize);

/// Where a tensor's elements come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// Computed per frame; placed in the arena by `plan`.
    Arena,
    /// Constant, in the order in which kernels read it.
    Blob(Vec<f32>),
}

/// One tensor of a schedule.
#[derive(Clone, Debug)]
pub struct ScheduledTensor {
    /// For dumps and pictures.
    pub name: String,
    /// Length in f32.
    pub elements: usize,
    /// Arena or blob.
    pub storage: Storage,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From the image to the logits, and squared norms of activations.
    Forward,
    /// Cotangents through the layers.
    Backward,
    /// Weight gradients, their norms and alignments.
    Norms,
}

impl Pass {
    /// Of a step of a forward node, or of the backward pass: a transposed convolution runs the
    /// kernel of an input gradient, and its input's cotangent is a convolution.
    pub fn of(opcode: OpCode, is_backward: bool) -> Pass {
        match opcode {
            OpCode::ConvWeightNorm | OpCode::ConvWeightGradient | OpCode::ConvAlignment => {
                Pass::Norms
            }
            _ if is_backward => Pass::Backward,
            _ => Pass::Forward,
        }
    }
}

/// One kernel call.
#[derive(Clone, Debug)]
pub struct Step {
    /// Name of the graph node that it computes (the last one of a fused chain).
    pub name: String,
    /// Which kernel.
    pub opcode: OpCode,
    /// The parameter record's bytes.
    pub params: Vec<u8>,
    /// Operands by place; `None` for an absent optional one.
    pub operands: Vec<Option<TensorId>>,
    /// Multiply-adds, padding counted.
    pub macs: u64,
    /// What it is for.
    pub pass: Pass,
    /// Whether the step ran before and `plan` runs it again.
    pub again: bool,
}

/// Kernel calls in order, with everything that `plan` and `pack` need.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// All tensors.
    pub tensors: Vec<ScheduledTensor>,
    /// All steps, in order.
    pub steps: Vec<Step>,
    /// Squared gradient norms, squared activation norms, then alignments.
    pub features: usize,
    /// The logits.
    pub logits: TensorId,
    /// The penultimate vector.
    pub penultimate: Option<TensorId>,
    /// Height, width, channels of the frame.
    pub input: [usize; 3],
    /// Which tensor holds a graph value, for those that are materialised.
    pub values: Vec<(ValueId, TensorId)>,
}

impl Schedule {
    /// Multiply-adds of all steps.
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(|step| step.macs).sum()
    }
}
