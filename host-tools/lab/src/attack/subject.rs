//! One image to attack, and what became of it.

use gradgate_frames::{Frame, Pixels};

use crate::error::LabError;

/// An image to attack.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Its number in the set of frames. Random numbers are drawn by it.
    pub index: usize,
    /// Which image, track or sequence it belongs to.
    pub source: i64,
    /// Its class, where that is known.
    pub label: Option<usize>,
    /// Pixels in 0..1, channels x rows x columns.
    pub pixels: Vec<f32>,
}

impl Subject {
    /// Frame `index` of a set, of `channels` channels.
    ///
    /// # Errors
    /// When the label is no class.
    pub fn of_frame(index: usize, frame: &Frame, channels: usize) -> Result<Self, LabError> {
        let interleaved: Vec<f32> = match &frame.pixels {
            Pixels::U8(bytes) => bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect(),
            Pixels::F32(samples) => samples.clone(),
        };
        let plane = interleaved.len() / channels;
        let sample = |at: usize| interleaved[at % plane * channels + at / plane];
        let class = |label: i64| {
            usize::try_from(label).map_err(|_| {
                LabError::Data(format!("{} has label {label}, which is no class", frame.name))
            })
        };
        Ok(Self {
            index,
            source: frame.source,
            label: frame.label.map(class).transpose()?,
            pixels: (0..interleaved.len()).map(sample).collect(),
        })
    }
}

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The classifier was wrong before the attack.
    CleanWrong,
    /// The goal was reached.
    Success,
    /// It was not.
    Failed,
    /// Its class is the target already: it was left alone.
    AtTarget,
}

impl Status {
    /// All of them, by their codes.
    pub const ALL: [Status; 4] =
        [Status::CleanWrong, Status::Success, Status::Failed, Status::AtTarget];

    /// Its number in files.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Status::CleanWrong => "clean_wrong",
            Status::Success => "success",
            Status::Failed => "failed",
            Status::AtTarget => "at_target",
        }
    }
}

/// An attacked image.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// As the subject's.
    pub index: usize,
    /// As the subject's.
    pub source: i64,
    /// As the subject's.
    pub label: Option<usize>,
    /// What became of it.
    pub status: Status,
    /// The class predicted for the clean image.
    pub predicted_before: usize,
    /// The class predicted for the image below.
    pub predicted_after: usize,
    /// The class that was aimed at.
    pub target: Option<usize>,
    /// Largest difference of a pixel.
    pub l_inf: f32,
    /// Square root of the sum of squared differences.
    pub l2: f32,
    /// Pixels in 0..1, channels x rows x columns.
    pub pixels: Vec<f32>,
}

/// Largest difference and root of the sum of squared differences, in pixels of 0..1.
pub fn distortion(clean: &[f32], changed: &[f32]) -> (f32, f32) {
    let differences = clean.iter().zip(changed).map(|(a, b)| f64::from(*b) - f64::from(*a));
    let (mut largest, mut squares) = (0.0, 0.0);
    for difference in differences {
        largest = f64::max(largest, difference.abs());
        squares += difference * difference;
    }
    (largest as f32, squares.sqrt() as f32)
}

/// The nearest of the 256 values that a byte holds; halves go up.
pub fn round_to_bytes(pixels: &mut [f32]) {
    pixels.iter_mut().for_each(|x| *x = f32::from((*x * 255.0 + 0.5) as u8) / 255.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distortions_are_those_of_the_difference() {
        let (l_inf, l2) = distortion(&[0.0, 0.5, 1.0], &[0.3, 0.5, 0.6]);
        assert!((l_inf - 0.4).abs() < 1e-6 && (l2 - 0.5).abs() < 1e-6, "{l_inf} {l2}");
    }

    #[test]
    fn bytes_stay_and_others_go_to_the_nearest() {
        let mut pixels: Vec<f32> = (0..=255u8).map(|byte| f32::from(byte) / 255.0).collect();
        let bytes = pixels.clone();
        round_to_bytes(&mut pixels);
        assert_eq!(pixels, bytes);
        let mut others = [0.4 / 255.0, 0.6 / 255.0, 1.0];
        round_to_bytes(&mut others);
        assert_eq!(others, [0.0, 1.0 / 255.0, 1.0]);
    }

    #[test]
    fn codes_are_places_in_the_list() {
        for (code, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(status.code()), code);
        }
    }
}
