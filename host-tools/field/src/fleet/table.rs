//! What was done to which board, as a file that a later run goes on with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Board, Flashed};
use crate::error::Error;
use crate::flash::{Outcome, PhaseTime};

/// How far a board is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing was begun.
    NotTried,
    /// As far as was wanted.
    Done,
    /// It failed; a later run tries it again.
    Failed,
}

/// One board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub port: String,
    /// How far.
    pub state: State,
    /// How it ended, or the error.
    pub detail: String,
    /// Time in milliseconds.
    pub took_ms: u64,
    /// Phases with times, of this run.
    #[serde(default, skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseTime>,
}

/// The table of one bundle and one goal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Names the bundle, hexadecimal.
    pub bundle: String,
    /// What "done" means: staged, on-trial or confirmed.
    pub goal: String,
    /// By name.
    pub boards: BTreeMap<String, Row>,
}

impl Table {
    /// An empty table.
    pub fn new(bundle: String, goal: &str) -> Table {
        Table { bundle, goal: goal.to_owned(), boards: BTreeMap::new() }
    }

    /// Reads a table of this bundle and goal.
    ///
    /// # Errors
    /// [`Error::File`] for anything else.
    pub fn parse(text: &str, bundle: &str, goal: &str) -> Result<Table, Error> {
        let refused = |message: String| Error::File { message };
        let table: Table = serde_json::from_str(text).map_err(|error| {
            refused(format!("not a table of boards ({error}): name another --table"))
        })?;
        if table.bundle != bundle || table.goal != goal {
            return Err(refused(format!(
                "it is the table of bundle {} ({}), not of {} ({goal}): name another --table, or \
                 delete it",
                short(&table.bundle),
                table.goal,
                short(bundle)
            )));
        }
        Ok(table)
    }

    /// The table as a file.
    pub fn text(&self) -> String {
        // Maps of texts and numbers always have a form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self, name: &str) -> bool {
        self.boards.get(name).is_some_and(|row| row.state == State::Done)
    }

    /// The rows of these boards, in their order.
    pub fn rows(&self, boards: &[Board]) -> Vec<Row> {
        let row = |board: &Board| {
            self.boards.get(&board.name).cloned().unwrap_or_else(|| Row {
                name: board.name.clone(),
                port: board.address.to_string(),
                state: State::NotTried,
                detail: String::new(),
                took_ms: 0,
                phases: Vec::new(),
            })
        };
        boards.iter().map(row).collect()
    }

    /// A board that was done was asked whether it is.
    pub(super) fn asked(&mut self, board: &Board, answer: &Result<bool, Error>) -> Row {
        let mut row = self.rows(std::slice::from_ref(board)).remove(0);
        row.port = board.address.to_string();
        (row.state, row.detail) = match answer {
            Ok(true) => (State::Done, row.detail),
            Ok(false) => (State::NotTried, "it was done, and holds something else by now".into()),
            Err(error) => (State::Failed, format!("it was done, and cannot be asked now: {error}")),
        };
        if row.state != State::Done {
            row.took_ms = 0;
        }
        self.boards.insert(row.name.clone(), row.clone());
        row
    }

    pub(super) fn note(&mut self, board: &Board, flashed: Flashed) -> Row {
        let took_ms = flashed.phases.last().map_or(0, |last| last.at_ms + last.took_ms);
        let (state, detail) = match &flashed.result {
            Ok(outcome) => (State::Done, name(*outcome).to_owned()),
            Err(error) => (State::Failed, error.to_string()),
        };
        let row = Row {
            name: board.name.clone(),
            port: board.address.to_string(),
            state,
            detail,
            took_ms,
            phases: flashed.phases,
        };
        self.boards.insert(row.name.clone(), row.clone());
        row
    }
}

/// Rows as CSV: name, port, state, detail, seconds.
pub fn csv(rows: &[Row]) -> String {
    let mut text = "name,port,state,detail,seconds\n".to_owned();
    for row in rows {
        let cells = [&row.name, &row.port, state_name(row.state), &row.detail].map(cell);
        text.push_str(&format!("{},{:.1}\n", cells.join(","), row.took_ms as f64 / 1000.0));
    }
    text
}

/// The state's name.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::NotTried => "not-tried",
        State::Done => "done",
        State::Failed => "failed",
    }
}

/// The outcome's name.
pub fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Suits => "suits",
        Outcome::Already => "already",
        Outcome::Staged => "staged",
        Outcome::OnTrial => "on-trial",
        Outcome::Confirmed => "confirmed",
    }
}

/// A cell that a spreadsheet neither splits nor runs.
fn cell(text: impl AsRef<str>) -> String {
    let text: String =
        text.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}
