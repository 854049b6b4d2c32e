//! Errands made of several requests, pollable like the link below them.

use gradgate_link::{Reply, Request};

use crate::error::Error;
use crate::link::{Link, Poll};

/// What an errand wants next.
#[derive(Debug)]
pub enum Next<'a> {
    /// Ask this; the same again until it was answered.
    Ask(Request<'a>),
    /// Nothing before this time, in milliseconds.
    Pause(u64),
    /// No more.
    Done,
}

/// An errand.
pub trait Job {
    /// What it wants at this time.
    fn next(&self, now_ms: u64) -> Next<'_>;
    /// Takes the answer to what [`Job::next`] asked. `again`: it may have been executed before, in
    /// a session that was lost.
    ///
    /// # Errors
    /// The errand has failed.
    fn answered(&mut self, reply: &Reply<'_>, again: bool, now_ms: u64) -> Result<(), Error>;
    /// The time of a pause has come.
    ///
    /// # Errors
    /// The errand has failed.
    fn resume(&mut self, now_ms: u64) -> Result<(), Error>;
}

/// What time asks of who drives an errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send [`Link::frame`], then step again.
    Send,
    /// Nothing to do before this time in milliseconds, unless bytes arrive.
    Wait(u64),
    /// The errand is done.
    Done,
}

/// One step of an errand: whoever has a clock and a port, real or simulated, drives it with this.
/// What arrived goes to [`Link::receive`] before.
///
/// # Errors
/// Those of [`Link::poll`] and of the errand.
pub fn step(
    link: &mut Link,
    job: &mut dyn Job,
    now_ms: u64,
    nonce: &mut dyn FnMut() -> u64,
) -> Result<Step, Error> {
    loop {
        match job.next(now_ms) {
            Next::Done => return Ok(Step::Done),
            Next::Pause(until_ms) if now_ms < until_ms => return Ok(Step::Wait(until_ms)),
            Next::Pause(_) => job.resume(now_ms)?,
            Next::Ask(request) => match link.poll(now_ms, nonce, &request)? {
                Poll::Send => return Ok(Step::Send),
                Poll::Wait(until_ms) => return Ok(Step::Wait(until_ms)),
                Poll::Answered { again } => {
                    let doing = crate::link::doing(&request);
                    let reply = link.reply().ok_or(Error::Answer { doing })?;
                    job.answered(&reply, again, now_ms)?;
                }
            },
        }
    }
}
