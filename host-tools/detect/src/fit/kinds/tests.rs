//! Kinds on a made-up network: what is left out, who wins, and that nothing tunes a threshold.

use super::*;
use crate::features::Kinds;
use crate::features::tests::synthetic;
use crate::fit::{Anomalous, fit};

/// Three kinds in turn, twins of normal frames: one far off, one near, and one as good as normal.
/// Statistics are far off for the near one alone.
fn kinds_set(normal: &FeatureSet) -> FeatureSet {
    let n = normal.len();
    let shifted = [2.2, 0.4, 0.0].map(|shift| synthetic(n, shift, 77, 1));
    let mut set = synthetic(n, 0.0, 78, 1);
    set.image_statistics = statistics(n, 5);
    for frame in 0..n {
        let from = &shifted[frame % 3];
        set.squared_norms[frame * 6..][..6].copy_from_slice(&from.squared_norms[frame * 6..][..6]);
        set.activation_norms[frame * 3..][..3]
            .copy_from_slice(&from.activation_norms[frame * 3..][..3]);
        set.logits[frame * 4..][..4].copy_from_slice(&from.logits[frame * 4..][..4]);
        set.penultimate[frame * 8..][..8].copy_from_slice(&from.penultimate[frame * 8..][..8]);
        if frame % 3 == 1 {
            set.image_statistics[frame * 10 + 4] += 40.0;
        }
    }
    set.kinds = Kinds {
        names: ["far", "near", "frozen"].map(str::to_owned).to_vec(),
        in_time: vec!["frozen".into()],
        of_frame: (0..n as i64).map(|frame| frame % 3).collect(),
        severities: (0..n as i64).map(|frame| 1 + frame / 3 % 5).collect(),
    };
    set
}

fn statistics(n: usize, seed: u64) -> Vec<f32> {
    let mut random = crate::random::Random::new(seed, "statistics");
    (0..n * 10).map(|_| random.normal() as f32).collect()
}

fn sets() -> (FeatureSet, Anomalous) {
    let mut normal = synthetic(900, 0.0, 1, 1);
    normal.image_statistics = statistics(900, 4);
    let set = kinds_set(&normal);
    (normal, Anomalous { name: "made".into(), set })
}

fn with_head(head: HeadKind) -> FitOptions {
    FitOptions { head: Some(head), resamples: 20, epochs: 60, ..FitOptions::default() }
}

#[test]
fn rows_are_worst_first_and_baselines_are_told_where_they_win() {
    let (normal, made) = sets();
    for head in [HeadKind::Composite, HeadKind::Mlp] {
        let report = fit(&normal, std::slice::from_ref(&made), &with_head(head)).unwrap();
        let kinds = report.kinds.as_ref().unwrap();
        assert!(kinds.rows.is_sorted_by(|a, b| a.detected.share <= b.detected.share));
        let row = |name: &str| kinds.rows.iter().find(|row| row.kind == name).unwrap();
        let (far, near, frozen) = (row("far"), row("near"), row("frozen"));
        let supervised = head == HeadKind::Mlp;
        assert_eq!(kinds.left_out, supervised);
        // Without the far kind the MLP has the near one alone, which points the same way.
        assert!(far.detected.share > 0.9, "{far:?}");
        assert!(near.detected.share < far.detected.share, "{near:?}");
        assert!(frozen.in_time && frozen.detected.share < 0.1 && frozen.shipped.is_none());
        assert_eq!(far.shipped.is_some(), supervised);
        // 40 % of 300 frames.
        assert!((100..=140).contains(&far.detected.frames) && far.sources == far.detected.frames);
        let [low, high] = far.detected.interval;
        assert!(low < far.detected.share && far.detected.share <= high);
        assert_eq!(far.severities.iter().map(|s| s.detected.frames).sum::<usize>(), far.sources);
        assert_eq!(kinds.severities.len(), 5);
        // The statistics see the near kind; an MLP on them has never seen it, so it may not.
        let statistics = &kinds.baselines[2];
        let found = near.baselines[2].share;
        assert!(supervised || found > 0.99, "{found}");
        assert!(supervised || statistics.better_in == 1, "{statistics:?}");
        assert_eq!(kinds.baselines[0].name, "maximum softmax");
        assert!(kinds.baselines.iter().all(|b| b.better_in + b.worse_in <= 2));
        for audit in kinds.baselines.iter().map(|b| b.audit).chain([kinds.audit, far.audit]) {
            assert!(audit.frames == 180 && audit.alarms <= 16, "{audit:?}");
        }
        let text = report.to_text();
        for part in ["made/far", "worst first", "detects more (*) in", "by severity", "frozen: a "]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let back: crate::FitReport = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert!(back == report);
    }
}

#[test]
fn anomalies_move_no_threshold_and_a_kind_in_time_teaches_nothing() {
    let (normal, made) = sets();
    let threshold = |others: &[Anomalous], head| {
        fit(&normal, others, &with_head(head)).unwrap().detector.detector.threshold
    };
    let mut other = made.clone();
    other.set.kinds.of_frame.iter_mut().for_each(|kind| *kind = 0);
    for set in [&made, &other] {
        let with = threshold(std::slice::from_ref(set), HeadKind::Composite);
        assert_eq!(with, threshold(&[], HeadKind::Composite));
    }
    let bytes = |set: &Anomalous| {
        let report = fit(&normal, std::slice::from_ref(set), &with_head(HeadKind::Mlp)).unwrap();
        report.detector.to_json().unwrap()
    };
    // Other values in frames of the kind that teaches nothing: the same detector.
    let mut other = made.clone();
    for frame in (2..900).step_by(3) {
        other.set.squared_norms[frame * 6..][..6].fill(7.0);
    }
    assert!(bytes(&other) == bytes(&made));
    for frame in (0..900).step_by(3) {
        other.set.squared_norms[frame * 6..][..6].fill(7.0);
    }
    assert!(bytes(&other) != bytes(&made));
}

#[test]
fn without_statistics_two_baselines_are_left_and_without_kinds_no_table() {
    let (mut normal, made) = sets();
    normal.image_statistics.clear();
    let one = std::slice::from_ref(&made);
    let report = fit(&normal, one, &with_head(HeadKind::Energy)).unwrap();
    assert_eq!(report.kinds.unwrap().baselines.len(), 2);
    let mut bare = made.clone();
    bare.set.kinds = Kinds::default();
    let one = std::slice::from_ref(&bare);
    assert!(fit(&normal, one, &with_head(HeadKind::Energy)).unwrap().kinds.is_none());
    // Nothing to learn from: kinds in time alone.
    let mut frozen = made;
    frozen.set.kinds.of_frame.iter_mut().for_each(|kind| *kind = 2);
    let one = std::slice::from_ref(&frozen);
    let error = fit(&normal, one, &with_head(HeadKind::Mlp)).unwrap_err().to_string();
    assert!(error.contains("single frame") && error.contains("mlp"), "{error}");
}
