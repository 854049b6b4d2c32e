//! One frame's verdict.

use core::fmt;

use gradgate_bundle::detector::{Detector, Fault, Judgement};

/// What the gate learns of one frame; score, p-value and reason stay in the [`Judgement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Score at or under the threshold (and the caution threshold, where there is one).
    Pass,
    /// Score above the threshold.
    Block,
    /// Nothing can be promised of this frame.
    Unknown {
        /// Why not.
        cause: Cause,
    },
}

/// Why a verdict is UNKNOWN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The score lies between the caution threshold and the threshold.
    Caution,
    /// The detector met a value that is not finite, or features of another length.
    Fault(Fault),
    /// Score or p-value of the judgement is not finite, or the p-value not within 0 and 1.
    Judgement,
    /// The thresholds are not finite, or the caution threshold lies above the threshold.
    Limits,
    /// The bundle holds no detector.
    NoDetector,
    /// The picture itself is unusable: spoilt, stale, frozen or not to be read.
    Sensor,
}

impl Cause {
    /// Whether device or bundle must be at fault; the others lie in what the camera saw.
    pub fn is_fault(self) -> bool {
        match self {
            Cause::Fault(_) | Cause::Judgement | Cause::Limits | Cause::NoDetector => true,
            Cause::Caution | Cause::Sensor => false,
        }
    }
}

/// Thresholds of a detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// PASS iff `score <= threshold`.
    pub threshold: f32,
    /// Scores in `(caution, threshold]` are UNKNOWN.
    pub caution: Option<f32>,
}

impl From<&Detector> for Limits {
    fn from(detector: &Detector) -> Limits {
        Limits { threshold: detector.threshold, caution: detector.caution }
    }
}

impl Limits {
    /// Whether a verdict can be drawn from them at all.
    pub fn are_sound(&self) -> bool {
        self.threshold.is_finite()
            && self.caution.is_none_or(|caution| caution.is_finite() && caution <= self.threshold)
    }
}

/// Turns what the detector said into a verdict.
pub fn decide(judgement: &Result<Judgement, Fault>, limits: &Limits) -> Verdict {
    let unknown = |cause| Verdict::Unknown { cause };
    let judgement = match judgement {
        Ok(judgement) => judgement,
        Err(fault) => return unknown(Cause::Fault(*fault)),
    };
    if !limits.are_sound() {
        return unknown(Cause::Limits);
    }
    if !judgement.score.is_finite() || !(0.0..=1.0).contains(&judgement.p_value) {
        return unknown(Cause::Judgement);
    }
    if judgement.score > limits.threshold {
        return Verdict::Block;
    }
    match limits.caution {
        Some(caution) if judgement.score > caution => unknown(Cause::Caution),
        _ => Verdict::Pass,
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Verdict::Pass => "PASS",
            Verdict::Block => "BLOCK",
            Verdict::Unknown { .. } => "UNKNOWN",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradgate_bundle::detector::Reason;

    fn judged(score: f32, p_value: f32) -> Result<Judgement, Fault> {
        Ok(Judgement { score, p_value, reason: Reason::Shift, class: 0 })
    }

    fn unknown(cause: Cause) -> Verdict {
        Verdict::Unknown { cause }
    }

    #[test]
    fn verdicts_by_table() {
        let plain = Limits { threshold: 2.0, caution: None };
        let careful = Limits { threshold: 2.0, caution: Some(1.0) };
        let above = f32::from_bits(2.0f32.to_bits() + 1);
        let cases = [
            (judged(1.0, 0.5), plain, Verdict::Pass),
            (judged(2.0, 0.5), plain, Verdict::Pass),
            (judged(-1e30, 1.0), plain, Verdict::Pass),
            (judged(above, 0.5), plain, Verdict::Block),
            (judged(f32::MAX, 0.0), plain, Verdict::Block),
            (judged(1.0, 0.5), careful, Verdict::Pass),
            (judged(1.5, 0.5), careful, unknown(Cause::Caution)),
            (judged(2.0, 0.5), careful, unknown(Cause::Caution)),
            (judged(above, 0.5), careful, Verdict::Block),
            (Err(Fault::Logit(3)), plain, unknown(Cause::Fault(Fault::Logit(3)))),
            (Err(Fault::Length), careful, unknown(Cause::Fault(Fault::Length))),
        ];
        for (judgement, limits, wanted) in cases {
            assert_eq!(decide(&judgement, &limits), wanted, "{judgement:?} {limits:?}");
        }
    }

    #[test]
    fn no_combination_with_a_bad_number_passes() {
        let bad = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let good = [-3.0f32, 0.0, 2.0, 5.0];
        let all = || bad.into_iter().chain(good);
        let mut passed = 0;
        for score in all() {
            for p_value in all().chain([0.5, 1.0]) {
                for threshold in all() {
                    for caution in all().map(Some).chain([None]) {
                        let limits = Limits { threshold, caution };
                        let verdict = decide(&judged(score, p_value), &limits);
                        let finite = score.is_finite()
                            && p_value.is_finite()
                            && threshold.is_finite()
                            && caution.is_none_or(f32::is_finite);
                        let pass = verdict == Verdict::Pass;
                        assert!(!pass || finite, "{score} {p_value} {limits:?}");
                        let under = score <= threshold && caution.is_none_or(|c| score <= c);
                        assert!(!pass || under, "{score} {limits:?}");
                        passed += usize::from(pass);
                    }
                }
            }
        }
        assert!(passed > 0);
    }

    #[test]
    fn a_caution_threshold_above_the_threshold_is_refused() {
        let limits = Limits { threshold: 1.0, caution: Some(1.5) };
        assert_eq!(decide(&judged(0.0, 1.0), &limits), unknown(Cause::Limits));
    }
}
