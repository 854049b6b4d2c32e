//! The scores of one kind of frame, checked and sorted: what every curve is merged from.

use super::curve::Step;
use super::error::{Kind, MetricsError};

/// Finite scores, at least one, highest first, each with the number of its frame's source.
#[derive(Clone, Debug)]
pub(super) struct Side(Vec<(f64, u32)>);

impl Side {
    /// Scores with the number of each frame's source, which weights are looked up by.
    pub fn new<S: Copy + Into<f64>>(
        kind: Kind,
        scores: &[S],
        sources: impl Iterator<Item = u32>,
    ) -> Result<Side, MetricsError> {
        if scores.is_empty() {
            return Err(MetricsError::Empty(kind));
        }
        let mut sorted = Vec::with_capacity(scores.len());
        for (index, (score, source)) in scores.iter().zip(sources).enumerate() {
            let value: f64 = (*score).into();
            if !value.is_finite() {
                return Err(MetricsError::NotFinite { kind, index, value });
            }
            // Adding 0 turns -0 into 0, so that the two are one score.
            sorted.push((value + 0.0, source));
        }
        sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        Ok(Side(sorted))
    }

    /// Whether any of its frames counts.
    pub fn counts(&self, weights: &[u32]) -> bool {
        self.0.iter().any(|(_, source)| weights[*source as usize] > 0)
    }
}

/// How often each source counts; `None`: every frame once.
pub(super) type Weights<'a> = Option<&'a [u32]>;

/// Visits the distinct scores of both sides from the highest down, each with the weight of the
/// frames at or above it.
pub(super) fn merge(
    normal: &Side,
    anomalous: &Side,
    weights: Weights<'_>,
    mut visit: impl FnMut(Step),
) {
    let (mut normal, mut anomalous) = (normal.0.as_slice(), anomalous.0.as_slice());
    let mut step = Step { score: f64::INFINITY, normal: 0, anomalous: 0 };
    loop {
        step.score = match (normal.first(), anomalous.first()) {
            (None, None) => return,
            (Some((score, _)), None) | (None, Some((score, _))) => *score,
            (Some((a, _)), Some((b, _))) => {
                if a > b {
                    *a
                } else {
                    *b
                }
            }
        };
        step.normal += take(&mut normal, step.score, weights);
        step.anomalous += take(&mut anomalous, step.score, weights);
        visit(step);
    }
}

/// Removes the frames at a score from the front; their weight.
fn take(side: &mut &[(f64, u32)], score: f64, weights: Weights<'_>) -> u64 {
    let count = side.iter().take_while(|(other, _)| *other == score).count();
    let (taken, rest) = side.split_at(count);
    *side = rest;
    match weights {
        None => count as u64,
        Some(weights) => taken.iter().map(|(_, source)| u64::from(weights[*source as usize])).sum(),
    }
}
