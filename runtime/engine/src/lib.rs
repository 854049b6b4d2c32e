//! TODO header.
#![no_std]

pub mod detector;
pub mod math;
