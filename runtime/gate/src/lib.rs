//! Policy, verdict, gate: when one frame may pass, and when the classifier may be trusted.
//!
//! Knows no features, no network and no hardware; device, daemon and command line share it. Every
//! doubt ends as UNKNOWN, and nothing but a finite score at or under a finite threshold is PASS.
#![no_std]

pub mod gate;
pub mod policy;
pub mod verdict;

pub use gate::{Change, Gate, Reason, State};
pub use policy::{DEFAULT_POLICY, PolicyError, check_policy};
pub use verdict::{Cause, Limits, Verdict, decide};
