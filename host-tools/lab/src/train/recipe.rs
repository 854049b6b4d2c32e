//! What to train, from what and how: a TOML file.
//!
//! A key that does not exist is an error that names it and those that do. The resolved recipe, with
//! every default written out, is what the digest is of.

use std::path::Path;

use gradgate_bundle::digest::sha256;
use serde::{Deserialize, Serialize};

use super::{Augmentation, Optimiser, Schedule};
use crate::error::LabError;
use crate::hex::hex;
use crate::zoo::{Architecture, Blueprint};

/// A recipe.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the model.
    pub name: String,
    /// Seed of weights, order, augmentation and split. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// How often every training frame is seen.
    pub epochs: usize,
    /// Frames a step; what is left at the end of an epoch is not seen in it. Default 128.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// Equal parts of a batch, each with its own batch statistics and its own thread. Part of the
    /// recipe, not of the machine: another number gives other weights. Default 2.
    #[serde(default = "default_shards")]
    pub shards: usize,
    /// Share of the target that is spread over all classes (Szegedy et al. 2016). Default 0.
    #[serde(default)]
    pub label_smoothing: f64,
    /// Share of a batch's statistics in the running ones (PyTorch's momentum). Default 0.1.
    #[serde(default = "default_statistics")]
    pub statistics: f64,
    /// The network.
    pub network: Network,
    /// The frames.
    pub data: Data,
    /// Default: SGD with Nesterov momentum 0.9, weight decay 5e-4.
    #[serde(default)]
    pub optimiser: Optimiser,
    /// Default: cosine from 0.1.
    #[serde(default)]
    pub schedule: Schedule,
    /// Default: none.
    #[serde(default)]
    pub augmentation: Augmentation,
}

/// Which network, from the zoo or from a file.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Name in the zoo. Either this or `model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// ONNX file to go on from, beside the data. Its own normalisation stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many classes, after `held_out` are taken away.
    pub classes: usize,
    /// Channels, rows, columns. Default 3, 32, 32.
    #[serde(default = "default_image")]
    pub image: [usize; 3],
    /// Of each channel, of pixels in 0 to 1. Default 0.5.
    #[serde(default = "default_mean")]
    pub mean: Vec<f32>,
    /// Of each channel. Default 0.25.
    #[serde(default = "default_deviation")]
    pub deviation: Vec<f32>,
}

/// Which frames.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// FRAMES to learn from: files and folders, or `signs:` sets.
    pub train: Vec<String>,
    /// FRAMES that only the last figure is of. Default none.
    #[serde(default)]
    pub test: Vec<String>,
    /// So many consecutive training frames of a file share a source (a track or sequence).
    /// Default 1.
    #[serde(default = "default_group")]
    pub group: usize,
    /// As `group`, of the test frames. Default 1.
    #[serde(default = "default_group")]
    pub test_group: usize,
    /// Share of the sources of each class that validate and are not learnt from. Default 0.1.
    #[serde(default = "default_validation")]
    pub validation: f64,
    /// Labels whose frames are left out everywhere; the others are numbered anew in order.
    #[serde(default)]
    pub held_out: Vec<usize>,
    /// Names of the classes that remain, in order. Default: of the folders, else the labels.
    #[serde(default)]
    pub class_names: Vec<String>,
    /// What the card should say about the data.
    #[serde(default)]
    pub note: String,
}

fn default_batch() -> usize {
    128
}
fn default_shards() -> usize {
    2
}
fn default_statistics() -> f64 {
    0.1
}
fn default_image() -> [usize; 3] {
    [3, 32, 32]
}
fn default_mean() -> Vec<f32> {
    vec![0.5; 3]
}
fn default_deviation() -> Vec<f32> {
    vec![0.25; 3]
}
fn default_group() -> usize {
    1
}
fn default_validation() -> f64 {
    0.1
}

impl Recipe {
    /// Reads a recipe and checks every number in it.
    ///
    /// # Errors
    /// A key that does not exist, one that is missing, or a value out of its range; the text names
    /// it.
    pub fn parse(text: &str) -> Result<Self, LabError> {
        let recipe: Recipe =
            toml::from_str(text).map_err(|error| LabError::Options(error.to_string()))?;
        recipe.check()?;
        Ok(recipe)
    }

    /// As [`Recipe::parse`], from a file, whose name errors begin with.
    ///
    /// # Errors
    /// Also when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| LabError::File(format!("cannot read recipe {name}: {error}")))?;
        Self::parse(&text).map_err(|error| LabError::Options(format!("recipe {name}: {error}")))
    }

    /// Refuses values out of their range.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<(), LabError> {
        let faults = [
            self.own_fault(),
            self.network.fault(),
            self.data.fault(),
            self.optimiser.fault(),
            self.schedule.fault(self.epochs),
            self.augmentation.fault(),
        ];
        match faults.into_iter().flatten().next() {
            Some(fault) => Err(LabError::Options(fault)),
            None => Ok(()),
        }
    }

    fn own_fault(&self) -> Option<String> {
        let named = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(named) {
            return Some(format!("name: letters, digits, - _ . only, not `{}`", self.name));
        }
        if self.epochs == 0 || self.batch == 0 || self.shards == 0 {
            return Some("epochs, batch and shards begin at 1".to_owned());
        }
        if !self.batch.is_multiple_of(self.shards) || self.batch / self.shards < 2 {
            return Some(format!(
                "batch {} does not fall into {} equal shards of at least 2 frames",
                self.batch, self.shards
            ));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Some(format!("label_smoothing is 0 to below 1, not {}", self.label_smoothing));
        }
        if !(self.statistics > 0.0 && self.statistics <= 1.0) {
            return Some(format!("statistics is above 0 to 1, not {}", self.statistics));
        }
        None
    }

    /// The recipe with every default written out.
    ///
    /// # Errors
    /// When a number cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, LabError> {
        toml::to_string(self).map_err(|error| LabError::Options(error.to_string()))
    }

    /// SHA-256 of [`Recipe::to_toml`], in hexadecimal digits.
    ///
    /// # Errors
    /// As [`Recipe::to_toml`].
    pub fn digest(&self) -> Result<String, LabError> {
        Ok(hex(&sha256(self.to_toml()?.as_bytes())))
    }
}

impl Network {
    fn fault(&self) -> Option<String> {
        match (&self.architecture, &self.model) {
            (Some(name), None) => name.parse::<Architecture>().err().map(|error| error.to_string()),
            (None, Some(_)) => None,
            _ => Some("network: either `architecture` or `model`".to_owned()),
        }
    }

    /// What the zoo is to build; `None` for a model from a file.
    ///
    /// # Errors
    /// When the zoo has no such network.
    pub fn blueprint(&self, seed: u64) -> Result<Option<Blueprint>, LabError> {
        let Some(name) = &self.architecture else { return Ok(None) };
        Ok(Some(Blueprint {
            architecture: name.parse()?,
            image: self.image,
            classes: self.classes,
            mean: self.mean.clone(),
            deviation: self.deviation.clone(),
            seed,
        }))
    }
}

impl Data {
    fn fault(&self) -> Option<String> {
        if self.train.is_empty() {
            return Some("data.train names no FRAMES".to_owned());
        }
        if self.group == 0 || self.test_group == 0 {
            return Some("data.group and data.test_group begin at 1".to_owned());
        }
        if !(0.0..=0.9).contains(&self.validation) {
            return Some(format!("data.validation is 0 to 0.9, not {}", self.validation));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name = 'a'\nepochs = 2\n[network]\narchitecture = 'resnet8'\n\
                         classes = 10\n[data]\ntrain = ['x.bin']\n";

    #[test]
    fn defaults_are_written_out_and_read_back() {
        let recipe = Recipe::parse(SMALL).expect("a recipe");
        let text = recipe.to_toml().expect("writes");
        assert!(text.contains("momentum = 0.9") && text.contains("shards = 2"), "{text}");
        let again = Recipe::parse(&text).expect("reads its own");
        assert_eq!(again, recipe);
        assert_eq!(again.digest().expect("digest"), recipe.digest().expect("digest"));
        let commented = Recipe::parse(&format!("# why\n{SMALL}")).expect("a recipe");
        assert_eq!(commented.digest().expect("digest"), recipe.digest().expect("digest"));
        let seeded = Recipe { seed: 1, ..recipe.clone() };
        assert_ne!(seeded.digest().expect("digest"), recipe.digest().expect("digest"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, says) in [
            ("epochs", "epoch", "`epoch`, expected one of `name`, `seed`, `epochs`"),
            ("[data]", "[data]\nlabels = 3", "`labels`, expected one of `train`"),
            ("[data]", "[optimiser]\nlr = 1\n[data]", "`lr`, expected one of `momentum`"),
            ("epochs = 2", "epochs = 0", "epochs"),
            ("epochs = 2", "epochs = 2\nbatch = 5", "batch 5"),
            ("epochs = 2", "epochs = 2\nlabel_smoothing = 1.0", "label_smoothing"),
            ("epochs = 2", "epochs = 2\nstatistics = 0.0", "statistics"),
            ("'a'", "'a/b'", "name"),
            ("resnet8", "resnet9", "resnet20-b"),
            ("architecture = 'resnet8'", "", "architecture"),
            ("['x.bin']", "[]", "data.train"),
            ("['x.bin']", "['x']\nvalidation = 1.0", "data.validation"),
            ("['x.bin']", "['x']\n[schedule]\nrate = -1.0", "schedule.rate"),
            ("['x.bin']", "['x']\n[augmentation]\nbrightness = 1.5", "augmentation.brightness"),
            ("['x.bin']", "['x']\n[optimiser]\nmomentum = 1.0", "optimiser.momentum"),
        ] {
            let text = SMALL.replace(from, to);
            let error = Recipe::parse(&text).expect_err(says).to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
