//! The `gradgate` command: one file per subcommand in `commands`, thin over the libraries.
//!
//! Exit codes: 0 done (also when frames were blocked: they were judged), 2 an error, whose cause
//! and remedy stand on standard error, 3 done with the whole frames of a recording that is cut off,
//! 4 a device refused, 5 no device answers, 6 a device fell back to its confirmed bundle, 7 some
//! boards of several were not done, 130 interrupted. Output files are whole or not there.

mod annotation;
mod board;
mod builtin;
mod bundle;
mod commands;
mod demo;
mod detector_onnx;
mod devices;
mod enforce;
mod evidence;
mod executor;
mod explanation;
mod feature_files;
mod feature_set;
mod files;
mod fitted;
mod frames;
mod gated;
mod image_slopes;
mod interrupt;
mod judge;
mod label;
mod model;
mod neighbours;
mod output;
mod parallel;
mod policy;
mod progress;
mod ram_budget;
mod rates;
mod raw;
mod references;
mod self_test;
mod sheet;
mod steps;
mod taps;
mod workers;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use gradgate_field::Class;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    let result = interrupt::install().and_then(|()| commands::run(cli));
    result.unwrap_or_else(|error| report(&error))
}

/// Says what went wrong; a reader of standard output that went away is no error.
fn report(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(|cause| cause.is::<interrupt::Interrupted>()) {
        interrupt::say("interrupted: nothing was written");
        return ExitCode::from(interrupt::EXIT_CODE);
    }
    let pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(pipe) {
        // The same Ctrl-C may have ended the reader.
        return if interrupt::requested() {
            ExitCode::from(interrupt::EXIT_CODE)
        } else {
            ExitCode::SUCCESS
        };
    }
    let code = code(error);
    // Who was stopped says so, and has made no error.
    let kind = if code == interrupt::EXIT_CODE { "" } else { "error: " };
    interrupt::say(&format!("{kind}{}", chain(error)));
    ExitCode::from(code)
}

/// 2, unless a device has to do with it.
fn code(error: &anyhow::Error) -> u8 {
    let field = error.chain().find_map(|cause| cause.downcast_ref::<gradgate_field::Error>());
    match field.map(gradgate_field::Error::class) {
        None | Some(Class::Host) => 2,
        Some(Class::Refused) => 4,
        Some(Class::Link) => 5,
        Some(Class::FellBack) => 6,
        Some(Class::Stopped) => interrupt::EXIT_CODE,
    }
}

/// Causes from the outermost in, without those that the one before repeats.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    #[test]
    fn causes_are_said_once() {
        let error = anyhow!("no such file").context("a.bin: no such file").context("frames");
        assert_eq!(super::chain(&error), "frames: a.bin: no such file");
    }
}
