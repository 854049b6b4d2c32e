//! `gradgate hil`: recorded frames through a real device, compared with the host's engine and with
//! what was stored.

mod bench;
mod bless;
mod cases;
mod page;
mod show;
mod soak;
mod source;
mod tested;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_field::hil::{Outcome, Ran, Suite};
use gradgate_field::pattern;

use crate::board::BoardArgs;
use crate::executor::Packed;
use crate::output::plain;
use crate::{files, interrupt};

use bench::{Bench, Found};
use cases::Prepared;
use tested::Tested;

/// A case failed, or nothing can be said of it.
const EXIT_FAILED: u8 = 1;

/// Run a suite of recorded frames on a device, and compare class, score bits and verdict.
///
/// SUITE is a TOML file (tests/README.md). Each frame is judged here by the engine and there by the
/// device; both must agree, and be what the stored expectation says. The same file runs on QEMU
/// and on a bench.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:
  gradgate hil tests/hil/signs.toml --device tcp://127.0.0.1:4444 --sign key --flash --junit hil.xml
  gradgate hil tests/hil/signs.toml --bless
  gradgate hil tests/hil/signs.toml --sign key --flash --only 'the gate*' --no-skips \\
      --policy bench.toml --enforce-on-dataset signs:calibration:n=6000
Exit code: 0 no case failed (also where all were skipped, as no device is there), 1 a case failed or
nothing can be said of it, 2 an error here (also a port in use, another bundle on the device, with
--no-skips no device), 4 the device refused, 5 no answer from a port that was named, 130
interrupted.",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Args {
    #[command(subcommand)]
    soak: Option<Box<More>>,
    #[command(flatten)]
    suite: SuiteArgs,
    /// Write what this host's engine gives to the expectation file, and show what changes; without
    /// --device nothing else
    #[arg(long)]
    bless: bool,
    /// A case that is skipped has failed, also for want of a device: for benches that must be there
    #[arg(long)]
    no_skips: bool,
    #[command(flatten)]
    show: show::ShowArgs,
}

/// What else can be done with a suite.
#[derive(clap::Subcommand, Debug)]
enum More {
    Soak(soak::Args),
}

/// A suite on a device.
#[derive(clap::Args, Debug)]
pub struct SuiteArgs {
    /// The suite's file
    #[arg(value_name = "SUITE.toml", required = true)]
    file: Option<PathBuf>,
    /// Only the cases of this name, with * and ?; can be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// The bundle as it lies on the device, in place of the suite's
    #[arg(long, value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    /// Sign a copy of the bundle with this secret key, as on the device
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// In place of the bundle's policy, as for `pack`, in the copy that is signed: for boards of a
    /// bench, whose pin follows the gate with mode = "enforce"
    #[arg(long, value_name = "POLICY.toml", requires = "sign")]
    policy: Option<PathBuf>,
    /// For mode = "enforce" in --policy: the name of the bundle's normal frames, as `inspect` shows
    #[arg(long, value_name = "NAME", requires = "policy")]
    enforce_on_dataset: Option<String>,
    /// Put the bundle onto the device first, confirmed
    #[arg(long)]
    flash: bool,
    #[command(flatten)]
    board: BoardArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    match &args.soak.as_deref() {
        Some(More::Soak(soak)) => soak::run(soak),
        None => once(&args),
    }
}

fn once(args: &Args) -> Result<ExitCode> {
    let suite_args = &args.suite;
    args.show.check()?;
    let suite = suite_args.read()?;
    let tested = suite_args.tested(&suite)?;
    let packed = Packed::from_bytes(&tested.bytes);
    let engine = packed.engine(&tested.path)?;
    let chosen = suite_args.chosen(&suite)?;
    if args.bless {
        bless::bless(suite_args, &suite, &engine, &chosen)?;
        if !suite_args.board.is_named() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let prepared = Prepared::new(suite_args.file(), &suite, &engine, &tested.content)?;
    let mut show = show::Show::new(&args.show, suite_args, &suite, &tested.bytes)?;
    let (cases, trouble) = match bench::find(&suite_args.board, &suite.hooks)? {
        Found::Absent(error) if !args.no_skips => (skipped(&chosen, &error), None),
        Found::Absent(error) | Found::Trouble(error) => (errors(&chosen, &error), Some(error)),
        Found::Here(mut rig) => {
            show.board(&mut rig)?;
            match ready(&mut rig, suite_args, &tested, args.show.is_quiet()) {
                Ok(()) => (cases(&mut rig, &prepared, &chosen, &mut show)?, None),
                // As in a case: no report is written.
                Err(error) if interrupt::requested() => return Err(error),
                Err(error) => (errors(&chosen, &error), Some(error)),
            }
        }
    };
    let skips = args.no_skips && cases.iter().any(|ran| matches!(ran.outcome, Outcome::Skipped(_)));
    let failed = show.end(cases, source::shape(&engine))?;
    match (trouble, failed || skips) {
        (Some(error), _) => Err(error),
        (None, true) => Ok(ExitCode::from(EXIT_FAILED)),
        (None, false) => Ok(ExitCode::SUCCESS),
    }
}

/// The device runs the suite's bundle.
fn ready(rig: &mut Bench, args: &SuiteArgs, tested: &Tested, quiet: bool) -> Result<()> {
    if args.flash {
        bench::flash(rig, &tested.bytes, quiet).context("--flash")?;
    }
    bench::check_runs(rig, &tested.bytes)
}

/// Runs the chosen cases one after the other.
fn cases(
    rig: &mut Bench,
    prepared: &Prepared<'_>,
    chosen: &[String],
    show: &mut show::Show<'_>,
) -> Result<Vec<Ran>> {
    let mut all = Vec::new();
    for name in chosen {
        let ran = prepared.run(rig, name)?;
        show.case(&ran)?;
        all.push(ran);
    }
    Ok(all)
}

/// All cases, for want of a device, which is said at once.
fn skipped(names: &[String], why: &anyhow::Error) -> Vec<Ran> {
    eprintln!("no device, all cases are skipped: {}", plain(&format!("{why:#}")));
    let ended = |name: &String| Ran::ended(name, Outcome::Skipped(format!("no device: {why:#}")));
    names.iter().map(ended).collect()
}

fn errors(names: &[String], why: &anyhow::Error) -> Vec<Ran> {
    names.iter().map(|name| Ran::ended(name, Outcome::Error(format!("{why:#}")))).collect()
}

impl SuiteArgs {
    /// The suite's file; the command line has none only where a subcommand has its own.
    fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(""))
    }

    /// Reads the suite's file.
    fn read(&self) -> Result<Suite> {
        let text = files::read_text(self.file())?;
        Suite::parse(&text).with_context(|| self.file().display().to_string())
    }

    /// The bundle that must run.
    fn tested(&self, suite: &Suite) -> Result<Tested> {
        let own = || gradgate_field::hil::beside(self.file(), &suite.bundle);
        let changes = tested::Changes {
            policy: self.policy.as_deref(),
            enforce_on_dataset: self.enforce_on_dataset.as_deref(),
            sign: self.sign.as_deref(),
        };
        Tested::read(self.bundle.clone().unwrap_or_else(own), &changes)
    }

    /// Names of the cases to run, in the suite's order.
    fn chosen(&self, suite: &Suite) -> Result<Vec<String>> {
        let is_chosen = |name: &&str| {
            self.only.is_empty() || self.only.iter().any(|only| pattern::matches(only, name))
        };
        let chosen: Vec<String> = suite.names().filter(is_chosen).map(str::to_owned).collect();
        if chosen.is_empty() {
            let names: Vec<&str> = suite.names().collect();
            bail!("--only: no case has this name; there are {}", names.join(", "));
        }
        Ok(chosen)
    }
}
