//! Local intrinsic dimensionality (Ma et al., 2018), as published and as it can be deployed.
//!
//! The published detector compares each image with a mini-batch of clean images that holds the
//! image's own clean original, and passes over the nearest neighbour. For a clean image that is
//! itself; an attacked one loses, or keeps, its original. No deployed detector has that original:
//! [`Neighbours::Twins`] reproduces the leak and says so in its notes. [`Neighbours::Fixed`] is the
//! honest form, with normal images that are chosen once.

mod estimates;

use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::baseline::logistic::{Logistic, Scaling};
use crate::baseline::select::{Criterion, best_of};
use crate::baseline::{Baseline, Contrast, FitData, LabelBudget, Observed, Rows, unfitted};
use crate::error::LabError;

/// What an image is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbours {
    /// The mini-batch of clean images that holds the image's own clean original; the nearest is
    /// passed over. This is a leak.
    Twins {
        /// Images in a mini-batch, consecutive ones of the clean set; the source has 100.
        batch: usize,
    },
    /// Normal images that are chosen once, evenly spread over the normal set; an image that is one
    /// of them is not its own neighbour.
    Fixed {
        /// How many.
        count: usize,
    },
}

/// Between which vectors distances are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activations {
    /// The image, every layer's output and the logits, with all their pixels: Ma et al. (2018).
    Full,
    /// Outputs of blocks, averaged over pixels: Lee et al. (2018).
    Pooled,
}

/// Logistic regression over one estimate a layer: `-k / sum(log(r_i / r_k))` over the distances
/// `r_1 <= .. <= r_k` to the nearest neighbours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lid {
    /// What an image is compared with.
    pub neighbours: Neighbours,
    /// Between which vectors.
    pub activations: Activations,
    /// Values of k to choose from on the validation contrast; a single one needs none. Default 20
    /// alone, the source's; Lee et al. (2018) try 10, 20 .. 90.
    pub k: Vec<usize>,
    /// What k is chosen by.
    pub criterion: Criterion,
    /// What happens to estimates before the head weighs them.
    pub scaling: Scaling,
    /// What a fit found.
    pub fitted: Option<Fitted>,
}

/// What a fit finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    k: usize,
    references: References,
    head: Logistic,
}

/// Fixed neighbours as images, `shape [n, C, H, W]`; none where neighbours are twins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct References {
    shape: Vec<usize>,
    pixels: Vec<f32>,
}

impl Lid {
    /// As published, leak included.
    pub fn original() -> Self {
        Self {
            neighbours: Neighbours::Twins { batch: 100 },
            activations: Activations::Full,
            k: vec![20],
            criterion: Criterion::Auroc,
            scaling: Scaling::MinMax,
            fitted: None,
        }
    }

    /// With 100 fixed neighbours and pooled features.
    pub fn deployable() -> Self {
        Self {
            neighbours: Neighbours::Fixed { count: 100 },
            activations: Activations::Pooled,
            ..Self::original()
        }
    }

    pub(super) fn references(&self, data: &FitData<'_>) -> Result<References, LabError> {
        let Neighbours::Fixed { count } = self.neighbours else {
            return Ok(References::default());
        };
        let images = data.normal.images.images();
        let largest = self.k.iter().copied().max().unwrap_or(0);
        if count > images.frames() || largest >= count {
            return Err(LabError::Data(format!(
                "lid: k {largest} among {count} of {} normal images; k is below the neighbours, \
                 and these are no more than the images",
                images.frames()
            )));
        }
        let mut shape = images.shape().to_vec();
        shape[0] = count;
        let spread = (0..count).map(|place| place * images.frames() / count);
        let pixels = spread.flat_map(|frame| images.frame(frame).iter().copied()).collect();
        Ok(References { shape, pixels })
    }

    /// For each image an estimate a layer, `[n][layers]`.
    pub(super) fn estimates(
        &self,
        queries: &Observed<'_>,
        references: &References,
        k: usize,
    ) -> Result<Rows, LabError> {
        match self.neighbours {
            Neighbours::Fixed { .. } => {
                let references = Array::new(references.shape.clone(), references.pixels.clone());
                estimates::against_fixed(self.activations, queries, &references, k)
            }
            Neighbours::Twins { batch } => {
                estimates::against_twins(self.activations, queries, batch, k)
            }
        }
    }

    fn fit_head(
        &self,
        train: Contrast<'_>,
        references: &References,
        k: usize,
    ) -> Result<Logistic, LabError> {
        let normal = self.estimates(train.normal, references, k)?;
        let anomalous = self.estimates(train.anomalous, references, k)?;
        Logistic::fit(&normal, &anomalous, self.scaling)
    }

    fn choose(
        &self,
        data: &FitData<'_>,
        train: Contrast<'_>,
        references: &References,
    ) -> Result<usize, LabError> {
        if let [only] = self.k[..] {
            return Ok(only);
        }
        let validation = data.validation.ok_or_else(|| {
            LabError::Data(format!(
                "{} chooses k on images that its head has not seen, and none are given; give a \
                 validation part, or one k",
                self.name()
            ))
        })?;
        let (k, _) = best_of(self.name(), &self.k, |&k| {
            let head = self.fit_head(train, references, k)?;
            let normal = head.scores(&self.estimates(validation.normal, references, k)?);
            let anomalous = head.scores(&self.estimates(validation.anomalous, references, k)?);
            self.criterion.measure(&normal, &anomalous)
        })?;
        Ok(k)
    }
}

impl Default for Lid {
    fn default() -> Self {
        Self::deployable()
    }
}

impl Baseline for Lid {
    fn name(&self) -> &'static str {
        match self.neighbours {
            Neighbours::Twins { .. } => "lid-original",
            Neighbours::Fixed { .. } => "lid",
        }
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::PerSet
    }

    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        self.fitted = None;
        if let Some(k) = self.k.iter().find(|&&k| k < 2) {
            return Err(LabError::Options(format!("lid: k {k}; it is 2 or more")));
        }
        let train = data.train_for(self.name())?;
        let references = self.references(data)?;
        let k = self.choose(data, train, &references)?;
        let head = self.fit_head(train, &references, k)?;
        self.fitted = Some(Fitted { k, references, head });
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let fitted = self.fitted.as_ref().ok_or_else(|| unfitted(self.name()))?;
        let estimates = self.estimates(queries, &fitted.references, fitted.k)?;
        estimates.check_width(self.name(), fitted.head.width())?;
        Ok(fitted.head.scores(&estimates))
    }

    fn notes(&self) -> Vec<String> {
        let Some(fitted) = &self.fitted else { return Vec::new() };
        let (k, layers) = (fitted.k, fitted.head.width());
        let mut notes = vec![format!("k {k}, {layers} layers, C {:.3e}", fitted.head.strength())];
        if let Neighbours::Twins { batch } = self.neighbours {
            notes.push(format!(
                "leak: each image is compared with {batch} clean ones, its own clean original \
                 among them"
            ));
        }
        notes
    }
}
