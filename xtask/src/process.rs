//! Running other programs: found or not, with a time limit, output kept.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(ExitStatus),
    /// Killed at the time limit.
    TimedOut,
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(out, "{status}"),
            Self::TimedOut => out.write_str("stopped at its time limit"),
        }
    }
}

impl End {
    /// Whether it ended by itself and reported success.
    pub fn success(self) -> bool {
        matches!(self, Self::Exited(status) if status.success())
    }
}

/// Kills its program when dropped, so that no way out of a function leaves one behind.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only when it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `program` is on the search path.
pub fn is_installed(program: &str) -> bool {
    let Some(paths) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Whether the command runs and reports success; its output is thrown away.
pub fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The command's standard output, or why there is none.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| line(command))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("{}: {}\n{errors}", line(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs with both outputs appended to `log`, and kills the program at the time limit.
pub fn run_logged(command: &mut Command, log: &Path, limit: Duration) -> Result<End> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("{}", log.display()))?;
    let errors = file.try_clone()?;
    let spawned = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
    wait(Guard(spawned.with_context(|| line(command))?), limit)
}

/// Runs and collects standard output, killing the program at the time limit.
pub fn run_captured(command: &mut Command, limit: Duration) -> Result<(End, String)> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut guard = Guard(spawned.with_context(|| line(command))?);
    let mut pipe = guard.0.stdout.take().context("no pipe")?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    });
    let end = wait(guard, limit)?;
    let bytes = reader.join().map_err(|_| anyhow::anyhow!("the reader thread panicked"))??;
    Ok((end, String::from_utf8_lossy(&bytes).into_owned()))
}

/// The command as one would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn wait(mut guard: Guard, limit: Duration) -> Result<End> {
    let start = Instant::now();
    loop {
        if let Some(status) = guard.0.try_wait()? {
            return Ok(End::Exited(status));
        }
        if start.elapsed() >= limit {
            return Ok(End::TimedOut);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_past_its_time_is_killed() {
        let start = Instant::now();
        let mut sleeper = Command::new("sleep");
        sleeper.arg("60");
        let (end, text) = run_captured(&mut sleeper, Duration::from_millis(100)).expect("it ran");
        assert_eq!((end, text.as_str()), (End::TimedOut, ""));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn output_and_status_come_back() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo seen; exit 3"]);
        let (end, text) = run_captured(&mut shell, Duration::from_secs(30)).expect("it ran");
        assert_eq!(text, "seen\n");
        assert!(matches!(end, End::Exited(status) if status.code() == Some(3)));
        assert!(!end.success());
    }

    #[test]
    fn a_missing_program_is_named() {
        let mut missing = Command::new("no-such-program-anywhere");
        let error = output(&mut missing).expect_err("there is none");
        assert!(format!("{error:#}").contains("no-such-program-anywhere"));
        assert!(!is_installed("no-such-program-anywhere"));
    }
}
