//! Reference directions: where the weight gradients of normal frames point, by predicted class.
//!
//! For every layer and class the mean of the frames' unit gradients, kept as its best rank-1
//! factors for each channel group. Knows nothing of networks: gradients in, factors out.

mod file;
mod rank_one;

pub use rank_one::{Direction, ITERATIONS, rank_one};

use crate::DetectError;

/// Elements of one layer's weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// The weight's name.
    pub parameter: String,
    /// Output channels.
    pub outputs: usize,
    /// Channel groups.
    pub groups: usize,
    /// Elements that one output channel sees.
    pub inputs: usize,
}

impl LayerShape {
    /// Elements of the weight.
    pub fn elements(&self) -> usize {
        self.outputs * self.inputs
    }
}

/// What references must share with whoever uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferencesFor {
    /// SHA-256 of the model, in hex.
    pub model_digest: String,
    /// Confounding label, as text.
    pub label: String,
    /// From pixels to the input tensor, as text.
    pub preprocessing: String,
}

/// Rank-1 directions of one layer, for every class.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReference {
    /// What they belong to.
    pub shape: LayerShape,
    /// `[classes][outputs]`
    pub u: Vec<f32>,
    /// `[classes][groups][inputs]`
    pub v: Vec<f32>,
}

/// References of some layers of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct References {
    /// What they were fitted for.
    pub fitted_for: ReferencesFor,
    /// Origin of the normal frames.
    pub frames: String,
    /// Frames predicted as each class; a class without any has the mean direction of the others.
    pub counts: Vec<i64>,
    /// Fingerprints of the frames: what they give is too good to stand for other frames.
    pub seen: Vec<i64>,
    /// In graph order.
    pub layers: Vec<LayerReference>,
}

/// How well factors stand for a layer's mean directions, averaged over the classes with frames.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerFit {
    /// The weight's name.
    pub parameter: String,
    /// Length of the mean of unit gradients: 1 where all frames of a class agree.
    pub agreement: f64,
    /// Share of the mean's energy that the factors keep.
    pub kept: f64,
}

/// Collects gradients class by class.
pub struct ReferenceFit {
    layers: Vec<LayerShape>,
    /// Sums of unit gradients of the class in progress.
    sums: Vec<Vec<f64>>,
    /// Sums of the class means.
    common: Vec<Vec<f64>>,
    /// Factors by layer and class; none for a class without frames.
    directions: Vec<Vec<Option<Direction>>>,
    counts: Vec<i64>,
    class: usize,
    fits: Vec<[f64; 2]>,
}

/// References of the layers, frames predicted as each class, and what rank one keeps of a layer.
type Fitted = (Vec<LayerReference>, Vec<i64>, Vec<LayerFit>);

impl ReferenceFit {
    /// Nothing collected yet, for so many classes (two for a single logit).
    pub fn new(layers: Vec<LayerShape>, classes: usize) -> ReferenceFit {
        let zeros = |layers: &[LayerShape]| -> Vec<Vec<f64>> {
            layers.iter().map(|layer| vec![0.0; layer.elements()]).collect()
        };
        ReferenceFit {
            sums: zeros(&layers),
            common: zeros(&layers),
            directions: vec![vec![None; classes]; layers.len()],
            counts: vec![0; classes],
            class: 0,
            fits: vec![[0.0; 2]; layers.len()],
            layers,
        }
    }

    /// Adds one frame's gradients, `[outputs][inputs]` for every layer. Frames come in the order of
    /// their classes, so that only one class is held at a time.
    ///
    /// # Errors
    /// A class out of order, other lengths, or a gradient that is not finite.
    pub fn add(&mut self, class: usize, gradients: &[Vec<f32>]) -> Result<(), DetectError> {
        let lengths = gradients.iter().map(Vec::len);
        let expected = self.layers.iter().map(LayerShape::elements);
        if class < self.class || class >= self.counts.len() || !lengths.eq(expected) {
            return Err(DetectError::Data("gradients of another network or out of order".into()));
        }
        if class > self.class {
            self.close();
            self.class = class;
        }
        for (layer, gradient) in gradients.iter().enumerate() {
            let square: f64 = gradient.iter().map(|x| f64::from(*x).powi(2)).sum();
            if !square.is_finite() {
                let name = &self.layers[layer].parameter;
                return Err(DetectError::Data(format!(
                    "the gradient of {name} is not finite; leave the frame out"
                )));
            }
            // A gradient of length 0 has no direction to add.
            if square > 0.0 {
                let inverse = 1.0 / square.sqrt();
                let sums = self.sums[layer].iter_mut().zip(gradient);
                sums.for_each(|(sum, x)| *sum += f64::from(*x) * inverse);
            }
        }
        self.counts[class] += 1;
        Ok(())
    }

    /// Turns the sums of the class in progress into factors.
    fn close(&mut self) {
        let count = self.counts[self.class];
        if count == 0 {
            return;
        }
        for (layer, shape) in self.layers.iter().enumerate() {
            let mean: Vec<f64> = self.sums[layer].iter().map(|sum| sum / count as f64).collect();
            self.common[layer].iter_mut().zip(&mean).for_each(|(sum, x)| *sum += x);
            self.sums[layer].fill(0.0);
            let direction = rank_one(&mean, shape.outputs, shape.groups);
            if let Some(direction) = &direction {
                let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
                self.fits[layer][0] += length;
                self.fits[layer][1] += direction.kept;
            }
            self.directions[layer][self.class] = direction;
        }
    }

    /// The factors; a class without a direction gets that of the mean over all classes.
    ///
    /// # Errors
    /// No frames, or a layer that no gradient reaches.
    pub fn finish(mut self) -> Result<Fitted, DetectError> {
        self.close();
        let mut references = vec![];
        let mut fits = vec![];
        for (layer, shape) in self.layers.iter().enumerate() {
            let common = rank_one(&self.common[layer], shape.outputs, shape.groups);
            let common = common.ok_or_else(|| {
                let name = &shape.parameter;
                DetectError::Data(format!(
                    "no frame has a gradient of {name}; give more frames or leave it out of \
                     --layers"
                ))
            })?;
            let (mut u, mut v) = (vec![], vec![]);
            for direction in &self.directions[layer] {
                let direction = direction.as_ref().unwrap_or(&common);
                u.extend(direction.u.iter().map(|x| *x as f32));
                v.extend(direction.v.iter().map(|x| *x as f32));
            }
            references.push(LayerReference { shape: shape.clone(), u, v });
            let classes = self.directions[layer].iter().flatten().count() as f64;
            let [agreement, kept] = self.fits[layer].map(|sum| sum / classes);
            fits.push(LayerFit { parameter: shape.parameter.clone(), agreement, kept });
        }
        Ok((references, self.counts, fits))
    }
}

impl References {
    /// Refuses references of another model, label or preprocessing.
    ///
    /// # Errors
    /// The first difference, with both values.
    pub fn check_for(&self, wanted: &ReferencesFor) -> Result<(), DetectError> {
        let ours = &self.fitted_for;
        for (what, ours, wanted) in [
            ("model (SHA-256)", &ours.model_digest, &wanted.model_digest),
            ("label", &ours.label, &wanted.label),
            ("preprocessing", &ours.preprocessing, &wanted.preprocessing),
        ] {
            if ours != wanted {
                return Err(DetectError::Data(format!(
                    "the references were fitted for another {what}: \"{ours}\", not \"{wanted}\"; \
                     fit them with `gradgate references` and the same options"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
