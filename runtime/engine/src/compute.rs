//! What the engine computes with: the scalar kernels, or an instruction set's vector kernels.
//!
//! Everything here is the caller's: which instructions, the memory for weights that are kept
//! as kernels read them, the threads. In exact numerics none of it changes a bit of any result.

use core::fmt;

use crate::isa::{Isa, Numerics};

/// Threads that run parts of a step at the same time.
pub trait Workers: Sync {
    /// How many parts are worth making.
    fn count(&self) -> usize;

    /// Runs every task once, in any order and on any thread; returns when all have ended.
    fn run(&self, tasks: &mut [&mut (dyn FnMut() + Send)]);
}

/// What the engine computes with. The default is what a microcontroller has: scalar kernels, which
/// need no memory beside the arena.
#[derive(Clone, Copy, Default)]
pub struct Compute<'a> {
    /// Vector kernels of this instruction set instead of the scalar ones.
    pub isa: Option<Isa>,
    /// How products are added; [`Numerics::Fast`] needs an instruction set.
    pub numerics: Numerics,
    /// Weights as vector kernels read them, made once by [`crate::Engine::prepare`] for the same
    /// numerics; empty: every frame makes them anew. Best from a cache line on ([`line_offset`]).
    pub prepared: &'a [f32],
    /// Threads; none: the caller's alone. They need an instruction set too.
    pub workers: Option<&'a dyn Workers>,
}

impl fmt::Debug for Compute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compute")
            .field("isa", &self.isa)
            .field("numerics", &self.numerics)
            .field("prepared", &self.prepared.len())
            .field("workers", &self.workers.map(Workers::count))
            .finish()
    }
}

/// Elements of a cache line. Rows of sixteen that straddle two of them cost up to half the speed.
pub const LINE: usize = 16;

/// Elements before the first that begins a cache line, less than [`LINE`]; a buffer of so many
/// more than needed has room for the rest.
pub fn line_offset(values: &[f32]) -> usize {
    values.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE - 1)
}

/// Why an engine does not compute so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeError {
    /// Fast numerics or threads without an instruction set.
    NoIsa,
    /// Prepared weights of another length; `expected` elements, or none.
    Prepared {
        /// Elements of all prepared weights.
        expected: usize,
        /// Elements given.
        found: usize,
    },
}

impl fmt::Display for ComputeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ComputeError::NoIsa => f.write_str(
                "fast numerics and threads need vector kernels, which this processor does not have",
            ),
            ComputeError::Prepared { expected, found } => write!(
                f,
                "the prepared weights have {found} elements, the bundle asks for {expected}"
            ),
        }
    }
}

impl core::error::Error for ComputeError {}
