//! How well scores tell anomalous frames from normal ones. Larger scores are more anomalous.
//!
//! Scores are finite. AUPR depends on the mixture of the two sets: compare only at equal
//! proportions.

mod bootstrap;
mod resampled;

pub use bootstrap::{Interval, auroc_interval};
pub use resampled::{Resampled, Scored};

/// Frames above and at or under each distinct score, from the highest down: (anomalous, normal)
/// counts.
fn steps(normal: &[f32], anomalous: &[f32]) -> Vec<(usize, usize)> {
    let mut all: Vec<(f32, bool)> = normal.iter().map(|score| (*score, false)).collect();
    all.extend(anomalous.iter().map(|score| (*score, true)));
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut steps = vec![];
    let (mut found, mut wrong) = (0, 0);
    for (index, (score, is_anomalous)) in all.iter().enumerate() {
        if *is_anomalous {
            found += 1
        } else {
            wrong += 1
        }
        // Compared by value, so that -0 and 0 tie.
        if all.get(index + 1).is_none_or(|next| next.0 != *score) {
            steps.push((found, wrong));
        }
    }
    steps
}

/// Probability that an anomalous frame scores above a normal one, ties counting half; NaN when a
/// set is empty.
pub fn auroc(normal: &[f32], anomalous: &[f32]) -> f64 {
    let mut area = 0.0;
    let mut last = (0, 0);
    for (found, wrong) in steps(normal, anomalous) {
        area += (wrong - last.1) as f64 * (found + last.0) as f64 / 2.0;
        last = (found, wrong);
    }
    area / (normal.len() as f64 * anomalous.len() as f64)
}

/// Average precision with the anomalous frames positive.
pub fn aupr_out(normal: &[f32], anomalous: &[f32]) -> f64 {
    let mut area = 0.0;
    let mut last = 0;
    for (found, wrong) in steps(normal, anomalous) {
        area += (found - last) as f64 * found as f64 / (found + wrong) as f64;
        last = found;
    }
    area / anomalous.len() as f64
}

/// Average precision with the normal frames positive (low scores first).
pub fn aupr_in(normal: &[f32], anomalous: &[f32]) -> f64 {
    let negated = |scores: &[f32]| scores.iter().map(|score| -score).collect::<Vec<_>>();
    aupr_out(&negated(anomalous), &negated(normal))
}

/// Share of normal frames flagged at the highest threshold that flags at least 95 % of the
/// anomalous ones (OpenOOD's convention).
pub fn fpr95(normal: &[f32], anomalous: &[f32]) -> f64 {
    let need = 0.95 * anomalous.len() as f64;
    let enough = steps(normal, anomalous).into_iter().find(|(found, _)| *found as f64 >= need);
    enough.map_or(f64::NAN, |(_, wrong)| wrong as f64 / normal.len() as f64)
}

/// Detection accuracy at equal priors and the best threshold for these very scores (optimistic;
/// Lee's 2018 convention).
pub fn dtacc(normal: &[f32], anomalous: &[f32]) -> f64 {
    let (n, a) = (normal.len() as f64, anomalous.len() as f64);
    steps(normal, anomalous)
        .into_iter()
        .map(|(found, wrong)| (found as f64 / a + 1.0 - wrong as f64 / n) / 2.0)
        .fold(0.5, |best, value| if value > best { value } else { best })
}

/// Share of scores above the threshold.
pub fn share_above(scores: &[f32], threshold: f32) -> f64 {
    scores.iter().filter(|score| **score > threshold).count() as f64 / scores.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn hand_values() {
        let (n, a) = ([0.1, 0.4], [0.35, 0.8]);
        assert_eq!(auroc(&n, &a), 0.75);
        // scikit-learn's documentation example: average precision 0.8333.
        assert!((aupr_out(&n, &a) - 0.833_333_333).abs() < 1e-9);
        assert_eq!(fpr95(&n, &a), 0.5);
        assert_eq!(dtacc(&n, &a), 0.75);
        assert_eq!(auroc(&[1.0; 5], &[1.0; 3]), 0.5);
        assert_eq!(auroc(&[0.0, -0.0], &[-0.0, 0.0]), 0.5);
        assert_eq!(auroc(&[0.0; 3], &[1.0; 4]), 1.0);
        assert_eq!(fpr95(&[0.0; 3], &[1.0; 4]), 0.0);
        assert_eq!(aupr_in(&[0.0; 3], &[1.0; 4]), 1.0);
        assert_eq!(auroc(&[1.0; 3], &[0.0; 4]), 0.0);
        assert_eq!(share_above(&[1.0, 2.0, 3.0], 2.0), 1.0 / 3.0);
        assert!(auroc(&[], &[1.0]).is_nan());
    }

    /// Every pair and every threshold, one by one.
    fn brute_force(normal: &[f32], anomalous: &[f32]) -> [f64; 3] {
        let mut pairs = 0.0;
        for n in normal {
            for a in anomalous {
                pairs += if a > n {
                    1.0
                } else if a == n {
                    0.5
                } else {
                    0.0
                };
            }
        }
        let share = |scores: &[f32], t: f32| {
            scores.iter().filter(|s| **s >= t).count() as f64 / scores.len() as f64
        };
        let (mut best, mut fpr) = (0.5f64, f64::INFINITY);
        for t in normal.iter().chain(anomalous) {
            let (tpr, fp) = (share(anomalous, *t), share(normal, *t));
            best = best.max((tpr + 1.0 - fp) / 2.0);
            if tpr >= 0.95 {
                fpr = fpr.min(fp);
            }
        }
        [pairs / (normal.len() * anomalous.len()) as f64, best, fpr]
    }

    #[test]
    fn random_scores_with_ties_match_brute_force() {
        let seed = 5;
        let mut random = Random::new(seed, "metrics");
        for case in 0..200 {
            let mut draw =
                |n: usize| -> Vec<f32> { (0..n).map(|_| random.below(12) as f32 - 3.0).collect() };
            let (n, a) = (draw(1 + case % 40), draw(1 + case % 23));
            let wanted = brute_force(&n, &a);
            let got = [auroc(&n, &a), dtacc(&n, &a), fpr95(&n, &a)];
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((got - wanted).abs() < 1e-12, "seed {seed} case {case}: {got} {wanted}");
            }
        }
    }
}
