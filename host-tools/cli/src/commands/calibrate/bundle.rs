//! A bundle with another threshold, policy and evidence, and everything else as it was.

use anyhow::{Context, Result, bail};
use gradgate_bundle::Bundle;
use gradgate_bundle::detector::{Detector, Table};
use gradgate_bundle::header::{Evidence, Header, Policy};
use gradgate_bundle::write::{BundleParts, push_floats, write};
use gradgate_detect::calibrate::p_value_table;
use gradgate_detect::sequences::{Choice, Sequence};

/// What becomes different.
pub struct Change<'a> {
    pub threshold: f32,
    pub caution: Option<f32>,
    pub policy: Policy,
    /// Scores behind new p-values; `None` keeps the old ones.
    pub p_scores: Option<&'a [f32]>,
    pub evidence: Evidence<'a>,
    pub confidence: f64,
}

/// Counts per frame beside the events in `source`. Neighbours in a sequence are not independent, so
/// that nothing is promised per frame.
pub fn evidence<'a>(
    calibration: &[Sequence],
    audit: &[Sequence],
    choice: &Choice,
    source: &'a str,
) -> Evidence<'a> {
    let count = |part: &[Sequence]| {
        let sums = part.iter().map(|sequence| sequence.alarms(choice.threshold));
        let sums = sums.fold([0; 2], |sum, [frames, alarms]| [sum[0] + frames, sum[1] + alarms]);
        sums.map(narrow)
    };
    Evidence {
        calibration: count(calibration),
        calibration_sources: narrow(calibration.len()),
        audit: count(audit),
        source,
        ..Evidence::NONE
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The unsigned bytes.
pub fn rewrite(old: &Bundle<'_>, change: &Change<'_>) -> Result<Vec<u8>> {
    let Some(detector) = &old.header().detector else { bail!("there is no detector") };
    let mut blobs = old.blobs().to_vec();
    let p_values = match change.p_scores {
        Some(scores) => {
            let table = p_value_table(scores);
            let scores = push_floats(&mut blobs, &table.scores)?;
            Table { scores, levels: push_floats(&mut blobs, &table.levels)? }
        }
        None => detector.p_values,
    };
    let detector = Detector {
        p_values,
        threshold: change.threshold,
        caution: change.caution,
        ..detector.clone()
    };
    let parts = BundleParts::of(old).context("the bundle's device class")?;
    let evidence = Evidence { confidence: change.confidence as f32, ..change.evidence.clone() };
    let (detector, policy) = (Some(detector), change.policy);
    let header = Header { detector, policy, evidence, ..parts.header };
    let parts = BundleParts { header, blobs, ..parts };
    write(&parts).context("no bundle was made")
}
