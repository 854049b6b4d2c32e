//! The byte contract between host and device.
#![no_std]

pub mod op;
pub mod record;
