//! What a trained model is, for those who use it: no dates, so that the same run gives the same
//! card.

use serde::{Deserialize, Serialize};

use super::{Dataset, Recipe};
use crate::error::LabError;

/// The card of a model.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Card {
    /// Name of the model.
    pub name: String,
    /// Name in the zoo, or of the file that training went on from.
    pub network: String,
    /// Version of the tool.
    pub gradgate: String,
    /// Trainable tensors: gradient norms of a frame.
    pub parameter_tensors: usize,
    /// Trainable numbers.
    pub parameters: usize,
    /// Multiply-adds of a forward pass.
    pub multiply_adds: u64,
    /// Channels, rows, columns.
    pub image: [usize; 3],
    /// Names of the classes by number.
    pub classes: Vec<String>,
    /// What the recipe says about the data.
    pub note: String,
    /// SHA-256 of recipe.toml.
    pub recipe_sha256: String,
    /// SHA-256 of model.onnx.
    pub model_sha256: String,
    /// Steps that were made.
    pub steps: usize,
    /// The frames, with what the model makes of them.
    pub train: Part,
    /// Absent where the recipe keeps none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Part>,
    /// Absent where the recipe names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Part>,
}

/// A part of the data, and the model's answers on it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Part {
    /// FRAMES of the recipe.
    pub from: Vec<String>,
    /// Frames.
    pub frames: usize,
    /// Tracks, sequences or single images they come from: the number of independent ones.
    pub sources: usize,
    /// SHA-256 over shape, labels and pixels.
    pub sha256: String,
    /// Right answers; of the training part, those of the last epoch, on augmented images.
    pub correct: usize,
    /// Their share of the frames.
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
}

impl Part {
    /// A part of which `correct` of `of` answers were right.
    pub(super) fn new(
        dataset: &Dataset,
        from: &[String],
        correct: usize,
        of: usize,
        loss: f64,
    ) -> Self {
        Self {
            from: from.to_vec(),
            frames: dataset.len(),
            sources: dataset.source_count(),
            sha256: dataset.digest(),
            correct,
            accuracy: super::curves::rounded(correct as f64 / of.max(1) as f64),
            loss: super::curves::rounded(loss),
        }
    }
}

impl Card {
    /// As TOML.
    ///
    /// # Errors
    /// When a number cannot be written.
    pub fn to_toml(&self) -> Result<String, LabError> {
        toml::to_string(self).map_err(|error| LabError::File(error.to_string()))
    }
}

/// What training began from.
pub(super) fn network_name(recipe: &Recipe) -> String {
    let network = &recipe.network;
    let name = network.architecture.as_ref().or(network.model.as_ref());
    name.cloned().unwrap_or_default()
}
