//! A peer that runs beside the others and times frames when asked.
//!
//! The protocol is a line each way. When it is warm it writes a greeting: one JSON object with
//! `version`, `logits`, perhaps `norms` by parameter name. Then it reads a number of frames and
//! writes `{"ms": [..]}`, again and again; it ends when its input does. While others run it waits
//! for its input and takes no time. What it says on standard error goes to a log.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::agree::Greeting;
use crate::process::{self, Guard};

/// Time to load a network and warm up.
const START_LIMIT: Duration = Duration::from_secs(300);
/// Time for one turn.
const TURN_LIMIT: Duration = Duration::from_secs(120);

/// A running peer. Stopped when dropped.
pub struct Worker {
    /// What it said when it was ready.
    pub greeting: Greeting,
    input: ChildStdin,
    answers: Receiver<String>,
    log: PathBuf,
    _guard: Guard,
}

impl Worker {
    /// Starts it and waits until it is ready.
    pub fn start(command: &mut Command, log: &Path) -> Result<Worker> {
        let errors = File::create(log).with_context(|| format!("{}", log.display()))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut guard = Guard(command.spawn().with_context(|| process::line(command))?);
        let input = guard.0.stdin.take().context("no pipe")?;
        let output = guard.0.stdout.take().context("no pipe")?;
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            // Nobody listens any more when the worker is dropped.
            lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        let first = answer(&answers, START_LIMIT, log)?;
        let greeting = Greeting::parse(&first)?;
        Ok(Worker { greeting, input, answers, log: log.to_owned(), _guard: guard })
    }

    /// Milliseconds of each of so many frames.
    pub fn time(&mut self, frames: usize) -> Result<Vec<f64>> {
        writeln!(self.input, "{frames}").with_context(|| tail(&self.log))?;
        let line = answer(&self.answers, TURN_LIMIT, &self.log)?;
        let times = parse(&line).with_context(|| format!("not an answer: {line}"))?;
        match times.len() == frames {
            true => Ok(times),
            false => Err(anyhow!("{} times for {frames} frames", times.len())),
        }
    }
}

fn answer(answers: &Receiver<String>, limit: Duration, log: &Path) -> Result<String> {
    answers.recv_timeout(limit).with_context(|| format!("it gave no answer; {}", tail(log)))
}

/// The last lines of what it complained about.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("its log ends:\n{}", lines[lines.len().saturating_sub(8)..].join("\n"))
}

fn parse(line: &str) -> Option<Vec<f64>> {
    let answer: Value = serde_json::from_str(line).ok()?;
    let times = answer["ms"].as_array()?.iter().map(Value::as_f64);
    times.map(|time| time.filter(|time| *time > 0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo;

    /// A worker in shell that answers every request with `answer`.
    fn started(greeting: &str, answer: &str) -> Result<Worker> {
        let script = format!("echo '{greeting}'; while read n; do echo '{answer}'; done");
        let folder = repo::target().join("xtask");
        fs::create_dir_all(&folder)?;
        Worker::start(Command::new("sh").args(["-c", &script]), &folder.join("worker-test.log"))
    }

    #[test]
    fn a_worker_is_asked_again_and_again() {
        let greeting = r#"{"version": "x 1", "logits": [1.0, 2.0]}"#;
        let mut worker = started(greeting, r#"{"ms": [0.5, 0.25]}"#).expect("starts");
        assert_eq!(worker.greeting.version, "x 1");
        assert_eq!(worker.time(2).expect("answers"), [0.5, 0.25]);
        assert_eq!(worker.time(2).expect("answers"), [0.5, 0.25]);
        assert!(worker.time(3).is_err(), "one time is missing");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(started("hello", "").is_err());
        let greeting = r#"{"version": "x 1", "logits": [1.0]}"#;
        for answer in ["", "{}", r#"{"ms": ["x"]}"#, r#"{"ms": [0]}"#, r#"{"ms": [-1]}"#] {
            let mut worker = started(greeting, answer).expect("starts");
            assert!(worker.time(1).is_err(), "{answer}");
        }
    }

    #[test]
    fn an_early_end_shows_the_log() {
        let log = repo::target().join("xtask/worker-end-test.log");
        fs::create_dir_all(log.parent().expect("a folder")).expect("a folder");
        let mut command = Command::new("sh");
        let error = Worker::start(command.args(["-c", "echo no such model >&2"]), &log).err();
        let error = format!("{:#}", error.expect("it ended"));
        assert!(error.contains("no such model"), "{error}");
    }
}
