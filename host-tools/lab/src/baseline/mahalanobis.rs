//! Mahalanobis distance to the closest class (Lee et al., 2018).

mod distances;

use serde::{Deserialize, Serialize};

use self::distances::{Distances, sides};
use crate::baseline::gaussian::Gaussian;
use crate::baseline::logistic::{Logistic, Scaling};
use crate::baseline::select::{Criterion, best_of};
use crate::baseline::{Baseline, Contrast, FitData, LabelBudget, Observed, Reference, unfitted};
use crate::error::LabError;

/// Which of the tables' columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Penultimate features.
    #[default]
    V,
    /// The same after a step of the image towards its class.
    P,
    /// Every block, weighed by logistic regression.
    Fe,
    /// Every block, each after a step of its own image, weighed by logistic regression.
    PFe,
}

impl Variant {
    fn steps(self) -> bool {
        matches!(self, Variant::P | Variant::PFe)
    }

    fn weighs_blocks(self) -> bool {
        matches!(self, Variant::Fe | Variant::PFe)
    }
}

/// Half the squared Mahalanobis distance to the closest class mean, under one covariance for all
/// classes: the source's score with its sign turned.
///
/// The step is `x' = x - epsilon * sign(gradient of the distance to the class closest to x)`, with
/// sign(0) = +1 and without clipping, as in the source; the class may be another one after it.
/// P chooses epsilon on all contrasts; P+FE fits a head on the training contrast for each epsilon
/// and chooses on the validation contrast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mahalanobis {
    /// Which features, and whether the image is changed.
    pub variant: Variant,
    /// Steps to choose from, in units of pixels 0..1; default those of the source.
    pub epsilons: Vec<f64>,
    /// What the step is chosen by.
    pub criterion: Criterion,
    /// What happens to distances before the head weighs them; the source does nothing.
    pub scaling: Scaling,
    /// What a fit found.
    pub fitted: Option<Fitted>,
}

/// What a fit finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    epsilon: f64,
    /// One a block, or one for the penultimate features.
    gaussians: Vec<Gaussian>,
    head: Option<Logistic>,
}

impl Default for Mahalanobis {
    fn default() -> Self {
        Self {
            variant: Variant::V,
            epsilons: vec![0.0, 0.01, 0.005, 0.002, 0.0014, 0.001, 0.0005],
            criterion: Criterion::Tnr95,
            scaling: Scaling::None,
            fitted: None,
        }
    }
}

impl Mahalanobis {
    /// A variant with the source's options.
    pub fn new(variant: Variant) -> Self {
        Self { variant, ..Self::default() }
    }

    fn gaussians(&self, data: &FitData<'_>) -> Result<Vec<Gaussian>, LabError> {
        let Reference { images, classes } = data.normal;
        let count = images.classifier().classes();
        let features = match self.variant.weighs_blocks() {
            true => images.pooled()?,
            false => std::slice::from_ref(images.penultimate()?),
        };
        features.iter().map(|rows| Gaussian::fit(rows, classes, count)).collect()
    }

    fn choose_step(&self, data: &FitData<'_>, gaussian: &Gaussian) -> Result<f64, LabError> {
        let contrasts = data.contrasts();
        if contrasts.is_empty() {
            return Err(LabError::Data(format!(
                "{} chooses its step on normal and anomalous images, and none are given; give a \
                 share of the set, or use mahalanobis-v",
                self.name()
            )));
        }
        let mut sides = Vec::new();
        for Contrast { normal, anomalous } in contrasts {
            for queries in [normal, anomalous] {
                let layers = vec![queries.penultimate_value()?];
                let gaussian = std::slice::from_ref(gaussian);
                sides.push(Distances::new(gaussian, queries, layers, true)?);
            }
        }
        let (epsilon, _) = best_of(self.name(), &self.epsilons, |&epsilon| {
            let mut scores = [Vec::new(), Vec::new()];
            for (index, side) in sides.iter().enumerate() {
                scores[index % 2].extend_from_slice(side.at(epsilon)?.values());
            }
            self.criterion.measure(&scores[0], &scores[1])
        })?;
        Ok(epsilon)
    }

    fn choose_head(&self, data: &FitData<'_>, gaussians: &[Gaussian]) -> Result<Fitted, LabError> {
        let train = data.train_for(self.name())?;
        let steps = self.variant.steps();
        let train = sides(gaussians, train, steps)?;
        let fit = |epsilon: f64| {
            Logistic::fit(&train[0].at(epsilon)?, &train[1].at(epsilon)?, self.scaling)
        };
        let fitted =
            |epsilon, head| Fitted { epsilon, gaussians: gaussians.to_vec(), head: Some(head) };
        if !steps {
            return Ok(fitted(0.0, fit(0.0)?));
        }
        let validation = data.validation.ok_or_else(|| {
            LabError::Data(format!(
                "{} chooses its step on images that its head has not seen, and none are given; \
                 give a validation part",
                self.name()
            ))
        })?;
        let validation = sides(gaussians, validation, steps)?;
        let (best, _) = best_of(self.name(), &self.epsilons, |&epsilon| {
            let head = fit(epsilon)?;
            let scores = |side: &Distances<'_>| Ok::<_, LabError>(head.scores(&side.at(epsilon)?));
            self.criterion.measure(&scores(&validation[0])?, &scores(&validation[1])?)
        })?;
        Ok(fitted(best, fit(best)?))
    }
}

impl Fitted {
    fn scores(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let layers = match self.head {
            Some(_) => queries.layers().blocks.clone(),
            None => vec![queries.penultimate_value()?],
        };
        let distances = Distances::new(&self.gaussians, queries, layers, self.epsilon != 0.0)?;
        let distances = distances.at(self.epsilon)?;
        Ok(match &self.head {
            Some(head) => head.scores(&distances),
            None => distances.values().to_vec(),
        })
    }
}

impl Baseline for Mahalanobis {
    fn name(&self) -> &'static str {
        match self.variant {
            Variant::V => "mahalanobis-v",
            Variant::P => "mahalanobis-p",
            Variant::Fe => "mahalanobis-fe",
            Variant::PFe => "mahalanobis-p-fe",
        }
    }

    fn label_budget(&self) -> LabelBudget {
        match self.variant {
            Variant::V => LabelBudget::NormalOnly,
            Variant::P | Variant::Fe | Variant::PFe => LabelBudget::PerSet,
        }
    }

    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        self.fitted = None;
        let gaussians = self.gaussians(data)?;
        self.fitted = Some(match self.variant {
            Variant::V => Fitted { epsilon: 0.0, gaussians, head: None },
            Variant::P => {
                let epsilon = self.choose_step(data, &gaussians[0])?;
                Fitted { epsilon, gaussians, head: None }
            }
            Variant::Fe | Variant::PFe => self.choose_head(data, &gaussians)?,
        });
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        self.fitted.as_ref().ok_or_else(|| unfitted(self.name()))?.scores(queries)
    }

    fn notes(&self) -> Vec<String> {
        let Some(fitted) = &self.fitted else { return Vec::new() };
        let mut notes = Vec::new();
        if self.variant.steps() {
            notes.push(format!("epsilon {}", fitted.epsilon));
        }
        if let Some(head) = &fitted.head {
            notes.push(format!("{} blocks, C {:.3e}", head.width(), head.strength()));
        }
        for gaussian in &fitted.gaussians {
            let (rank, width) = (gaussian.rank(), gaussian.width());
            if rank < width {
                notes.push(format!(
                    "a covariance is singular: {rank} of {width} directions vary, the others are \
                     left out (pseudo-inverse)"
                ));
            }
        }
        notes
    }
}
