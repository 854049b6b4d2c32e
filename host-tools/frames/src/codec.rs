//! Frames through a codec and back: what a camera's JPEG does to them, as a control.
//!
//! Sets of images have different histories: CIFAR-10 never was a JPEG, Tiny-ImageNet was. A
//! detector may tell the codec and not the content, so both sides of a comparison are also measured
//! behind the same codec, applied at the frame's size after resizing.

use std::fmt;
use std::str::FromStr;

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use crate::frames::Pixels;
use crate::picture;

/// A JPEG encoder and decoder: tables of ITU-T T.81 annex K scaled by quality as libjpeg does.
///
/// Written and read as `QUALITY` or `QUALITY:SAMPLING`, as in `75` and `90:444`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jpeg {
    quality: u8,
    sampling: Sampling,
}

/// How much of the colour is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// All of it.
    Full,
    /// Half of the columns: 4:2:2.
    Columns,
    /// Half of the columns and of the rows, 4:2:0: the default of most encoders.
    #[default]
    Quarter,
}

const SAMPLINGS: [(&str, Sampling, SamplingFactor); 3] = [
    ("444", Sampling::Full, SamplingFactor::R_4_4_4),
    ("422", Sampling::Columns, SamplingFactor::R_4_2_2),
    ("420", Sampling::Quarter, SamplingFactor::R_4_2_0),
];

impl Jpeg {
    /// A quality of 1 to 100, libjpeg's scale; `None` outside it.
    pub fn new(quality: u8, sampling: Sampling) -> Option<Self> {
        (1..=100).contains(&quality).then_some(Jpeg { quality, sampling })
    }

    fn factor(self) -> (&'static str, SamplingFactor) {
        let found = SAMPLINGS.iter().find(|(_, sampling, _)| *sampling == self.sampling);
        found.map_or(("420", SamplingFactor::R_4_2_0), |&(name, _, factor)| (name, factor))
    }

    /// A frame of `[height, width, channels]` behind the codec; `f32` samples by way of bytes.
    ///
    /// # Errors
    /// A frame that the encoder refuses, as one that is larger than a JPEG can be.
    pub fn pass(self, pixels: Pixels, shape: [usize; 3]) -> Result<Pixels, String> {
        let [height, width, channels] = shape;
        let (w, h) = (width as u16, height as u16);
        let colour = if channels == 1 { ColorType::Luma } else { ColorType::Rgb };
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.quality);
        encoder.set_sampling_factor(self.factor().1);
        // Its default drops samples, which no camera does.
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        let encoded = encoder.encode(&pixels.to_u8(), w, h, colour);
        encoded.map_err(|error| format!("a frame cannot be encoded as JPEG: {error}"))?;
        let raw = picture::decode(&bytes, (width * height) as u64);
        let raw = raw.map_err(|problem| format!("our own JPEG is refused: {}", problem.what))?;
        if [raw.height, raw.width, raw.channels] != shape {
            return Err("our own JPEG has another size".to_owned());
        }
        Ok(match pixels {
            Pixels::U8(_) => raw.pixels,
            Pixels::F32(_) => {
                let samples = raw.pixels.to_u8();
                Pixels::F32(samples.into_iter().map(|v| f32::from(v) / 255.0).collect())
            }
        })
    }
}

impl FromStr for Jpeg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (quality, sampling) = text.split_once(':').unwrap_or((text, "420"));
        let known = SAMPLINGS.iter().find(|(name, ..)| *name == sampling);
        let quality = quality.parse().ok();
        match (quality, known) {
            (Some(quality), Some(&(_, sampling, _))) => Jpeg::new(quality, sampling),
            _ => None,
        }
        .ok_or_else(|| {
            "a JPEG is a quality of 1 to 100, and :444, :422 or :420 (as in 75 or 90:444)"
                .to_owned()
        })
    }
}

impl fmt::Display for Jpeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.quality, self.factor().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [16, 24, 3];

    /// A soft slope of grey with a red square whose border no block has.
    fn frame() -> Vec<u8> {
        let pixel = |at: usize| {
            let (row, column) = (at / 24, at % 24);
            let inside = (3..10).contains(&row) && (5..14).contains(&column);
            let grey = (40 + 4 * column + 3 * row) as u8;
            if inside { [200, 30, 30] } else { [grey; 3] }
        };
        (0..16 * 24).flat_map(pixel).collect()
    }

    fn error(jpeg: &str) -> f64 {
        let jpeg: Jpeg = jpeg.parse().unwrap();
        let frame = frame();
        let passed = jpeg.pass(Pixels::U8(frame.clone()), SHAPE).unwrap().to_u8();
        let errors = frame.iter().zip(&passed).map(|(&a, &b)| f64::from(a.abs_diff(b)).powi(2));
        (errors.sum::<f64>() / frame.len() as f64).sqrt()
    }

    #[test]
    fn quality_and_sampling_set_the_loss() {
        let losses = ["100:444", "90:444", "90:422", "90:420", "10:420"].map(error);
        assert!(losses.is_sorted(), "{losses:?}");
        assert!(losses[0] < 1.0 && losses[3] > 2.0 * losses[1], "{losses:?}");
    }

    #[test]
    fn grey_and_floats_take_the_same_way() {
        let jpeg: Jpeg = "50".parse().unwrap();
        let grey: Vec<u8> = (0..16 * 24).map(|at| (at % 24 * 9) as u8).collect();
        let passed = jpeg.pass(Pixels::U8(grey.clone()), [16, 24, 1]).unwrap();
        assert_ne!(passed, Pixels::U8(grey.clone()));
        let floats = grey.iter().map(|&v| f32::from(v) / 255.0).collect();
        let floats = jpeg.pass(Pixels::F32(floats), [16, 24, 1]).unwrap();
        assert!(matches!(floats, Pixels::F32(_)));
        assert_eq!(floats.to_u8(), passed.to_u8());
    }

    #[test]
    fn text_and_back() {
        for (text, written) in [("75", "75:420"), ("1:444", "1:444"), ("100:422", "100:422")] {
            assert_eq!(text.parse::<Jpeg>().unwrap().to_string(), written);
        }
        for text in ["", "0", "101", "75:411", "75:", ":444", "-1", "7.5"] {
            assert!(text.parse::<Jpeg>().unwrap_err().contains("1 to 100"), "{text}");
        }
    }
}
