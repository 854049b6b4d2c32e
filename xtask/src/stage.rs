//! One stage of the test command: commands under a log, an outcome, the time it took.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{process, repo, skips};

/// How a stage ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// With what to read first.
    Failed(String),
    /// Not run, and why.
    Skipped(String),
}

/// A finished stage.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was left out inside it, and how often.
    pub left_out: Vec<(String, usize)>,
}

/// A running stage.
pub struct Stage {
    name: &'static str,
    log: PathBuf,
    start: Instant,
}

/// Longest time that one command of a stage may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Lines of a failed stage's log that are shown.
const LOG_LINES_MAX: usize = 200;

impl Stage {
    /// Opens an empty log and says that the stage runs.
    pub fn start(name: &'static str) -> Result<Self> {
        let folder = repo::target().join("xtask");
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        fs::write(&log, "").with_context(|| format!("{}", log.display()))?;
        println!("==> {name}");
        Ok(Self { name, log, start: Instant::now() })
    }

    /// Runs the commands in order up to the first that fails.
    pub fn run(&self, commands: &mut [Command]) -> Result<Outcome> {
        for command in commands {
            let line = process::line(command);
            self.note(&format!("$ {line}\n"))?;
            let end = process::run_logged(command, &self.log, COMMAND_LIMIT)?;
            if !end.success() {
                return Ok(Outcome::Failed(format!("{line}: {end}")));
            }
        }
        Ok(Outcome::Passed)
    }

    /// Adds text to the log.
    pub fn note(&self, text: &str) -> Result<()> {
        use std::io::Write;
        let mut file = fs::File::options().append(true).open(&self.log)?;
        Ok(file.write_all(text.as_bytes())?)
    }

    /// Prints how it ended; an error on the way is a failure of the stage, not of the whole run.
    pub fn finish(self, outcome: Result<Outcome>) -> Report {
        let outcome = outcome.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let log = String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned();
        let seconds = self.start.elapsed().as_secs_f64();
        let counts = summary(&log).map(|text| format!(" ({text})")).unwrap_or_default();
        match &outcome {
            Outcome::Passed => println!("    ok in {seconds:.1} s{counts}"),
            Outcome::Skipped(reason) => println!("    skipped: {reason}"),
            Outcome::Failed(reason) => {
                println!("{}", tail(&log, LOG_LINES_MAX));
                println!("    FAILED in {seconds:.1} s{counts}: {reason}");
                println!("    whole log: {}", self.log.display());
            }
        }
        Report { name: self.name, outcome, left_out: skips::collect(&log) }
    }
}

/// Lists what was left out and says the closing line; whether nothing failed.
pub fn conclude(reports: &[Report]) -> bool {
    let mut lines = Vec::new();
    for report in reports {
        if let Outcome::Skipped(reason) = &report.outcome {
            lines.push(format!("  {}: {reason}", report.name));
        }
        for (reason, count) in &report.left_out {
            lines.push(format!("  {}: {count} x {reason}", report.name));
        }
    }
    match lines.is_empty() {
        true => println!("\nnothing was skipped"),
        false => println!("\nskipped:\n{}", lines.join("\n")),
    }
    let count = |wanted: fn(&Outcome) -> bool| {
        reports.iter().filter(|report| wanted(&report.outcome)).count()
    };
    let failed: Vec<_> = reports
        .iter()
        .filter(|report| matches!(report.outcome, Outcome::Failed(_)))
        .map(|report| report.name)
        .collect();
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    let passed = count(|outcome| matches!(outcome, Outcome::Passed));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    println!("{passed} passed, {} failed, {skipped} skipped", failed.len());
    failed.is_empty()
}

/// The test runner's own count, from nextest or from libtest.
fn summary(log: &str) -> Option<String> {
    let runs = log.lines().filter(|line| line.trim_start().starts_with("Summary ["));
    let runs: Vec<&str> = runs.filter_map(|line| Some(line.split_once(']')?.1.trim())).collect();
    if !runs.is_empty() {
        return Some(runs.join("; "));
    }
    let mut total = [0u64; 2];
    let mut seen = false;
    for line in log.lines().filter(|line| line.starts_with("test result:")) {
        seen = true;
        for (sum, noun) in total.iter_mut().zip(["passed", "failed"]) {
            *sum += number_before(line, noun).unwrap_or(0);
        }
    }
    seen.then(|| format!("{} tests passed, {} failed", total[0], total[1]))
}

fn number_before(line: &str, noun: &str) -> Option<u64> {
    let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == noun)?[0].parse().ok()
}

fn tail(log: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_from_either_runner() {
        let nextest = "x\n     Summary [   1.2s] 5 tests run: 5 passed, 0 skipped\n";
        assert_eq!(summary(nextest).as_deref(), Some("5 tests run: 5 passed, 0 skipped"));
        let libtest = "test result: ok. 3 passed; 0 failed; 0 ignored\n\
                       test result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(summary(libtest).as_deref(), Some("4 tests passed, 2 failed"));
        assert_eq!(summary("nothing"), None);
    }

    #[test]
    fn one_failed_stage_fails_the_run() {
        let report = |outcome| Report { name: "x", outcome, left_out: Vec::new() };
        let passed = report(Outcome::Passed);
        let skipped = report(Outcome::Skipped("no tool".to_owned()));
        let failed = report(Outcome::Failed("broken".to_owned()));
        assert!(conclude(&[passed.clone(), skipped.clone()]));
        assert!(!conclude(&[passed, skipped, failed]));
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        assert_eq!(tail("a\nb\nc", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }
}
