//! Ratios of two peers, and the goals they are held against.

use std::fmt;

use super::{Measured, Role};

/// A ratio that the page shows.
pub struct Ratio {
    /// Heading.
    pub name: &'static str,
    over: Role,
    under: Role,
    /// The network that the goals are for.
    network: &'static str,
    goals: Goals,
}

/// Limits, the one to reach first in front; what follows are aims.
enum Goals {
    AtMost(&'static [f64]),
    AtLeast(&'static [f64]),
}

/// All of them.
pub const RATIOS: [Ratio; 7] = [
    Ratio {
        name: "verdict / onnxruntime forward",
        over: Role::Fast,
        under: Role::OnnxRuntime,
        network: "resnet20",
        goals: Goals::AtMost(&[4.0, 2.65, 2.3]),
    },
    Ratio {
        name: "verdict, products kept / onnxruntime forward",
        over: Role::Kept,
        under: Role::OnnxRuntime,
        network: "resnet20",
        goals: Goals::AtMost(&[4.0, 2.65, 2.3]),
    },
    Ratio {
        name: "verdict / tract forward",
        over: Role::Fast,
        under: Role::Tract,
        network: "resnet20",
        goals: Goals::AtMost(&[1.2, 1.0]),
    },
    Ratio {
        name: "PyTorch / verdict",
        over: Role::Torch,
        under: Role::Fast,
        network: "resnet20",
        goals: Goals::AtLeast(&[5.0]),
    },
    Ratio {
        name: "exact / fast",
        over: Role::Exact,
        under: Role::Fast,
        network: "resnet20",
        goals: Goals::AtMost(&[2.0]),
    },
    Ratio {
        name: "exact verdict / onnxruntime forward",
        over: Role::Exact,
        under: Role::OnnxRuntime,
        network: "resnet20",
        goals: Goals::AtMost(&[]),
    },
    Ratio {
        name: "1 thread / 2 threads",
        over: Role::Fast,
        under: Role::TwoThreads,
        network: "resnet18",
        goals: Goals::AtLeast(&[1.8]),
    },
];

/// The middle of some values, and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half lie below.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// `None` of nothing.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Spread { median, min, max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}..{:.2})", self.median, self.min, self.max)
    }
}

impl Ratio {
    /// Formed within each round.
    pub fn of(&self, measured: &Measured) -> Option<Spread> {
        let (over, under) = (measured.peer(self.over)?, measured.peer(self.under)?);
        Spread::of(over.rounds.iter().zip(&under.rounds).map(|(a, b)| a / b))
    }

    /// A line for each goal: what is wanted, what was measured, whether it is met.
    pub fn goals(&self, measured: &[Measured]) -> Vec<String> {
        let found = measured.iter().find(|measured| measured.network.name == self.network);
        let spread = found.and_then(|measured| self.of(measured));
        let (sign, limits) = match self.goals {
            Goals::AtMost(limits) => ("<=", limits),
            Goals::AtLeast(limits) => (">=", limits),
        };
        let line = |(place, limit): (usize, &f64)| {
            let word = if place == 0 { "goal" } else { "aim" };
            line(&format!("{}, {}", self.name, self.network), word, sign, *limit, spread)
        };
        limits.iter().enumerate().map(line).collect()
    }
}

/// One row of the table of goals.
pub fn line(name: &str, word: &str, sign: &str, limit: f64, spread: Option<Spread>) -> String {
    let Some(spread) = spread else {
        return format!("| {name} | {word} {sign} {limit} | - | not measured |");
    };
    let met = match sign {
        "<=" => spread.median <= limit,
        _ => spread.median >= limit,
    };
    format!(
        "| {name} | {word} {sign} {limit} | {spread} | {} |",
        if met { "met" } else { "not met" }
    )
}

#[cfg(test)]
mod tests {
    use super::super::{NETWORKS, Peer, agree::Greeting};
    use super::*;

    fn peer(role: Role, rounds: &[f64]) -> Peer {
        let line = r#"{"version": "x", "logits": [1]}"#;
        let greeting = Greeting::parse(line).expect("a greeting");
        Peer { role, greeting, rounds: rounds.to_vec() }
    }

    #[test]
    fn ratios_are_formed_within_rounds() {
        // The machine became twice as slow in the last round: the ratio does not notice.
        let peers =
            vec![peer(Role::OnnxRuntime, &[1.0, 1.0, 2.0]), peer(Role::Fast, &[3.0, 3.1, 6.0])];
        let measured = [Measured { network: &NETWORKS[1], peers }];
        let spread = RATIOS[0].of(&measured[0]).expect("both ran");
        assert_eq!(spread, Spread { median: 3.0, min: 3.0, max: 3.1 });
        let lines = RATIOS[0].goals(&measured);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("goal <= 4 | 3.00 (3.00..3.10) | met"), "{}", lines[0]);
        assert!(lines[1].contains("aim <= 2.65") && lines[1].contains("not met"), "{}", lines[1]);
        assert!(RATIOS[1].goals(&measured)[0].contains("not measured"));
    }

    #[test]
    fn larger_is_better_where_it_should_be() {
        let spread = Spread::of([1.7]);
        assert!(line("x", "goal", ">=", 1.8, spread).ends_with("not met |"));
        assert!(line("x", "goal", ">=", 1.6, spread).ends_with("| met |"));
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([4.0, 1.0]).map(|spread| spread.median), Some(2.5));
    }
}
