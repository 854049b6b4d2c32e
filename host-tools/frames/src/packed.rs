//! Uncompressed pictures as cameras and drivers hand them over, to grey or RGB samples.
//!
//! Luma and chroma are taken as a device takes them, by [`gradgate_frame::rgb_of_yuv`].

use gradgate_frame::rgb_of_yuv as rgb;

use crate::fit::Raw;
use crate::frames::Pixels;

/// How samples lie in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelLayout {
    /// Red, green, blue.
    Rgb24,
    /// Blue, green, red.
    Bgr24,
    /// Red, green, blue, and one that is dropped.
    Rgba32,
    /// Blue, green, red, and one that is dropped.
    Bgra32,
    /// One sample a pixel.
    Grey8,
    /// Two pixels share their chroma: luma, blue chroma, luma, red chroma.
    Yuyv,
    /// The same with the chroma before each luma.
    Uyvy,
    /// A plane of luma, then one of chroma, blue and red in turn, for blocks of 2 x 2 pixels.
    Nv12,
}

impl PixelLayout {
    /// Bytes of a row of luma or colour without padding, and whether the sides are allowed.
    fn row(self, width: usize) -> Option<usize> {
        match self {
            PixelLayout::Rgb24 | PixelLayout::Bgr24 => width.checked_mul(3),
            PixelLayout::Rgba32 | PixelLayout::Bgra32 => width.checked_mul(4),
            PixelLayout::Grey8 | PixelLayout::Nv12 => Some(width),
            PixelLayout::Yuyv | PixelLayout::Uyvy => width.checked_mul(2),
        }
    }

    /// Why pictures of these sides cannot be of this layout.
    pub(crate) fn check(self, width: usize, height: usize) -> Result<(), String> {
        let sides = 1..=gradgate_frame::MAX_SIDE as usize;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(format!("{width} x {height} pixels: sides are 1 to {}", sides.end()));
        }
        let (even_width, even_height) = match self {
            PixelLayout::Yuyv | PixelLayout::Uyvy => (true, false),
            PixelLayout::Nv12 => (true, true),
            _ => (false, false),
        };
        if (even_width && width % 2 == 1) || (even_height && height % 2 == 1) {
            return Err(format!(
                "{width} x {height} pixels: pixels that share chroma are in pairs"
            ));
        }
        Ok(())
    }

    /// Bytes of a picture whose rows are `step` bytes apart, the last without its padding; `None`
    /// when they do not fit, or `step` is shorter than a row.
    pub(crate) fn bytes(self, width: usize, height: usize, step: usize) -> Option<usize> {
        let row = self.row(width).filter(|&row| row <= step)?;
        let rows = match self {
            PixelLayout::Nv12 => height + height / 2,
            _ => height,
        };
        step.checked_mul(rows.checked_sub(1)?)?.checked_add(row)
    }

    /// As [`PixelLayout::bytes`] without padding.
    pub(crate) fn bytes_without_padding(self, width: usize, height: usize) -> Option<usize> {
        self.bytes(width, height, self.row(width)?)
    }

    /// Reads a picture whose rows are `step` bytes apart.
    ///
    /// # Errors
    /// Sides that the layout does not have, or too few bytes.
    pub(crate) fn read(
        self,
        width: usize,
        height: usize,
        step: Option<usize>,
        data: &[u8],
    ) -> Result<Raw, String> {
        self.check(width, height)?;
        let row = self.row(width).unwrap_or(usize::MAX);
        let step = step.unwrap_or(row);
        if step < row {
            return Err(format!("rows of {step} bytes, and {width} pixels need {row}"));
        }
        let needed = self.bytes(width, height, step).unwrap_or(usize::MAX);
        if data.len() < needed {
            return Err(format!(
                "{} bytes of samples, and {width} x {height} pixels in rows of {step} bytes need \
                 {needed}",
                data.len()
            ));
        }
        let rows = (0..height).map(|y| &data[y * step..y * step + row]);
        let pixels = match self {
            PixelLayout::Grey8 => rows.flatten().copied().collect(),
            PixelLayout::Rgb24 => picked::<3>(rows, [0, 1, 2]),
            PixelLayout::Bgr24 => picked::<3>(rows, [2, 1, 0]),
            PixelLayout::Rgba32 => picked::<4>(rows, [0, 1, 2]),
            PixelLayout::Bgra32 => picked::<4>(rows, [2, 1, 0]),
            PixelLayout::Yuyv => rows.flat_map(|row| pairs(row, [0, 1, 2, 3])).collect(),
            PixelLayout::Uyvy => rows.flat_map(|row| pairs(row, [1, 0, 3, 2])).collect(),
            PixelLayout::Nv12 => {
                let chroma = |y: usize| &data[(height + y / 2) * step..][..row];
                let rows = rows.enumerate();
                rows.flat_map(|(y, luma)| half_chroma(luma, chroma(y))).collect()
            }
        };
        let channels = if self == PixelLayout::Grey8 { 1 } else { 3 };
        Ok(Raw { width, height, channels, pixels: Pixels::U8(pixels) })
    }
}

fn picked<'a, const N: usize>(
    rows: impl Iterator<Item = &'a [u8]>,
    [red, green, blue]: [usize; 3],
) -> Vec<u8> {
    let pixels = rows.flat_map(|row| row.as_chunks::<N>().0);
    pixels.flat_map(|pixel| [pixel[red], pixel[green], pixel[blue]]).collect()
}

/// Pairs of pixels of 4 bytes: places of the first luma, blue chroma, second luma, red chroma.
fn pairs(row: &[u8], [first, blue, second, red]: [usize; 4]) -> impl Iterator<Item = u8> {
    row.as_chunks::<4>().0.iter().flat_map(move |p| {
        let [a, b] = [p[first], p[second]].map(|luma| rgb(luma, p[blue], p[red]));
        [a[0], a[1], a[2], b[0], b[1], b[2]]
    })
}

fn half_chroma<'a>(luma: &'a [u8], chroma: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    let pairs = luma.as_chunks::<2>().0.iter().zip(chroma.as_chunks::<2>().0);
    pairs.flat_map(|(&[first, second], &[blue, red])| {
        let [a, b] = [first, second].map(|luma| rgb(luma, blue, red));
        [a[0], a[1], a[2], b[0], b[1], b[2]]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_by_table() {
        use PixelLayout::*;
        let (a, b) = (rgb(50, 90, 200), rgb(180, 90, 200));
        let colour: Vec<u8> = [a, b].concat();
        type Case<'a> = (PixelLayout, [usize; 2], Option<usize>, &'a [u8], usize, Vec<u8>);
        let cases: [Case<'_>; 11] = [
            (Rgb24, [2, 1], None, &[1, 2, 3, 4, 5, 6], 3, vec![1, 2, 3, 4, 5, 6]),
            (Bgr24, [2, 1], None, &[1, 2, 3, 4, 5, 6], 3, vec![3, 2, 1, 6, 5, 4]),
            (Bgr24, [1, 2], Some(4), &[1, 2, 3, 0, 4, 5, 6], 3, vec![3, 2, 1, 6, 5, 4]),
            (Rgba32, [1, 2], None, &[1, 2, 3, 9, 4, 5, 6, 9], 3, vec![1, 2, 3, 4, 5, 6]),
            (Bgra32, [1, 2], None, &[1, 2, 3, 9, 4, 5, 6, 9], 3, vec![3, 2, 1, 6, 5, 4]),
            (Grey8, [2, 2], Some(3), &[1, 2, 0, 3, 4, 0, 0], 1, vec![1, 2, 3, 4]),
            (Yuyv, [2, 1], None, &[50, 90, 180, 200], 3, colour.clone()),
            (Uyvy, [2, 1], None, &[90, 50, 200, 180], 3, colour.clone()),
            (Uyvy, [2, 1], Some(6), &[90, 50, 200, 180], 3, colour.clone()),
            (Nv12, [2, 2], None, &[50, 180, 180, 50, 90, 200], 3, [a, b, b, a].concat()),
            (Nv12, [2, 2], Some(3), &[50, 180, 0, 180, 50, 0, 90, 200], 3, [a, b, b, a].concat()),
        ];
        for (layout, [width, height], step, data, channels, expected) in cases {
            let found = layout.read(width, height, step, data).unwrap();
            let expected = Raw { width, height, channels, pixels: Pixels::U8(expected) };
            assert_eq!(found, expected, "{layout:?}");
            let short = &data[..layout.bytes(width, height, step.unwrap_or(1)).unwrap_or(1) - 1];
            assert!(layout.read(width, height, step, short).is_err(), "{layout:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        use PixelLayout::*;
        let cases = [
            (Yuyv, 3, 2, None, "pairs"),
            (Nv12, 2, 3, None, "pairs"),
            (Rgb24, 0, 2, None, "sides"),
            (Rgb24, 2, 99_999, None, "sides"),
            (Rgb24, 2, 2, Some(5), "rows of 5 bytes"),
            (Rgb24, 30_000, 30_000, Some(usize::MAX / 2), "need"),
            (Grey8, 9, 2, None, "8 bytes of samples"),
        ];
        for (layout, width, height, step, says) in cases {
            let error = layout.read(width, height, step, &[0; 8]).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
