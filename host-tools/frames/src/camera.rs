//! Pictures as a camera sends them: the other direction of what devices do with a camera's bytes.
//!
//! For sending recorded pictures in a camera's place. What a format cannot hold is lost, as in the
//! camera: whoever wants to know what a device makes of the bytes converts them back.

use gradgate_frame::{PixelFormat, grey_of};

/// The bytes of an RGB picture of `width` pixels a row in a camera's format; `None` for rows that
/// are not whole, or an odd width where two pixels share their chroma.
pub fn camera_bytes(rgb: &[u8], width: usize, format: PixelFormat) -> Option<Vec<u8>> {
    let row_bytes = format.row_bytes(width).filter(|bytes| *bytes > 0)?;
    if !rgb.len().is_multiple_of(width * 3) {
        return None;
    }
    let mut out = Vec::with_capacity(rgb.len() / 3 / width * row_bytes);
    let pixels = rgb.as_chunks::<3>().0;
    match format {
        PixelFormat::Rgb8 => out.extend_from_slice(rgb),
        PixelFormat::Bgr8 => out.extend(pixels.iter().flat_map(|[r, g, b]| [*b, *g, *r])),
        PixelFormat::Grey8 => out.extend(pixels.iter().map(|[r, g, b]| grey_of(*r, *g, *b))),
        PixelFormat::Rgb565Be => {
            out.extend(pixels.iter().flat_map(|pixel| packed_565(*pixel).to_be_bytes()));
        }
        PixelFormat::Rgb565Le => {
            out.extend(pixels.iter().flat_map(|pixel| packed_565(*pixel).to_le_bytes()));
        }
        PixelFormat::Yuyv | PixelFormat::Uyvy => {
            for [left, right] in pixels.as_chunks::<2>().0 {
                let [[y0, b0, r0], [y1, b1, r1]] = [yuv(*left), yuv(*right)];
                let (b, r) = (mean(b0, b1), mean(r0, r1));
                out.extend(match format {
                    PixelFormat::Uyvy => [b, y0, r, y1],
                    _ => [y0, b, y1, r],
                });
            }
        }
        // The enum may grow.
        _ => return None,
    }
    Some(out)
}

fn mean(one: u8, other: u8) -> u8 {
    (u16::from(one) + u16::from(other)).div_ceil(2) as u8
}

/// The nearest field of 5, 6 and 5 bits.
fn packed_565([red, green, blue]: [u8; 3]) -> u16 {
    let nearest = |sample: u8, top: u16| (u16::from(sample) * top + 127) / 255;
    nearest(red, 31) << 11 | nearest(green, 63) << 5 | nearest(blue, 31)
}

/// ITU-R BT.601, limited range, in 1/65536: luma 219/255 and chroma 224/255 of the full range.
fn yuv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = [red, green, blue].map(i32::from);
    let sample = |zero: i32, sum: i32| (zero + ((sum + 0x8000) >> 16)) as u8;
    [
        sample(16, 16_829 * red + 33_039 * green + 6_416 * blue),
        sample(128, -9_714 * red - 19_070 * green + 28_784 * blue),
        sample(128, 28_784 * red - 24_103 * green - 4_681 * blue),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_frame::convert_row;

    #[test]
    fn formats_come_back_as_near_as_they_can() {
        // Pairs of one colour, so that nothing is lost by sharing chroma.
        let colours = [[0, 0, 0], [255, 255, 255], [200, 30, 90], [17, 180, 240], [128, 128, 128]];
        let rgb: Vec<u8> = colours.iter().flat_map(|colour| [*colour, *colour]).flatten().collect();
        let rows = [
            (PixelFormat::Rgb8, 0),
            (PixelFormat::Bgr8, 0),
            (PixelFormat::Rgb565Be, 5),
            (PixelFormat::Rgb565Le, 5),
            (PixelFormat::Yuyv, 2),
            (PixelFormat::Uyvy, 2),
        ];
        for (format, off) in rows {
            let bytes = camera_bytes(&rgb, 10, format).expect("whole rows");
            let mut back = vec![0; rgb.len()];
            convert_row(format, &bytes, 3, &mut back).expect("a row");
            for (one, other) in rgb.iter().zip(&back) {
                assert!(one.abs_diff(*other) <= off, "{format:?}: {one} {other}");
            }
        }
        let grey = camera_bytes(&[200, 30, 90], 1, PixelFormat::Grey8).expect("whole");
        // 0.299, 0.587 and 0.114 of them.
        assert_eq!(grey, [88]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert_eq!(camera_bytes(&[0; 9], 3, PixelFormat::Yuyv), None);
        assert_eq!(camera_bytes(&[0; 10], 2, PixelFormat::Rgb8), None);
        assert_eq!(camera_bytes(&[], 0, PixelFormat::Rgb8), None);
    }
}
