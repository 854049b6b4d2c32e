//! Frames behind a codec: of anomalies after whatever was done to them, and of the normal frames
//! that a set is told apart from. Both in all combinations show what of a figure is the codec.

use gradgate_frames::{Jpeg, Pixels};
use rayon::prelude::*;

use crate::array::Array;
use crate::attack::Status;
use crate::error::LabError;

use super::definition::SetChoice;
use super::ours::Measured;
use super::sets::ImageSet;

/// The set behind a codec such as `75`. Frames keep their sources and originals.
///
/// # Errors
/// No codec; a frame that it refuses.
pub fn coded(set: &ImageSet, codec: &str) -> Result<ImageSet, LabError> {
    let wrong = |text: String| LabError::Data(format!("set `{}`: {text}", set.name));
    let jpeg: Jpeg = codec.parse().map_err(wrong)?;
    let &[_, channels, height, width] = set.images.shape() else {
        return Err(wrong("it holds no images".to_owned()));
    };
    let pass = |at: usize| {
        let rows = interleaved(set.images.frame(at), channels);
        let passed = jpeg.pass(Pixels::U8(rows), [height, width, channels]).map_err(wrong)?;
        Ok(planes(&passed.to_u8(), channels))
    };
    let frames: Vec<Vec<f32>> =
        (0..set.len()).into_par_iter().map(pass).collect::<Result<_, LabError>>()?;
    let images = Array::new(set.images.shape(), frames.concat());
    Ok(ImageSet { images, ..set.clone() })
}

/// Bytes of rows, columns, channels.
fn interleaved(frame: &[f32], channels: usize) -> Vec<u8> {
    let plane = frame.len() / channels;
    let sample = |at: usize| frame[at % channels * plane + at / channels];
    (0..frame.len()).map(|at| (sample(at) * 255.0 + 0.5) as u8).collect()
}

/// Back to channels, rows, columns in 0..1.
fn planes(bytes: &[u8], channels: usize) -> Vec<f32> {
    let plane = bytes.len() / channels;
    let order = (0..bytes.len()).map(|at| at % plane * channels + at / plane);
    order.map(|at| f32::from(bytes[at]) / 255.0).collect()
}

/// Judges attacked frames anew by the classes that they are given now: an attack is successful
/// where the class is wrong.
pub fn judged_anew(mut set: ImageSet, classes: &[usize]) -> ImageSet {
    let labels = &set.labels;
    for (at, status) in set.statuses.iter_mut().flatten().enumerate() {
        let attacked = matches!(status, Status::Success | Status::Failed);
        if let Some(label) = labels[at].filter(|_| attacked) {
            *status = if classes[at] == label { Status::Failed } else { Status::Success };
        }
    }
    set
}

/// Normal frames behind the codecs that sets ask for, each codec once.
#[derive(Default)]
pub struct CodedNormals {
    codecs: Vec<(String, Measured)>,
    of_set: Vec<Option<usize>>,
}

impl CodedNormals {
    /// Makes and measures them.
    ///
    /// # Errors
    /// As [`coded`], and what `measure` says.
    pub fn new(
        normal: &ImageSet,
        sets: &[SetChoice],
        mut measure: impl FnMut(ImageSet) -> Result<Measured, LabError>,
    ) -> Result<CodedNormals, LabError> {
        let mut all = CodedNormals::default();
        for set in sets {
            let known = |codec: &String| all.codecs.iter().position(|(other, _)| other == codec);
            let at = match (&set.normal_jpeg, set.normal_jpeg.as_ref().and_then(known)) {
                (None, _) => None,
                (Some(_), Some(at)) => Some(at),
                (Some(codec), None) => {
                    all.codecs.push((codec.clone(), measure(coded(normal, codec)?)?));
                    Some(all.codecs.len() - 1)
                }
            };
            all.of_set.push(at);
        }
        Ok(all)
    }

    /// Which codec the normal frames of a set go through; none where they are as they are.
    pub fn place(&self, set: usize) -> Option<usize> {
        self.of_set.get(set).copied().flatten()
    }

    /// The normal frames that a set is told apart from.
    pub fn of<'a>(&'a self, set: usize, plain: &'a Measured) -> &'a Measured {
        self.place(set).map_or(plain, |at| &self.codecs[at].1)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::protocol::definition::FramesChoice;
    use crate::protocol::sets::Places;

    fn signs(jpeg: Option<&str>) -> ImageSet {
        let choice = FramesChoice {
            frames: vec!["signs:test:n=6".to_owned()],
            jpeg: jpeg.map(str::to_owned),
            ..FramesChoice::default()
        };
        let places = Places { data: Path::new("."), recipe: Path::new("recipe.toml") };
        ImageSet::read("signs", &choice, [3, 24, 16], &places, 0).expect("reads")
    }

    #[test]
    fn the_codec_is_that_of_frames_read_through_it() {
        let plain = signs(None);
        for codec in ["75", "40:444"] {
            let found = coded(&plain, codec).expect("passes");
            assert!(found == signs(Some(codec)) && found != plain, "{codec}");
        }
        let error = coded(&plain, "101").unwrap_err().to_string();
        assert!(error.contains("signs") && error.contains("1 to 100"), "{error}");
    }

    #[test]
    fn attacks_are_judged_anew() {
        use Status::{AtTarget, CleanWrong, Failed, Success};
        let set = ImageSet {
            name: "attacked".into(),
            images: Array::zeros([5, 1, 1, 1]),
            labels: vec![Some(0), Some(0), Some(0), Some(1), Some(1)],
            sources: (0..5).collect(),
            twins: Some((0..5).collect()),
            statuses: Some(vec![Failed, Success, CleanWrong, Success, AtTarget]),
        };
        let found = judged_anew(set, &[1, 0, 1, 1, 0]);
        let wanted = vec![Success, Failed, CleanWrong, Failed, AtTarget];
        assert_eq!(found.statuses, Some(wanted));
    }
}
