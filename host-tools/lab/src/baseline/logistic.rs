//! Logistic regression over a few features, its strength chosen by cross-validation: the head of
//! Mahalanobis, LID and GraN.

use serde::{Deserialize, Serialize};

use crate::baseline::Rows;
use crate::baseline::newton::minimise;
use crate::baseline::rows::dot;
use crate::error::LabError;

/// Folds of the cross-validation.
const FOLDS: usize = 5;
/// Strengths that are tried, from 1e-4 to 1e4.
const STRENGTHS: i32 = 10;

/// What happens to a feature before it is weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Nothing: Lee et al. (2018).
    #[default]
    None,
    /// From 0 to 1 over the images that it is fitted on: Ma et al. (2018), who take the range from
    /// all images, those tested on among them.
    MinMax,
}

/// `weights * (x - low) / range + intercept`: log odds that an image is anomalous.
///
/// Minimises `|weights|^2 / 2 + C sum(log(1 + exp(-y score)))`, as scikit-learn's
/// `LogisticRegressionCV` with C from ten values, five stratified folds in the given order, mean
/// accuracy, the smallest of equal C, and a fit on everything with that C.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    low: Vec<f64>,
    range: Vec<f64>,
    weights: Vec<f64>,
    intercept: f64,
    strength: f64,
}

impl Logistic {
    /// From features of normal and of anomalous images.
    ///
    /// # Errors
    /// When there are fewer than five of a kind, or a feature is not finite.
    pub fn fit(normal: &Rows, anomalous: &Rows, scaling: Scaling) -> Result<Self, LabError> {
        for (rows, kind) in [(normal, "normal"), (anomalous, "anomalous")] {
            if rows.len() < FOLDS {
                return Err(LabError::Data(format!(
                    "logistic regression with {FOLDS} folds needs {FOLDS} {kind} images, there \
                     are {}; give more",
                    rows.len()
                )));
            }
            if let Some(at) = rows.values().iter().position(|x| !x.is_finite()) {
                return Err(LabError::NotFinite(format!(
                    "{kind} image {}: feature {} of the logistic regression is {}; leave the \
                     image out",
                    at / rows.width(),
                    at % rows.width(),
                    rows.values()[at]
                )));
            }
        }
        let (low, range) = ranges(normal, anomalous, scaling);
        let mut labels = vec![-1.0; normal.len()];
        labels.resize(normal.len() + anomalous.len(), 1.0);
        let mut rows = Rows::empty(normal.width() + 1);
        for row in normal.iter().chain(anomalous.iter()) {
            rows.push(scaled(row, &low, &range).chain([1.0]));
        }
        let strength = best_strength(&rows, &labels, [normal.len(), anomalous.len()]);
        let every: Vec<usize> = (0..labels.len()).collect();
        let mut weights = minimise(&rows, &labels, &every, strength);
        let intercept = weights.pop().unwrap_or(0.0);
        Ok(Self { low, range, weights, intercept, strength })
    }

    /// Log odds of each image.
    pub fn scores(&self, rows: &Rows) -> Vec<f64> {
        rows.map(|row| {
            let features: Vec<f64> = scaled(row, &self.low, &self.range).collect();
            dot(&features, &self.weights) + self.intercept
        })
    }

    /// How many features.
    pub fn width(&self) -> usize {
        self.weights.len()
    }

    /// The C that was chosen.
    pub fn strength(&self) -> f64 {
        self.strength
    }

    /// One weight a feature, and the intercept.
    pub fn weights(&self) -> (&[f64], f64) {
        (&self.weights, self.intercept)
    }
}

/// Offset and divisor of each feature; a feature without range stays at 0.
fn ranges(normal: &Rows, anomalous: &Rows, scaling: Scaling) -> (Vec<f64>, Vec<f64>) {
    let width = normal.width();
    if scaling == Scaling::None {
        return (vec![0.0; width], vec![1.0; width]);
    }
    let mut low = vec![f64::INFINITY; width];
    let mut high = vec![f64::NEG_INFINITY; width];
    for row in normal.iter().chain(anomalous.iter()) {
        for (feature, x) in row.iter().enumerate() {
            low[feature] = low[feature].min(*x);
            high[feature] = high[feature].max(*x);
        }
    }
    let range = |(low, high): (&f64, &f64)| if high > low { high - low } else { 1.0 };
    let range = low.iter().zip(&high).map(range).collect();
    (low, range)
}

fn scaled<'a>(row: &'a [f64], low: &'a [f64], range: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    row.iter().zip(low).zip(range).map(|((x, low), range)| (x - low) / range)
}

fn best_strength(rows: &Rows, labels: &[f64], counts: [usize; 2]) -> f64 {
    let folds = folds(counts);
    let candidates =
        (0..STRENGTHS).map(|i| 10f64.powf(-4.0 + 8.0 * f64::from(i) / f64::from(STRENGTHS - 1)));
    let mut best = (f64::NEG_INFINITY, 1.0);
    for strength in candidates {
        let accuracy = |fold: usize| {
            let (train, test): (Vec<usize>, Vec<usize>) =
                (0..labels.len()).partition(|&row| folds[row] != fold);
            let weights = minimise(rows, labels, &train, strength);
            let right = test
                .iter()
                .filter(|&&row| (dot(rows.row(row), &weights) > 0.0) == (labels[row] > 0.0));
            right.count() as f64 / test.len() as f64
        };
        let mean = (0..FOLDS).map(accuracy).sum::<f64>() / FOLDS as f64;
        if mean > best.0 {
            best = (mean, strength);
        }
    }
    best.1
}

/// The fold of each image, normal ones first: of each kind consecutive shares, whose lengths are
/// those that dealing all images out in turn would give.
fn folds([normal, anomalous]: [usize; 2]) -> Vec<usize> {
    let mut folds = Vec::new();
    for kind in [0..normal, normal..normal + anomalous] {
        for fold in 0..FOLDS {
            let dealt = kind.clone().filter(|place| place % FOLDS == fold).count();
            folds.extend(std::iter::repeat_n(fold, dealt));
        }
    }
    folds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[f64]) -> Rows {
        Rows::new(1, values.to_vec())
    }

    #[test]
    fn folds_are_those_of_scikit_learn() {
        // StratifiedKFold(5) of 7 normal and 6 anomalous images.
        assert_eq!(folds([7, 6]), [0, 0, 1, 1, 2, 3, 4, 0, 1, 2, 2, 3, 4][..]);
    }

    #[test]
    fn weights_point_to_the_anomalous_side() {
        let normal = column(&[0.0, 1.0, 2.0, 0.5, 1.5, 0.2]);
        let anomalous = column(&[2.5, 3.0, 1.8, 4.0, 3.5]);
        for scaling in [Scaling::None, Scaling::MinMax] {
            let head = Logistic::fit(&normal, &anomalous, scaling).unwrap();
            let scores = head.scores(&column(&[0.0, 2.0, 4.0]));
            assert!(scores.is_sorted() && scores[0] < 0.0 && scores[2] > 0.0, "{scores:?}");
        }
    }

    #[test]
    fn too_few_images_and_numbers_that_are_none_are_named() {
        let (five, four) = (column(&[1.0, 2.0, 3.0, 4.0, 5.0]), column(&[1.0; 4]));
        let error = Logistic::fit(&five, &four, Scaling::None).unwrap_err().to_string();
        assert!(error.contains("anomalous") && error.contains("there are 4"), "{error}");
        let bad = column(&[1.0, 2.0, f64::NAN, 4.0, 5.0]);
        let error = Logistic::fit(&bad, &five, Scaling::None).unwrap_err().to_string();
        assert!(error.contains("normal image 2"), "{error}");
        // A feature that never changes weighs nothing and breaks nothing.
        let same = column(&[7.0; 5]);
        assert_eq!(Logistic::fit(&same, &same, Scaling::MinMax).unwrap().weights().0, [0.0]);
    }
}
