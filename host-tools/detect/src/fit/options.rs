//! What may be chosen when fitting.

use serde::{Deserialize, Serialize};

use crate::heads::mlp::Training;
use crate::metrics::Resampling;
use crate::split::SplitMode;
use crate::{DetectError, Inputs};

/// The score's formula, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// The paper's two-layer network; needs anomalous frames.
    Mlp,
    /// Class-conditional Gaussian over the inputs.
    Gaussian,
    /// Cosine distance of the penultimate vector.
    Prototypes,
    /// Two-sided energy.
    Energy,
    /// Gaussian, prototypes, energy and confidence together; the default.
    Composite,
}

impl HeadKind {
    /// Kinds with their names.
    pub const NAMES: [(HeadKind, &'static str); 5] = [
        (HeadKind::Mlp, "mlp"),
        (HeadKind::Gaussian, "gaussian"),
        (HeadKind::Prototypes, "prototypes"),
        (HeadKind::Energy, "energy"),
        (HeadKind::Composite, "composite"),
    ];

    /// The kind of this name.
    ///
    /// # Errors
    /// An unknown name, with the known ones.
    pub fn parse(name: &str) -> Result<HeadKind, DetectError> {
        let known = HeadKind::NAMES.map(|(_, name)| name).join(", ");
        let found = HeadKind::NAMES.into_iter().find(|(_, other)| *other == name);
        found.map(|(kind, _)| kind).ok_or_else(|| {
            DetectError::Options(format!("unknown head \"{name}\"; choose one of {known}"))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        HeadKind::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Inputs that the head reads: heads of logits or penultimate vector alone need no backward
    /// pass.
    pub fn narrow(self, inputs: Inputs) -> Inputs {
        match self {
            HeadKind::Prototypes | HeadKind::Energy => Inputs::FORWARD,
            _ => inputs,
        }
    }
}

/// A set of input kinds from comma-separated names.
///
/// # Errors
/// An unknown or repeated name, or none at all.
pub fn parse_inputs(text: &str) -> Result<Inputs, DetectError> {
    let mut inputs = Inputs::default();
    for name in text.split(',').map(str::trim) {
        let found = Inputs::NAMES.into_iter().find(|(_, other)| *other == name);
        let Some((kind, _)) = found else {
            return Err(DetectError::Options(format!(
                "unknown input \"{name}\"; choose from norm, forward, alignment, comma-separated"
            )));
        };
        if inputs.has(kind) {
            return Err(DetectError::Options(format!("input \"{name}\" is named twice")));
        }
        inputs = inputs.with(kind);
    }
    Ok(inputs)
}

/// The set's names, comma-separated.
pub fn input_names(inputs: Inputs) -> String {
    let names: Vec<&str> =
        Inputs::NAMES.iter().filter(|(kind, _)| inputs.has(*kind)).map(|(_, name)| *name).collect();
    names.join(",")
}

/// All choices; they are kept in the detector file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitOptions {
    /// `None`: the composite.
    pub head: Option<HeadKind>,
    /// Which taps feed the detector.
    #[serde(with = "crate::file::arrays::input_names")]
    pub inputs: Inputs,
    /// Highest rate of false alarms per frame, 0 to 1, both exclusive.
    pub false_alarm_rate: f64,
    /// Rate behind the caution threshold, larger than `false_alarm_rate`.
    pub caution_rate: Option<f64>,
    /// Confidence of the promise, 0 to 1, both exclusive.
    pub confidence: f64,
    /// Seed of splits, start weights, bootstrap.
    pub seed: u64,
    /// Into which parts normal frames are divided.
    pub split: SplitMode,
    /// Hidden units of the MLP.
    pub hidden: u32,
    /// Passes over the training part at most.
    pub epochs: u32,
    /// Prototypes of each class.
    pub prototypes: u32,
    /// Frames' worth of pull of class means towards the common mean.
    pub ridge: f64,
    /// Bootstrap draws behind each interval.
    pub resamples: u32,
}

impl Default for FitOptions {
    fn default() -> FitOptions {
        FitOptions {
            head: None,
            inputs: Inputs::NORM.with(Inputs::FORWARD),
            false_alarm_rate: 0.05,
            caution_rate: None,
            confidence: 0.95,
            seed: 0,
            split: SplitMode::Promise,
            hidden: 64,
            epochs: 200,
            prototypes: 4,
            ridge: 10.0,
            resamples: 1_000,
        }
    }
}

impl FitOptions {
    /// How an MLP is trained.
    pub(crate) fn training(&self) -> Training {
        let (hidden, epochs) = (self.hidden as usize, self.epochs as usize);
        Training { hidden, epochs, seed: self.seed, ..Training::default() }
    }

    /// How intervals of a report are drawn.
    pub(crate) fn resampling(&self, confidence: f64) -> Resampling {
        let resamples = self.resamples as usize;
        Resampling { resamples, confidence, seed: self.seed, twins: false }
    }

    /// Refuses values out of their ranges.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), DetectError> {
        let share = |value: f64| value > 0.0 && value < 1.0;
        let rules = [
            (share(self.false_alarm_rate), "the false-alarm rate must lie between 0 and 1"),
            (share(self.confidence), "the confidence must lie between 0 and 1"),
            (
                self.caution_rate.is_none_or(|rate| share(rate) && rate > self.false_alarm_rate),
                "the caution rate must lie between the false-alarm rate and 1",
            ),
            ((1..=4_096).contains(&self.hidden), "hidden units must be 1 to 4096"),
            ((1..=100_000).contains(&self.epochs), "epochs must be 1 to 100000"),
            ((1..=256).contains(&self.prototypes), "prototypes must be 1 to 256"),
            (self.ridge >= 0.0 && self.ridge.is_finite(), "the ridge must be at least 0"),
            (self.inputs != Inputs::default(), "at least one kind of inputs is needed"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, problem)) => Err(DetectError::Options((*problem).into())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_by_table() {
        let both = Inputs::NORM.with(Inputs::FORWARD);
        let cases = [
            ("norm", Some(Inputs::NORM)),
            ("forward", Some(Inputs::FORWARD)),
            ("norm,forward", Some(both)),
            ("forward, norm", Some(both)),
            ("alignment", Some(Inputs::ALIGNMENT)),
            ("norm,alignment", Some(Inputs::NORM.with(Inputs::ALIGNMENT))),
            ("alignment,alignment", None),
            ("norm,norm", None),
            ("", None),
            ("norms", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_inputs(text).ok(), wanted, "{text}");
        }
        assert_eq!(input_names(both), "norm,forward");
        let text = parse_inputs("norms").unwrap_err().to_string();
        assert!(text.contains("alignment"), "{text}");
    }

    #[test]
    fn options_out_of_range_are_refused() {
        FitOptions::default().check().unwrap();
        let changes: [fn(&mut FitOptions); 10] = [
            |o| o.false_alarm_rate = 0.0,
            |o| o.false_alarm_rate = f64::NAN,
            |o| o.confidence = 1.0,
            |o| o.caution_rate = Some(0.01),
            |o| o.caution_rate = Some(f64::INFINITY),
            |o| o.hidden = 0,
            |o| o.epochs = 0,
            |o| o.prototypes = 0,
            |o| o.ridge = f64::NAN,
            |o| o.inputs = Inputs::default(),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut options = FitOptions::default();
            change(&mut options);
            assert!(options.check().is_err(), "{index}");
        }
        for (kind, name) in HeadKind::NAMES {
            assert_eq!(HeadKind::parse(name).unwrap(), kind);
        }
        assert!(HeadKind::parse("svm").unwrap_err().to_string().contains("composite"));
    }
}
