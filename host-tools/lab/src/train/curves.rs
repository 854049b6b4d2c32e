//! How loss and accuracy went, epoch by epoch.

use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// One epoch. Numbers are rounded to six decimals, so that their text is their value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Learning rate of its last step.
    pub rate: f64,
    /// Mean loss over its steps, each with the weights before it.
    pub loss: f64,
    /// Share of right answers in these steps, on augmented images.
    pub accuracy: f64,
    /// Mean cross-entropy on the validation frames after it; absent where there are none.
    pub validation_loss: Option<f64>,
    /// Share of right answers on them.
    pub validation_accuracy: Option<f64>,
}

/// All epochs of a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Curves {
    /// Name of the model.
    pub name: String,
    /// Digest of the recipe.
    pub recipe: String,
    /// In order.
    pub epochs: Vec<Epoch>,
}

impl Curves {
    /// As JSON.
    ///
    /// # Errors
    /// When a number cannot be written.
    pub fn to_json(&self) -> Result<String, LabError> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n").map_err(|error| LabError::File(error.to_string()))
    }
}

/// To six decimals.
pub(super) fn rounded(x: f64) -> f64 {
    (x * 1e6).round() / 1e6
}
