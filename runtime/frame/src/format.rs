//! Pixel formats and their conversion, one row at a time, to the network's RGB or grey samples.

/// How the samples of a camera row lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Three bytes a pixel: red, green, blue.
    Rgb8,
    /// Three bytes a pixel: blue, green, red.
    Bgr8,
    /// One byte a pixel.
    Grey8,
}

impl PixelFormat {
    /// Bytes of a row of `width` pixels; `None` when that does not fit `usize`.
    pub fn row_bytes(self, width: usize) -> Option<usize> {
        match self {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 => width.checked_mul(3),
            PixelFormat::Grey8 => Some(width),
        }
    }
}

/// Why a row could not be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The model's channel count is neither 1 nor 3.
    Channels,
    /// The two rows do not hold the same number of whole pixels.
    Length,
}

impl core::fmt::Display for FormatError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            FormatError::Channels => "a frame has 1 (grey) or 3 (RGB) channels",
            FormatError::Length => "the rows do not hold the same number of whole pixels",
        })
    }
}

impl core::error::Error for FormatError {}

/// Luma of an RGB pixel by ITU-R BT.601: 0.299, 0.587, 0.114 in 1/65536, rounded to nearest.
///
/// The weights add up to 65536, so grey stays grey and the result never leaves 0..=255.
pub fn grey_of(red: u8, green: u8, blue: u8) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((sum + 0x8000) >> 16) as u8
}

/// Converts one row of `format` into `channels` (1: grey, 3: RGB) samples a pixel.
///
/// Grey becomes RGB by repeating the sample; RGB becomes grey by [`grey_of`].
pub fn convert_row(
    format: PixelFormat,
    row: &[u8],
    channels: usize,
    out: &mut [u8],
) -> Result<(), FormatError> {
    if channels != 1 && channels != 3 {
        return Err(FormatError::Channels);
    }
    let pixels = out.len() / channels;
    if !out.len().is_multiple_of(channels) || format.row_bytes(pixels) != Some(row.len()) {
        return Err(FormatError::Length);
    }
    match (format, channels) {
        (PixelFormat::Rgb8, 3) | (PixelFormat::Grey8, 1) => out.copy_from_slice(row),
        (PixelFormat::Bgr8, 3) => {
            for (o, &[b, g, r]) in pixels_mut(out).iter_mut().zip(row.as_chunks().0) {
                *o = [r, g, b];
            }
        }
        (PixelFormat::Grey8, _) => {
            for (o, &v) in pixels_mut(out).iter_mut().zip(row) {
                *o = [v, v, v];
            }
        }
        (PixelFormat::Rgb8, _) => {
            for (o, &[r, g, b]) in out.iter_mut().zip(row.as_chunks().0) {
                *o = grey_of(r, g, b);
            }
        }
        (PixelFormat::Bgr8, _) => {
            for (o, &[b, g, r]) in out.iter_mut().zip(row.as_chunks().0) {
                *o = grey_of(r, g, b);
            }
        }
    }
    Ok(())
}

fn pixels_mut(row: &mut [u8]) -> &mut [[u8; 3]] {
    row.as_chunks_mut().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_format_and_channels() {
        let cases: [(PixelFormat, &[u8], usize, &[u8]); 6] = [
            (PixelFormat::Rgb8, &[1, 2, 3, 4, 5, 6], 3, &[1, 2, 3, 4, 5, 6]),
            (PixelFormat::Bgr8, &[1, 2, 3, 4, 5, 6], 3, &[3, 2, 1, 6, 5, 4]),
            (PixelFormat::Grey8, &[7, 9], 3, &[7, 7, 7, 9, 9, 9]),
            (PixelFormat::Rgb8, &[255, 0, 0, 0, 255, 0], 1, &[76, 150]),
            (PixelFormat::Bgr8, &[255, 0, 0, 0, 0, 255], 1, &[29, 76]),
            (PixelFormat::Grey8, &[7, 9], 1, &[7, 9]),
        ];
        for (format, row, channels, expected) in cases {
            let mut out = [0_u8; 6];
            let out = &mut out[..expected.len()];
            convert_row(format, row, channels, out).unwrap();
            assert_eq!(out, expected, "{format:?} to {channels} channels");
        }
    }

    #[test]
    fn grey_stays_grey_and_orders_hold() {
        for v in 0..=255 {
            assert_eq!(grey_of(v, v, v), v);
        }
        assert_eq!(grey_of(255, 255, 255), 255);
        assert!(grey_of(0, 255, 0) > grey_of(255, 0, 0));
    }

    #[test]
    fn wrong_lengths_and_channels_are_errors() {
        let cases: [(PixelFormat, usize, usize, usize, FormatError); 5] = [
            (PixelFormat::Rgb8, 6, 2, 4, FormatError::Channels),
            (PixelFormat::Rgb8, 6, 0, 4, FormatError::Channels),
            (PixelFormat::Rgb8, 5, 3, 6, FormatError::Length),
            (PixelFormat::Grey8, 2, 3, 5, FormatError::Length),
            (PixelFormat::Bgr8, 6, 1, 3, FormatError::Length),
        ];
        let (row, mut out) = ([0_u8; 8], [0_u8; 8]);
        for (format, from, channels, to, error) in cases {
            let result = convert_row(format, &row[..from], channels, &mut out[..to]);
            assert_eq!(result, Err(error), "{format:?} {from} {channels} {to}");
        }
    }
}
