//! Compiler.
pub mod graph;
pub mod ops;
pub mod proto;
pub mod expand;
pub mod export;
pub mod interp;
pub mod taps;
