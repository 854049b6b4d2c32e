//! Policy and verdict: when one frame may pass, and which gate policies make sense.
//!
//! Knows no features, no network and no hardware; device, daemon and command line share it. Every
//! doubt ends as UNKNOWN, and nothing but a finite score at or under a finite threshold is PASS.
#![no_std]

pub mod policy;
pub mod verdict;

pub use policy::{DEFAULT_POLICY, PolicyError, check_policy};
pub use verdict::{Cause, Limits, Verdict, decide};
