//! TODO header.
#![no_std]
