//! Executes a plan in one caller-given arena.
//!
//! No allocation, no unsafe code outside [`isa`], no panic after [`Engine::load`]: the bundle's
//! records are checked once and then trusted. Numerics are fixed in NUMERICS.md.
#![no_std]

mod arena;
mod check;
pub mod compute;
pub mod detector;
mod engine;
mod error;
mod float_mode;
pub mod isa;
pub mod kernels;
pub mod math;
mod step;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub mod vector;

pub use engine::{Engine, Features};
pub use error::{LoadError, OperandFault, RunError};
pub use step::{Frame, Written};
