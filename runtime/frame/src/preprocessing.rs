//! The one preprocessing: from a frame's samples to the values of the network's input tensor.
//!
//! In this order, in `f32`, never fused:
//! 1. `bgr`: the first and the third channel change places;
//! 2. `v = sample / 255`, by division (`f32` frames already hold this value);
//! 3. `v = low + v * (high - low)`, skipped when the range is 0..1;
//! 4. `v = (v - mean[c]) / std[c]`, skipped when all means are 0 and all standard deviations 1,
//!    with `c` the channel after step 1.
//!
//! Grey frames use element 0 of `mean` and `std`, and `bgr` does nothing to them.

pub use crate::text::ParseError;

/// How frames become the input tensor. The default is `sample / 255`, RGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// What sample 0 becomes, before mean and standard deviation.
    pub low: f32,
    /// What sample 255 becomes, before mean and standard deviation.
    pub high: f32,
    /// Subtracted, per channel in the model's order.
    pub mean: [f32; 3],
    /// Divided by, per channel in the model's order.
    pub std: [f32; 3],
    /// The model takes blue, green, red.
    pub bgr: bool,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Preprocessing { low: 0.0, high: 1.0, mean: [0.0; 3], std: [1.0; 3], bgr: false }
    }
}

/// Why a frame could not be preprocessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError {
    /// Neither 1 nor 3 channels.
    Channels,
    /// Frame and output differ in length, or are no whole number of pixels.
    Length,
}

impl core::fmt::Display for ApplyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ApplyError::Channels => "a frame has 1 (grey) or 3 (RGB) channels",
            ApplyError::Length => "frame and output must hold the same number of whole pixels",
        })
    }
}

impl core::error::Error for ApplyError {}

/// Which constant of a preprocessing makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreprocessingError {
    /// The range is not finite, or its upper end is not above its lower end.
    Range,
    /// A mean is not finite.
    Mean,
    /// A standard deviation is not finite, or not above zero.
    Std,
}

impl core::fmt::Display for PreprocessingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            PreprocessingError::Range => "range needs two finite numbers, the lower one first",
            PreprocessingError::Mean => "mean needs finite numbers",
            PreprocessingError::Std => "std needs finite numbers above zero",
        })
    }
}

impl core::error::Error for PreprocessingError {}

impl Preprocessing {
    /// Whether the constants make sense; parsed ones always do.
    pub fn check(&self) -> Result<(), PreprocessingError> {
        let span = self.high - self.low;
        if !(self.low.is_finite() && self.high.is_finite() && span.is_finite() && span > 0.0) {
            return Err(PreprocessingError::Range);
        }
        if !self.mean.iter().all(|m| m.is_finite()) {
            return Err(PreprocessingError::Mean);
        }
        if !self.std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(PreprocessingError::Std);
        }
        Ok(())
    }

    /// Writes the input tensor for a `u8` frame; both in rows, columns, channels (1 or 3).
    pub fn apply_u8(
        &self,
        frame: &[u8],
        channels: usize,
        out: &mut [f32],
    ) -> Result<(), ApplyError> {
        self.apply(frame, channels, out, |sample| f32::from(sample) / 255.0)
    }

    /// Writes the input tensor for a frame of `f32` samples in 0..1.
    ///
    /// A sample that is exactly `u8 / 255` gives the bits of [`Preprocessing::apply_u8`].
    pub fn apply_f32(
        &self,
        frame: &[f32],
        channels: usize,
        out: &mut [f32],
    ) -> Result<(), ApplyError> {
        self.apply(frame, channels, out, |sample| sample)
    }

    fn apply<S: Copy>(
        &self,
        frame: &[S],
        channels: usize,
        out: &mut [f32],
        value: impl Fn(S) -> f32,
    ) -> Result<(), ApplyError> {
        if frame.len() != out.len() {
            return Err(ApplyError::Length);
        }
        let steps = Steps {
            low: self.low,
            span: if self.is_unit_range() { None } else { Some(self.high - self.low) },
            normalise: self.is_normalising(),
        };
        let ([mean, mean1, mean2], [std, std1, std2]) = (self.mean, self.std);
        match channels {
            1 => {
                for (o, &v) in out.iter_mut().zip(frame) {
                    *o = steps.run(value(v), mean, std);
                }
                Ok(())
            }
            3 => {
                let (from, ragged) = frame.as_chunks::<3>();
                let (to, _) = out.as_chunks_mut::<3>();
                if !ragged.is_empty() {
                    return Err(ApplyError::Length);
                }
                for (o, &[r, g, b]) in to.iter_mut().zip(from) {
                    let (first, third) = if self.bgr { (b, r) } else { (r, b) };
                    *o = [
                        steps.run(value(first), mean, std),
                        steps.run(value(g), mean1, std1),
                        steps.run(value(third), mean2, std2),
                    ];
                }
                Ok(())
            }
            _ => Err(ApplyError::Channels),
        }
    }

    /// Whether step 3 is skipped.
    pub fn is_unit_range(&self) -> bool {
        self.low == 0.0 && self.high == 1.0
    }

    /// Whether step 4 takes place.
    pub fn is_normalising(&self) -> bool {
        self.mean != [0.0; 3] || self.std != [1.0; 3]
    }
}

/// Steps 3 and 4, decided once per frame.
struct Steps {
    low: f32,
    /// `high - low`; `None` skips step 3.
    span: Option<f32>,
    normalise: bool,
}

impl Steps {
    #[inline(always)]
    fn run(&self, v: f32, mean: f32, std: f32) -> f32 {
        let ranged = match self.span {
            Some(span) => self.low + v * span,
            None => v,
        };
        if self.normalise { (ranged - mean) / std } else { ranged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Preprocessing {
        Preprocessing {
            low: -1.0,
            high: 1.0,
            mean: [0.1, 0.2, 0.3],
            std: [0.5, 0.25, 2.0],
            bgr: true,
        }
    }

    #[test]
    fn neutral_divides_by_255() {
        let mut out = [0.0; 3];
        Preprocessing::default().apply_u8(&[0, 127, 255], 3, &mut out).unwrap();
        assert_eq!(out, [0.0, 127.0 / 255.0, 1.0]);
    }

    #[test]
    fn every_step_in_its_place() {
        let mut out = [0.0; 3];
        example().apply_u8(&[255, 51, 0], 3, &mut out).unwrap();
        let expected = [
            (-1.0 + 0.0 * 2.0 - 0.1) / 0.5,
            ((-1.0 + 51.0_f32 / 255.0 * 2.0) - 0.2) / 0.25,
            ((-1.0 + 1.0 * 2.0) - 0.3) / 2.0,
        ];
        assert_eq!(out, expected);
        let mut grey = [0.0];
        example().apply_u8(&[255], 1, &mut grey).unwrap();
        assert_eq!(grey, [(1.0 - 0.1) / 0.5]);
    }

    #[test]
    fn f32_frames_give_the_bits_of_u8_frames() {
        for bgr in [false, true] {
            for p in [
                Preprocessing { bgr, ..Preprocessing::default() },
                Preprocessing { bgr, ..example() },
            ] {
                for v in 0..=255_u8 {
                    let bytes = [v, 255 - v, v / 2];
                    let floats = bytes.map(|b| f32::from(b) / 255.0);
                    for channels in [1, 3] {
                        let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
                        p.apply_u8(&bytes, channels, &mut a).unwrap();
                        p.apply_f32(&floats, channels, &mut b).unwrap();
                        assert_eq!(a.map(f32::to_bits), b.map(f32::to_bits), "{p:?} {bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn nan_survives() {
        let mut out = [0.0];
        example().apply_f32(&[f32::NAN], 1, &mut out).unwrap();
        assert!(out[0].is_nan());
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let p = Preprocessing::default();
        let cases = [
            (3, 3, 2, Err(ApplyError::Channels)),
            (4, 4, 0, Err(ApplyError::Channels)),
            (4, 4, 3, Err(ApplyError::Length)),
            (3, 6, 3, Err(ApplyError::Length)),
            (0, 0, 3, Ok(())),
        ];
        for (frame, out, channels, expected) in cases {
            let result = p.apply_u8(&[0; 6][..frame], channels, &mut [0.0; 6][..out]);
            assert_eq!(result, expected, "{frame} {out} {channels}");
        }
    }

    #[test]
    fn senseless_constants_are_named() {
        let neutral = Preprocessing::default();
        let cases = [
            (neutral, Ok(())),
            (Preprocessing { low: 1.0, ..neutral }, Err(PreprocessingError::Range)),
            (Preprocessing { low: 2.0, ..neutral }, Err(PreprocessingError::Range)),
            (Preprocessing { low: -3e38, high: 3e38, ..neutral }, Err(PreprocessingError::Range)),
            (Preprocessing { high: f32::NAN, ..neutral }, Err(PreprocessingError::Range)),
            (
                Preprocessing { mean: [0.0, f32::INFINITY, 0.0], ..neutral },
                Err(PreprocessingError::Mean),
            ),
            (Preprocessing { std: [1.0, 0.0, 1.0], ..neutral }, Err(PreprocessingError::Std)),
            (Preprocessing { std: [1.0, 1.0, -1.0], ..neutral }, Err(PreprocessingError::Std)),
        ];
        for (p, expected) in cases {
            assert_eq!(p.check(), expected, "{p:?}");
        }
    }
}
