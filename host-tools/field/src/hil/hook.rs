//! A command of the bench.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Longest time of a command.
const LONGEST: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(10);

/// Runs it by the system's shell; why it failed, if it did.
pub(super) fn run(what: &str, command: &str, device: &str) -> Result<(), String> {
    let child = shell(command).env("GRADGATE_DEVICE", device).spawn();
    let ended = child.map_err(|error| error.to_string()).and_then(wait);
    let fault = match ended {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("ended with {status}"),
        Err(error) => error,
    };
    Err(format!("the {what} hook `{command}`: {fault}: try it by hand"))
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.args(["/C", command]);
    shell
}

#[cfg(not(windows))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

fn wait(mut child: Child) -> Result<ExitStatus, String> {
    let end = Instant::now() + LONGEST;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => std::thread::sleep(STEP),
            Err(error) => return Err(error.to_string()),
        }
    }
    // It is stuck; whether it can be ended changes nothing for the suite.
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("has not ended after {} s", LONGEST.as_secs()))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn commands_end_well_or_say_why_not() {
        assert_eq!(run("reset", "test \"$GRADGATE_DEVICE\" = tcp://a:1", "tcp://a:1"), Ok(()));
        let failed = run("power", "exit 3", "x").expect_err("it fails");
        assert!(failed.contains("power hook `exit 3`") && failed.contains('3'), "{failed}");
    }
}
