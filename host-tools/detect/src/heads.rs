//! Fitting of each head on the training part.

pub mod clean;
pub mod kmeans;
pub mod mlp;

use gradgate_bundle::detector::FeatureShape;

use crate::file::Model;
use crate::file::arrays::{HeadArrays, TableArrays};
use crate::scorer::{Scorer, input_rows};
use crate::{DetectError, FeatureSet, Inputs};

/// Standard deviations below this count as this.
const SMALLEST_STD: f64 = 1e-6;

/// A table that says nothing, for heads that are not calibrated yet.
pub fn no_table() -> TableArrays {
    TableArrays { scores: vec![0.0], levels: vec![0.0] }
}

/// Mean and inverse standard deviation of each column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scaling {
    /// Means.
    pub mean: Vec<f32>,
    /// One over the standard deviation, floored at 1e-6.
    pub inverse_std: Vec<f32>,
}

impl Scaling {
    /// Of rows with `columns` values each.
    pub fn fit(rows: &[f32], columns: usize) -> Scaling {
        let count = (rows.len() / columns.max(1)) as f64;
        let mut scaling = Scaling::default();
        for column in 0..columns {
            let values =
                || rows.iter().skip(column).step_by(columns).map(|value| f64::from(*value));
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            let std = variance.sqrt();
            let std = if std > SMALLEST_STD { std } else { SMALLEST_STD };
            scaling.mean.push(mean as f32);
            scaling.inverse_std.push((1.0 / std) as f32);
        }
        scaling
    }

    /// Standardises rows in place, in the engine's arithmetic.
    pub fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.mean.len().max(1)) {
            for ((value, mean), inverse) in row.iter_mut().zip(&self.mean).zip(&self.inverse_std) {
                *value = (*value - mean) * inverse;
            }
        }
    }

    /// A detector of this scaling and a head, without a threshold yet.
    pub fn model(&self, inputs: Inputs, head: HeadArrays) -> Model {
        Model {
            inputs,
            mean: self.mean.clone(),
            inverse_std: self.inverse_std.clone(),
            head,
            p_values: no_table(),
            threshold: 0.0,
            caution: None,
        }
    }
}

/// Frames of one part of a set.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The set.
    pub set: &'a FeatureSet,
    /// Frame numbers.
    pub frames: &'a [usize],
}

impl Part<'_> {
    /// Input vectors before standardising.
    ///
    /// # Errors
    /// More inputs than a detector may have.
    pub fn rows(&self, inputs: Inputs) -> Result<Vec<f32>, DetectError> {
        input_rows(self.set, self.frames, inputs)
    }

    /// Scores under a model, through the engine.
    ///
    /// # Errors
    /// An unsound model, or a frame without a score.
    pub fn scores(&self, model: &Model, shape: FeatureShape) -> Result<Vec<f32>, DetectError> {
        Scorer::new(model, shape)?.scores(self.set, self.frames)
    }

    /// Source of each frame.
    pub fn source(&self) -> Vec<i64> {
        self.frames.iter().map(|frame| self.set.source[*frame]).collect()
    }

    /// Logits of a frame of the set.
    pub fn logits(&self, frame: usize) -> &[f32] {
        let classes = self.set.classes;
        &self.set.logits[frame * classes..(frame + 1) * classes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_standardises_and_floors() {
        let mut rows = vec![1.0, 5.0, 3.0, 5.0, 5.0, 5.0];
        let scaling = Scaling::fit(&rows, 2);
        assert_eq!(scaling.mean, [3.0, 5.0]);
        assert_eq!(scaling.inverse_std[1], 1e6);
        scaling.apply(&mut rows);
        assert_eq!((rows[2], rows[1], rows[3]), (0.0, 0.0, 0.0));
        assert!((rows[4] - 1.224_745).abs() < 1e-5, "{}", rows[4]);
    }
}
