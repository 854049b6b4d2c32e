//! Scores of normal sequences: from frames, or from lines that `run --json` printed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gradgate_detect::sequences::{Sequence, SequenceFrame};
use gradgate_engine::Engine;
use gradgate_frame::FrozenWatch;
use gradgate_gate::Verdict;
use gradgate_gate::verdict::{Cause, Limits};
use serde::Deserialize;

use crate::executor::{Executor, Kind, usable};
use crate::frames::ChoiceArgs;
use crate::judge::{Judged, judge};
use crate::parallel::{self, ThreadsArgs};
use crate::{files, progress};

/// What to do about frames without order.
const ORDER: &str = "events per hour need frames of sequences in order: give recordings or tracks, \
                     or say how many frames make a sequence with --group N";

/// A line of `run --json`; other fields do not matter here.
#[derive(Deserialize)]
struct Line {
    name: String,
    time_ns: Option<i64>,
    sequence: Option<String>,
    class: Option<u32>,
    score: Option<f64>,
    threshold: f64,
    verdict: String,
    reason: Option<String>,
}

/// The file of lines, where that is what was given.
pub fn lines_file(paths: &[PathBuf]) -> Result<Option<&Path>> {
    let named = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "jsonl");
    match paths {
        [path] if named(path) => Ok(Some(path)),
        _ if paths.iter().any(named) => {
            bail!("--normal takes frames, or one .jsonl file; join files of lines into one")
        }
        _ => Ok(None),
    }
}

/// Sequences of lines that `run --json` printed with a bundle of these limits.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<Sequence>> {
    let text = files::read_lines(path)?;
    sequences(&text, limits).with_context(|| path.display().to_string())
}

fn sequences(text: &str, limits: &Limits) -> Result<Vec<Sequence>> {
    let mut all: Vec<Sequence> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let (sequence, frame) = parse(line, limits).with_context(|| format!("line {number}"))?;
        let sequence = match (sequence, all.last()) {
            (Some(sequence), _) => sequence,
            (None, Some(last)) => last.name.clone(),
            // Before the first frame that could be read there is nothing to lose.
            (None, None) => continue,
        };
        if all.last().is_none_or(|last| last.name != sequence) {
            if all.iter().any(|other| other.name == sequence) {
                bail!("line {number}: sequence {sequence} stands at two places; sort the lines");
            }
            all.push(Sequence { name: sequence, frames: Vec::new() });
        }
        if let Some(last) = all.last_mut() {
            last.frames.push(frame);
        }
    }
    if all.is_empty() {
        bail!("no lines: give what `gradgate run --json` printed");
    }
    Ok(all)
}

/// A frame and its sequence, which one that could not be read may lack.
fn parse(line: &str, limits: &Limits) -> Result<(Option<String>, SequenceFrame)> {
    let line: Line = serde_json::from_str(line)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("not what `gradgate run --json` prints")?;
    if line.threshold as f32 != limits.threshold {
        bail!(
            "threshold {} is not this bundle's {}: the lines are of another bundle",
            line.threshold,
            limits.threshold
        );
    }
    let sensor = line.reason.as_deref() == Some("SENSOR");
    let score = match line.score.map(|score| score as f32) {
        _ if sensor => Err(Cause::Sensor),
        Some(score) if score.is_finite() => Ok(score),
        Some(score) => bail!("score {score} of {} is no finite number", line.name),
        None if line.verdict == "UNKNOWN" => Err(Cause::Judgement),
        None => bail!("{} has no score, and is {}", line.name, line.verdict),
    };
    let lost = sensor && line.score.is_none() && line.class.is_none();
    if line.sequence.is_none() && !(lost && line.time_ns.is_none()) {
        bail!("no sequence; {ORDER}");
    }
    Ok((line.sequence, SequenceFrame { time_ns: line.time_ns, score }))
}

/// Sequences of frames, judged with the engine.
pub fn of_frames(
    engine: &Engine<'_>,
    limits: &Limits,
    paths: &[PathBuf],
    choice: &ChoiceArgs,
    threads: ThreadsArgs,
) -> Result<Vec<Sequence>> {
    let shape = engine.bundle().manifest().input.map(|side| side.get() as usize);
    let frozen_frames = engine.bundle().header().policy.frozen_frames;
    let frames = choice.open(paths, shape)?;
    let executor = Executor::of_bundle(engine.clone(), Kind::Engine)?;
    let bar = progress::frames(frames.len(), "calibrate");
    let mut all: Vec<Sequence> = Vec::new();
    let mut frozen = FrozenWatch::new();
    let (mut at_hand, mut unreadable) = (None, Vec::new());
    parallel::for_each(
        &frames,
        threads.count(frames.len()),
        &bar,
        || executor.worker(),
        |worker, frame| {
            let mut judged = judge(usable(worker)?, limits, shape, frame)?;
            judged.sequence = judged.source.and_then(|id| choice.sequence(&frames, id));
            Ok(judged)
        },
        |_, mut judged| {
            if judged.is_unreadable() {
                // A lost frame of the sequence at hand, without verdict.
                if let Some(last) = all.last_mut() {
                    last.frames.push(frame_of(&judged));
                }
                unreadable.push(format!("{}: {}", judged.name, judged.cause().unwrap_or_default()));
                return Ok(());
            }
            if let Err(fault) = frozen.observe(&judged.pixels.to_u8(), frozen_frames) {
                judged.spoil(fault.to_string());
            }
            let Some(name) = judged.sequence.take() else { bail!("{}: {ORDER}", judged.name) };
            if at_hand != judged.source {
                at_hand = judged.source;
                all.push(Sequence { name, frames: Vec::new() });
            }
            if let Some(last) = all.last_mut() {
                last.frames.push(frame_of(&judged));
            }
            Ok(())
        },
    )?;
    if let Some(first) = unreadable.first() {
        eprintln!(
            "warning: could not read {} of {} frames, which count as UNKNOWN; the first: {first}",
            unreadable.len(),
            frames.len(),
        );
    }
    Ok(all)
}

fn frame_of(judged: &Judged) -> SequenceFrame {
    let score = match (judged.verdict, judged.score()) {
        (Verdict::Pass | Verdict::Block, Some(score)) => Ok(score),
        // The caution zone belongs to the threshold, which is chosen anew.
        (Verdict::Unknown { cause: Cause::Caution }, Some(score)) => Ok(score),
        (Verdict::Unknown { cause }, _) => Err(cause),
        (Verdict::Pass | Verdict::Block, None) => Err(Cause::Judgement),
    };
    SequenceFrame { time_ns: judged.gate_time_ns(), score }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { threshold: 2.5, caution: None };

    fn line(change: &[(&str, &str)]) -> String {
        let mut line = String::from(
            r#"{"name":"a#0","time_ns":5,"sequence":"a","score":1.25,"threshold":2.5,"#,
        ) + r#""verdict":"PASS","reason":"SHIFT","p_value":0.5}"#;
        for (from, to) in change {
            assert!(line.contains(from), "{from}");
            line = line.replace(from, to);
        }
        line
    }

    #[test]
    fn lines_of_a_run_are_sequences() {
        let text = [
            line(&[]),
            line(&[(r#""time_ns":5"#, r#""time_ns":null"#), ("1.25", "3.5"), ("PASS", "BLOCK")]),
            line(&[("1.25", "null"), ("PASS", "UNKNOWN"), ("SHIFT", "SENSOR")]),
            line(&[
                (r#""sequence":"a""#, r#""sequence":"b""#),
                ("1.25", "null"),
                ("PASS", "UNKNOWN"),
            ]),
        ]
        .join("\n");
        let found = sequences(&text, &LIMITS).unwrap();
        let frame = |time_ns, score| SequenceFrame { time_ns, score };
        let wanted = [
            vec![
                frame(Some(5), Ok(1.25)),
                frame(None, Ok(3.5)),
                frame(Some(5), Err(Cause::Sensor)),
            ],
            vec![frame(Some(5), Err(Cause::Judgement))],
        ];
        assert!(found.iter().map(|sequence| &sequence.frames).eq(wanted.iter()));
        assert_eq!((found[0].name.as_str(), found[1].name.as_str()), ("a", "b"));
    }

    #[test]
    fn lost_frames_and_clocks_that_run_back_are_kept() {
        let lost = line(&[
            (r#""time_ns":5"#, r#""time_ns":null"#),
            (r#""sequence":"a""#, r#""sequence":null"#),
            ("1.25", "null"),
            ("PASS", "UNKNOWN"),
            ("SHIFT", "SENSOR"),
        ]);
        let text = [lost.clone(), line(&[]), lost, line(&[(":5", ":4")])];
        let found = sequences(&text.join("\n"), &LIMITS).unwrap();
        let times: Vec<_> = found[0].frames.iter().map(|frame| frame.time_ns).collect();
        assert_eq!((found.len(), times), (1, vec![Some(5), None, Some(4)]));
        assert_eq!(found[0].frames[1].score, Err(Cause::Sensor));
    }

    #[test]
    fn bad_lines_by_table() {
        let good = line(&[]);
        let later = line(&[(r#""sequence":"a""#, r#""sequence":"b""#)]);
        let cases = [
            (String::new(), "no lines"),
            ("{".to_owned(), "line 1"),
            (format!("{good}\nPASS"), "line 2"),
            (format!("{good}\n\n{good}"), "line 2"),
            (line(&[("1.25", "NaN")]), "line 1"),
            (line(&[("1.25", "1e39")]), "no finite number"),
            (line(&[("1.25", "null")]), "has no score, and is PASS"),
            (line(&[("1.25", "\"high\"")]), "line 1"),
            (line(&[("2.5", "2.25")]), "another bundle"),
            (line(&[(r#""sequence":"a""#, r#""sequence":null"#)]), "--group N"),
            (line(&[(r#""name":"a#0","#, "")]), "missing field `name`"),
            (line(&[(":5", ":5.5")]), "line 1"),
            (format!("{good}\n{later}\n{good}"), "line 3: sequence a stands at two places"),
        ];
        for (text, wanted) in cases {
            let error = format!("{:#}", sequences(&text, &LIMITS).unwrap_err());
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }

    #[test]
    fn lines_come_in_one_file() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert!(lines_file(&paths(&["a.jsonl"])).unwrap().is_some());
        assert!(lines_file(&paths(&["a.mcap", "b.mcap"])).unwrap().is_none());
        assert!(lines_file(&paths(&["a.jsonl", "b.jsonl"])).is_err());
    }
}
