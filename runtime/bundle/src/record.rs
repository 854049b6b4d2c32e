//! Fixed-width records: tensors and steps.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Operands of a step record; unused places hold [`crate::op::NONE`].
pub const OPERANDS: usize = 8;

/// Where a tensor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorKind {
    /// In the arena; `offset` in f32 elements.
    Arena = 0,
    /// In the bundle's blobs; `offset` in bytes, a multiple of 16.
    Blob = 1,
}

/// One tensor: an interval of f32 elements.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct TensorRecord {
    /// [`TensorKind`] number.
    pub kind: U32,
    /// See [`TensorKind`].
    pub offset: U32,
    /// Length in f32 elements.
    pub elements: U32,
}

/// One kernel call: inputs first, then outputs, in the order of [`crate::op::OpCode`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct StepRecord {
    /// [`crate::op::OpCode`] number.
    pub opcode: U16,
    /// Zero.
    pub reserved: U16,
    /// Byte offset of the parameter record in the parameter section.
    pub params: U32,
    /// Tensor indices.
    pub operands: [U16; OPERANDS],
}
