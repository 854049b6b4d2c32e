//! All figures of one comparison with what they were counted on, and the rule of each for printing.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::curve::{Curve, balanced, share};
use super::error::MetricsError;

/// What figures were counted on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Normal frames.
    pub normal: u64,
    /// Anomalous frames.
    pub anomalous: u64,
    /// Share of the frames that is anomalous.
    pub prevalence: f64,
    /// Distinct scores.
    pub distinct: usize,
    /// Share of (normal, anomalous) pairs with equal scores; half of it is how far the rule for
    /// ties can move the AUROC.
    pub tied_pairs: f64,
    /// Distinct sources, normal and anomalous, where they are known.
    pub sources: Option<[usize; 2]>,
}

/// What frames above a given threshold being flagged would mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtThreshold<T = f64> {
    /// The threshold; frames above it are flagged, at it they pass.
    pub threshold: f64,
    /// Share of all frames judged rightly.
    pub accuracy: T,
    /// Mean of `tpr` and 1 - `fpr`.
    pub accuracy_balanced: T,
    /// Share of anomalous frames flagged.
    pub tpr: T,
    /// Share of normal frames flagged.
    pub fpr: T,
}

/// Figures, each as `T`: a number, or an [`Interval`](super::Interval) around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures<T = f64> {
    /// What they were counted on.
    pub counts: Counts,
    /// Area under the ROC curve.
    pub auroc: T,
    /// Average precision, anomalous frames positive.
    pub aupr_anomalous: T,
    /// Average precision, normal frames positive.
    pub aupr_normal: T,
    /// Normal frames flagged where 95 % of the anomalous ones are.
    pub fpr95: T,
    /// Anomalous frames flagged where 95 % of the normal ones pass.
    pub tnr95: T,
    /// Balanced accuracy at the threshold that is best for these very scores.
    pub accuracy_best: T,
    /// That threshold; frames above it are flagged.
    pub threshold_best: f64,
    /// The same frames at a threshold given by the caller.
    pub at: Option<AtThreshold<T>>,
}

/// A figure's rule, for readers of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Which frames are positive.
    pub positive: &'static str,
    /// How it is computed.
    pub rule: &'static str,
    /// Whether it changes with the proportion of the two kinds.
    pub follows_prevalence: bool,
}

const fn definition(
    name: &'static str,
    positive: &'static str,
    follows_prevalence: bool,
    rule: &'static str,
) -> Definition {
    Definition { name, positive, rule, follows_prevalence }
}

/// The rule of each figure, in the order of [`Figures::values`]; the last four are read at the
/// caller's threshold.
pub const DEFINITIONS: [Definition; 10] = [
    definition("AUROC", "anomalous", false, "trapezoid under the ROC curve; ties count half"),
    definition("AUPR anomalous", "anomalous", true, "average precision: step sum, ties one step"),
    definition("AUPR normal", "normal", true, "average precision: step sum, ties one step"),
    definition(
        "FPR95",
        "anomalous",
        false,
        "normal frames flagged at the first step that flags at least 95 % of the anomalous ones",
    ),
    definition(
        "TNR95",
        "normal",
        false,
        "anomalous frames flagged at the first step that passes at least 95 % of the normal ones; \
         1 - FPR95 of codes in which normal frames are positive",
    ),
    definition(
        "best balanced accuracy",
        "anomalous",
        false,
        "maximum over thresholds of (TPR + TNR) / 2, chosen on these very scores: optimistic",
    ),
    definition("accuracy", "anomalous", true, "frames judged rightly; flagged above the threshold"),
    definition("balanced accuracy", "anomalous", false, "(TPR + TNR) / 2 at the threshold"),
    definition("TPR", "anomalous", false, "anomalous frames above the threshold"),
    definition("FPR", "anomalous", false, "normal frames above the threshold"),
];

impl Figures {
    /// Reads all figures from a curve, and with a threshold what it does, for example at 0.5 of a
    /// probability.
    ///
    /// # Errors
    /// A threshold that is NaN.
    pub fn new(curve: &Curve, threshold: Option<f64>) -> Result<Figures, MetricsError> {
        let (normal, anomalous) = curve.totals();
        let flipped = curve.flipped();
        let best = curve.best_balanced();
        Ok(Figures {
            counts: Counts {
                normal,
                anomalous,
                prevalence: share(anomalous, normal + anomalous),
                distinct: curve.steps().len(),
                tied_pairs: curve.tied_pairs(),
                sources: None,
            },
            auroc: curve.auroc(),
            aupr_anomalous: curve.average_precision(),
            aupr_normal: flipped.average_precision(),
            fpr95: curve.fpr95(),
            tnr95: 1.0 - flipped.fpr95(),
            accuracy_best: best.accuracy,
            threshold_best: best.threshold,
            at: threshold.map(|threshold| curve.accuracy_at(threshold)).transpose()?,
        })
    }
}

impl Curve {
    /// What flagging the frames above a threshold does, for example at 0.5 of a probability.
    ///
    /// # Errors
    /// A threshold that is NaN.
    pub fn accuracy_at(&self, threshold: f64) -> Result<AtThreshold, MetricsError> {
        if threshold.is_nan() {
            return Err(MetricsError::Option { name: "threshold", value: threshold });
        }
        let (normal, anomalous) = self.totals();
        let (alarms, found) = self.above(threshold);
        let (tpr, fpr) = (share(found, anomalous), share(alarms, normal));
        Ok(AtThreshold {
            threshold,
            accuracy: share(found + normal - alarms, normal + anomalous),
            accuracy_balanced: balanced(tpr, fpr),
            tpr,
            fpr,
        })
    }
}

impl<T: Copy> Figures<T> {
    /// The figures in the order of [`DEFINITIONS`]: ten with a threshold, six without.
    pub fn values(&self) -> Vec<T> {
        let mut values = vec![];
        self.map(|value| values.push(value));
        values
    }

    /// The figures with another representation, taken in the order of [`DEFINITIONS`].
    pub fn map<U>(&self, mut change: impl FnMut(T) -> U) -> Figures<U> {
        Figures {
            counts: self.counts,
            auroc: change(self.auroc),
            aupr_anomalous: change(self.aupr_anomalous),
            aupr_normal: change(self.aupr_normal),
            fpr95: change(self.fpr95),
            tnr95: change(self.tnr95),
            accuracy_best: change(self.accuracy_best),
            threshold_best: self.threshold_best,
            at: self.at.map(|at| AtThreshold {
                threshold: at.threshold,
                accuracy: change(at.accuracy),
                accuracy_balanced: change(at.accuracy_balanced),
                tpr: change(at.tpr),
                fpr: change(at.fpr),
            }),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} normal and {} anomalous frames ({:.1} % anomalous)",
            self.normal,
            self.anomalous,
            100.0 * self.prevalence
        )?;
        if let Some([normal, anomalous]) = self.sources {
            write!(out, " of {normal} and {anomalous} sources")?;
        }
        let tied = 100.0 * self.tied_pairs;
        write!(out, ", {} distinct scores, {tied:.2} % of pairs tie", self.distinct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(normal: &[f64], anomalous: &[f64]) -> Figures {
        Figures::new(&Curve::new(normal, anomalous).unwrap(), Some(0.5)).unwrap()
    }

    #[test]
    fn hand_values() {
        // AUROC, AUPR anomalous, AUPR normal, FPR95, TNR95, best; accuracy, balanced, TPR, FPR.
        type Case = (&'static [f64], &'static [f64], [f64; 10]);
        let cases: [Case; 6] = [
            (&[0.0; 3], &[1.0; 4], [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
            (&[1.0; 3], &[0.0; 4], [0.0, 4.0 / 7.0, 3.0 / 7.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]),
            (&[0.2; 4], &[0.2; 4], [0.5, 0.5, 0.5, 1.0, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0]),
            (&[0.0, -0.0], &[-0.0, 0.0], [0.5, 0.5, 0.5, 1.0, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0]),
            // At the threshold a frame passes.
            (&[0.5], &[0.5], [0.5, 0.5, 0.5, 1.0, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0]),
            (
                &[0.1, 0.4],
                &[0.35, 0.8],
                [0.75, 5.0 / 6.0, 5.0 / 6.0, 0.5, 0.5, 0.75, 0.75, 0.75, 0.5, 0.0],
            ),
        ];
        for (normal, anomalous, wanted) in cases {
            let got = figures(normal, anomalous).values();
            assert_eq!(got.len(), DEFINITIONS.len());
            for ((got, wanted), definition) in got.iter().zip(wanted).zip(&DEFINITIONS) {
                let name = definition.name;
                assert!((got - wanted).abs() < 1e-15, "{name} {normal:?} {anomalous:?}: {got}");
            }
        }
    }

    #[test]
    fn prevalence_moves_only_what_is_said_to_follow_it() {
        let (normal, anomalous) = ([0.1, 0.4, 0.3, 0.9], [0.35, 0.8, 0.9]);
        let five = anomalous.repeat(5);
        let (once, often) = (figures(&normal, &anomalous), figures(&normal, &five));
        for ((a, b), definition) in once.values().iter().zip(often.values()).zip(&DEFINITIONS) {
            assert_eq!((a - b).abs() > 1e-12, definition.follows_prevalence, "{definition:?}");
        }
        assert_eq!(often.counts.prevalence, 15.0 / 19.0);
    }

    #[test]
    fn counts_are_said() {
        let counts = figures(&[0.0, 1.0], &[1.0, 2.0]).counts;
        let wanted = "2 normal and 2 anomalous frames (50.0 % anomalous), 3 distinct scores, \
                      25.00 % of pairs tie";
        assert_eq!(counts.to_string(), wanted);
        let counts = Counts { sources: Some([2, 1]), ..counts };
        assert!(counts.to_string().contains("of 2 and 1 sources,"));
    }

    #[test]
    fn a_threshold_that_is_no_number_is_refused() {
        let curve = Curve::new(&[0.0], &[1.0]).unwrap();
        assert!(curve.accuracy_at(f64::NAN).unwrap_err().to_string().contains("threshold NaN"));
        assert_eq!(curve.accuracy_at(f64::INFINITY).unwrap().tpr, 0.0);
    }
}
