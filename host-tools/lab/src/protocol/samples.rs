//! Every score of a run, a tested frame a row.

use std::fmt::Write as _;

use super::Run;
use super::compare::Scores;
use super::examined::predicted;

/// Columns before those of the detectors.
const FIXED: &str = "against,seed,set,frame,source,label,predicted,status";

/// Comma-separated values with a heading: frames of `set` tested in the comparison `against`, a
/// column a detector. Cells are empty where a detector did not see a frame. `frame` counts from 0
/// within the set; `source` is the image, track or sequence.
pub fn csv(run: &Run) -> String {
    let mut text = String::from(FIXED);
    let columns = columns(run);
    columns.iter().for_each(|(name, _)| {
        let _ = write!(text, ",{}", quoted(name));
    });
    text.push('\n');
    for set in &run.sets {
        for seed in &run.results.definition.seeds {
            rows(run, &set.images.name, *seed, &columns, &mut text);
        }
    }
    text
}

type Column = (String, Vec<usize>);

/// A column for each detector with its lesson; the scores that belong to it.
fn columns(run: &Run) -> Vec<Column> {
    let mut all: Vec<Column> = Vec::new();
    for (at, scores) in run.scores.iter().enumerate() {
        let name = column_name(scores);
        match all.iter_mut().find(|(other, _)| *other == name) {
            Some((_, places)) => places.push(at),
            None => all.push((name, vec![at])),
        }
    }
    all
}

fn column_name(scores: &Scores) -> String {
    let who = &scores.who;
    match who.learnt_from.as_slice() {
        [] => format!("{} ({})", who.detector, who.budget),
        [own] if *own == scores.set => format!("{} (this set)", who.detector),
        others => format!("{} (learnt from {})", who.detector, others.join(" ")),
    }
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.into()
    }
}

fn rows(run: &Run, set: &str, seed: u64, columns: &[Column], text: &mut String) {
    let of = |scores: &'_ Scores| scores.set == set;
    let mut frames: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    for split in run.scores.iter().filter(|s| of(s)).flat_map(|s| &s.splits) {
        if split.seed == seed {
            frames[0].extend(&split.normal_frames);
            frames[1].extend(&split.anomalous_frames);
        }
    }
    for (side, frames) in frames.iter_mut().enumerate() {
        frames.sort_unstable();
        frames.dedup();
        for &frame in frames.iter() {
            row(run, set, seed, side == 1, frame, columns, text);
        }
    }
}

fn row(
    run: &Run,
    set: &str,
    seed: u64,
    anomalous: bool,
    frame: usize,
    columns: &[Column],
    text: &mut String,
) {
    let Some(at) = run.sets.iter().position(|one| one.images.name == set) else { return };
    let measured = if anomalous { &run.sets[at] } else { run.normal_of(at) };
    let status = measured.images.statuses.as_ref().map_or("", |all| all[frame].name());
    let label = measured.images.labels[frame].map_or(String::new(), |label| label.to_string());
    let _ = write!(
        text,
        "{set},{seed},{},{frame},{},{label},{},{status}",
        measured.images.name,
        measured.images.sources[frame],
        predicted(&measured.features, frame)
    );
    for (_, places) in columns {
        let found = places.iter().map(|&at| &run.scores[at]).find(|one| one.set == set);
        let split = found.and_then(|one| one.splits.iter().find(|split| split.seed == seed));
        let score = split.and_then(|split| {
            let (frames, scores) = match anomalous {
                true => (&split.anomalous_frames, &split.anomalous),
                false => (&split.normal_frames, &split.normal),
            };
            // Parts are ascending.
            frames.binary_search(&frame).ok().map(|at| scores[at])
        });
        let _ = match score {
            Some(score) => write!(text, ",{score}"),
            None => write!(text, ","),
        };
    }
    text.push('\n');
}
