//! The paper's network on any matrix of features, cross-validated by source: how much a set of
//! numbers tells at all.

use serde::{Deserialize, Serialize};

use crate::heads::Scaling;
use crate::heads::mlp::{Rows, Training, balanced_weights, outputs, train};
use crate::metrics::{Interval, MetricsError, Resampling, Scored, auroc, auroc_interval};
use crate::split::folds;
use crate::{DetectError, FeatureSet, Inputs};

/// Rows of any features with their kind and source.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// Values of a row.
    pub columns: usize,
    /// `[n][columns]`
    pub values: Vec<f32>,
    /// Whether a row is anomalous.
    pub anomalous: Vec<bool>,
    /// Image, track or sequence of each row; give normal and anomalous rows different ids unless
    /// they are twins.
    pub source: Vec<i64>,
}

impl Matrix {
    /// Adds the inputs of a feature set, each source id shifted by `offset`.
    ///
    /// # Errors
    /// Another number of columns than the rows before.
    pub fn add(
        &mut self,
        set: &FeatureSet,
        inputs: Inputs,
        anomalous: bool,
        offset: i64,
    ) -> Result<(), DetectError> {
        let frames: Vec<usize> = (0..set.len()).collect();
        let rows = crate::scorer::input_rows(set, &frames, inputs)?;
        let columns = rows.len() / frames.len().max(1);
        if !self.values.is_empty() && columns != self.columns {
            return Err(DetectError::Data(format!(
                "{columns} inputs in {} instead of {}",
                set.metadata.frames, self.columns
            )));
        }
        self.columns = columns;
        self.values.extend(rows);
        self.anomalous.resize(self.anomalous.len() + frames.len(), anomalous);
        self.source.extend(set.source.iter().map(|id| id.wrapping_add(offset)));
        Ok(())
    }

    fn rows(&self, keep: impl Fn(usize) -> bool) -> Rows {
        let mut rows = Rows::default();
        for index in (0..self.source.len()).filter(|index| keep(*index)) {
            let start = index * self.columns;
            rows.values.extend(&self.values[start..start + self.columns]);
            rows.anomalous.push(self.anomalous[index]);
        }
        let groups: Vec<usize> = rows.anomalous.iter().map(|kind| usize::from(*kind)).collect();
        rows.weights = balanced_weights(&groups);
        rows
    }
}

/// AUROC of rows that no part of their own model's fit had seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossValidation {
    /// Per fold.
    pub folds: Vec<f64>,
    /// Mean over the folds.
    pub mean: f64,
    /// All rows at once, each scored by the model of its fold, with a cluster-bootstrap 95 %
    /// interval.
    pub pooled: Interval,
}

/// Trains on all folds but one (a fifth of their sources stops early), scores that one, for each
/// in turn. Equal sources and seed give equal folds for any matrix.
///
/// # Errors
/// Fewer than two folds, lengths that do not fit, values that are not finite, a fold without rows
/// of both kinds.
pub fn cross_validate(
    matrix: &Matrix,
    count: usize,
    training: &Training,
) -> Result<CrossValidation, DetectError> {
    check(matrix, count)?;
    // Kinds are dealt apart, so that each fold has its share of both.
    let mut fold = vec![0; matrix.source.len()];
    for kind in [false, true] {
        let members: Vec<usize> =
            (0..fold.len()).filter(|index| matrix.anomalous[*index] == kind).collect();
        let source: Vec<i64> = members.iter().map(|index| matrix.source[*index]).collect();
        for (index, at) in members.iter().zip(folds(&source, count, training.seed)) {
            fold[*index] = at;
        }
    }
    keep_twins_together(matrix, &mut fold);
    let inner = folds(&matrix.source, 5, training.seed ^ 0x5eed);
    let mut scores = vec![0.0f32; fold.len()];
    let mut found = vec![];
    for held in 0..count {
        let mut fit = matrix.rows(|index| fold[index] != held && inner[index] != 0);
        let mut early = matrix.rows(|index| fold[index] != held && inner[index] == 0);
        let mut test = matrix.rows(|index| fold[index] == held);
        let scaling = Scaling::fit(&fit.values, matrix.columns);
        for rows in [&mut fit, &mut early, &mut test] {
            scaling.apply(&mut rows.values);
        }
        let mlp = train(&fit, &early, matrix.columns, training);
        let got = outputs(&mlp, &test.values, matrix.columns);
        let of = |kind: bool| -> Vec<f32> {
            let all = got.iter().zip(&test.anomalous);
            all.filter(|(_, anomalous)| **anomalous == kind).map(|(score, _)| *score).collect()
        };
        found.push(auroc(&of(false), &of(true)).map_err(|error| match error {
            MetricsError::Empty(_) => DetectError::Data(format!(
                "fold {held} of {count} lacks normal or anomalous rows; give more sources"
            )),
            other => other.into(),
        })?);
        let members = (0..fold.len()).filter(|index| fold[*index] == held);
        members.zip(got).for_each(|(index, score)| scores[index] = score);
    }
    let pooled = pool(matrix, &scores, training.seed)?;
    Ok(CrossValidation { mean: found.iter().sum::<f64>() / count as f64, folds: found, pooled })
}

fn check(matrix: &Matrix, count: usize) -> Result<(), DetectError> {
    let n = matrix.source.len();
    let fits = matrix.columns > 0
        && matrix.anomalous.len() == n
        && n.checked_mul(matrix.columns) == Some(matrix.values.len());
    if !fits || count < 2 || !matrix.values.iter().all(|value| value.is_finite()) {
        return Err(DetectError::Data(
            "cross-validation needs two folds or more and a full matrix of finite values".into(),
        ));
    }
    Ok(())
}

/// An anomalous row goes to the fold of the normal rows of its own source.
fn keep_twins_together(matrix: &Matrix, fold: &mut [usize]) {
    let mut home = std::collections::BTreeMap::new();
    for index in (0..fold.len()).filter(|index| !matrix.anomalous[*index]) {
        home.insert(matrix.source[index], fold[index]);
    }
    for index in 0..fold.len() {
        if let Some(at) = home.get(&matrix.source[index]) {
            fold[index] = *at;
        }
    }
}

fn pool(matrix: &Matrix, scores: &[f32], seed: u64) -> Result<Interval, DetectError> {
    let of = |kind: bool| -> (Vec<f32>, Vec<i64>) {
        let members = (0..scores.len()).filter(|index| matrix.anomalous[*index] == kind);
        members.map(|index| (scores[index], matrix.source[index])).unzip()
    };
    let (normal, anomalous) = (of(false), of(true));
    let scored = |(scores, sources)| Scored { scores, sources };
    let how = Resampling { resamples: 1_000, confidence: 0.95, seed, twins: false };
    Ok(auroc_interval(scored((&normal.0, &normal.1)), scored((&anomalous.0, &anomalous.1)), &how)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::tests::synthetic;

    fn matrix(shift: f64, inputs: Inputs) -> Matrix {
        let mut matrix = Matrix::default();
        matrix.add(&synthetic(300, 0.0, 1, 1), inputs, false, 0).unwrap();
        matrix.add(&synthetic(300, shift, 2, 1), inputs, true, 1 << 32).unwrap();
        matrix
    }

    #[test]
    fn planted_anomalies_are_found_and_nothing_is_found_in_nothing() {
        let training = Training { epochs: 60, hidden: 16, seed: 3, ..Training::default() };
        let planted = cross_validate(&matrix(0.8, Inputs::NORM), 5, &training).unwrap();
        assert!(planted.mean > 0.95 && planted.pooled.value > 0.95, "{planted:?}");
        let nothing = cross_validate(&matrix(0.0, Inputs::NORM), 5, &training).unwrap();
        assert!((nothing.mean - 0.5).abs() < 0.08, "{nothing:?}");
        let again = cross_validate(&matrix(0.0, Inputs::NORM), 5, &training).unwrap();
        assert_eq!(nothing, again);
    }

    #[test]
    fn unusable_matrices_are_refused() {
        let good = matrix(0.5, Inputs::FORWARD);
        let training = Training { epochs: 1, ..Training::default() };
        assert!(cross_validate(&good, 1, &training).is_err());
        let mut bad = good.clone();
        bad.values[3] = f32::NAN;
        assert!(cross_validate(&bad, 5, &training).is_err());
        let mut bad = good.clone();
        bad.values.pop();
        assert!(cross_validate(&bad, 5, &training).is_err());
        let mut bad = good;
        bad.anomalous.fill(false);
        assert!(cross_validate(&bad, 5, &training).is_err());
    }
}
