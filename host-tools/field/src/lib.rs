//! The host's side of a device: finds it, talks to it, flashes it, alone or by the hundred.
//!
//! [`link`] is the pollable core: bytes and times in, bytes out; it says hello, asks, asks again
//! and finds back after a restart. A [`job::Job`] is a longer errand made of requests, such as
//! [`flash::Flash`]. [`client::Client`] is the thin blocking layer above both, over a
//! [`wire::Wire`]: a port with the system's clock, or a simulated world with a clock of its own.
//! No decision here is about safety: what may run is the device's to say.

pub mod address;
pub mod client;
pub mod device;
pub mod error;
pub mod evidence;
pub mod flash;
pub mod fleet;
pub mod found;
pub mod hil;
pub mod job;
pub mod keys;
pub mod link;
pub mod lock;
pub mod monitor;
pub mod pattern;
pub mod port;
pub mod provision;
pub mod wire;
pub mod words;

pub use address::Address;
pub use client::Client;
pub use error::{Class, Error};
pub use keys::Keyring;
