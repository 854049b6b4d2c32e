//! Who speaks to whom, and which command is new.
//!
//! A session's number is given out once and its sequence numbers count up, so a command that was
//! recorded is never executed again: a repeat gives the stored answer, everything else nothing.

mod host;
mod responder;

pub use host::{Heard, Poll, RequestError, Requester, Timing};
pub use responder::{AnswerError, Counts, Ignored, Received, Responder, Ticket};

/// Version of the link that this crate speaks.
pub const VERSION: u8 = 1;
/// Commands that a device takes before it has answered the first of them; as many answers are kept.
pub const WINDOW: usize = 4;
/// Longest stored answer in bytes: an answer is kept until [`WINDOW`] later ones are.
pub const REPLY_BYTES_MAX: usize = 512;
