//! ViM: virtual-logit matching (Wang et al., 2022).

use serde::{Deserialize, Serialize};

use crate::baseline::energy::log_sum_exp;
use crate::baseline::gaussian::covariance;
use crate::baseline::layers::Head;
use crate::baseline::msp::argmax;
use crate::baseline::rows::dot;
use crate::baseline::symmetric::Eigen;
use crate::baseline::{Baseline, FitData, LabelBudget, Observed, Rows, unfitted};
use crate::error::LabError;

/// `alpha * |residual| - log(sum(exp(z)))`, where the residual is what of the penultimate vector
/// lies outside the directions in which normal ones vary most, seen from the point where the logits
/// are the same for every class but for the bias; alpha makes the residual as large, on average, as
/// the largest logit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vim {
    /// Directions that are left out of the residual; default the source's: 1000 of 2048 features
    /// or more, 512 of 768 or more, else half of them.
    pub dimension: Option<usize>,
    /// What a fit found.
    pub fitted: Option<Fitted>,
}

/// What a fit finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// `-pinv(W) b`
    origin: Vec<f64>,
    /// `[d - dimension][d]`, orthonormal.
    rest: Rows,
    alpha: f64,
}

impl Fitted {
    fn residual(&self, feature: &[f64]) -> f64 {
        let centred: Vec<f64> = feature.iter().zip(&self.origin).map(|(x, u)| x - u).collect();
        self.rest.iter().map(|direction| dot(direction, &centred).powi(2)).sum::<f64>().sqrt()
    }
}

impl Baseline for Vim {
    fn name(&self) -> &'static str {
        "vim"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::NormalOnly
    }

    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        self.fitted = None;
        let images = data.normal.images;
        let (features, logits) = (images.penultimate()?, images.logits()?);
        let (width, count) = (features.width(), features.len());
        let dimension = self.dimension.unwrap_or(usual_dimension(width));
        if dimension == 0 || dimension >= width || count < width {
            return Err(LabError::Data(format!(
                "vim: {dimension} of {width} directions from {count} normal images; it takes 1 to \
                 {} directions and at least {width} images",
                width.saturating_sub(1)
            )));
        }
        let origin = origin(&Head::of(images.classifier().graph())?);
        let eigen = Eigen::of(&covariance(features, &origin));
        let rest = Rows::new(width, eigen.vectors.values()[..(width - dimension) * width].to_vec());
        let mut fitted = Fitted { origin, rest, alpha: 1.0 };
        let largest: f64 = logits.iter().map(|logits| logits[argmax(logits)]).sum();
        let residual: f64 = features.map(|feature| fitted.residual(feature)).iter().sum();
        if residual <= f64::EPSILON * count as f64 {
            return Err(LabError::Data(format!(
                "vim: normal features do not leave {dimension} of {width} directions, so there is \
                 no residual to scale; give a smaller dimension"
            )));
        }
        fitted.alpha = largest / residual;
        self.fitted = Some(fitted);
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let fitted = self.fitted.as_ref().ok_or_else(|| unfitted("vim"))?;
        let (features, logits) = (queries.penultimate()?, queries.logits()?);
        features.check_width("vim", fitted.origin.len())?;
        let virtual_logits = features.map(|feature| fitted.alpha * fitted.residual(feature));
        let score = |(residual, logits): (f64, &[f64])| residual - log_sum_exp(logits, 1.0);
        Ok(virtual_logits.into_iter().zip(logits.iter()).map(score).collect())
    }

    fn notes(&self) -> Vec<String> {
        let note = |fitted: &Fitted| {
            let width = fitted.origin.len();
            let dimension = width - fitted.rest.len();
            format!("{dimension} of {width} directions, alpha {:.3e}", fitted.alpha)
        };
        self.fitted.iter().map(note).collect()
    }
}

fn usual_dimension(width: usize) -> usize {
    match width {
        2048.. => 1000,
        768.. => 512,
        _ => width / 2,
    }
}

/// `-pinv(W) b`, by `pinv(W) = W^T pinv(W W^T)`: singular values below about 1e-8 of the largest
/// count as zero.
fn origin(head: &Head) -> Vec<f64> {
    let (weights, classes) = (&head.weights, head.weights.len());
    let gram = (0..classes * classes)
        .map(|at| dot(weights.row(at / classes), weights.row(at % classes)))
        .collect();
    let whitening = Eigen::of(&Rows::new(classes, gram)).whitening();
    let mut origin = vec![0.0; weights.width()];
    for direction in whitening.iter() {
        let length = dot(direction, &head.bias);
        for (share, row) in direction.iter().zip(weights.iter()) {
            origin.iter_mut().zip(row).for_each(|(u, w)| *u -= share * length * w);
        }
    }
    origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_undoes_the_bias_as_far_as_it_can() {
        // Two classes, three features: W u = -b has solutions, u is the shortest.
        let head = Head {
            weights: Rows::new(3, vec![1.0, 0.0, 0.0, 1.0, 2.0, 0.0]),
            bias: vec![3.0, 5.0],
        };
        let found = origin(&head);
        let wanted = [-3.0, -1.0, 0.0];
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert_eq!([2048, 800, 64].map(usual_dimension), [1000, 512, 32]);
    }
}
