//! The one place where a decoded image becomes a frame at the model's size and channels.

use gradgate_frame::{Intake, PixelFormat, Size, resize, scratch_len};

use crate::frames::Pixels;

/// A decoded image: rows, columns, channels (1: grey, 3: RGB).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub width: usize,
    pub height: usize,
    pub channels: usize,
    pub pixels: Pixels,
}

/// A rectangle of a picture that is stated to have `[width, height]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    pub picture: [usize; 2],
}

impl Region {
    /// The largest rectangle in the middle that has the proportions of `[height, width, ..]`.
    pub fn centre(raw: &Raw, [height, width, _]: [usize; 3]) -> Self {
        let picture = [raw.width, raw.height];
        let part = |of: usize, by: usize, over: usize| {
            // Sides are at most 32,767, so the product fits; half a pixel is rounded up.
            ((2 * of * by + over) / (2 * over)).max(1)
        };
        let (w, h) = if raw.width * height > raw.height * width {
            (part(raw.height, width, height).min(raw.width), raw.height)
        } else {
            (raw.width, part(raw.width, height, width).min(raw.height))
        };
        let (left, top) = ((raw.width - w) / 2, (raw.height - h) / 2);
        Region { left, top, width: w, height: h, picture }
    }
}

/// What is inside a rectangle, which must be stated for a picture of this size.
pub(crate) fn crop(raw: Raw, region: Region) -> Result<Raw, String> {
    let Region { left, top, width, height, picture: [stated_width, stated_height] } = region;
    if [stated_width, stated_height] != [raw.width, raw.height] {
        return Err(format!(
            "its region is stated for {stated_width} x {stated_height} pixels, and it has {} x {}",
            raw.width, raw.height
        ));
    }
    if width == raw.width && height == raw.height {
        return Ok(raw);
    }
    fn rows<T: Copy>(pixels: &[T], stride: usize, from: usize, len: usize) -> Vec<T> {
        pixels.chunks_exact(stride).flat_map(|row| &row[from..from + len]).copied().collect()
    }
    let (stride, from, len) = (raw.width * raw.channels, left * raw.channels, width * raw.channels);
    let rectangle = top * stride..(top + height) * stride;
    let pixels = match &raw.pixels {
        Pixels::U8(pixels) => Pixels::U8(rows(&pixels[rectangle], stride, from, len)),
        Pixels::F32(pixels) => Pixels::F32(rows(&pixels[rectangle], stride, from, len)),
    };
    Ok(Raw { width, height, channels: raw.channels, pixels })
}

/// Planes to rows, columns, channels.
pub(crate) fn interleave<T: Copy>(planes: &[T], channels: usize) -> Vec<T> {
    let plane = planes.len() / channels;
    if channels == 3 {
        let (red, rest) = planes.split_at(plane);
        let (green, blue) = rest.split_at(plane);
        let pixels = red.iter().zip(green).zip(blue);
        return pixels.flat_map(|((&r, &g), &b)| [r, g, b]).collect();
    }
    (0..plane * channels).map(|i| planes[i % channels * plane + i / channels]).collect()
}

/// Rows, columns, channels to planes.
pub(crate) fn planes<T: Copy>(pixels: &[T], channels: usize) -> Vec<T> {
    let plane = pixels.len() / channels;
    (0..plane * channels).map(|i| pixels[i % plane * channels + i / plane]).collect()
}

/// Converts, then resizes to `[height, width, channels]`.
pub(crate) fn fit(raw: Raw, shape: [usize; 3]) -> Result<Pixels, String> {
    if [raw.height, raw.width, raw.channels] == shape {
        return Ok(raw.pixels);
    }
    let [height, width, channels] = shape;
    let (from, to) = (size(raw.width, raw.height)?, size(width, height)?);
    match &raw.pixels {
        Pixels::U8(pixels) => fit_u8(pixels, raw.channels, from, to, channels).map(Pixels::U8),
        Pixels::F32(pixels) => {
            let converted = convert_f32(pixels, raw.channels, channels);
            let mut out = vec![0.0; height * width * channels];
            let mut sums = vec![0.0; scratch_len(to.width, channels)];
            resize(&converted, from, &mut out, to, channels, &mut sums)
                .map_err(|e| e.to_string())?;
            Ok(Pixels::F32(out))
        }
    }
}

fn size(width: usize, height: usize) -> Result<Size, String> {
    let side = |n: usize| u32::try_from(n).map_err(|_| format!("a side of {n} pixels"));
    Ok(Size { width: side(width)?, height: side(height)? })
}

fn fit_u8(
    pixels: &[u8],
    from_channels: usize,
    from: Size,
    to: Size,
    channels: usize,
) -> Result<Vec<u8>, String> {
    let format = if from_channels == 1 { PixelFormat::Grey8 } else { PixelFormat::Rgb8 };
    let mut out = vec![0; (to.width as usize) * (to.height as usize) * channels];
    let mut row = vec![0; Intake::row_len(from.width, channels)];
    let mut sums = vec![0; scratch_len(to.width, channels)];
    let mut intake = Intake::new(format, from, to, channels, &mut row, &mut sums)
        .map_err(|error| error.to_string())?;
    for camera in pixels.chunks_exact(from.width as usize * from_channels) {
        intake.push_row(camera, &mut out).map_err(|error| error.to_string())?;
    }
    Ok(out)
}

/// [`gradgate_frame::convert_row`] for samples in 0..1, without the rounding to 8 bits.
fn convert_f32(pixels: &[f32], from: usize, to: usize) -> Vec<f32> {
    let grey = |p: &[f32]| {
        let [r, g, b] = [p[0], p[1], p[2]].map(f64::from);
        ((19_595.0 * r + 38_470.0 * g + 7_471.0 * b) / 65_536.0) as f32
    };
    match (from, to) {
        (1, 3) => pixels.iter().flat_map(|&v| [v; 3]).collect(),
        (3, 1) => pixels.chunks_exact(3).map(grey).collect(),
        _ => pixels.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(width: usize, height: usize, channels: usize, pixels: &[u8]) -> Raw {
        Raw { width, height, channels, pixels: Pixels::U8(pixels.to_vec()) }
    }

    fn as_f32(raw: &Raw) -> Raw {
        let pixels = raw.pixels.to_u8().iter().map(|&v| f32::from(v) / 255.0).collect();
        Raw { pixels: Pixels::F32(pixels), ..raw.clone() }
    }

    #[test]
    fn planes_and_back() {
        let planar = [1, 2, 3, 4, 5, 6];
        assert_eq!(interleave(&planar, 3), [1, 3, 5, 2, 4, 6]);
        assert_eq!(planes(&interleave(&planar, 3), 3), planar);
        assert_eq!(interleave(&planar, 1), planar);
        assert!(planes::<u8>(&[], 3).is_empty());
    }

    #[test]
    fn rectangles_in_the_middle() {
        // Width and height of the picture and of the frame; left, top, width, height.
        let cases = [
            ([5, 3], [1, 1], [1, 0, 3, 3]),
            ([3, 6], [1, 1], [0, 1, 3, 3]),
            ([160, 120], [32, 32], [20, 0, 120, 120]),
            ([10, 10], [4, 2], [0, 2, 10, 5]),
            ([7, 1], [1, 9], [3, 0, 1, 1]),
            ([32_767, 1], [32_767, 1], [0, 0, 32_767, 1]),
        ];
        for ([w, h], [frame_w, frame_h], [left, top, width, height]) in cases {
            let raw = raw(w, h, 1, &[]);
            let region = Region { left, top, width, height, picture: [w, h] };
            assert_eq!(Region::centre(&raw, [frame_h, frame_w, 1]), region, "{w} x {h}");
        }
    }

    #[test]
    fn rectangles_are_cut_out() {
        let picture: Vec<u8> = (0..4 * 3 * 3).collect();
        let whole = raw(4, 3, 3, &picture);
        let region = Region { left: 1, top: 1, width: 2, height: 2, picture: [4, 3] };
        let expected = [15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32];
        assert_eq!(crop(whole.clone(), region), Ok(raw(2, 2, 3, &expected)));
        assert_eq!(crop(as_f32(&whole), region), Ok(as_f32(&raw(2, 2, 3, &expected))));
        let other = Region { picture: [3, 4], ..region };
        assert!(crop(whole, other).unwrap_err().contains("stated for 3 x 4"));
    }

    #[test]
    fn conversion_and_resize_by_table() {
        let cases: [(Raw, [usize; 3], &[u8]); 5] = [
            (raw(1, 1, 3, &[1, 2, 3]), [1, 1, 3], &[1, 2, 3]),
            (raw(1, 1, 1, &[7]), [1, 1, 3], &[7, 7, 7]),
            (raw(1, 1, 3, &[255, 0, 0]), [1, 1, 1], &[76]),
            (raw(2, 2, 1, &[0, 10, 20, 31]), [1, 1, 1], &[15]),
            (raw(1, 1, 1, &[9]), [2, 2, 1], &[9, 9, 9, 9]),
        ];
        for (raw, shape, expected) in cases {
            assert_eq!(fit(raw.clone(), shape), Ok(Pixels::U8(expected.to_vec())), "{raw:?}");
            // Samples in 0..1 take the same way, short of the rounding.
            let Ok(Pixels::F32(floats)) = fit(as_f32(&raw), shape) else { panic!("{raw:?}") };
            for (f, &e) in floats.iter().zip(expected) {
                assert!((f * 255.0 - f32::from(e)).abs() <= 0.51, "{raw:?}: {f} {e}");
            }
        }
    }
}
