//! Pixel formats and their conversion, one row at a time, to the network's RGB or grey samples.

use crate::colour::{grey_of, rgb_of_565, rgb_of_yuv};

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
    /// Two bytes a pixel, the high one first, as OmniVision's sensors send it: see [`rgb_of_565`].
    Rgb565Be,
    /// The same, the low byte first, as V4L2's `RGBP` and frame buffers hold it.
    Rgb565Le,
    /// Two pixels share their chroma: luma, blue chroma, luma, red chroma; see [`rgb_of_yuv`].
    Yuyv,
    /// The same with the chroma before each luma.
    Uyvy,
}

impl PixelFormat {
    /// All of them, at the places that are their numbers on the wire: new ones go to the end.
    pub const ALL: [PixelFormat; 7] = [
        PixelFormat::Rgb8,
        PixelFormat::Bgr8,
        PixelFormat::Grey8,
        PixelFormat::Rgb565Be,
        PixelFormat::Rgb565Le,
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
    ];

    /// Bytes of a row of `width` pixels; `None` when that does not fit `usize`, or when pixels that
    /// share chroma are not in pairs.
    pub const fn row_bytes(self, width: usize) -> Option<usize> {
        match self {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 => width.checked_mul(3),
            PixelFormat::Grey8 => Some(width),
            PixelFormat::Rgb565Be | PixelFormat::Rgb565Le => width.checked_mul(2),
            PixelFormat::Yuyv | PixelFormat::Uyvy => {
                if width.is_multiple_of(2) {
                    width.checked_mul(2)
                } else {
                    None
                }
            }
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

/// Converts one row of `format` into `channels` (1: grey, 3: RGB) samples a pixel.
///
/// Grey becomes RGB by repeating the sample; RGB becomes grey by [`grey_of`], and so does what has
/// luma of its own: the two differ in range and rounding, and RGB is what host and device agree on.
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
        (PixelFormat::Rgb8, 3) | (PixelFormat::Grey8, 1) => {
            // Of equal length, which only people see: `copy_from_slice` would keep its panic.
            for (o, &v) in out.iter_mut().zip(row) {
                *o = v;
            }
        }
        (PixelFormat::Grey8, _) => {
            for (o, &v) in pixels_mut(out).iter_mut().zip(row) {
                *o = [v, v, v];
            }
        }
        (PixelFormat::Rgb8, _) => write(row.as_chunks().0.iter().copied(), channels, out),
        (PixelFormat::Bgr8, _) => {
            write(row.as_chunks().0.iter().map(|&[b, g, r]| [r, g, b]), channels, out);
        }
        (PixelFormat::Rgb565Be, _) => {
            let pixels = row.as_chunks().0.iter();
            write(pixels.map(|&p| rgb_of_565(u16::from_be_bytes(p))), channels, out);
        }
        (PixelFormat::Rgb565Le, _) => {
            let pixels = row.as_chunks().0.iter();
            write(pixels.map(|&p| rgb_of_565(u16::from_le_bytes(p))), channels, out);
        }
        (PixelFormat::Yuyv, _) => {
            write(
                row.as_chunks().0.iter().flat_map(|&[y, u, z, v]| pair(y, z, u, v)),
                channels,
                out,
            );
        }
        (PixelFormat::Uyvy, _) => {
            write(
                row.as_chunks().0.iter().flat_map(|&[u, y, v, z]| pair(y, z, u, v)),
                channels,
                out,
            );
        }
    }
    Ok(())
}

/// Two neighbours that share their chroma.
fn pair(first: u8, second: u8, blue: u8, red: u8) -> [[u8; 3]; 2] {
    [rgb_of_yuv(first, blue, red), rgb_of_yuv(second, blue, red)]
}

fn write(pixels: impl Iterator<Item = [u8; 3]>, channels: usize, out: &mut [u8]) {
    if channels == 3 {
        for (o, pixel) in pixels_mut(out).iter_mut().zip(pixels) {
            *o = pixel;
        }
    } else {
        for (o, [r, g, b]) in out.iter_mut().zip(pixels) {
            *o = grey_of(r, g, b);
        }
    }
}

fn pixels_mut(row: &mut [u8]) -> &mut [[u8; 3]] {
    row.as_chunks_mut().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_format_and_channels() {
        // By hand from BT.601: (luma - 16) * 255 / 219 is 39.59 and 190.96; red chroma 200 adds
        // 114.91 to red and takes 58.53 from green, blue chroma 90 adds 14.89 to green and takes
        // 76.66 from blue.
        let colour = [155, 0, 0, 255, 147, 114];
        let cases: [(PixelFormat, &[u8], usize, &[u8]); 14] = [
            (PixelFormat::Rgb8, &[1, 2, 3, 4, 5, 6], 3, &[1, 2, 3, 4, 5, 6]),
            (PixelFormat::Bgr8, &[1, 2, 3, 4, 5, 6], 3, &[3, 2, 1, 6, 5, 4]),
            (PixelFormat::Grey8, &[7, 9], 3, &[7, 7, 7, 9, 9, 9]),
            (PixelFormat::Rgb8, &[255, 0, 0, 0, 255, 0], 1, &[76, 150]),
            (PixelFormat::Bgr8, &[255, 0, 0, 0, 0, 255], 1, &[29, 76]),
            (PixelFormat::Grey8, &[7, 9], 1, &[7, 9]),
            // Red 31 of 31, then green 32 of 63 and blue 1 of 31.
            (PixelFormat::Rgb565Be, &[0xF8, 0x00, 0x04, 0x01], 3, &[255, 0, 0, 0, 130, 8]),
            (PixelFormat::Rgb565Le, &[0x00, 0xF8, 0x01, 0x04], 3, &[255, 0, 0, 0, 130, 8]),
            (PixelFormat::Rgb565Be, &[0xF8, 0x00, 0x04, 0x01], 1, &[76, 77]),
            (PixelFormat::Rgb565Le, &[0x00, 0xF8, 0x01, 0x04], 1, &[76, 77]),
            (PixelFormat::Yuyv, &[50, 90, 180, 200], 3, &colour),
            (PixelFormat::Uyvy, &[90, 50, 200, 180], 3, &colour),
            (PixelFormat::Yuyv, &[50, 90, 180, 200], 1, &[46, 176]),
            (PixelFormat::Uyvy, &[90, 50, 200, 180], 1, &[46, 176]),
        ];
        for (format, row, channels, expected) in cases {
            let mut out = [0_u8; 6];
            let out = &mut out[..expected.len()];
            convert_row(format, row, channels, out).unwrap();
            assert_eq!(out, expected, "{format:?} to {channels} channels");
        }
    }

    #[test]
    fn wrong_lengths_and_channels_are_errors() {
        let cases: [(PixelFormat, usize, usize, usize, FormatError); 9] = [
            (PixelFormat::Rgb8, 6, 2, 4, FormatError::Channels),
            (PixelFormat::Rgb8, 6, 0, 4, FormatError::Channels),
            (PixelFormat::Rgb8, 5, 3, 6, FormatError::Length),
            (PixelFormat::Grey8, 2, 3, 5, FormatError::Length),
            (PixelFormat::Bgr8, 6, 1, 3, FormatError::Length),
            (PixelFormat::Rgb565Be, 3, 1, 2, FormatError::Length),
            (PixelFormat::Rgb565Le, 6, 1, 2, FormatError::Length),
            (PixelFormat::Yuyv, 6, 1, 3, FormatError::Length),
            (PixelFormat::Uyvy, 8, 1, 3, FormatError::Length),
        ];
        let (row, mut out) = ([0_u8; 8], [0_u8; 8]);
        for (format, from, channels, to, error) in cases {
            let result = convert_row(format, &row[..from], channels, &mut out[..to]);
            assert_eq!(result, Err(error), "{format:?} {from} {channels} {to}");
        }
    }
}
