//! What a frame costs in multiply-adds, by pass, and a limit on it.
//!
//! Only multiply-adds of convolutions and products are counted, padding included; element-wise
//! steps count nothing. Time is no business of this crate: a caller that has measured nanoseconds
//! a multiply-add multiplies.

use std::fmt;
use std::str::FromStr;

use gradgate_frame::Preprocessing;

use crate::alignment::Reference;
use crate::expand::{ExpandError, Label, expand_aligned};
use crate::graph::Graph;
use crate::lower::{LowerError, Products, lower_with};
use crate::schedule::{Pass, Schedule};
use crate::taps::Taps;

/// Multiply-adds of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Macs {
    /// Forward pass.
    pub forward: u64,
    /// Cotangents through the layers.
    pub backward: u64,
    /// Weight gradients, their norms and alignments.
    pub norms: u64,
    /// Forward layers that the backward pass computes again to save memory.
    pub again: u64,
}

impl Macs {
    /// Of all steps.
    pub fn of(schedule: &Schedule) -> Macs {
        let mut macs = Macs::default();
        for step in &schedule.steps {
            match step.pass {
                _ if step.again => macs.again += step.macs,
                Pass::Forward => macs.forward += step.macs,
                Pass::Backward => macs.backward += step.macs,
                Pass::Norms => macs.norms += step.macs,
            }
        }
        macs
    }

    /// Of a graph with these taps, and an alignment of each tapped weight that has a reference. The
    /// label is of no consequence: it changes numbers, not steps.
    ///
    /// # Errors
    /// When the graph cannot be expanded or lowered.
    pub fn with_taps(
        graph: &Graph,
        taps: &Taps,
        references: &[Reference],
        products: Products,
    ) -> Result<Macs, CostError> {
        let expanded = expand_aligned(graph, &Label::Ones, taps, references)?;
        Ok(Macs::of(&lower_with(&expanded, &Preprocessing::default(), products)?))
    }

    /// Of the whole verdict.
    pub fn total(&self) -> u64 {
        self.forward + self.backward + self.norms + self.again
    }

    /// The verdict as a multiple of its own forward pass.
    pub fn factor(&self) -> f64 {
        self.total() as f64 / self.forward.max(1) as f64
    }
}

/// Why a cost is not known.
#[derive(Clone, Debug, PartialEq)]
pub enum CostError {
    /// No backward pass.
    Expand(ExpandError),
    /// No kernel.
    Lower(LowerError),
}

impl fmt::Display for CostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CostError::Expand(error) => error.fmt(f),
            CostError::Lower(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CostError {}

impl From<ExpandError> for CostError {
    fn from(error: ExpandError) -> Self {
        CostError::Expand(error)
    }
}

impl From<LowerError> for CostError {
    fn from(error: LowerError) -> Self {
        CostError::Lower(error)
    }
}

/// The most multiply-adds that one verdict may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MacBudget {
    /// A number.
    MultiplyAdds(u64),
    /// A multiple of the forward pass, at least 1.
    Forward(f64),
}

impl MacBudget {
    /// In multiply-adds, for a network with this forward pass; fractions are cut off.
    pub fn limit(&self, forward: u64) -> u64 {
        match self {
            MacBudget::MultiplyAdds(limit) => *limit,
            MacBudget::Forward(factor) => (factor * forward as f64) as u64,
        }
    }
}

impl fmt::Display for MacBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MacBudget::MultiplyAdds(limit) => write!(f, "{limit}"),
            MacBudget::Forward(factor) => write!(f, "{factor}x"),
        }
    }
}

/// `60000000`, `60M`, `1.5G`, `900k`, or `1.5x` the forward pass.
impl FromStr for MacBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let advice = "give multiply-adds, as in 60M, or a multiple of the forward pass, as in 1.5x";
        let text = text.trim();
        let unit = text.chars().last().filter(|c| !c.is_ascii_digit());
        let digits = unit.map_or(text, |unit| &text[..text.len() - unit.len_utf8()]);
        // Plain decimals only: no sign, no exponent, no `inf`.
        let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
        let number: f64 = match digits.parse() {
            Ok(number) if plain && !digits.ends_with('.') => number,
            _ => return Err(advice.to_owned()),
        };
        let scale = match unit {
            None => 1.0,
            Some('k' | 'K') => 1e3,
            Some('M') => 1e6,
            Some('G') => 1e9,
            Some('x') if (1.0..=1e6).contains(&number) => return Ok(MacBudget::Forward(number)),
            Some('x') => {
                return Err("the verdict holds its forward pass: 1x is the least".to_owned());
            }
            Some(_) => return Err(advice.to_owned()),
        };
        let limit = (number * scale).round();
        if (1.0..=1e18).contains(&limit) {
            return Ok(MacBudget::MultiplyAdds(limit as u64));
        }
        Err(advice.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_by_table() {
        let number = |n| Some(MacBudget::MultiplyAdds(n));
        let cases = [
            ("60000000", number(60_000_000)),
            ("60M", number(60_000_000)),
            ("1.5G", number(1_500_000_000)),
            ("900k", number(900_000)),
            (" 0.5M ", number(500_000)),
            ("1.5x", Some(MacBudget::Forward(1.5))),
            ("1x", Some(MacBudget::Forward(1.0))),
            ("0.9x", None),
            ("-1x", None),
            ("nanx", None),
            ("infx", None),
            ("0", None),
            ("0.1", None),
            ("-5M", None),
            ("5 M", None),
            ("5.M", None),
            ("1e6", None),
            ("1e9x", None),
            ("M", None),
            ("x", None),
            ("", None),
            ("60m", None),
            ("60µ", None),
            ("99999999999G", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_budget_reads_back_from_its_text() {
        for text in ["1.5x", "60000000"] {
            assert_eq!(text.parse::<MacBudget>().map(|b| b.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(MacBudget::Forward(1.5).limit(101), 151);
        assert_eq!(MacBudget::MultiplyAdds(7).limit(101), 7);
    }
}
