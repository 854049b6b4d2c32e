//! A detector under attack.

use gradgate_bundle::detector::Inputs;
use gradgate_detect::DetectorFile;
use gradgate_detect::file::{FittedFor, Model};
use gradgate_detect::scorer::Scorer;
use serde::{Deserialize, Serialize};

use crate::error::LabError;

use super::network::Network;

/// A score above which a frame is blocked, and the false-alarm rate that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Share of normal frames above it.
    pub rate: f64,
    /// PASS up to it.
    pub score: f32,
}

/// A fitted detector with its thresholds.
#[derive(Clone, Debug)]
pub struct NamedDetector {
    /// Its name in results.
    pub name: String,
    /// Features to score.
    pub model: Model,
    /// What it was fitted for; names that are there must be the network's.
    pub fitted_for: FittedFor,
    /// At least one; a higher rate never has a higher score.
    pub thresholds: Vec<Threshold>,
}

impl NamedDetector {
    /// A detector file with thresholds for some false-alarm rates.
    pub fn new(name: impl Into<String>, file: &DetectorFile, thresholds: Vec<Threshold>) -> Self {
        Self {
            name: name.into(),
            model: file.detector.clone(),
            fitted_for: file.fitted_for.clone(),
            thresholds,
        }
    }

    /// The lowest score: below it the image passes at every rate.
    pub(crate) fn strictest(&self) -> f32 {
        self.thresholds.iter().map(|threshold| threshold.score).fold(f32::INFINITY, f32::min)
    }

    /// The highest score: above it the image passes at no rate.
    pub(crate) fn loosest(&self) -> f32 {
        self.thresholds.iter().map(|threshold| threshold.score).fold(f32::NEG_INFINITY, f32::max)
    }

    /// As a device computes its scores.
    ///
    /// # Errors
    /// When it reads what has no slope here, was fitted for other features, or its thresholds are
    /// no thresholds.
    pub(crate) fn scorer(&self, network: &Network) -> Result<Scorer, LabError> {
        let refused = |text: String| LabError::Options(format!("detector `{}`: {text}", self.name));
        if self.model.inputs.has(Inputs::ALIGNMENT) {
            return Err(refused(
                "it reads alignments, whose slope the adaptive attacks do not compute; a result \
                 would flatter it: fit one on norm or forward"
                    .to_owned(),
            ));
        }
        let names = |ours: &[String], theirs: Vec<&str>, what: &str| {
            let same = ours.is_empty() || ours.iter().map(String::as_str).eq(theirs);
            let text = format!("fitted for other {what} than the model gives with these taps");
            if same { Ok(()) } else { Err(refused(text)) }
        };
        names(&self.fitted_for.parameters, network.parameters(), "parameters")?;
        let layers = network.layers().iter().map(String::as_str).collect();
        names(&self.fitted_for.layers, layers, "layers")?;
        let sound = |pair: &[Threshold]| {
            (pair[0].rate <= pair[1].rate) == (pair[0].score >= pair[1].score)
                || pair[0].score == pair[1].score
        };
        let finite = |t: &Threshold| t.score.is_finite() && t.rate > 0.0 && t.rate < 1.0;
        if self.thresholds.is_empty()
            || !self.thresholds.iter().all(finite)
            || !self.thresholds.windows(2).all(sound)
        {
            return Err(refused(format!(
                "thresholds {:?}: at least one, finite, lower for a higher rate",
                self.thresholds
            )));
        }
        Scorer::new(&self.model, network.feature_shape())
            .map_err(|error| refused(error.to_string()))
    }
}
