//! The byte contract between host and device: one file, a *bundle*, holds a network, its detector
//! and the promise made for it. SPEC.md beside this crate says what every byte means.
//!
//! [`read`] checks untrusted bytes once; [`signature`] decides which bytes a device may decode at
//! all; `write` (feature, host only) makes them.
#![no_std]

#[cfg(feature = "write")]
extern crate alloc;

pub mod align;
mod decode;
pub mod detector;
pub mod digest;
pub mod error;
#[cfg(feature = "write")]
pub mod events;
pub mod header;
#[cfg(feature = "write")]
pub mod keys;
pub mod manifest;
pub mod op;
pub mod read;
pub mod record;
pub mod shape;
pub mod signature;
#[cfg(feature = "write")]
pub mod write;

pub use read::Bundle;
