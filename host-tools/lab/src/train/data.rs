//! Labelled frames in memory, and which of them validate.

use std::path::{Path, PathBuf};

use gradgate_bundle::digest::sha256;
use gradgate_frames::{OpenOptions, open};

use super::recipe::Recipe;
use crate::array::Array;
use crate::error::LabError;
use crate::hex::hex;
use crate::random::Random;

/// Labelled frames as bytes; samples that a file holds as numbers are rounded to 8 bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Channels, rows, columns.
    pub shape: [usize; 3],
    /// Frame after frame, each `[C, H, W]`.
    pub pixels: Vec<u8>,
    /// Class of every frame.
    pub labels: Vec<usize>,
    /// Track, sequence or image of every frame.
    pub sources: Vec<i64>,
    /// Names of the classes by number.
    pub class_names: Vec<String>,
}

/// What is learnt from, what validates meanwhile, what is measured at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Frames that are learnt from.
    pub train: Dataset,
    /// Frames of other sources.
    pub validation: Dataset,
    /// Frames of other files.
    pub test: Dataset,
}

impl Dataset {
    /// How many frames.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of a frame.
    pub fn frame(&self, index: usize) -> &[u8] {
        let elements = self.shape.iter().product();
        &self.pixels[index * elements..][..elements]
    }

    /// Frames of a range in 0..1, `[n, C, H, W]`.
    pub fn images(&self, range: std::ops::Range<usize>) -> Array {
        let elements: usize = self.shape.iter().product();
        let bytes = &self.pixels[range.start * elements..range.end * elements];
        let data = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let [channels, height, width] = self.shape;
        Array::new([range.len(), channels, height, width], data)
    }

    /// How many sources.
    pub fn source_count(&self) -> usize {
        let mut sources = self.sources.clone();
        sources.sort_unstable();
        sources.dedup();
        sources.len()
    }

    /// SHA-256 over shape, pixels and labels, in hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut bytes = Vec::with_capacity(self.pixels.len() + 8 * self.labels.len() + 24);
        let numbers = self.shape.iter().chain(&self.labels);
        bytes.extend(numbers.flat_map(|&number| (number as u64).to_le_bytes()));
        bytes.extend(&self.pixels);
        hex(&sha256(&bytes))
    }

    fn take(&self, indices: &[usize]) -> Dataset {
        Dataset {
            shape: self.shape,
            pixels: indices.iter().flat_map(|&index| self.frame(index)).copied().collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            sources: indices.iter().map(|&index| self.sources[index]).collect(),
            class_names: self.class_names.clone(),
        }
    }
}

impl Parts {
    /// Reads the recipe's frames; FRAMES that are files lie in `base`.
    ///
    /// # Errors
    /// Frames that cannot be read or have no label, labels beyond the classes, a class without
    /// frames, fewer training frames than a batch.
    pub fn read(recipe: &Recipe, base: &Path) -> Result<Parts, LabError> {
        let data = &recipe.data;
        let all = read(recipe, base, &data.train, data.group)?;
        let test = match data.test.as_slice() {
            [] => Dataset { shape: all.shape, ..Dataset::default() },
            names => read(recipe, base, names, data.test_group)?,
        };
        let (train, validation) = split(&all, data.validation, recipe.seed);
        let parts = Parts { train: all.take(&train), validation: all.take(&validation), test };
        parts.check(recipe)?;
        Ok(parts)
    }

    /// Refuses what cannot be trained.
    ///
    /// # Errors
    /// A class without training frames, or fewer training frames than a batch.
    pub fn check(&self, recipe: &Recipe) -> Result<(), LabError> {
        let mut counts = vec![0_usize; recipe.network.classes];
        for &label in &self.train.labels {
            counts[label] += 1;
        }
        if let Some(empty) = counts.iter().position(|&count| count == 0) {
            return Err(LabError::Data(format!(
                "class {empty} has no training frame; network.classes is {}: name fewer, or give \
                 frames of every class",
                recipe.network.classes
            )));
        }
        if self.train.len() < recipe.batch {
            return Err(LabError::Data(format!(
                "{} training frames are fewer than a batch of {}",
                self.train.len(),
                recipe.batch
            )));
        }
        Ok(())
    }
}

fn read(recipe: &Recipe, base: &Path, names: &[String], group: usize) -> Result<Dataset, LabError> {
    let [channels, height, width] = recipe.network.image;
    let mut options = OpenOptions::new(height, width, channels);
    options.group = Some(group);
    let paths: Vec<PathBuf> = names.iter().map(|name| place(base, name)).collect();
    let failed = |error: gradgate_frames::FramesError| LabError::Data(error.to_string());
    let frames = open(&paths, &options).map_err(failed)?;
    let mut dataset = Dataset { shape: [channels, height, width], ..Dataset::default() };
    dataset.pixels.reserve_exact(frames.len().saturating_mul(channels * height * width));
    for frame in frames.iter() {
        let frame = frame.map_err(failed)?;
        let label = frame.label.ok_or_else(|| {
            LabError::Data(format!("{}: no label; training needs one for every frame", frame.name))
        })?;
        let Some(class) = class_of(label, recipe, &frame.name)? else { continue };
        planes(&frame.pixels.to_u8(), channels, &mut dataset.pixels);
        dataset.labels.push(class);
        dataset.sources.push(frame.source);
    }
    dataset.class_names = class_names(recipe, frames.class_names())?;
    Ok(dataset)
}

/// Generated sets have no place in the file system.
fn place(base: &Path, name: &str) -> PathBuf {
    if name.starts_with("signs:") { PathBuf::from(name) } else { base.join(name) }
}

/// The class of a label once the held-out ones are gone; `None` for those.
fn class_of(label: i64, recipe: &Recipe, name: &str) -> Result<Option<usize>, LabError> {
    let held_out = &recipe.data.held_out;
    let classes = recipe.network.classes;
    let beyond = || {
        LabError::Data(format!(
            "{name}: label {label}, but network.classes is {classes} and {} labels are held out",
            held_out.len()
        ))
    };
    let label = usize::try_from(label).map_err(|_| beyond())?;
    if held_out.contains(&label) {
        return Ok(None);
    }
    let class = label - held_out.iter().filter(|&&other| other < label).count();
    if class < classes { Ok(Some(class)) } else { Err(beyond()) }
}

fn class_names(recipe: &Recipe, of_folders: &[String]) -> Result<Vec<String>, LabError> {
    let (given, classes) = (&recipe.data.class_names, recipe.network.classes);
    let held_out = &recipe.data.held_out;
    if !given.is_empty() {
        if given.len() != classes {
            return Err(LabError::Options(format!(
                "data.class_names has {} names for {classes} classes",
                given.len()
            )));
        }
        return Ok(given.clone());
    }
    let kept = (0..classes + held_out.len()).filter(|label| !held_out.contains(label));
    let name = |label: usize| of_folders.get(label).cloned().unwrap_or_else(|| label.to_string());
    Ok(kept.take(classes).map(name).collect())
}

/// Appends rows, columns, channels as channels, rows, columns.
fn planes(pixels: &[u8], channels: usize, to: &mut Vec<u8>) {
    for channel in 0..channels {
        to.extend(pixels.iter().skip(channel).step_by(channels));
    }
}

/// Indices to learn from and to validate by. A source is on one side; of every class, by the first
/// frame of a source, the share validates, rounded, and at least one source is learnt from.
fn split(all: &Dataset, share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut of_class: Vec<Vec<i64>> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (&label, &source) in all.labels.iter().zip(&all.sources) {
        if of_class.len() <= label {
            of_class.resize(label + 1, Vec::new());
        }
        if seen.insert(source) {
            of_class[label].push(source);
        }
    }
    let mut validating = std::collections::HashSet::new();
    for (class, sources) in of_class.iter_mut().enumerate() {
        Random::new(seed, "validation", class as u64).shuffle(sources);
        let count = (share * sources.len() as f64).round() as usize;
        let count = count.min(sources.len().saturating_sub(1));
        validating.extend(sources[..count].iter().copied());
    }
    (0..all.len()).partition(|&index| !validating.contains(&all.sources[index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(classes: usize) -> Recipe {
        let text = format!(
            "name = 'a'\nepochs = 1\nbatch = 4\n[network]\narchitecture = 'resnet8'\n\
             classes = {classes}\n[data]\ntrain = ['train.bin']\ngroup = 2\nvalidation = 0.5\n"
        );
        Recipe::parse(&text).expect("a recipe")
    }

    /// CIFAR-10 records of these labels; every sample is the record's index.
    fn folder(labels: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let records: Vec<u8> = labels
            .iter()
            .enumerate()
            .flat_map(|(index, &label)| {
                std::iter::once(label).chain(std::iter::repeat_n(index as u8, 3072))
            })
            .collect();
        std::fs::write(folder.path().join("train.bin"), records).expect("writes");
        folder
    }

    #[test]
    fn sources_are_split_class_by_class() {
        let folder = folder(&[0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]);
        let parts = Parts::read(&recipe(2), folder.path()).expect("reads");
        assert_eq!((parts.train.len(), parts.validation.len()), (6, 6));
        assert_eq!((parts.train.source_count(), parts.validation.source_count()), (3, 3));
        for source in &parts.train.sources {
            assert!(!parts.validation.sources.contains(source));
        }
        for dataset in [&parts.train, &parts.validation] {
            for (index, &source) in dataset.sources.iter().enumerate() {
                let record = dataset.frame(index)[0];
                assert_eq!(i64::from(record) / 2, source);
                assert_eq!(dataset.labels[index], usize::from([2, 3, 6, 7].contains(&record)));
            }
        }
        let other = Parts::read(&Recipe { seed: 3, ..recipe(2) }, folder.path()).expect("reads");
        let again = Parts::read(&recipe(2), folder.path()).expect("reads");
        assert_eq!(again, parts);
        assert_ne!(other.train.digest(), parts.train.digest());
    }

    #[test]
    fn held_out_classes_are_gone_and_the_others_renumbered() {
        let folder = folder(&[0, 0, 1, 1, 2, 2, 0, 0, 2, 2]);
        let mut recipe = recipe(2);
        recipe.data.held_out = vec![1];
        let parts = Parts::read(&recipe, folder.path()).expect("reads");
        assert_eq!(parts.train.class_names, ["0", "2"]);
        let labels: Vec<usize> =
            parts.train.labels.iter().chain(&parts.validation.labels).copied().collect();
        assert_eq!(labels.iter().filter(|&&label| label == 1).count(), 4);
        assert_eq!(labels.len(), 8);
    }

    #[test]
    fn what_cannot_be_learnt_from_is_refused() {
        let named = |names: &[&str]| {
            let mut recipe = recipe(2);
            recipe.data.class_names = names.iter().map(|name| (*name).to_owned()).collect();
            recipe
        };
        for (recipe, labels, says) in [
            (recipe(2), &[0u8, 0, 1, 1, 5, 5][..], "label 5"),
            (recipe(3), &[0, 0, 1, 1, 0, 1][..], "class 2 has no training frame"),
            (Recipe { batch: 64, ..recipe(2) }, &[0, 0, 1, 1, 0, 1][..], "fewer than a batch"),
            (named(&["a"]), &[0, 0, 1, 1, 0, 1][..], "1 names for 2 classes"),
        ] {
            let folder = folder(labels);
            let error = Parts::read(&recipe, folder.path()).expect_err(says).to_string();
            assert!(error.contains(says), "{error}");
        }
        let folder = folder(&[0]);
        let mut absent = recipe(2);
        absent.data.train = vec!["absent.bin".to_owned()];
        let error = Parts::read(&absent, folder.path()).expect_err("absent").to_string();
        assert!(error.contains("absent.bin"), "{error}");
    }
}
