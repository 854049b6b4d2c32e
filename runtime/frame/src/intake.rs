//! Camera rows in, one frame at the model's size out: convert, then resize, in this order.

use crate::format::{FormatError, PixelFormat, convert_row};
use crate::resize::{ResizeError, Resizer, Size};

/// Why a camera row was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeError {
    /// The row's format or length does not fit.
    Format(FormatError),
    /// The sizes or the number of rows do not fit.
    Resize(ResizeError),
}

impl core::fmt::Display for IntakeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            IntakeError::Format(error) => error.fmt(f),
            IntakeError::Resize(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for IntakeError {}

impl From<FormatError> for IntakeError {
    fn from(error: FormatError) -> Self {
        IntakeError::Format(error)
    }
}

impl From<ResizeError> for IntakeError {
    fn from(error: ResizeError) -> Self {
        IntakeError::Resize(error)
    }
}

/// Makes frames of `channels` (1: grey, 3: RGB) samples at a fixed size from camera rows.
pub struct Intake<'a> {
    format: PixelFormat,
    channels: usize,
    row: &'a mut [u8],
    resizer: Resizer<'a, u8>,
}

impl<'a> Intake<'a> {
    /// Bytes of the row buffer for a camera of `width` columns.
    pub const fn row_len(width: u32, channels: usize) -> usize {
        (width as usize).saturating_mul(channels)
    }

    /// An intake of one image; `row` holds at least [`Intake::row_len`] bytes, `sums` at least
    /// [`crate::scratch_len`] elements for the model's width.
    pub fn new(
        format: PixelFormat,
        from: Size,
        to: Size,
        channels: usize,
        row: &'a mut [u8],
        sums: &'a mut [u64],
    ) -> Result<Self, IntakeError> {
        if channels != 1 && channels != 3 {
            return Err(FormatError::Channels.into());
        }
        let resizer = Resizer::new(from, to, channels, sums)?;
        let row = row.get_mut(..Self::row_len(from.width, channels)).ok_or(FormatError::Length)?;
        Ok(Intake { format, channels, row, resizer })
    }

    /// Takes the next camera row; `out` is the whole frame. Returns how many of its rows are done.
    pub fn push_row(&mut self, camera: &[u8], out: &mut [u8]) -> Result<u32, IntakeError> {
        convert_row(self.format, camera, self.channels, self.row)?;
        Ok(self.resizer.push_row(self.row, out)?)
    }

    /// The row that was taken last, in the model's channels at the camera's width.
    pub fn row(&self) -> &[u8] {
        self.row
    }

    /// Forgets the rows so far: the next one is the first of another image.
    pub fn restart(&mut self) {
        self.resizer.restart();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::scratch_len;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn rows_of_bgr_become_a_small_grey_frame() {
        let (mut row, mut sums) = ([0; 2], [0; scratch_len(1, 1)]);
        let camera = [[0, 0, 100, 0, 0, 200], [0, 0, 0, 0, 0, 0]];
        let mut out = [9; 1];
        let bgr = PixelFormat::Bgr8;
        let mut intake = Intake::new(bgr, size(2, 2), size(1, 1), 1, &mut row, &mut sums).unwrap();
        assert_eq!(intake.push_row(&camera[0], &mut out), Ok(0));
        assert_eq!(intake.push_row(&camera[1], &mut out), Ok(1));
        // 0.299 * 100 = 29.9 and 0.299 * 200 = 59.8 are rounded before they are averaged.
        assert_eq!(out, [(30 + 60 + 2) / 4]);
        let more = intake.push_row(&camera[1], &mut out);
        assert_eq!(more, Err(IntakeError::Resize(ResizeError::TooManyRows)));
    }

    #[test]
    fn after_a_restart_nothing_is_left_of_the_image_before() {
        for (from, to) in [(size(3, 5), size(2, 2)), (size(2, 2), size(3, 5))] {
            let rgb = PixelFormat::Rgb8;
            let (mut row, mut sums) = ([0; 9], [0; scratch_len(3, 3)]);
            let mut intake = Intake::new(rgb, from, to, 3, &mut row, &mut sums).unwrap();
            let mut out = [0; 5 * 3 * 3];
            let out = &mut out[..(to.width * to.height * 3) as usize];
            let line = from.width as usize * 3;
            intake.push_row(&[255; 9][..line], out).unwrap();
            assert_eq!(intake.row(), &[255; 9][..line]);
            intake.restart();
            for done in 1..=from.height {
                let rows = intake.push_row(&[7; 9][..line], out).unwrap();
                assert_eq!(rows == to.height, done == from.height, "{from:?}");
            }
            assert!(out.iter().all(|&v| v == 7), "{from:?}: {out:?}");
        }
    }

    #[test]
    fn misfits_are_errors() {
        let rgb = PixelFormat::Rgb8;
        let (from, to) = (size(2, 2), size(1, 1));
        let new = |channels, row: &mut [u8], sums: &mut [u64]| {
            Intake::new(rgb, from, to, channels, row, sums).err()
        };
        assert_eq!(new(2, &mut [0; 9], &mut [0; 9]), Some(FormatError::Channels.into()));
        assert_eq!(new(3, &mut [0; 5], &mut [0; 9]), Some(FormatError::Length.into()));
        assert_eq!(new(3, &mut [0; 9], &mut [0; 5]), Some(ResizeError::Scratch.into()));
        let (mut row, mut sums) = ([0; 6], [0; 6]);
        let mut intake = Intake::new(rgb, from, to, 3, &mut row, &mut sums).unwrap();
        let short = intake.push_row(&[0; 5], &mut [0; 3]);
        assert_eq!(short, Err(FormatError::Length.into()));
        let narrow = intake.push_row(&[0; 6], &mut [0; 2]);
        assert_eq!(narrow, Err(ResizeError::Output.into()));
    }
}
