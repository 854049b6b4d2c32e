//! Whether the promise holds: many re-splits of the same normal frames, each with its own fit,
//! threshold and audit.

use serde::{Deserialize, Serialize};

use crate::fit::Data;
use crate::{DetectError, FeatureSet, FitOptions, binomial};

/// Counts over re-splits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResplitReport {
    /// Re-splits.
    pub splits: usize,
    /// Promised rate.
    pub promise: f64,
    /// Confidence of the promise.
    pub confidence: f64,
    /// Re-splits with more alarms among the audit frames than the promised share.
    pub exceeded: usize,
    /// How many of these chance alone leads one to expect: the sampling of the calibration part
    /// and of the finite audit part together (beta-binomial, for independent frames).
    pub expected: f64,
    /// Largest number that chance leaves a probability of at least 1 % to, were re-splits
    /// independent.
    pub allowed: usize,
    /// Re-splits whose audit shows, at the promise's own confidence, that the true rate is above
    /// the promise.
    pub refuted: usize,
    /// The same bound for `refuted`: re-splits times one minus the confidence, and its 1 % tail.
    pub refuted_allowed: usize,
    /// Mean share of alarms among audit frames.
    pub mean_rate: f64,
    /// Largest share.
    pub largest_rate: f64,
}

/// Fits `splits` times with seeds `options.seed ..` and counts broken promises.
///
/// # Errors
/// As [`crate::fit()`].
pub fn resplit(
    normal: &FeatureSet,
    options: &FitOptions,
    splits: usize,
) -> Result<ResplitReport, DetectError> {
    let kind = options.head.unwrap_or(crate::fit::HeadKind::Composite);
    let inputs = kind.narrow(options.inputs);
    let mut report = ResplitReport {
        splits,
        promise: options.false_alarm_rate,
        confidence: options.confidence,
        exceeded: 0,
        expected: 0.0,
        allowed: 0,
        refuted: 0,
        refuted_allowed: 0,
        mean_rate: 0.0,
        largest_rate: 0.0,
    };
    for split in 0..splits {
        let options =
            FitOptions { seed: options.seed.wrapping_add(split as u64), ..options.clone() };
        let data = Data::new(normal, &[], &options)?;
        let model = data.fit_model(kind, inputs, &options, None)?;
        let (_, evidence) = data.calibrate(model, &options)?;
        report.count(&evidence, &options);
    }
    report.mean_rate /= splits.max(1) as f64;
    let tail = |rate: f64| {
        let within = |k: &usize| binomial::cumulative(splits as u64, rate, *k as u64) >= 0.99;
        (0..splits).find(within).unwrap_or(splits)
    };
    report.allowed = tail((report.expected / splits.max(1) as f64).clamp(1e-9, 1.0 - 1e-9));
    report.refuted_allowed = tail(1.0 - options.confidence);
    Ok(report)
}

impl ResplitReport {
    fn count(&mut self, evidence: &crate::file::FileEvidence, options: &FitOptions) {
        let (alarms, frames) = (evidence.audit_alarms, evidence.audit_frames);
        let rate = f64::from(alarms) / f64::from(frames);
        let limit = (f64::from(frames) * self.promise).floor() as u64;
        self.mean_rate += rate;
        self.largest_rate = if rate > self.largest_rate { rate } else { self.largest_rate };
        self.exceeded += usize::from(u64::from(alarms) > limit);
        self.expected += binomial::fresh_alarms_exceed(
            u64::from(evidence.calibration_sources),
            u64::from(evidence.calibration_source_alarms),
            u64::from(frames),
            limit,
        );
        // One-sided: so many alarms or more are too rare at the promised rate.
        let below = match u64::from(alarms).checked_sub(1) {
            Some(less) => binomial::cumulative(u64::from(frames), options.false_alarm_rate, less),
            None => 0.0,
        };
        self.refuted += usize::from(1.0 - below < 1.0 - options.confidence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::tests::synthetic;

    #[test]
    fn the_promise_is_kept_over_resplits() {
        let normal = synthetic(700, 0.0, 8, 1);
        let report = resplit(&normal, &FitOptions::default(), 60).unwrap();
        eprintln!("{report:?}");
        assert!(report.exceeded <= report.allowed, "{report:?}");
        assert!(report.refuted <= report.refuted_allowed, "{report:?}");
        assert!(report.mean_rate > 0.005 && report.mean_rate < 0.05, "{report:?}");
    }
}
