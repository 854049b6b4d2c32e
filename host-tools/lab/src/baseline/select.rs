//! Choice of an option by how well it tells two sets of scores apart.

use gradgate_detect::metrics::{Curve, Figures, MetricsError};
use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// What an option is chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// Share of anomalous images above the score below which 95 % of the normal ones lie: Lee et
    /// al. (2018) for sets of other images, and ODIN.
    #[default]
    Tnr95,
    /// Area under the ROC curve: Lee et al. (2018) for attacked images.
    Auroc,
}

impl Criterion {
    /// How well larger scores of anomalous images are told from normal ones, 0 to 1.
    ///
    /// # Errors
    /// When a set is empty or a score is not finite.
    pub fn measure(self, normal: &[f64], anomalous: &[f64]) -> Result<f64, LabError> {
        for (set, name) in [(normal, "normal"), (anomalous, "anomalous")] {
            if set.is_empty() {
                return Err(LabError::Data(format!(
                    "no {name} image to choose options by; give some, or fix the options"
                )));
            }
            check_scores(set, name)?;
        }
        let unfit = |error: MetricsError| LabError::Data(error.to_string());
        let curve = Curve::new(normal, anomalous).map_err(unfit)?;
        Ok(match self {
            Criterion::Tnr95 => Figures::new(&curve, None).map_err(unfit)?.tnr95,
            Criterion::Auroc => curve.auroc(),
        })
    }
}

/// Refuses scores that cannot be sorted.
pub(crate) fn check_scores(scores: &[f64], name: &str) -> Result<(), LabError> {
    match scores.iter().position(|score| !score.is_finite()) {
        None => Ok(()),
        Some(at) => Err(LabError::NotFinite(format!(
            "{name} image {at} has score {}; look for an overflow in its features",
            scores[at]
        ))),
    }
}

/// The option with the largest figure, the first of equal ones, and that figure.
///
/// # Errors
/// What `measure` says; when there is no option.
pub fn best_of<T: Clone>(
    method: &str,
    options: &[T],
    mut measure: impl FnMut(&T) -> Result<f64, LabError>,
) -> Result<(T, f64), LabError> {
    let mut best: Option<(T, f64)> = None;
    for option in options {
        let figure = measure(option)?;
        if best.as_ref().is_none_or(|(_, so_far)| figure > *so_far) {
            best = Some((option.clone(), figure));
        }
    }
    best.ok_or_else(|| {
        LabError::Options(format!("{method}: its grid is empty; name one option at least"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_counted_by_hand() {
        let normal: Vec<f64> = (0..20).map(f64::from).collect();
        for (anomalous, tnr, area) in [
            (vec![18.0, 18.5, 30.0, -1.0], 0.5, (18.5 + 19.0 + 20.0) / 80.0),
            (vec![5.0], 0.0, 5.5 / 20.0),
            (vec![99.0], 1.0, 1.0),
        ] {
            assert_eq!(Criterion::Tnr95.measure(&normal, &anomalous).unwrap(), tnr);
            let found = Criterion::Auroc.measure(&normal, &anomalous).unwrap();
            assert!((found - area).abs() < 1e-15, "{found} {area}");
        }
        assert_eq!(Criterion::Auroc.measure(&[1.0; 3], &[1.0; 2]).unwrap(), 0.5);
        assert_eq!(Criterion::Tnr95.measure(&[1.0; 3], &[1.0; 2]).unwrap(), 0.0);
    }

    #[test]
    fn the_first_of_equal_options_wins() {
        let best = best_of("m", &[3, 1, 2], |&x| Ok(if x == 3 { 0.5 } else { 0.7 })).unwrap();
        assert_eq!(best, (1, 0.7));
        assert!(best_of("m", &[0; 0], |_| Ok(0.0)).is_err());
    }

    #[test]
    fn scores_that_are_no_numbers_are_named() {
        let error = Criterion::Auroc.measure(&[0.0, f64::NAN], &[1.0]).unwrap_err().to_string();
        assert!(error.contains("normal image 1"), "{error}");
        assert!(Criterion::Auroc.measure(&[], &[1.0]).is_err());
    }
}
