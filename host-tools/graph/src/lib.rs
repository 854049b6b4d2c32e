//! Compiler.
pub mod alignment;
pub mod cost;
pub mod expand;
pub mod export;
pub mod graph;
pub mod image_gradient;
pub mod import;
pub mod interp;
pub mod lower;
pub mod ops;
pub mod pack;
pub mod plan;
pub mod proto;
pub mod schedule;
pub mod taps;
