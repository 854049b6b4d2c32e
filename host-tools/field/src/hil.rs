//! Suites on hardware: recorded frames through a real device, compared with what is expected.
//!
//! A [`Suite`] is a TOML file; [`rig::Rig`] is the board on its bench. [`frames::run`] sends the
//! frames of a sequence and compares class, score and verdict; [`gate::run`] times the gate by the
//! device's own clock. What is expected is the caller's to say, frame by frame ([`Source`]), for
//! this crate knows no engine; [`expected`] keeps it in a file. [`junit`] writes the outcome.

pub mod compare;
pub mod expected;
pub mod frames;
pub mod gate;
mod hook;
pub mod junit;
pub mod outcome;
pub mod rig;
pub mod spoil;
mod suite;

pub use compare::Expected;
pub use outcome::{Mismatch, Outcome, Ran, Report};
pub use rig::Rig;
pub use spoil::How;
pub use suite::{Camera, Gate, GateCase, Hooks, Input, Pictures, Sequence, Start, Suite, beside};

pub use gradgate_link::events::Unfit;
pub use gradgate_link::message::Verdict;

use crate::error::Error;

/// How a frame goes over the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Of the model's size: the device's checks of pictures and times are left out.
    Model,
    /// As the board's camera makes it.
    Camera {
        /// The board's camera.
        camera: Camera,
        /// How old it is said to be, in microseconds.
        age_us: u32,
        /// What is wrong with it on purpose.
        how: Option<How>,
    },
}

/// A frame and what must come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// As its file calls it.
    pub name: String,
    /// As they are sent.
    pub bytes: Vec<u8>,
    /// As what they are sent.
    pub sent: Sent,
    /// What the device must say.
    pub expected: Expected,
    /// What the detector sees, as in [`gradgate_link::Reply::Features`]; empty for a frame that the
    /// network never sees.
    pub values: Vec<f32>,
    /// The model's input, in rows, columns, channels; for looking at it.
    pub picture: Vec<u8>,
}

/// Frames, one by one.
pub trait Source {
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The frame of this number.
    ///
    /// # Errors
    /// [`Error::File`].
    fn frame(&mut self, index: usize) -> Result<Given, Error>;
}
