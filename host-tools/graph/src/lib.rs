//! Compiler.
pub mod graph;
pub mod ops;
pub mod proto;
pub mod expand;
pub mod export;
pub mod interp;
pub mod taps;
pub mod lower;
pub mod schedule;
pub mod import;
pub mod pack;
pub mod plan;
