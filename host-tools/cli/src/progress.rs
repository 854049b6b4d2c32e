//! A progress bar on standard error, when that is a terminal and the work is long.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use gradgate_frames::Frames;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar over `frames` frames.
pub fn frames(frames: usize, what: &'static str) -> ProgressBar {
    counted(frames as u64, "frames", what)
}

/// A bar over these frames, or a spinner where their number is not known.
pub fn over(frames: &Frames, what: &'static str) -> ProgressBar {
    if frames.is_live() { spinner(what) } else { self::frames(frames.len(), what) }
}

/// A bar over `length` units; it draws nothing where nobody would see it.
pub fn counted(length: u64, unit: &str, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::stderr_with_hz(5);
    let bar = ProgressBar::with_draw_target(Some(length), target);
    let template =
        format!("{{msg}} {{bar:30}} {{pos}}/{{len}} {unit}, {{rate}} a second, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        let rate = |state: &ProgressState, out: &mut dyn Write| {
            // A bar that cannot be written is no reason to stop.
            let _ = write!(out, "{:.0}", state.per_sec());
        };
        bar.set_style(style.with_key("rate", rate));
    }
    bar.set_message(what);
    bar
}

/// A bar over `steps` steps of which `made` were made before.
#[cfg(feature = "lab")]
pub fn steps(steps: usize, made: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::stderr_with_hz(5);
    let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left, {msg}") {
        bar.set_style(style);
    }
    bar.set_position(made as u64);
    bar.reset_eta();
    bar
}

/// A spinner for work of unknown length.
pub fn spinner(what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A bar over bytes, of which `done` are there already.
pub fn bytes(total: Option<u64>, done: u64, what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::stderr_with_hz(5);
    let bar = ProgressBar::with_draw_target(total, target).with_position(done);
    let template = "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}
