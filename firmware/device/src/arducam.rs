//! ArduCAM Mini with an OV2640: commands over SCCB (I2C), frames from a FIFO over SPI.
//!
//! The sensor writes one frame into the FIFO of the board's controller (ArduChip) and the driver
//! reads it out, one burst a poll; the next capture begins when the frame was read. At the 8 MHz
//! that ArduChip allows (SPI mode 0), 160 x 120 takes about 40 ms to read and 320 x 240 about 160.
//! SCCB knows no repeated start, so registers are read by a write and a separate read.
//!
//! **This was tested with mocks of the buses, on no part.** Registers of ArduChip are those of
//! ArduCAM's published map, those of the sensor stand in `ov2640.rs` with their sources. What the
//! documents leave open is an option: see [`Options::leading_byte`].
//!
//! No check sum covers a frame on its way. A line that is stuck shows as a wrong identity, length
//! or a constant picture; a bit that flips is a wrong sample.

mod ov2640;
mod start;

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use embedded_hal::spi::{Operation, SpiDevice};
use gradgate_frame::PixelFormat;

use crate::camera::{CameraError, Event, FrameSource, Geometry, Stamp};
use start::Progress;

/// What it sends.
pub const GEOMETRIES: [Geometry; 4] = [
    Geometry { format: PixelFormat::Rgb565Be, width: 160, height: 120 },
    Geometry { format: PixelFormat::Rgb565Be, width: 320, height: 240 },
    Geometry { format: PixelFormat::Yuyv, width: 160, height: 120 },
    Geometry { format: PixelFormat::Yuyv, width: 320, height: 240 },
];

/// ArduChip: a register that holds what is written.
const TEST: u8 = 0x00;
/// Pointers and capture: 1 clears the flag of a capture, 2 begins one.
const FIFO: u8 = 0x04;
const FIFO_CLEAR: u8 = 0x01;
const FIFO_START: u8 = 0x02;
/// Reset of the controller.
const RESET: u8 = 0x07;
const RESET_ON: u8 = 0x80;
/// Version of the controller.
const REVISION: u8 = 0x40;
/// State of the capture; its bit 3 is set when the frame is in the FIFO.
const STATE: u8 = 0x41;
const STATE_DONE: u8 = 0x08;
/// Bytes in the FIFO, the low ones first; the last register has three bits of them.
const LENGTH: [u8; 3] = [0x42, 0x43, 0x44];
const LENGTH_HIGH: u8 = 0x07;
/// Reads on from the FIFO, as many bytes as the transfer has.
const BURST: u8 = 0x3C;
/// Set in a register's address to write it.
const WRITE: u8 = 0x80;

/// Bytes that the FIFO may hold beyond a frame. The controller counts in blocks, and says so of
/// small pictures; whole rows more would be another geometry.
const PADDING_BYTES_MAX: usize = 1_024;
/// So many errors in a row, and the camera starts anew: it may have lost its registers.
const RESTART_ERRORS: u32 = 3;

/// What boards and their wiring differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Older boards give one byte that means nothing before the first of a frame; where it is not
    /// dropped, the bytes of every pixel are torn apart. ArduCAM's own examples drop it or not, by
    /// the board.
    pub leading_byte: bool,
    /// A capture that takes longer has failed. The sensor has up to 15 frames a second, fewer in
    /// the dark.
    pub capture_us_max: u64,
    /// After an error, how long until the next capture, or the next start.
    pub pause_us: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { leading_byte: false, capture_us_max: 500_000, pause_us: 100_000 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not configured.
    Off,
    /// The next step of the start is due at this time.
    Starting {
        step: usize,
        from_us: u64,
    },
    /// The next capture begins at this time.
    Idle {
        from_us: u64,
    },
    Capturing {
        begun_us: u64,
    },
    /// Bytes that the FIFO still holds, and whether none was read yet.
    Reading {
        lacking: usize,
        first: bool,
    },
    /// All bytes were lent.
    Whole,
}

/// What a poll did; the piece lies in the buffer.
enum Step {
    Nothing,
    Begin(Stamp),
    Bytes { from: usize, to: usize },
    End,
}

/// An ArduCAM Mini with an OV2640, read `N` bytes a poll: at least two.
pub struct ArduCam<S, I, D, const N: usize = 640> {
    spi: S,
    i2c: I,
    delay: D,
    options: Options,
    piece: [u8; N],
    geometry: Geometry,
    state: State,
    number: u32,
    revision: u8,
    errors: u32,
    errors_in_a_row: u32,
}

impl<S: SpiDevice, I: I2c, D: DelayNs, const N: usize> ArduCam<S, I, D, N> {
    /// A camera that was not touched yet. `spi` owns the chip select, in mode 0 and at 8 MHz at
    /// most; SCCB takes up to 400 kHz.
    pub fn new(spi: S, i2c: I, delay: D, options: Options) -> Self {
        const { assert!(N >= 2, "a piece has room for the leading byte and one more") };
        let [geometry, ..] = GEOMETRIES;
        ArduCam {
            spi,
            i2c,
            delay,
            options,
            piece: [0; N],
            geometry,
            state: State::Off,
            number: 0,
            revision: 0,
            errors: 0,
            errors_in_a_row: 0,
        }
    }

    /// Version of the controller, as read when it was configured last.
    pub fn revision(&self) -> u8 {
        self.revision
    }

    /// Errors since the start.
    pub fn errors(&self) -> u32 {
        self.errors
    }

    /// Errors since the last whole frame, or since it was configured. From the third on, each makes
    /// the camera start anew, as it may have lost its registers with its power.
    pub fn errors_in_a_row(&self) -> u32 {
        self.errors_in_a_row
    }

    /// Gives the buses back.
    pub fn release(self) -> (S, I, D) {
        (self.spi, self.i2c, self.delay)
    }

    fn failed(&mut self, error: CameraError) -> CameraError {
        self.errors = self.errors.saturating_add(1);
        self.errors_in_a_row = self.errors_in_a_row.saturating_add(1);
        error
    }

    fn step(&mut self, now_us: u64) -> Result<Step, CameraError> {
        match self.state {
            State::Off => Ok(Step::Nothing),
            State::Starting { step, from_us } => {
                if now_us >= from_us {
                    self.state = self.started(step, now_us)?;
                }
                Ok(Step::Nothing)
            }
            State::Idle { from_us } => {
                if now_us >= from_us {
                    self.write(FIFO, FIFO_CLEAR)?;
                    self.write(FIFO, FIFO_START)?;
                    self.state = State::Capturing { begun_us: now_us };
                }
                Ok(Step::Nothing)
            }
            State::Capturing { begun_us } => self.look(begun_us, now_us),
            State::Reading { lacking, first } => self.burst(lacking, first),
            State::Whole => {
                self.state = State::Idle { from_us: now_us };
                self.errors_in_a_row = 0;
                Ok(Step::End)
            }
        }
    }

    /// Does one step of the start, and says what is next.
    fn started(&mut self, step: usize, now_us: u64) -> Result<State, CameraError> {
        Ok(match self.start(step)? {
            Progress::Done => State::Idle { from_us: now_us },
            Progress::Next(wait_ms) => {
                let wait_us = u64::from(wait_ms).saturating_mul(1_000);
                State::Starting {
                    step: step.saturating_add(1),
                    from_us: now_us.saturating_add(wait_us),
                }
            }
        })
    }

    /// Where an error leaves the camera.
    fn after_error(&self, now_us: u64) -> State {
        let from_us = now_us.saturating_add(self.options.pause_us);
        match self.state {
            State::Off => State::Off,
            State::Starting { .. } => State::Starting { step: 0, from_us },
            _ if self.errors_in_a_row >= RESTART_ERRORS => State::Starting { step: 0, from_us },
            State::Idle { .. } | State::Capturing { .. } | State::Reading { .. } | State::Whole => {
                State::Idle { from_us }
            }
        }
    }

    /// Whether the frame is in the FIFO.
    fn look(&mut self, begun_us: u64, now_us: u64) -> Result<Step, CameraError> {
        if self.read(STATE)? & STATE_DONE == 0 {
            let late = now_us.saturating_sub(begun_us) > self.options.capture_us_max;
            return if late { Err(CameraError::Timeout) } else { Ok(Step::Nothing) };
        }
        let [low, middle, high] = LENGTH;
        let bytes = [self.read(low)?, self.read(middle)?, self.read(high)? & LENGTH_HIGH, 0];
        let held = u32::from_le_bytes(bytes) as usize;
        let lacking = self.geometry.frame_bytes().ok_or(CameraError::Geometry)?;
        let least = lacking.saturating_add(usize::from(self.options.leading_byte));
        if held < least || held > least.saturating_add(PADDING_BYTES_MAX) {
            return Err(CameraError::Length);
        }
        self.state = State::Reading { lacking, first: true };
        self.number = self.number.wrapping_add(1);
        Ok(Step::Begin(Stamp { number: self.number, captured_us: begun_us }))
    }

    /// Reads the next piece.
    fn burst(&mut self, lacking: usize, first: bool) -> Result<Step, CameraError> {
        let from = usize::from(first && self.options.leading_byte);
        let to = lacking.saturating_add(from).min(N);
        let piece = self.piece.get_mut(..to).unwrap_or_default();
        let mut operations = [Operation::Write(&[BURST]), Operation::Read(piece)];
        self.spi.transaction(&mut operations).map_err(|_| CameraError::Bus)?;
        let lacking = lacking.saturating_sub(to.saturating_sub(from));
        self.state =
            if lacking == 0 { State::Whole } else { State::Reading { lacking, first: false } };
        Ok(Step::Bytes { from, to })
    }

    fn write(&mut self, register: u8, value: u8) -> Result<(), CameraError> {
        self.spi.write(&[register | WRITE, value]).map_err(|_| CameraError::Bus)
    }

    fn read(&mut self, register: u8) -> Result<u8, CameraError> {
        let mut value = [0];
        let mut operations = [Operation::Write(&[register]), Operation::Read(&mut value)];
        self.spi.transaction(&mut operations).map_err(|_| CameraError::Bus)?;
        let [value] = value;
        Ok(value)
    }
}

impl<S: SpiDevice, I: I2c, D: DelayNs, const N: usize> FrameSource for ArduCam<S, I, D, N> {
    fn geometries(&self) -> &[Geometry] {
        &GEOMETRIES
    }

    /// Takes about 400 ms; the first frames afterwards are dark until the exposure has settled.
    /// After an error, polls start the camera again, a step each, without waiting.
    fn configure(&mut self, geometry: Geometry) -> Result<(), CameraError> {
        self.state = State::Off;
        if ov2640::tables(geometry).is_none() {
            return Err(self.failed(CameraError::Geometry));
        }
        self.geometry = geometry;
        self.state = State::Starting { step: 0, from_us: 0 };
        // The tables end: so do the steps.
        for step in 0.. {
            match self.start(step) {
                Ok(Progress::Next(0)) => {}
                Ok(Progress::Next(wait_ms)) => self.delay.delay_ms(wait_ms),
                Ok(Progress::Done) => break,
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.state = State::Idle { from_us: 0 };
        self.errors_in_a_row = 0;
        Ok(())
    }

    fn poll(&mut self, now_us: u64) -> Result<Event<'_>, CameraError> {
        match self.step(now_us) {
            Ok(Step::Nothing) => Ok(Event::Nothing),
            Ok(Step::Begin(stamp)) => Ok(Event::Begin(self.geometry, stamp)),
            Ok(Step::Bytes { from, to }) => {
                Ok(Event::Bytes(self.piece.get(from..to).unwrap_or_default()))
            }
            Ok(Step::End) => Ok(Event::End),
            Err(error) => {
                let error = self.failed(error);
                self.state = self.after_error(now_us);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
#[path = "arducam_tests.rs"]
mod tests;
