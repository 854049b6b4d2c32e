//! A camera as the pipeline sees it: it sends frames in pieces, one piece a poll.
//!
//! [`FrameSource`] fits both kinds of camera that microcontrollers have:
//!
//! - A camera behind a FIFO (ArduCAM Mini, over SPI) keeps a whole frame, and the microcontroller
//!   reads it out. Its source owns a small buffer: a poll reads the next piece of the FIFO into it
//!   and lends it. Pieces end where the buffer does, in the middle of a row or of a pixel.
//! - A camera on a parallel port with DMA (DCMI of an STM32H7) sends when it likes. Its source owns
//!   two buffers of some rows, or two whole frames: a poll lends the half that DMA has filled while
//!   it fills the other one. What is lent must not be written until the next poll; a source that
//!   finds then that DMA went round says [`CameraError::Overrun`], and the frame is lost.
//!
//! Between two polls the caller does other things, so a poll ends soon: it never waits for a frame.

use gradgate_frame::PixelFormat;

/// What the frames of a camera look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// How samples lie in a row; rows follow one another without padding.
    pub format: PixelFormat,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Geometry {
    /// Bytes of a row; `None` for what the format cannot hold.
    pub const fn row_bytes(&self) -> Option<usize> {
        self.format.row_bytes(self.width as usize)
    }

    /// Bytes of a frame; `None` for what the format or memory cannot hold.
    pub const fn frame_bytes(&self) -> Option<usize> {
        match self.row_bytes() {
            Some(row) => row.checked_mul(self.height as usize),
            None => None,
        }
    }
}

/// Which frame, and of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Counted by the source; each new picture has a higher one.
    pub number: u32,
    /// On the device's clock, and not after the exposure ended: with a FIFO, when the capture was
    /// asked for. A frame is then never taken for fresher than it is.
    pub captured_us: u64,
}

/// What a camera could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraError {
    /// It has no such geometry.
    Geometry,
    /// Another part than the driver's answers, or none.
    Identity,
    /// A transfer on its bus failed.
    Bus,
    /// It did not deliver a frame in time.
    Timeout,
    /// It holds another number of bytes than a frame has.
    Length,
    /// It overwrote a frame before that was taken.
    Overrun,
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Nothing yet.
    Nothing,
    /// A frame begins.
    Begin(Geometry, Stamp),
    /// The next bytes of the frame, valid until the next poll.
    Bytes(&'a [u8]),
    /// The frame was whole.
    End,
}

/// A camera. Each frame is one [`Event::Begin`], any number of [`Event::Bytes`], then
/// [`Event::End`] or an error.
pub trait FrameSource {
    /// What it can send, the preferred one first.
    fn geometries(&self) -> &[Geometry];

    /// Sets the camera up, or anew, to send frames of one of its geometries. May take as long as
    /// the part needs to start, some hundred milliseconds.
    ///
    /// # Errors
    /// See [`CameraError`]; the source sends nothing until another call, or it itself, sets the
    /// camera up.
    fn configure(&mut self, geometry: Geometry) -> Result<(), CameraError>;

    /// Does a bounded amount of work at `now_us`, microseconds of a clock that never goes back.
    ///
    /// # Errors
    /// See [`CameraError`]; the frame in progress, if there is one, is lost, and the source tries
    /// to go on with the next.
    fn poll(&mut self, now_us: u64) -> Result<Event<'_>, CameraError>;
}

/// No camera: frames come over the link.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCamera;

impl FrameSource for NoCamera {
    fn geometries(&self) -> &[Geometry] {
        &[]
    }

    fn configure(&mut self, _: Geometry) -> Result<(), CameraError> {
        Err(CameraError::Geometry)
    }

    fn poll(&mut self, _: u64) -> Result<Event<'_>, CameraError> {
        Ok(Event::Nothing)
    }
}

impl<T: FrameSource + ?Sized> FrameSource for &mut T {
    fn geometries(&self) -> &[Geometry] {
        (**self).geometries()
    }

    fn configure(&mut self, geometry: Geometry) -> Result<(), CameraError> {
        (**self).configure(geometry)
    }

    fn poll(&mut self, now_us: u64) -> Result<Event<'_>, CameraError> {
        (**self).poll(now_us)
    }
}
