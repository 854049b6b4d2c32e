//! Mahalanobis distance to the closest class (Lee et al., 2018).

use gradgate_graph::graph::ValueId;
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::baseline::gaussian::Gaussian;
use crate::baseline::observed::{pool, rows_of};
use crate::baseline::odin::step;
use crate::baseline::select::{Criterion, best_of};
use crate::baseline::{Baseline, FitData, LabelBudget, Observed, unfitted};
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
}

/// Half the squared Mahalanobis distance to the closest class mean, under one covariance for all
/// classes: the source's score with its sign turned.
///
/// The step is `x' = x - epsilon * sign(gradient of the distance to the class closest to x)`, with
/// sign(0) = +1 and without clipping, as in the source; the class may be another one after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mahalanobis {
    /// Which features, and whether the image is changed.
    pub variant: Variant,
    /// Steps to choose from, in units of pixels 0..1; default those of the source.
    pub epsilons: Vec<f64>,
    /// What the step is chosen by.
    pub criterion: Criterion,
    /// What a fit found.
    pub fitted: Option<Fitted>,
}

/// What a fit finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    epsilon: f64,
    gaussian: Gaussian,
}

impl Default for Mahalanobis {
    fn default() -> Self {
        Self {
            variant: Variant::V,
            epsilons: vec![0.0, 0.01, 0.005, 0.002, 0.0014, 0.001, 0.0005],
            criterion: Criterion::Tnr95,
            fitted: None,
        }
    }
}

impl Mahalanobis {
    /// A variant with the source's options.
    pub fn new(variant: Variant) -> Self {
        Self { variant, ..Self::default() }
    }

    fn choose(&self, data: &FitData<'_>, gaussian: &Gaussian) -> Result<f64, LabError> {
        let contrasts = data.contrasts();
        if contrasts.is_empty() {
            return Err(LabError::Data(format!(
                "{} chooses its step on normal and anomalous images, and none are given; give a \
                 share of the set, or use mahalanobis-v",
                self.name()
            )));
        }
        let (epsilon, _) = best_of(self.name(), &self.epsilons, |&epsilon| {
            let (mut normal, mut anomalous) = (Vec::new(), Vec::new());
            for contrast in &contrasts {
                normal.extend(distances(gaussian, epsilon, contrast.normal)?);
                anomalous.extend(distances(gaussian, epsilon, contrast.anomalous)?);
            }
            self.criterion.measure(&normal, &anomalous)
        })?;
        Ok(epsilon)
    }
}

impl Baseline for Mahalanobis {
    fn name(&self) -> &'static str {
        match self.variant {
            Variant::V => "mahalanobis-v",
            Variant::P => "mahalanobis-p",
        }
    }

    fn label_budget(&self) -> LabelBudget {
        match self.variant {
            Variant::V => LabelBudget::NormalOnly,
            Variant::P => LabelBudget::PerSet,
        }
    }

    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        self.fitted = None;
        let normal = data.normal;
        let features = normal.images.penultimate()?;
        let count = normal.images.classifier().classes();
        let gaussian = Gaussian::fit(features, normal.classes, count)?;
        let epsilon = match self.variant {
            Variant::V => 0.0,
            Variant::P => self.choose(data, &gaussian)?,
        };
        self.fitted = Some(Fitted { epsilon, gaussian });
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let fitted = self.fitted.as_ref().ok_or_else(|| unfitted(self.name()))?;
        queries.penultimate()?.check_width(self.name(), fitted.gaussian.width())?;
        distances(&fitted.gaussian, fitted.epsilon, queries)
    }

    fn notes(&self) -> Vec<String> {
        let Some(fitted) = &self.fitted else { return Vec::new() };
        let (rank, width) = (fitted.gaussian.rank(), fitted.gaussian.width());
        let mut notes = vec![format!("epsilon {}", fitted.epsilon)];
        if rank < width {
            notes.push(format!(
                "the covariance is singular: {rank} of {width} directions vary, the others are \
                 left out (pseudo-inverse)"
            ));
        }
        notes
    }
}

/// Half the squared distance of each penultimate feature to its closest class.
fn distances(
    gaussian: &Gaussian,
    epsilon: f64,
    queries: &Observed<'_>,
) -> Result<Vec<f64>, LabError> {
    let half = |feature: &[f64]| 0.5 * gaussian.closest(feature).0;
    if epsilon == 0.0 {
        return Ok(queries.penultimate()?.map(half));
    }
    let layer = queries.penultimate_value()?;
    let stepped = towards_class(queries, layer, gaussian, epsilon)?;
    Ok(rows_of(queries.classifier(), &stepped, &[layer])?.swap_remove(0).map(half))
}

/// The images, each after a step that lowers its distance to the closest class in one layer.
fn towards_class(
    queries: &Observed<'_>,
    layer: ValueId,
    gaussian: &Gaussian,
    epsilon: f64,
) -> Result<Array, LabError> {
    let gradient = queries.classifier().gradient(queries.images(), &[layer], &mut |values| {
        vec![cotangent(&values[0], gaussian)]
    })?;
    step(queries.images(), &gradient.images, epsilon)
}

/// Gradient of half the squared distance by a layer's output `[n, d]` or `[n, C, H, W]`, whose
/// channels are averaged over pixels.
fn cotangent(output: &Array, gaussian: &Gaussian) -> Array {
    let width = gaussian.width();
    let pixels = output.frame_elements() / width;
    let mut cotangent = Array::zeros(output.shape());
    for frame in 0..output.frames() {
        let feature = pool(output.frame(frame), width);
        let gradient = gaussian.gradient(&feature, gaussian.closest(&feature).1);
        let channels = cotangent.frame_mut(frame).chunks_exact_mut(pixels);
        for (channel, g) in channels.zip(gradient) {
            channel.fill((g / pixels as f64) as f32);
        }
    }
    cotangent
}
