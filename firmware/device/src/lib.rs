//! What a device decides without touching a register, so that a host can test it.
//!
//! [`flash`] is the narrow view of NOR flash, [`journal`] a log of states in two sectors, [`slots`]
//! the life of two bundle slots (`upload` fills one), [`verify`] what a bundle must show before it
//! runs, [`self_test`] the last of it.
//! [`camera`] is a source of frames in pieces, [`pipeline`] makes the model's frame of them and
//! refuses what is [`unfit`].
//! `sim` (feature, host only) is a flash whose power fails at any operation.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(feature = "sim")]
extern crate alloc;

pub mod arrivals;
pub mod camera;
pub mod flash;
pub mod journal;
pub mod pipeline;
pub mod record;
pub mod self_test;
#[cfg(feature = "sim")]
pub mod sim;
pub mod slots;
pub mod unfit;
pub mod upload;
pub mod verify;
