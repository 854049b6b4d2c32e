//! The wire contract between host and device. SPEC.md beside this crate says what every byte means.
//!
//! From the wire upwards: [`decoder`] finds frames in a stream of bytes and [`frame`] makes them;
//! [`packet`] is what a frame holds; [`mac`] tells who wrote it; [`session`] decides what is new;
//! [`message`] is what is asked and answered; [`upload`] moves a bundle. Everything is pure: bytes
//! and times come in, bytes go out. No heap, no clock, no port, and nothing panics, whatever
//! arrives.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(any(test, feature = "channel"))]
extern crate alloc;

#[cfg(feature = "channel")]
pub mod channel;
pub mod decoder;
pub mod events;
pub mod frame;
pub mod mac;
pub mod message;
pub mod packet;
pub mod queue;
pub mod session;
pub mod telemetry;
pub mod upload;

pub use decoder::Decoder;
pub use mac::Key;
pub use message::{Refusal, Reply, Request};
pub use session::{Requester, Responder};
pub use telemetry::Telemetry;
