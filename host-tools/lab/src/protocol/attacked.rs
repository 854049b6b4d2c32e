//! An attack as a protocol names it.

use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Choice, CleanWrong, Method, Preset, resolve};
use crate::error::LabError;

/// A method, whose numbers, and what is chosen instead; words as on the command line of
/// `gradgate attack`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttackChoice {
    /// fgsm, bim, pgd, iterll, cw, semantic-negative, semantic-hsv, square.
    pub method: String,
    /// Default lab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Grey levels of 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps255: Option<f64>,
    /// Grey levels of 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha255: Option<f64>,
    /// As `--steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// As `--searches`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searches: Option<usize>,
    /// As `--initial-c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_c: Option<f64>,
    /// As `--kappa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kappa: Option<f64>,
    /// As `--ball`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ball: Option<String>,
    /// Whether images become whole grey levels, and are judged then. Default true: a camera has
    /// no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round8: Option<bool>,
    /// Default 0.
    #[serde(default)]
    pub seed: u64,
}

impl AttackChoice {
    /// The attack; frames that the classifier gets wrong already are attacked too, and told apart
    /// by their status.
    ///
    /// # Errors
    /// As [`resolve`]; an unknown word.
    pub fn resolve(&self) -> Result<Attack, LabError> {
        let method: Method = self.method.parse()?;
        let preset: Preset = self.preset.as_deref().unwrap_or("lab").parse()?;
        let choice = Choice {
            eps: self.eps255.map(|levels| levels / 255.0),
            alpha: self.alpha255.map(|levels| levels / 255.0),
            steps: self.steps,
            searches: self.searches,
            initial_c: self.initial_c,
            kappa: self.kappa,
            ball: self.ball.as_deref().map(str::parse).transpose()?,
            round8: self.round8.unwrap_or(true),
            clean_wrong: CleanWrong::Attack,
            seed: self.seed,
            ..Choice::default()
        };
        resolve(method, preset, &choice)
    }
}
