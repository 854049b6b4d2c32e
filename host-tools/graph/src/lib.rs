//! Compiler.
pub mod graph;
