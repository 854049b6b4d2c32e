//! The closed list of detectors, with fitted state that can be stored.

use serde::{Deserialize, Serialize};

use crate::baseline::energy::Energy;
use crate::baseline::fdbd::Fdbd;
use crate::baseline::grad_uncertainty::GradUncertainty;
use crate::baseline::gradnorm::GradNorm;
use crate::baseline::gran::Gran;
use crate::baseline::knn::Knn;
use crate::baseline::lid::Lid;
use crate::baseline::mahalanobis::{Mahalanobis, Variant};
use crate::baseline::msp::Msp;
use crate::baseline::odin::Odin;
use crate::baseline::vim::Vim;
use crate::baseline::{Baseline, Budget, FitData, LabelBudget, Observed};
use crate::error::LabError;

/// A detector with its options and, once fitted, its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Method {
    /// Maximum softmax probability.
    Msp(Msp),
    /// Temperature and a step of the image.
    Odin(Odin),
    /// Energy of the logits.
    Energy(Energy),
    /// Local intrinsic dimensionality, as published or as it can be deployed.
    Lid(Lid),
    /// Distance to the closest class.
    Mahalanobis(Mahalanobis),
    /// L1 norm of the last weight's gradient.
    #[serde(rename = "gradnorm")]
    GradNorm(GradNorm),
    /// Norms of the predicted label's gradient, a parameter each.
    Gran(Gran),
    /// Summed norms from a confounding label.
    GradUncertainty(GradUncertainty),
    /// Distance to the decision boundaries.
    Fdbd(Fdbd),
    /// Distance to the k-th nearest normal feature.
    Knn(Knn),
    /// Residual beside the principal directions, and energy.
    Vim(Vim),
}

/// Scores of one detector, as a table of samples holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Name of the detector.
    pub method: String,
    /// What its source fits it on.
    pub label_budget: LabelBudget,
    /// What it was fitted on here.
    pub budget: Budget,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// One for each image in order, larger for more anomalous ones.
    pub values: Vec<f64>,
}

impl Method {
    /// Every detector with its source's options, in the order of the tables.
    pub fn all() -> Vec<Method> {
        vec![
            Method::Msp(Msp::default()),
            Method::Odin(Odin::default()),
            Method::Energy(Energy::default()),
            Method::Lid(Lid::original()),
            Method::Lid(Lid::deployable()),
            Method::Mahalanobis(Mahalanobis::new(Variant::V)),
            Method::Mahalanobis(Mahalanobis::new(Variant::P)),
            Method::Mahalanobis(Mahalanobis::new(Variant::Fe)),
            Method::Mahalanobis(Mahalanobis::new(Variant::PFe)),
            Method::GradNorm(GradNorm::default()),
            Method::Gran(Gran::default()),
            Method::GradUncertainty(GradUncertainty::default()),
            Method::Fdbd(Fdbd::default()),
            Method::Knn(Knn::default()),
            Method::Vim(Vim::default()),
        ]
    }

    /// The detector of a name, with its source's options.
    ///
    /// # Errors
    /// When there is none; the message lists them all.
    pub fn named(name: &str) -> Result<Method, LabError> {
        let mut all = Method::all();
        match all.iter().position(|method| method.baseline().name() == name) {
            Some(at) => Ok(all.swap_remove(at)),
            None => {
                let names: Vec<&str> = all.iter().map(|method| method.baseline().name()).collect();
                Err(LabError::Options(format!(
                    "detector `{name}` is unknown; it is one of {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// The detector.
    pub fn baseline(&self) -> &dyn Baseline {
        match self {
            Method::Msp(detector) => detector,
            Method::Odin(detector) => detector,
            Method::Energy(detector) => detector,
            Method::Lid(detector) => detector,
            Method::Mahalanobis(detector) => detector,
            Method::GradNorm(detector) => detector,
            Method::Gran(detector) => detector,
            Method::GradUncertainty(detector) => detector,
            Method::Fdbd(detector) => detector,
            Method::Knn(detector) => detector,
            Method::Vim(detector) => detector,
        }
    }

    /// The detector, to be fitted.
    pub fn baseline_mut(&mut self) -> &mut dyn Baseline {
        match self {
            Method::Msp(detector) => detector,
            Method::Odin(detector) => detector,
            Method::Energy(detector) => detector,
            Method::Lid(detector) => detector,
            Method::Mahalanobis(detector) => detector,
            Method::GradNorm(detector) => detector,
            Method::Gran(detector) => detector,
            Method::GradUncertainty(detector) => detector,
            Method::Fdbd(detector) => detector,
            Method::Knn(detector) => detector,
            Method::Vim(detector) => detector,
        }
    }

    /// Fits on `data`.
    ///
    /// # Errors
    /// As [`Baseline::fit`].
    pub fn fit(mut self, data: &FitData<'_>) -> Result<Fitted, LabError> {
        self.baseline_mut().fit(data)?;
        Ok(Fitted { budget: data.budget, method: self })
    }
}

/// A detector that can score, and what it was fitted on. Stored, it scores the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// Where its images came from.
    pub budget: Budget,
    /// Options and state.
    pub method: Method,
}

impl Fitted {
    /// Scores of images, all of them finite.
    ///
    /// # Errors
    /// As [`Baseline::score`]; when a score is not finite.
    pub fn score(&self, queries: &Observed<'_>) -> Result<Scores, LabError> {
        let baseline = self.method.baseline();
        let values = baseline.score(queries)?;
        super::select::check_scores(&values, baseline.name())?;
        Ok(Scores {
            method: baseline.name().to_owned(),
            label_budget: baseline.label_budget(),
            budget: self.budget,
            notes: baseline.notes(),
            values,
        })
    }
}
