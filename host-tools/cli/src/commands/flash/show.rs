//! What is seen of flashing one device: a line a phase, a bar, a log file, JSON.

use std::path::PathBuf;

use anyhow::bail;
use gradgate_field::address::Address;
use gradgate_field::device::{hex, rows};
use gradgate_field::error::Error;
use gradgate_field::flash::{Flash, Outcome, Package, Phase, Progress, Timeline};
use gradgate_field::link::Effort;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::board::Device;
use crate::output::print;
use crate::{files, interrupt, progress};

/// Where it is shown.
#[derive(clap::Args, Debug)]
pub struct ShowArgs {
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
    /// Write the JSON, every phase with its times, to this file as well
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

impl ShowArgs {
    /// For a command that flashes besides: its phases alone, or nothing.
    pub fn phases(quiet: bool) -> ShowArgs {
        ShowArgs { json: quiet, log: None }
    }

    /// Fails before anything was sent.
    pub fn check(&self) -> anyhow::Result<()> {
        self.log.as_deref().map_or(Ok(()), files::check_writable)
    }

    /// Of many boards the table keeps what a log would.
    pub fn check_for_many(&self) -> anyhow::Result<()> {
        match self.log {
            Some(_) => bail!("--log is for one board: the --table of many has their phases"),
            None => Ok(()),
        }
    }
}

/// Follows one errand.
pub struct Show<'a> {
    args: &'a ShowArgs,
    address: &'a Address,
    package: Option<&'a Package>,
    timeline: Timeline,
    bar: Option<ProgressBar>,
}

impl<'a> Show<'a> {
    /// `package`: the bundle, where it is here.
    pub fn new(args: &'a ShowArgs, address: &'a Address, package: Option<&'a Package>) -> Self {
        Show { args, address, package, timeline: Timeline::default(), bar: None }
    }

    /// Runs the errand to its end, or to the user's Ctrl-C.
    pub fn run(&mut self, client: &mut Device, flash: &mut Flash<'_>) -> Result<(), Error> {
        let _stops_between_packets = interrupt::Loop::enter();
        let outcome = client.run_while(flash, |flash, now_ms| {
            self.see(flash, now_ms);
            !interrupt::requested()
        });
        outcome.map_err(|error| flash.stopped(error))
    }

    /// Shows what is new.
    fn see(&mut self, flash: &Flash<'_>, now_ms: u64) {
        let (phase, now) = (flash.phase(), flash.progress());
        let before = self.timeline.phases.last().map(|last| last.phase);
        if self.timeline.see(phase, now_ms) {
            self.bar = None;
            if let (Some(Phase::Upload), Some(rate), false) =
                (before, self.rate(now), self.args.json)
            {
                let sent = now.sent.saturating_sub(now.resumed_at);
                interrupt::say(&format!("           {sent} bytes, {rate:.0} bytes/s"));
            }
            if !self.args.json && phase != Phase::Done {
                let on = match (phase, now.resumed_at) {
                    (Phase::Upload, 1..) => there(now),
                    _ => String::new(),
                };
                interrupt::say(&format!("{:>7.1} s  {}{on}", self.seconds(), words(phase)));
            }
            self.bar = match phase {
                Phase::Upload => {
                    Some(progress::bytes(Some(now.total.into()), now.sent.into(), "upload"))
                }
                Phase::Trial => Some(progress::counted(now.wanted.into(), "frames", "trial")),
                _ => None,
            };
        }
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(match phase {
                Phase::Trial => now.judged,
                _ => now.sent,
            }));
        }
    }

    /// Of the upload, in bytes a second.
    fn rate(&self, now: Progress) -> Option<f64> {
        let took_ms = self.timeline.took_ms(Phase::Upload);
        let sent = f64::from(now.sent.saturating_sub(now.resumed_at));
        (took_ms > 0).then(|| sent * 1000.0 / took_ms as f64)
    }

    fn seconds(&self) -> f64 {
        self.timeline.phases.last().map_or(0.0, |last| last.at_ms as f64 / 1000.0)
    }

    /// Writes log and JSON.
    pub fn end(
        &mut self,
        flash: &Flash<'_>,
        effort: Effort,
        error: Option<&Error>,
    ) -> anyhow::Result<()> {
        self.bar = None;
        let value = self.json(flash, effort, error);
        let text = format!("{value:#}\n");
        if let Some(path) = &self.args.log {
            files::write_atomic(path, text.as_bytes())?;
        }
        if self.args.json { print(&text) } else { Ok(()) }
    }

    fn json(&self, flash: &Flash<'_>, effort: Effort, error: Option<&Error>) -> Value {
        let now = flash.progress();
        json!({
            "device": self.address.to_string(),
            "name": flash.status().map(|status| status.name.as_str()),
            "serial": flash.identity().map(|identity| hex(&identity.serial)),
            "board": flash.identity().map(|identity| identity.board.as_str()),
            "firmware": flash.identity().map(|identity| identity.firmware.as_str()),
            "bundle": hex(flash.bundle()),
            "model": self.package.map(Package::model),
            "outcome": match error {
                None => json!(flash.outcome()),
                Some(Error::Stopped { .. }) => json!("interrupted"),
                Some(_) => json!("failed"),
            },
            "error": error.map(ToString::to_string),
            "phase": flash.phase(),
            "progress": now,
            "bytes_per_second": self.rate(now).map(f64::round),
            "phases": self.timeline.phases,
            "resent": effort.resent,
            "sessions": effort.sessions,
            "slots": flash.slots().map(rows),
        })
    }
}

/// What an upload goes on with.
pub fn there(now: Progress) -> String {
    format!(": {} of {} bytes are there", now.sent, now.total)
}

/// A phase for people.
pub fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Check => "check: who is it, does the bundle suit it",
        Phase::Erase => "erase: the device empties a slot",
        Phase::Upload => "upload",
        Phase::Verify => "verify: digests, signature and self-test on the device",
        Phase::Activate => "activate: it starts on trial",
        Phase::Trial => "trial: frames are judged",
        Phase::Confirm => "confirm: it is kept",
        Phase::Revert => "revert: the bundle on trial is given up",
        Phase::Done => "done",
    }
}

/// How it ended, and what to do next.
pub fn text(flash: &Flash<'_>, address: &Address) -> String {
    let now = flash.progress();
    match flash.outcome() {
        Outcome::Suits => "the bundle suits the device; nothing was changed\n".to_owned(),
        Outcome::Already => "the device runs this very bundle, confirmed\n".to_owned(),
        Outcome::Staged => "the bundle waits in its slot, verified\n".to_owned(),
        Outcome::OnTrial => format!(
            "the bundle runs on trial\n\
             next: gradgate confirm --device {address} (or revert), with the keys as here\n"
        ),
        Outcome::Confirmed => {
            format!("confirmed after {} verdicts ({} UNKNOWN beside)\n", now.judged, now.unknown)
        }
    }
}
