//! How a suite went.

use gradgate_link::message::{Event, Verdict};

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All as expected.
    Passed,
    /// The device does something else than expected.
    Failed(String),
    /// Nothing can be said: the device judged nothing (UNKNOWN), or did not answer.
    Error(String),
    /// Not run: there is no board, or its link is too slow for this case.
    Skipped(String),
}

impl Outcome {
    /// A word for tables.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "FAILED",
            Outcome::Error(_) => "ERROR",
            Outcome::Skipped(_) => "skipped",
        }
    }

    /// Why it did not pass; empty where it did.
    pub fn text(&self) -> &str {
        match self {
            Outcome::Passed => "",
            Outcome::Failed(text) | Outcome::Error(text) | Outcome::Skipped(text) => text,
        }
    }
}

/// A frame of which the device says something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Its number in the sequence.
    pub index: usize,
    /// As its file calls it.
    pub name: String,
    /// What differs.
    pub what: Vec<String>,
    /// The first tensor that differs, with both values, or why none is named.
    pub tensor: String,
    /// The model's input.
    pub picture: Vec<u8>,
}

/// A case that was run, or skipped.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub milliseconds: u64,
    /// PASS, BLOCK and UNKNOWN, as the device said.
    pub verdicts: [u32; 3],
    /// Frames that differ; the first few are told.
    pub mismatched: u32,
    /// Those of them that the device judged UNKNOWN, and should not have.
    pub unjudged: u32,
    /// Those that are told.
    pub mismatches: Vec<Mismatch>,
    /// What the device logged meanwhile.
    pub log: Vec<Event>,
    /// What was measured.
    pub notes: Vec<String>,
}

impl Ran {
    /// A case before its first frame.
    pub fn new(name: &str) -> Ran {
        Ran {
            name: name.to_owned(),
            outcome: Outcome::Passed,
            milliseconds: 0,
            verdicts: [0; 3],
            mismatched: 0,
            unjudged: 0,
            mismatches: Vec::new(),
            log: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// One that ended before it began.
    pub fn ended(name: &str, outcome: Outcome) -> Ran {
        Ran { outcome, ..Ran::new(name) }
    }

    /// Frames that were judged.
    pub fn frames(&self) -> u32 {
        self.verdicts.iter().sum()
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        self.verdicts[match verdict {
            Verdict::Pass => 0,
            Verdict::Block => 1,
            Verdict::Unknown => 2,
        }] += 1;
    }
}

/// A suite that was run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The suite's name.
    pub suite: String,
    /// Name and value: commit, bundle, firmware, board.
    pub properties: Vec<(String, String)>,
    /// Its cases in order.
    pub cases: Vec<Ran>,
}

impl Report {
    /// Cases that passed, failed, could not be told, were skipped.
    pub fn counts(&self) -> [usize; 4] {
        let count =
            |wanted: &str| self.cases.iter().filter(|case| case.outcome.word() == wanted).count();
        ["passed", "FAILED", "ERROR", "skipped"].map(count)
    }

    /// Whether a case failed or could not be told.
    pub fn has_failed(&self) -> bool {
        let [_, failed, errors, _] = self.counts();
        failed + errors > 0
    }
}
