//! Colours of one pixel: from camera encodings to RGB, and from RGB to grey, in integers.
//!
//! Every conversion is exact arithmetic with one rounding to nearest, so the bits are equal on
//! every target.

/// Luma of an RGB pixel by ITU-R BT.601: 0.299, 0.587, 0.114 in 1/65536, rounded to nearest.
///
/// The weights add up to 65536, so grey stays grey and the result never leaves 0..=255.
pub fn grey_of(red: u8, green: u8, blue: u8) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((sum + 0x8000) >> 16) as u8
}

/// RGB of a pixel of luma, blue chroma and red chroma: ITU-R BT.601 in the limited range (luma 16
/// to 235, chroma 16 to 240), which is what V4L2's YUYV and cv_bridge's `yuv422` mean; rounded to
/// nearest, cut to 0..=255.
///
/// In 1/65536: 255/219 of the luma above 16, and of the chroma around 128 the usual 1.402,
/// 0.344136, 0.714136 and 1.772 times 255/224.
pub fn rgb_of_yuv(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let y = 76_309 * (i32::from(luma) - 16);
    let (b, r) = (i32::from(blue) - 128, i32::from(red) - 128);
    let sample = |sum: i32| ((sum + 0x8000) >> 16).clamp(0, 255) as u8;
    [sample(y + 104_597 * r), sample(y - 25_675 * b - 53_279 * r), sample(y + 132_201 * b)]
}

/// RGB of a pixel of 5 bits red (the highest), 6 bits green and 5 bits blue.
///
/// A field of n bits stands for its value over 2^n - 1, as unsigned normalised numbers of the
/// Khronos Data Format Specification do; that times 255, rounded to nearest. Repeating the highest
/// bits in the lowest, which others do, differs by one in some values.
pub fn rgb_of_565(pixel: u16) -> [u8; 3] {
    let pixel = u32::from(pixel);
    // No value lies half way, as 31 and 63 are odd: adding half of them rounds to nearest.
    let five = |field: u32| (((field & 31) * 255 + 15) / 31) as u8;
    let six = |field: u32| (((field & 63) * 255 + 31) / 63) as u8;
    [five(pixel >> 11), six(pixel >> 5), five(pixel)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_stays_grey_and_orders_hold() {
        for v in 0..=255 {
            assert_eq!(grey_of(v, v, v), v);
        }
        assert_eq!(grey_of(255, 255, 255), 255);
        assert!(grey_of(0, 255, 0) > grey_of(255, 0, 0));
    }

    /// BT.601 in floating point, from luma weights 0.299 and 0.114.
    fn reference(luma: u8, blue: u8, red: u8) -> [f64; 3] {
        let y = (f64::from(luma) - 16.0) / 219.0;
        let (b, r) = ((f64::from(blue) - 128.0) / 112.0, (f64::from(red) - 128.0) / 112.0);
        let (red, blue) = (y + r * (1.0 - 0.299), y + b * (1.0 - 0.114));
        let green = (y - 0.299 * red - 0.114 * blue) / 0.587;
        [red, green, blue].map(|v| (v * 255.0).clamp(0.0, 255.0))
    }

    #[test]
    fn every_luma_and_chroma_is_that_of_the_standard() {
        for value in 0..1_u32 << 24 {
            let [luma, blue, red, _] = value.to_le_bytes();
            let found = rgb_of_yuv(luma, blue, red);
            for (f, e) in found.iter().zip(reference(luma, blue, red)) {
                // Half a step of rounding, and what 16 bits of the weights leave.
                assert!((f64::from(*f) - e).abs() < 0.504, "{luma} {blue} {red}: {found:?}");
            }
        }
        let grey = [16, 235].map(|luma| rgb_of_yuv(luma, 128, 128));
        assert_eq!(grey, [[0; 3], [255; 3]]);
    }

    #[test]
    fn every_565_pixel_is_the_nearest_of_eight_bits() {
        for pixel in 0..=u16::MAX {
            let fields = [(pixel / 2048, 31.0), (pixel / 32 % 64, 63.0), (pixel % 32, 31.0)];
            let expected = fields.map(|(field, top)| 255.0 * f64::from(field) / top);
            for (found, expected) in rgb_of_565(pixel).into_iter().zip(expected) {
                assert!((f64::from(found) - expected).abs() < 0.5, "{pixel:#06x}: {found}");
            }
        }
        let corners = [0x0000, 0xFFFF, 0xF800, 0x07E0, 0x001F];
        let colours = [[0; 3], [255; 3], [255, 0, 0], [0, 255, 0], [0, 0, 255]];
        assert_eq!(corners.map(rgb_of_565), colours);
        // Red 3 of 31 is 24.68: cutting or repeating bits would give 24.
        assert_eq!(rgb_of_565(3 << 11), [25, 0, 0]);
    }
}
