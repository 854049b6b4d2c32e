//! A bundle in pieces: two state machines, a sender on the host and a receiver on the device.
//!
//! The receiver alone knows what it has; every answer says where the next piece starts, and the
//! sender goes there. An upload is known by its digest, so it goes on after a lost session and
//! never continues another bundle; in the end the digest of everything written is compared.

/// Bytes of a bundle that announce it: manifest and signature.
pub const PREFIX_BYTES: usize = 320;

mod receiver;
mod sender;

pub use receiver::{Announced, Receiver, Sink, SinkError};
pub use sender::{Progress, Sender};
