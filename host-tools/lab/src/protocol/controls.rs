//! Frames that should pass, judged by detectors of anomalies.

use crate::error::LabError;

use super::compare::{SplitScores, Who};
use super::definition::{Question, SetKind};
use super::ours::{Chosen, Fitted};
use super::parts::Split;
use super::results::ControlRow;
use super::trials::Bench;

/// How often our detectors flag what is harmless, gathered fit by fit.
pub struct Controls<'b> {
    bench: &'b Bench<'b>,
    rows: Vec<Gathered>,
}

struct Gathered {
    who: Who,
    control: usize,
    frames: usize,
    flagged: usize,
    normal: [usize; 2],
    /// AUROC of the set that was learnt from against the control, a split each.
    against: Vec<f64>,
}

impl<'b> Controls<'b> {
    /// Nothing is heard yet.
    pub fn new(bench: &'b Bench<'b>) -> Controls<'b> {
        Controls { bench, rows: Vec::new() }
    }

    /// Tests a fit on every harmless set; noise made like one attack matters to detectors of that
    /// attack and to those of normal frames.
    ///
    /// # Errors
    /// A frame without a score.
    pub fn hear(&mut self, who: &Who, split: &Split, fitted: &Fitted) -> Result<(), LabError> {
        let bench = self.bench;
        if bench.definition.question != Question::Controls {
            return Ok(());
        }
        let normal = |part: &[usize]| fitted.scores(&Chosen { set: bench.normal, frames: part });
        let validation =
            SplitScores { validation: normal(&split.normal.validation)?, ..SplitScores::default() };
        let threshold = validation.threshold();
        let above = |scores: &[f64]| scores.iter().filter(|score| **score > threshold).count();
        let clean = normal(&split.normal.test)?;
        for (at, choice) in bench.definition.sets.iter().enumerate() {
            let like = choice.noise_like.as_ref();
            let foreign = like.is_some_and(|like| {
                !who.learnt_from.is_empty() && who.learnt_from != [like.clone()]
            });
            if choice.kind != SetKind::Control || foreign {
                continue;
            }
            let scores = fitted.scores(&tested(bench, at, split))?;
            let against = match who.learnt_from.as_slice() {
                [learnt] => self.anomalous(learnt, split, fitted)?,
                _ => None,
            };
            let against = against
                .and_then(|anomalous| gradgate_detect::metrics::auroc(&scores, &anomalous).ok());
            let row = self.row(who, at);
            row.frames += scores.len();
            row.flagged += above(&scores);
            row.normal = [row.normal[0] + above(&clean), row.normal[1] + clean.len()];
            row.against.extend(against);
        }
        Ok(())
    }

    fn anomalous(
        &self,
        name: &str,
        split: &Split,
        fitted: &Fitted,
    ) -> Result<Option<Vec<f64>>, LabError> {
        let found = self.bench.sets.iter().position(|set| set.images.name == name);
        let scores = |at: usize| fitted.scores(&tested(self.bench, at, split));
        found.map(scores).transpose()
    }

    fn row(&mut self, who: &Who, control: usize) -> &mut Gathered {
        let known = self.rows.iter().position(|row| row.who == *who && row.control == control);
        let at = known.unwrap_or_else(|| {
            let who = who.clone();
            let row =
                Gathered { who, control, frames: 0, flagged: 0, normal: [0; 2], against: vec![] };
            self.rows.push(row);
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// One row a detector and harmless set.
    pub fn finish(self) -> Vec<ControlRow> {
        let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
        let row = |row: Gathered| ControlRow {
            control: self.bench.sets[row.control].images.name.clone(),
            detector: row.who.detector,
            learnt_from: row.who.learnt_from,
            frames: row.frames,
            flagged: share(row.flagged, row.frames),
            normal_flagged: share(row.normal[0], row.normal[1]),
            anomalous_against_control: (!row.against.is_empty())
                .then(|| row.against.iter().sum::<f64>() / row.against.len() as f64),
        };
        self.rows.into_iter().map(row).collect()
    }
}

/// The tested frames of a set.
fn tested<'a>(bench: &'a Bench<'_>, set: usize, split: &'a Split) -> Chosen<'a> {
    Chosen { set: &bench.sets[set], frames: &split.sets[set].1.test }
}
