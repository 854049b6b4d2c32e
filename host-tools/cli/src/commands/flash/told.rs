//! What is said of one board while many are flashed: a line a phase, one a quarter of the upload.

use gradgate_field::flash::{Flash, Phase, Timeline};

use super::show::{there, words};
use crate::interrupt;

/// Lines of one board, on standard error.
pub struct Told<'b> {
    name: &'b str,
    quiet: bool,
    phase: Option<Phase>,
    quarter: u64,
}

impl<'b> Told<'b> {
    /// `quiet`: says nothing.
    pub fn new(name: &'b str, quiet: bool) -> Told<'b> {
        Told { name, quiet, phase: None, quarter: 0 }
    }

    /// Says what is new.
    pub fn see(&mut self, flash: &Flash<'_>, timeline: &Timeline) {
        if let Some(line) = self.line(flash).filter(|_| !self.quiet) {
            let seconds = timeline.elapsed_ms() as f64 / 1000.0;
            interrupt::say(&format!("  {:<16} {seconds:>7.1} s  {line}", self.name));
        }
    }

    fn line(&mut self, flash: &Flash<'_>) -> Option<String> {
        let (phase, now) = (flash.phase(), flash.progress());
        let quarter = 4 * u64::from(now.sent) / u64::from(now.total.max(1));
        if self.phase.replace(phase) != Some(phase) {
            self.quarter = quarter;
            let more = match phase {
                Phase::Upload if now.sent > 0 => there(now),
                _ => String::new(),
            };
            return (phase != Phase::Done).then(|| format!("{}{more}", words(phase)));
        }
        if phase == Phase::Upload && quarter > self.quarter {
            self.quarter = quarter;
            return Some(format!("upload: {} of {} bytes", now.sent, now.total));
        }
        None
    }
}
