//! What a device decides without touching a register, so that a host can test it.
//!
//! [`device`] is the event loop: [`board`] is what it runs on, [`wire`] and [`session`] what a host
//! asks of it, [`judge`] and [`watch`] what it makes of frames.
//! [`flash`] is the narrow view of NOR flash, [`journal`] a log of states in two sectors, [`slots`]
//! the life of two bundle slots (`upload` fills one), [`verify`] what a bundle must show before it
//! runs, [`self_test`] the last of it.
//! [`settings`] is what a device is given once.
//! [`camera`] is a source of frames in pieces, [`pipeline`] makes the model's frame of them and
//! refuses what is [`unfit`]; `arducam` (feature) drives a camera behind a FIFO.
//! `sim` (feature, host only) is a flash whose power fails at any operation, and a whole device
//! behind a TCP port.
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
#[cfg(feature = "sim")]
extern crate std;

#[cfg(feature = "arducam")]
pub mod arducam;
pub mod arrivals;
pub mod board;
pub mod camera;
pub mod device;
pub mod flash;
pub mod history;
pub mod journal;
pub mod judge;
pub mod log;
pub mod pipeline;
pub mod record;
pub mod rehash;
pub mod self_test;
pub mod session;
pub mod settings;
#[cfg(feature = "sim")]
pub mod sim;
pub mod slots;
pub mod unfit;
pub mod upload;
pub mod verify;
pub mod watch;
pub mod wire;

/// Copies as much as both hold: everywhere here both are of one length, which a compiler does not
/// see, and `copy_from_slice` would keep its panic.
fn copy(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}
