//! fDBD: distance to the decision boundaries (Liu and Qin, 2024).

use serde::{Deserialize, Serialize};

use crate::baseline::layers::Head;
use crate::baseline::msp::argmax;
use crate::baseline::rows::squared_distance;
use crate::baseline::{Baseline, FitData, LabelBudget, Observed, Rows, unfitted};
use crate::error::LabError;

/// Shortest distance to the mean that is divided by.
const FLOOR: f64 = 1e-8;

/// The mean over the other classes c of `(z_best - z_c) / |w_best - w_c|`, divided by the distance
/// of the penultimate vector to the mean of normal ones; its sign turned, because normal images lie
/// far from boundaries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fdbd {
    /// What a fit found.
    pub fitted: Option<Fitted>,
}

/// What a fit finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    mean: Vec<f64>,
    /// `|w_i - w_j|`, `[classes][classes]`
    between: Rows,
}

impl Baseline for Fdbd {
    fn name(&self) -> &'static str {
        "fdbd"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::NormalOnly
    }

    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        self.fitted = None;
        let images = data.normal.images;
        let features = images.penultimate()?;
        if features.is_empty() {
            return Err(LabError::Data(
                "fdbd: no normal image to take the mean of; give some".to_owned(),
            ));
        }
        let between = between(&Head::of(images.classifier().graph())?)?;
        self.fitted = Some(Fitted { mean: features.mean(), between });
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let fitted = self.fitted.as_ref().ok_or_else(|| unfitted("fdbd"))?;
        let (features, logits) = (queries.penultimate()?, queries.logits()?);
        features.check_width("fdbd", fitted.mean.len())?;
        logits.check_width("fdbd", fitted.between.width())?;
        let score = |(feature, logits): (&[f64], &[f64])| {
            let best = argmax(logits);
            let distances = logits.iter().zip(fitted.between.row(best)).enumerate();
            let others = distances.filter(|(class, _)| *class != best);
            let sum: f64 = others.map(|(_, (logit, apart))| (logits[best] - logit) / apart).sum();
            let length = squared_distance(feature, &fitted.mean).sqrt().max(FLOOR);
            -sum / (logits.len() - 1) as f64 / length
        };
        Ok(features.iter().zip(logits.iter()).map(score).collect())
    }
}

fn between(head: &Head) -> Result<Rows, LabError> {
    let classes = head.weights.len();
    if classes < 2 {
        return Err(LabError::Model(
            "fdbd: a classifier with one logit has no boundary between classes; leave fdbd out"
                .to_owned(),
        ));
    }
    let mut between = Rows::empty(classes);
    for (i, first) in head.weights.iter().enumerate() {
        let row: Vec<f64> =
            head.weights.iter().map(|second| squared_distance(first, second).sqrt()).collect();
        if let Some(j) = (0..classes).find(|&j| j != i && row[j] == 0.0) {
            return Err(LabError::Model(format!(
                "fdbd: classes {i} and {j} have the same weights, so no boundary lies between \
                 them; leave fdbd out"
            )));
        }
        between.push(row);
    }
    Ok(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_cannot_be_told_apart_are_named() {
        let head = |values: &[f64]| Head {
            weights: Rows::new(1, values.to_vec()),
            bias: vec![0.0; values.len()],
        };
        assert_eq!(between(&head(&[1.0, 4.0])).unwrap().values(), [0.0, 3.0, 3.0, 0.0]);
        let error = between(&head(&[1.0, 4.0, 1.0])).unwrap_err().to_string();
        assert!(error.contains("classes 0 and 2"), "{error}");
        assert!(between(&head(&[1.0])).is_err());
    }
}
