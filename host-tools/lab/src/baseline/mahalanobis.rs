//! Mahalanobis distance to the closest class (Lee et al., 2018).

use gradgate_graph::graph::ValueId;
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::baseline::gaussian::Gaussian;
use crate::baseline::logistic::{Logistic, Scaling};
use crate::baseline::observed::{pool, rows_of};
use crate::baseline::select::{Criterion, best_of};
use crate::baseline::step::Direction;
use crate::baseline::{
    Baseline, Contrast, FitData, LabelBudget, Observed, Reference, Rows, unfitted,
};
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

/// Distances of images in layers, each after a step of its own.
struct Distances<'a> {
    gaussians: &'a [Gaussian],
    queries: &'a Observed<'a>,
    /// One a Gaussian.
    layers: Vec<ValueId>,
    /// One a layer, where images are stepped.
    directions: Vec<Direction>,
}

impl<'a> Distances<'a> {
    /// One Gaussian a layer; without steps only the distances of the images themselves.
    fn new(
        gaussians: &'a [Gaussian],
        queries: &'a Observed<'a>,
        layers: Vec<ValueId>,
        steps: bool,
    ) -> Result<Self, LabError> {
        if layers.len() != gaussians.len() {
            return Err(LabError::Model(format!(
                "mahalanobis was fitted on {} layers, this model has {}; fit it on this model",
                gaussians.len(),
                layers.len()
            )));
        }
        let mut directions = Vec::new();
        for (gaussian, &layer) in gaussians.iter().zip(&layers) {
            queries.features(layer)?.check_width("mahalanobis", gaussian.width())?;
            if steps {
                directions.push(towards_class(queries, layer, gaussian)?);
            }
        }
        Ok(Self { gaussians, queries, layers, directions })
    }

    /// Half the squared distance of each image to its closest class, `[n][layers]`.
    fn at(&self, epsilon: f64) -> Result<Rows, LabError> {
        let mut columns = Vec::new();
        for (index, (gaussian, &layer)) in self.gaussians.iter().zip(&self.layers).enumerate() {
            let half = |feature: &[f64]| 0.5 * gaussian.closest(feature).0;
            columns.push(match self.directions.get(index) {
                Some(direction) if epsilon != 0.0 => {
                    let stepped = direction.step(self.queries.images(), epsilon)?;
                    let features = rows_of(self.queries.classifier(), &stepped, &[layer])?;
                    features[0].map(half)
                }
                _ => self.queries.features(layer)?.map(half),
            });
        }
        Ok(Rows::of_columns(&columns))
    }
}

/// Distances of normal and of anomalous images in every block.
fn sides<'a>(
    gaussians: &'a [Gaussian],
    contrast: Contrast<'a>,
    steps: bool,
) -> Result<[Distances<'a>; 2], LabError> {
    let of = |queries: &'a Observed<'a>| {
        Distances::new(gaussians, queries, queries.layers().blocks.clone(), steps)
    };
    Ok([of(contrast.normal)?, of(contrast.anomalous)?])
}

/// Signs of the gradient of each image's distance to its closest class in one layer.
fn towards_class(
    queries: &Observed<'_>,
    layer: ValueId,
    gaussian: &Gaussian,
) -> Result<Direction, LabError> {
    let gradient = queries.classifier().gradient(queries.images(), &[layer], &mut |values| {
        vec![cotangent(&values[0], gaussian)]
    })?;
    Direction::of(&gradient.images)
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
