//! What the raw frames on standard input are, on the command line.

use clap::{Args, ValueEnum};
use gradgate_frames::{PixelLayout, RawFrames};

/// What the raw frames on standard input (`-`) are.
#[derive(Args, Clone, Debug, Default)]
pub struct RawArgs {
    /// Columns and rows of the raw frames on standard input (FRAMES is -)
    #[arg(long, value_name = "WxH", requires = "pixel", value_parser = size)]
    size: Option<[usize; 2]>,
    /// How their samples lie; rows have no padding
    #[arg(long, value_enum, requires = "size")]
    pixel: Option<PixelArg>,
    /// Frames a second, from which their times follow
    #[arg(long, value_name = "N", requires = "size", value_parser = rate)]
    fps: Option<f64>,
}

/// See [`PixelLayout`].
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum PixelArg {
    /// Red, green, blue
    Rgb24,
    /// Blue, green, red
    Bgr24,
    /// One sample a pixel
    Grey,
    /// YUV 4:2:2, luma first (also called YUY2), BT.601 limited range
    Yuyv,
    /// YUV 4:2:2, chroma first, BT.601 limited range
    Uyvy,
    /// YUV 4:2:0, a plane of luma and one of chroma, BT.601 limited range
    Nv12,
}

impl RawArgs {
    /// What was said, if anything was.
    pub fn frames(&self) -> Option<RawFrames> {
        let ([width, height], pixel) = (self.size?, self.pixel?);
        let layout = match pixel {
            PixelArg::Rgb24 => PixelLayout::Rgb24,
            PixelArg::Bgr24 => PixelLayout::Bgr24,
            PixelArg::Grey => PixelLayout::Grey8,
            PixelArg::Yuyv => PixelLayout::Yuyv,
            PixelArg::Uyvy => PixelLayout::Uyvy,
            PixelArg::Nv12 => PixelLayout::Nv12,
        };
        Some(RawFrames { width, height, layout, rate: self.fps })
    }
}

fn size(text: &str) -> Result<[usize; 2], String> {
    let side = |text: &str| text.parse::<usize>().ok().filter(|&side| side > 0);
    let sides = text.split_once(['x', 'X']).map(|(width, height)| (side(width), side(height)));
    match sides {
        Some((Some(width), Some(height))) => Ok([width, height]),
        _ => Err("columns and rows are needed, as in 640x480".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let fraction = text.split_once('/').map_or((text, "1"), |parts| parts);
    let number = |text: &str| text.parse::<f64>().ok();
    let rate = number(fraction.0).zip(number(fraction.1)).map(|(over, under)| over / under);
    rate.filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| "a number above 0 is needed, as in 30, 29.97 or 30000/1001".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_rates() {
        assert_eq!(size("640x480"), Ok([640, 480]));
        for wrong in ["", "640", "640x", "x480", "0x1", "-1x2", "640x480x3", "640 x 480"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!((rate("30"), rate("12.5")), (Ok(30.0), Ok(12.5)));
        assert!((rate("30000/1001").unwrap_or_default() - 29.970_03).abs() < 1e-5);
        for wrong in ["", "0", "-1", "nan", "inf", "1/0", "a", "1/2/3"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
