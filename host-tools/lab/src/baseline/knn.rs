//! Distance to the k-th nearest normal feature (Sun et al., 2022).

use serde::{Deserialize, Serialize};

use crate::baseline::rows::squared_distance;
use crate::baseline::select::{Criterion, best_of};
use crate::baseline::{Baseline, FitData, LabelBudget, Observed, Rows, unfitted};
use crate::error::LabError;

/// Keeps a vector of zeros finite, as the source does.
const FLOOR: f64 = 1e-10;

/// Euclidean distance, among penultimate vectors of length 1, to the k-th nearest normal image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knn {
    /// Values of k to choose from when there are anomalous images to choose by; the first one
    /// otherwise. Default 50 alone, OpenOOD's for CIFAR-10.
    pub neighbours: Vec<usize>,
    /// What k is chosen by.
    pub criterion: Criterion,
    /// What a fit found.
    pub fitted: Option<Fitted>,
}

/// What a fit finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    k: usize,
    /// `[n][d]`, each of length 1.
    references: Rows,
}

impl Default for Knn {
    fn default() -> Self {
        Self { neighbours: vec![50], criterion: Criterion::Tnr95, fitted: None }
    }
}

impl Baseline for Knn {
    fn name(&self) -> &'static str {
        "knn"
    }

    fn label_budget(&self) -> LabelBudget {
        LabelBudget::NormalOnly
    }

    fn fit(&mut self, data: &FitData<'_>) -> Result<(), LabError> {
        self.fitted = None;
        let references = normalised(data.normal.images.penultimate()?);
        for &k in &self.neighbours {
            if k == 0 || k > references.len() {
                return Err(LabError::Data(format!(
                    "knn: the {k}-th nearest of {} normal images; give more images or a k of 1 to \
                     {}",
                    references.len(),
                    references.len()
                )));
            }
        }
        let contrasts = data.contrasts();
        let (k, _) = best_of("knn", &self.neighbours, |&k| {
            if contrasts.is_empty() || self.neighbours.len() == 1 {
                return Ok(0.0);
            }
            let (mut normal, mut anomalous) = (Vec::new(), Vec::new());
            for contrast in &contrasts {
                normal.extend(distances(&references, k, contrast.normal)?);
                anomalous.extend(distances(&references, k, contrast.anomalous)?);
            }
            self.criterion.measure(&normal, &anomalous)
        })?;
        self.fitted = Some(Fitted { k, references });
        Ok(())
    }

    fn score(&self, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
        let fitted = self.fitted.as_ref().ok_or_else(|| unfitted("knn"))?;
        distances(&fitted.references, fitted.k, queries)
    }

    fn notes(&self) -> Vec<String> {
        let note = |fitted: &Fitted| format!("k {} of {}", fitted.k, fitted.references.len());
        self.fitted.iter().map(note).collect()
    }
}

fn distances(references: &Rows, k: usize, queries: &Observed<'_>) -> Result<Vec<f64>, LabError> {
    let features = queries.penultimate()?;
    features.check_width("knn", references.width())?;
    Ok(normalised(features).map(|feature| kth_distance(references, k, feature)))
}

fn kth_distance(references: &Rows, k: usize, feature: &[f64]) -> f64 {
    let mut squares: Vec<f64> =
        references.iter().map(|reference| squared_distance(reference, feature)).collect();
    let (_, kth, _) = squares.select_nth_unstable_by(k - 1, f64::total_cmp);
    kth.sqrt()
}

fn normalised(features: &Rows) -> Rows {
    let mut rows = Rows::empty(features.width());
    for row in features.iter() {
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt() + FLOOR;
        rows.push(row.iter().map(|x| x / length));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kth_distance_is_that_of_a_sorted_list() {
        let references = Rows::new(1, vec![5.0, 1.0, 9.0, 2.0]);
        for (k, wanted) in [(1, 0.0), (2, 1.0), (3, 4.0), (4, 8.0)] {
            assert_eq!(kth_distance(&references, k, &[1.0]), wanted, "{k}");
        }
    }

    #[test]
    fn only_directions_count() {
        let rows = normalised(&Rows::new(2, vec![3.0, 4.0, 30.0, 40.0, 0.0, 0.0]));
        assert!((rows.row(0)[0] - 0.6).abs() < 1e-10);
        assert!(squared_distance(rows.row(0), rows.row(1)) < 1e-18);
        assert_eq!(rows.row(2), [0.0, 0.0]);
    }
}
