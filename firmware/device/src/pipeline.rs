//! Camera bytes in, one frame at the model's size out, with every check that needs no network.
//!
//! Bytes come in pieces of any length and are converted and averaged row by row, so there is no
//! buffer of a camera frame: a row of the camera, the same row converted, two rows of sums, and the
//! one frame that the engine reads. The result is bit for bit what [`gradgate_frame`] makes of the
//! same bytes on the host.
//!
//! The spread of samples is that of the camera's pixels, the digest that tells a frozen stream is
//! of the camera's bytes: both before the average, which would hide a pixel that still moves. The
//! frame of the model can thus be equal to the one before where the device sees no standstill.
//!
//! A frame that is unfit is UNKNOWN with the cause SENSOR. Which time is stale is the policy's
//! matter: `frame_period_us` times the periods that the board allows, and `frozen_frames`.

use gradgate_bundle::header::Policy;
use gradgate_frame::{CheckLimits, Digest, FrozenWatch, Intake, IntakeError, Size, Spread};
use gradgate_gate::{PolicyError, check_policy};

use crate::arrivals::Arrivals;
use crate::camera::{Event, FrameSource, Geometry, Stamp};
use crate::unfit::{self, Unfit};

/// Shape of the frame that the model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameShape {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// 1: grey, 3: RGB.
    pub channels: usize,
}

/// Lengths of the buffers that a pipeline works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of a camera row that came in pieces.
    pub line: usize,
    /// Bytes of a camera row after conversion.
    pub row: usize,
    /// Elements of the sums.
    pub sums: usize,
    /// Bytes of the model's frame.
    pub frame: usize,
}

impl Sizes {
    /// For frames of a camera and a model. What cannot be asks for more than there can be.
    pub const fn of(camera: Geometry, model: FrameShape) -> Sizes {
        let pixels = (model.width as usize).saturating_mul(model.height as usize);
        let line = match camera.row_bytes() {
            Some(bytes) => bytes,
            None => usize::MAX,
        };
        Sizes {
            line,
            row: Intake::row_len(camera.width, model.channels),
            sums: gradgate_frame::scratch_len(model.width, model.channels),
            frame: pixels.saturating_mul(model.channels),
        }
    }
}

/// Memory of a pipeline, each at least as long as [`Sizes`] says.
pub struct Buffers<'a> {
    /// See [`Sizes::line`].
    pub line: &'a mut [u8],
    /// See [`Sizes::row`].
    pub row: &'a mut [u8],
    /// See [`Sizes::sums`].
    pub sums: &'a mut [u64],
    /// See [`Sizes::frame`].
    pub frame: &'a mut [u8],
}

/// What a pipeline takes, gives and refuses.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What the camera sends.
    pub camera: Geometry,
    /// What the model takes.
    pub model: FrameShape,
    /// The bundle's policy.
    pub policy: Policy,
    /// A frame older than this many of the policy's frame periods is late, from its capture until
    /// its last byte was here.
    pub age_periods: u8,
    /// What counts as blank.
    pub checks: CheckLimits,
}

/// Why there is no pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// No camera frame can have this geometry.
    Geometry,
    /// A buffer is shorter than [`Sizes`] says.
    Buffer,
    /// Format, sides or channels do not go together.
    Intake(IntakeError),
    /// No gate could follow the policy.
    Policy(PolicyError),
}

/// What a poll of the camera brought; each frame is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled<'f> {
    /// No news.
    Nothing,
    /// A frame for the network.
    Frame(Stamp, &'f [u8]),
    /// A frame for nobody; without a stamp when the camera failed between two frames.
    Unfit(Option<Stamp>, Unfit),
}

/// How far the frame in progress has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    Idle,
    Filling(Stamp),
    /// Whatever comes of it now, it is unfit.
    Refused {
        stamp: Option<Stamp>,
        unfit: Unfit,
        told: bool,
    },
}

/// See the module.
pub struct Pipeline<'a> {
    camera: Geometry,
    checks: CheckLimits,
    frozen_frames: u8,
    row_bytes: usize,
    frame_bytes: usize,
    channels: usize,
    intake: Intake<'a>,
    /// The camera row in progress, and how many of its bytes are here.
    line: &'a mut [u8],
    filled: usize,
    frame: &'a mut [u8],
    state: State,
    /// Bytes that the frame still lacks.
    lacking: usize,
    digest: Digest,
    spread: Spread,
    frozen: FrozenWatch,
    arrivals: Arrivals,
}

impl<'a> Pipeline<'a> {
    /// A pipeline that has seen no frame.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(settings: &Settings, buffers: Buffers<'a>) -> Result<Self, SetupError> {
        let Settings { camera, model, policy, age_periods, checks } = *settings;
        check_policy(&policy).map_err(SetupError::Policy)?;
        let row_bytes = camera.row_bytes().ok_or(SetupError::Geometry)?;
        let frame_bytes = camera.frame_bytes().ok_or(SetupError::Geometry)?;
        let sizes = Sizes::of(camera, model);
        let Buffers { line, row, sums, frame } = buffers;
        let line = line.get_mut(..sizes.line).ok_or(SetupError::Buffer)?;
        let row = row.get_mut(..sizes.row).ok_or(SetupError::Buffer)?;
        let sums = sums.get_mut(..sizes.sums).ok_or(SetupError::Buffer)?;
        let frame = frame.get_mut(..sizes.frame).ok_or(SetupError::Buffer)?;
        let from = Size { width: camera.width, height: camera.height };
        let to = Size { width: model.width, height: model.height };
        let intake = Intake::new(camera.format, from, to, model.channels, row, sums)
            .map_err(SetupError::Intake)?;
        let age_max_us = u64::from(policy.frame_period_us).saturating_mul(u64::from(age_periods));
        Ok(Pipeline {
            camera,
            checks,
            frozen_frames: policy.frozen_frames,
            row_bytes,
            frame_bytes,
            channels: model.channels,
            intake,
            line,
            filled: 0,
            frame,
            state: State::Idle,
            lacking: 0,
            digest: Digest::EMPTY,
            spread: Spread::new(model.channels),
            frozen: FrozenWatch::new(),
            arrivals: Arrivals::new(age_max_us),
        })
    }

    /// Begins a frame; one in progress is dropped.
    ///
    /// # Errors
    /// [`Unfit::Geometry`] and what [`Arrivals::take`] finds; the frame's bytes are then refused.
    pub fn begin(&mut self, stamp: Stamp, geometry: Geometry, now_us: u64) -> Result<(), Unfit> {
        self.intake.restart();
        (self.filled, self.lacking) = (0, self.frame_bytes);
        self.digest = Digest::EMPTY;
        self.spread = Spread::new(self.channels);
        self.state = State::Filling(stamp);
        let arrived = self.arrivals.take(stamp, now_us);
        let result = if geometry == self.camera { arrived } else { Err(Unfit::Geometry) };
        result.map_err(|unfit| self.refuse(unfit))
    }

    /// Takes the next bytes of the frame: any number, cut anywhere.
    ///
    /// # Errors
    /// [`Unfit::WrongSize`] for more bytes than the frame has, or outside of one; what was wrong
    /// with the frame before.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Unfit> {
        match self.state {
            State::Filling(_) => self.take(bytes).map_err(|unfit| self.refuse(unfit)),
            State::Refused { unfit, .. } => Err(unfit),
            State::Idle => Err(self.refuse(Unfit::WrongSize)),
        }
    }

    /// Ends the frame and gives it, in rows, columns, channels.
    ///
    /// # Errors
    /// Any [`Unfit`]; the first that was found.
    pub fn finish(&mut self, now_us: u64) -> Result<&[u8], Unfit> {
        self.close(now_us)?;
        Ok(self.frame)
    }

    /// Lends the frame's memory to who has frames of the model's size; one in progress is dropped.
    pub fn frame_mut(&mut self) -> &mut [u8] {
        self.abandon();
        self.frame
    }

    /// Gives the frame in progress up, as when the camera reports an error.
    pub fn abandon(&mut self) {
        self.state = State::Idle;
    }

    /// Asks the camera once, and does what follows: the loop of a board calls this again and again.
    pub fn poll<S: FrameSource>(&mut self, source: &mut S, now_us: u64) -> Polled<'_> {
        let event = match source.poll(now_us) {
            Ok(event) => event,
            Err(_) => return self.lost(Unfit::Camera),
        };
        match event {
            Event::Nothing => Polled::Nothing,
            Event::Begin(geometry, stamp) => {
                // A frame without an end was cut short. What may be wrong with the new one is then
                // told at its first bytes.
                let cut = match self.state {
                    State::Idle => Polled::Nothing,
                    State::Filling(_) | State::Refused { .. } => self.lost(Unfit::WrongSize),
                };
                match self.begin(stamp, geometry, now_us) {
                    Err(_) if cut == Polled::Nothing => self.tell(),
                    Ok(()) | Err(_) => cut,
                }
            }
            Event::Bytes(bytes) => match self.push(bytes) {
                Ok(()) => Polled::Nothing,
                Err(_) => self.tell(),
            },
            Event::End => self.end(now_us),
        }
    }

    fn end(&mut self, now_us: u64) -> Polled<'_> {
        let State::Filling(stamp) = self.state else {
            return self.lost(Unfit::WrongSize);
        };
        match self.close(now_us) {
            Ok(()) => Polled::Frame(stamp, self.frame),
            Err(unfit) => Polled::Unfit(Some(stamp), unfit),
        }
    }

    /// Ends a frame that cannot be whole, and tells so unless that was done.
    fn lost(&mut self, otherwise: Unfit) -> Polled<'static> {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Polled::Unfit(None, otherwise),
            State::Filling(stamp) => Polled::Unfit(Some(stamp), otherwise),
            State::Refused { told: true, .. } => Polled::Nothing,
            State::Refused { stamp, unfit, told: false } => Polled::Unfit(stamp, unfit),
        }
    }

    /// Tells what is wrong with the frame in progress, once.
    fn tell(&mut self) -> Polled<'static> {
        match &mut self.state {
            State::Refused { stamp, unfit, told } if !*told => {
                *told = true;
                Polled::Unfit(*stamp, *unfit)
            }
            State::Idle | State::Filling(_) | State::Refused { .. } => Polled::Nothing,
        }
    }

    fn refuse(&mut self, unfit: Unfit) -> Unfit {
        let stamp = match self.state {
            State::Filling(stamp) => Some(stamp),
            State::Idle | State::Refused { .. } => None,
        };
        self.state = State::Refused { stamp, unfit, told: false };
        unfit
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Unfit> {
        self.lacking = self.lacking.checked_sub(bytes.len()).ok_or(Unfit::WrongSize)?;
        self.digest.add(bytes);
        let mut rest = bytes;
        if self.filled > 0 {
            rest = self.fill(rest);
            if self.filled < self.row_bytes {
                return Ok(());
            }
            self.filled = 0;
            let (intake, spread) = (&mut self.intake, &mut self.spread);
            take_row(intake, spread, self.line, self.frame)?;
        }
        // A camera that can be configured has rows of at least one byte.
        let rows = rest.chunks_exact(self.row_bytes.max(1));
        let tail = rows.remainder();
        for row in rows {
            take_row(&mut self.intake, &mut self.spread, row, self.frame)?;
        }
        self.fill(tail);
        Ok(())
    }

    /// Copies into the row in progress what fits, and returns what is left.
    fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let free = self.line.get_mut(self.filled..).unwrap_or_default();
        let taken = free.len().min(bytes.len());
        for (to, from) in free.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.filled = self.filled.saturating_add(taken);
        bytes.get(taken..).unwrap_or_default()
    }

    fn close(&mut self, now_us: u64) -> Result<(), Unfit> {
        let stamp = match core::mem::replace(&mut self.state, State::Idle) {
            State::Idle => return Err(Unfit::WrongSize),
            State::Refused { unfit, .. } => return Err(unfit),
            State::Filling(stamp) => stamp,
        };
        if self.lacking > 0 {
            return Err(Unfit::WrongSize);
        }
        // Before the other checks: a constant frame counts in the row of equal ones, too.
        let frozen = self.frozen.observe_digest(self.digest.value(), self.frozen_frames);
        self.spread.check(self.checks).map_err(unfit::of)?;
        frozen.map_err(unfit::of)?;
        self.arrivals.check_age(stamp, now_us)
    }
}

fn take_row(
    intake: &mut Intake<'_>,
    spread: &mut Spread,
    row: &[u8],
    frame: &mut [u8],
) -> Result<(), Unfit> {
    // Lengths were checked when the pipeline was made, and bytes are counted.
    intake.push_row(row, frame).map_err(|_| Unfit::WrongSize)?;
    spread.add(intake.row());
    Ok(())
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
