//! Scores that no figure can be made of, each with the culprit.

use std::fmt;

use crate::DetectError;

/// Which frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The normal ones.
    Normal,
    /// The anomalous ones; of several sets the one at this place, from 0.
    Anomalous(usize),
}

/// Why there is no figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricsError {
    /// No score of a kind.
    Empty(Kind),
    /// No set of anomalous frames.
    NoSets,
    /// A score is NaN or infinite.
    NotFinite {
        /// Whose.
        kind: Kind,
        /// Its place among the scores of its kind.
        index: usize,
        /// The score.
        value: f64,
    },
    /// Scores and sources, or the scores of two detectors, differ in number.
    Lengths {
        /// Whose.
        kind: Kind,
        /// How many there are.
        have: usize,
        /// How many there should be.
        need: usize,
    },
    /// A threshold that is no number, or a confidence outside 0..1.
    Option {
        /// Its name.
        name: &'static str,
        /// As given.
        value: f64,
    },
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Normal => out.write_str("normal frames"),
            Kind::Anomalous(0) => out.write_str("anomalous frames"),
            Kind::Anomalous(set) => write!(out, "anomalous frames of set {}", set + 1),
        }
    }
}

impl fmt::Display for MetricsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetricsError::Empty(kind) => {
                write!(out, "there are no {kind} to measure on; figures need frames of both kinds")
            }
            MetricsError::NoSets => out.write_str("no set of anomalous frames; give one or more"),
            MetricsError::NotFinite { kind, index, value } => write!(
                out,
                "score {index} of the {kind} is {value}; leave the frame out, or mend what scored \
                 it"
            ),
            MetricsError::Lengths { kind, have, need } => {
                write!(out, "the {kind} have {have} values where {need} belong; give one a frame")
            }
            MetricsError::Option { name, value } => {
                write!(out, "{name} {value} is out of its range")
            }
        }
    }
}

impl std::error::Error for MetricsError {}

impl From<MetricsError> for DetectError {
    fn from(error: MetricsError) -> DetectError {
        DetectError::Data(error.to_string())
    }
}
