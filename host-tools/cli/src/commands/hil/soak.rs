//! `gradgate hil soak`: a suite over and over, with power cuts between.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use gradgate_field::hil::{Outcome, Ran, Report, junit};
use serde_json::json;

use super::bench::{self, Bench, Found};
use super::cases::Prepared;
use super::{EXIT_FAILED, SuiteArgs, show};
use crate::board::at;
use crate::executor::Packed;
use crate::output::{plain, print};
use crate::{files, interrupt};

/// Failures that are told in full; all are counted.
const TOLD: usize = 20;

/// Run a suite over and over, and take the device's power away between the rounds.
///
/// After each cut the device must answer again within the suite's boot_s, run the same bundle, and
/// have started anew. Ctrl-C ends it with what was counted.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  gradgate hil soak tests/hil/signs.toml --hours 12 --power-cycle './power.sh'
Exit code: 0 all passed, 1 something failed, 2 an error here (also no device: nothing is skipped for
hours), 4 the device refused, 5 no answer, at the start or after a power cut, 130 interrupted before
a round or in a power cut.")]
pub struct Args {
    #[command(flatten)]
    suite: SuiteArgs,
    /// For so long; the round that has begun is ended
    #[arg(long, value_name = "N")]
    hours: f64,
    /// At most so many rounds
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// Takes the power away and gives it back [default: the suite's power hook; without, none]
    #[arg(long, value_name = "CMD")]
    power_cycle: Option<String>,
    /// Write JUnit's XML, a case a round that failed
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Tally {
    rounds: u64,
    frames: u64,
    passed: u64,
    failed: u64,
    errors: u64,
    skipped: u64,
    cuts: u64,
    cuts_failed: u64,
    told: Vec<Ran>,
}

impl Tally {
    fn add(&mut self, round: u64, ran: Ran) {
        self.frames += u64::from(ran.frames());
        *match ran.outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Error(_) => &mut self.errors,
            Outcome::Skipped(_) => &mut self.skipped,
        } += 1;
        let bad = matches!(ran.outcome, Outcome::Failed(_) | Outcome::Error(_));
        if bad && self.told.len() < TOLD {
            let name = format!("round {round}: {}", ran.name);
            self.told.push(Ran { name, ..ran });
        }
    }

    fn has_failed(&self) -> bool {
        self.failed + self.errors + self.cuts_failed > 0
    }

    fn text(&self, hours: f64) -> String {
        let Tally { rounds, frames, passed, failed, errors, skipped, cuts, cuts_failed, .. } = self;
        format!(
            "{rounds} rounds in {hours:.3} h, {frames} frames, {cuts} power cuts ({cuts_failed} \
             without a good start); cases: {passed} passed, {failed} failed, {errors} errors, \
             {skipped} skipped\n"
        )
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<ExitCode> {
    if !(0.0..=100_000.0).contains(&args.hours) {
        anyhow::bail!("--hours {}: from 0 to 100000", args.hours);
    }
    args.junit.as_deref().map_or(Ok(()), files::check_writable)?;
    let suite = args.suite.read()?;
    let tested = args.suite.tested(&suite)?;
    let packed = Packed::from_bytes(&tested.bytes);
    let engine = packed.engine(&tested.path)?;
    let chosen = args.suite.chosen(&suite)?;
    let prepared = Prepared::new(args.suite.file(), &suite, &engine, &tested.content)?;
    let mut rig = match bench::find(&args.suite.board, &suite.hooks)? {
        Found::Here(rig) => rig,
        Found::Absent(error) | Found::Trouble(error) => return Err(error),
    };
    super::ready(&mut rig, &args.suite, &tested, args.json)?;
    let power = args.power_cycle.as_ref().or(suite.hooks.power.as_ref());
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(args.hours * 3600.0);
    let mut tally = Tally::default();
    loop {
        tally.rounds += 1;
        if !round(&mut rig, &prepared, &chosen, args.json, &mut tally)? {
            break;
        }
        if Instant::now() >= end || args.rounds.is_some_and(|rounds| tally.rounds >= rounds) {
            break;
        }
        if let Some(power) = power {
            cut(&mut rig, power, &tested.bytes, &mut tally)?;
        }
    }
    finish(args, &suite.name, &tally, start.elapsed().as_secs_f64() / 3600.0)
}

/// Whether to go on.
fn round(
    rig: &mut Bench,
    prepared: &Prepared<'_>,
    chosen: &[String],
    quiet: bool,
    tally: &mut Tally,
) -> Result<bool> {
    let number = tally.rounds;
    for name in chosen {
        let ran = match prepared.run(rig, name) {
            Ok(ran) => ran,
            // What was counted so far is told.
            Err(_) if interrupt::requested() => return Ok(false),
            Err(error) => return Err(error),
        };
        if !quiet && ran.outcome != Outcome::Passed {
            print(&format!("round {number}: {}", show::line(&ran)))?;
        }
        tally.add(number, ran);
    }
    if !quiet {
        print(&format!(
            "round {number}: so far {} passed, {} failed, {} errors, {} power cuts\n",
            tally.passed, tally.failed, tally.errors, tally.cuts
        ))?;
    }
    Ok(true)
}

/// Takes the power away; a device that does not come back well is counted, one that does not come
/// back at all ends the soak.
fn cut(rig: &mut Bench, power: &str, bytes: &[u8], tally: &mut Tally) -> Result<()> {
    tally.cuts += 1;
    let outcome = rig.power_cycle(power);
    let outcome = outcome.map_err(anyhow::Error::new);
    if let Err(error) = outcome.and_then(|()| bench::check_runs(rig, bytes)) {
        tally.cuts_failed += 1;
        print(&format!("power cut {}: {}\n", tally.cuts, plain(&format!("{error:#}"))))?;
        let gone = rig.client().status().err();
        if let Some(gone) = gone {
            let ended = Ran::ended("power cut", Outcome::Error(gone.to_string()));
            tally.add(tally.rounds, ended);
            let address = rig.device().parse()?;
            return Err(at(&address, gone).context(tally.text(0.0).trim_end().to_owned()));
        }
    }
    Ok(())
}

fn finish(args: &Args, suite: &str, tally: &Tally, hours: f64) -> Result<ExitCode> {
    if let Some(path) = &args.junit {
        let summary = match tally.has_failed() {
            true => Outcome::Failed(tally.text(hours).trim_end().to_owned()),
            false => Outcome::Passed,
        };
        let mut cases = vec![Ran { notes: vec![tally.text(hours)], ..Ran::ended("soak", summary) }];
        cases.extend(tally.told.iter().cloned());
        let properties = vec![("tool".to_owned(), crate::bundle::TOOL.to_owned())];
        let report = Report { suite: format!("{suite} soak"), properties, cases };
        files::write_atomic(path, junit::text(&report).as_bytes())?;
    }
    let Tally { rounds, frames, passed, failed, errors, skipped, cuts, cuts_failed, .. } = tally;
    if args.json {
        let value = json!({
            "hours": hours, "rounds": rounds, "frames": frames, "passed": passed, "failed": failed,
            "errors": errors, "skipped": skipped, "power_cuts": cuts,
            "power_cuts_failed": cuts_failed,
        });
        print(&format!("{value:#}\n"))?;
    } else {
        print(&tally.text(hours))?;
    }
    Ok(if tally.has_failed() { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
}
