//! Frames in memory, with what is known of each.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use gradgate_bundle::digest::sha256;
use gradgate_frames::fault::Fault;
use gradgate_frames::{Jpeg, OpenOptions, Pixels, open};

use crate::array::Array;
use crate::attack::Status;
use crate::error::LabError;
use crate::hex::hex;
use crate::train::{Parts, Recipe};

use super::definition::{FramesChoice, RecipePart};

/// Frames of one set.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSet {
    /// Its name in tables.
    pub name: String,
    /// Pixels in 0..1, `[n, C, H, W]`.
    pub images: Array,
    /// Classes, where they are known and the classifier's.
    pub labels: Vec<Option<usize>>,
    /// Image, track or sequence of each frame. Frames made from normal ones have their sources.
    pub sources: Vec<i64>,
    /// For frames made from normal ones, which of them.
    pub twins: Option<Vec<usize>>,
    /// For attacked frames, what became of them.
    pub statuses: Option<Vec<Status>>,
}

/// Where an image set's sources begin, so that sets from other files share none: sets are told
/// apart by their place in the protocol.
const APART: i64 = 1 << 40;

impl ImageSet {
    /// How many frames.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// SHA-256 over shape and pixels, in hexadecimal digits.
    pub fn digest(&self) -> String {
        let shape = self.images.shape().iter().flat_map(|&side| (side as u64).to_le_bytes());
        let pixels = self.images.data().iter().flat_map(|x| x.to_le_bytes());
        let bytes: Vec<u8> = shape.chain(pixels).collect();
        hex(&sha256(&bytes))
    }

    /// The frames of these numbers.
    pub fn take(&self, chosen: &[usize]) -> ImageSet {
        let all = |values: &Vec<usize>| chosen.iter().map(|&at| values[at]).collect();
        ImageSet {
            name: self.name.clone(),
            images: self.images.select(chosen),
            labels: chosen.iter().map(|&at| self.labels[at]).collect(),
            sources: chosen.iter().map(|&at| self.sources[at]).collect(),
            twins: self.twins.as_ref().map(all),
            statuses: self.statuses.as_ref().map(|s| chosen.iter().map(|&at| s[at]).collect()),
        }
    }

    /// Reads frames at the model's `[C, H, W]`. `place` is 0 for the normal frames and tells sets
    /// from other files apart; parts of the classifier's own recipe keep their sources.
    ///
    /// # Errors
    /// Frames that cannot be read, an unknown word, no frame that is left.
    pub fn read(
        name: &str,
        choice: &FramesChoice,
        shape: [usize; 3],
        places: &Places<'_>,
        place: usize,
    ) -> Result<ImageSet, LabError> {
        let wrong = |text: String| LabError::Data(format!("set `{name}`: {text}"));
        let [channels, height, width] = shape;
        let mut reading = Reading { choice, pixels: Vec::new(), labels: vec![], sources: vec![] };
        match choice.part {
            Some(part) => reading.take_part(places, part, shape).map_err(wrong)?,
            None => reading.take_files(places, shape, place).map_err(wrong)?,
        }
        let Reading { pixels, labels, sources, .. } = reading;
        if labels.is_empty() {
            return Err(wrong("no frame is left: look at labels and held_out".to_owned()));
        }
        Ok(ImageSet {
            name: name.to_owned(),
            images: Array::new([labels.len(), channels, height, width], pixels),
            labels,
            sources,
            twins: None,
            statuses: None,
        })
    }
}

/// Where frames are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The folder that FRAMES lie in.
    pub data: &'a Path,
    /// The classifier's recipe.
    pub recipe: &'a Path,
}

/// Frames as they come.
struct Reading<'a> {
    choice: &'a FramesChoice,
    pixels: Vec<f32>,
    labels: Vec<Option<usize>>,
    sources: Vec<i64>,
}

impl Reading<'_> {
    fn is_full(&self) -> bool {
        self.choice.limit.is_some_and(|limit| self.labels.len() >= limit)
    }

    fn take_files(
        &mut self,
        places: &Places<'_>,
        shape: [usize; 3],
        place: usize,
    ) -> Result<(), String> {
        let located = |frames: &String| located(frames, places.data);
        let paths: Vec<PathBuf> = self.choice.frames.iter().map(located).collect();
        let frames = open(&paths, &options(self.choice, shape)?).map_err(|e| e.to_string())?;
        for frame in frames.iter() {
            let frame = frame.map_err(|error| error.to_string())?;
            let Some(label) = self.choice.label(frame.label)? else { continue };
            push_planes(&mut self.pixels, &frame.pixels, shape[0]);
            self.labels.push(label);
            self.sources.push(frame.source + place as i64 * APART);
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn take_part(
        &mut self,
        places: &Places<'_>,
        part: RecipePart,
        shape: [usize; 3],
    ) -> Result<(), String> {
        if self.choice.jpeg.is_some() || !self.choice.faults.is_empty() {
            return Err("jpeg and faults do not go with a part of a recipe".to_owned());
        }
        let recipe = Recipe::read(places.recipe).map_err(|error| error.to_string())?;
        let parts = Parts::read(&recipe, places.data).map_err(|error| error.to_string())?;
        let frames = match part {
            RecipePart::Train => parts.train,
            RecipePart::Validation => parts.validation,
            RecipePart::Test => parts.test,
        };
        if frames.shape != shape {
            return Err(format!(
                "the recipe has frames of {:?}, the model {shape:?}",
                frames.shape
            ));
        }
        for at in (0..frames.len()).step_by(self.choice.stride.unwrap_or(1)) {
            let label = self.choice.label(Some(frames.labels[at] as i64))?;
            let Some(label) = label else { continue };
            self.pixels.extend(frames.frame(at).iter().map(|&byte| f32::from(byte) / 255.0));
            self.labels.push(label);
            self.sources.push(frames.sources[at]);
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }
}

impl FramesChoice {
    /// The label as the classifier numbers it; `None` for a frame that is left out.
    fn label(&self, label: Option<i64>) -> Result<Option<Option<usize>>, String> {
        let known = label.map(|label| {
            usize::try_from(label).map_err(|_| format!("a frame has label {label}, no class"))
        });
        let known = known.transpose()?;
        if self.labels.is_empty() && self.held_out.is_empty() {
            return Ok(Some(known));
        }
        let Some(label) = known else {
            return Err("labels and held_out need frames with labels".to_owned());
        };
        let out = self.held_out.contains(&label);
        if out || !(self.labels.is_empty() || self.labels.contains(&label)) {
            return Ok(None);
        }
        Ok(Some(Some(label - self.held_out.iter().filter(|&&other| other < label).count())))
    }
}

fn options(
    choice: &FramesChoice,
    [channels, height, width]: [usize; 3],
) -> Result<OpenOptions, String> {
    let mut options = OpenOptions::new(height, width, channels);
    options.stride = choice.stride.unwrap_or(1);
    options.group = choice.group;
    if let Some(jpeg) = &choice.jpeg {
        options.codec = Some(Jpeg::from_str(jpeg).map_err(|error| format!("jpeg: {error}"))?);
    }
    for fault in &choice.faults {
        options.faults.push(Fault::from_str(fault).map_err(|error| format!("faults: {error}"))?);
    }
    Ok(options)
}

/// A file in the folder of the data; the text of drawn signs stands for itself.
fn located(frames: &str, base: &Path) -> PathBuf {
    if frames.starts_with("signs:") { PathBuf::from(frames) } else { base.join(frames) }
}

/// From rows, columns, channels of a file to channels, rows, columns in 0..1.
fn push_planes(to: &mut Vec<f32>, pixels: &Pixels, channels: usize) {
    let plane = pixels.len() / channels;
    let order = (0..pixels.len()).map(|at| at % plane * channels + at / plane);
    match pixels {
        Pixels::U8(bytes) => to.extend(order.map(|at| f32::from(bytes[at]) / 255.0)),
        Pixels::F32(samples) => to.extend(order.map(|at| samples[at])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_kept_left_out_and_numbered_anew() {
        let held = FramesChoice { held_out: vec![1, 4], ..FramesChoice::default() };
        let kept = FramesChoice { labels: vec![1, 4], ..FramesChoice::default() };
        for (choice, label, wanted) in [
            (&held, Some(0), Ok(Some(Some(0)))),
            (&held, Some(1), Ok(None)),
            (&held, Some(2), Ok(Some(Some(1)))),
            (&held, Some(5), Ok(Some(Some(3)))),
            (&kept, Some(4), Ok(Some(Some(4)))),
            (&kept, Some(3), Ok(None)),
            (&FramesChoice::default(), None, Ok(Some(None))),
        ] {
            assert_eq!(choice.label(label), wanted, "{label:?}");
        }
        assert!(held.label(None).is_err() && held.label(Some(-1)).is_err());
    }

    #[test]
    fn frames_are_read_limited_and_told_apart() {
        let choice = FramesChoice {
            frames: vec!["signs:sequence:n=40,track=10".to_owned()],
            stride: Some(2),
            limit: Some(12),
            ..FramesChoice::default()
        };
        let places = Places { data: Path::new("."), recipe: Path::new("recipe.toml") };
        let read = |place| ImageSet::read("s", &choice, [3, 16, 16], &places, place);
        let (first, second) = (read(0).expect("reads"), read(1).expect("reads"));
        assert_eq!(first.images.shape(), [12, 3, 16, 16]);
        assert_eq!(first.sources, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]);
        assert_eq!(first.digest(), second.digest());
        assert!(second.sources.iter().all(|source| !first.sources.contains(source)));
        assert_eq!(first.take(&[11, 0]).sources, [2, 0]);
        let absent = FramesChoice { frames: vec!["absent.bin".into()], ..choice.clone() };
        let error = ImageSet::read("far", &absent, [3, 8, 8], &places, 0).unwrap_err();
        assert!(
            error.to_string().contains("set `far`") && error.to_string().contains("absent.bin")
        );
    }
}
