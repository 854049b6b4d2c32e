//! `gradgate hil`: recorded frames through a real device, compared with the host's engine and with
//! what was stored.

mod bench;
mod bless;
mod cases;
mod page;
mod show;
mod soak;
mod source;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_field::hil::{Outcome, Ran, Suite};
use gradgate_field::pattern;

use crate::board::BoardArgs;
use crate::executor::Packed;
use crate::files;

use bench::{Bench, Found};
use cases::Prepared;

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
Exit code: 0 all passed, 1 a case failed or nothing can be said of it, 2 an error here (also a port
that cannot be opened), 4 the device refused, 5 no answer, 130 interrupted. Without a device the
reports say skipped.",
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
    /// Put the bundle onto the device first, confirmed
    #[arg(long)]
    flash: bool,
    #[command(flatten)]
    board: BoardArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    match args.soak.map(|more| *more) {
        Some(More::Soak(soak)) => soak::run(soak),
        None => once(&args.suite, args.bless, &args.show),
    }
}

fn once(suite_args: &SuiteArgs, bless: bool, show: &show::ShowArgs) -> Result<ExitCode> {
    show.check()?;
    let suite = suite_args.read()?;
    let bundle = suite_args.bundle_path(&suite);
    let bytes = bench::bundle(&bundle, suite_args.sign.as_deref())?;
    let packed = Packed::from_bytes(&bytes);
    let engine = packed.engine(&bundle)?;
    let chosen = suite_args.chosen(&suite)?;
    if bless {
        bless::bless(suite_args.file(), &suite, &engine, &chosen)?;
        if !suite_args.board.is_named() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let prepared = Prepared::new(suite_args.file(), &suite, &engine)?;
    let mut show = show::Show::new(show, suite_args, &suite, &bytes)?;
    let (cases, trouble) = match bench::find(&suite_args.board, &suite.hooks)? {
        Found::Absent(error) => (skipped(&chosen, &format!("{error:#}")), Some(error)),
        Found::Here(mut rig) => {
            show.board(&mut rig)?;
            match ready(&mut rig, suite_args, &bytes) {
                Ok(()) => (cases(&mut rig, &prepared, &chosen, &mut show)?, None),
                Err(error) => (errors(&chosen, &format!("{error:#}")), Some(error)),
            }
        }
    };
    let failed = show.end(cases, source::shape(&engine))?;
    match (trouble, failed) {
        (Some(error), _) => Err(error),
        (None, true) => Ok(ExitCode::from(EXIT_FAILED)),
        (None, false) => Ok(ExitCode::SUCCESS),
    }
}

/// The device runs the suite's bundle.
fn ready(
    rig: &mut Bench,
    args: &SuiteArgs,
    bytes: &gradgate_bundle::align::AlignedBytes,
) -> Result<()> {
    if args.flash {
        bench::flash(rig, bytes).context("--flash")?;
    }
    bench::check_runs(rig, bytes)
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

fn skipped(names: &[String], why: &str) -> Vec<Ran> {
    let ended = |name: &String| Ran::ended(name, Outcome::Skipped(format!("no device: {why}")));
    names.iter().map(ended).collect()
}

fn errors(names: &[String], why: &str) -> Vec<Ran> {
    names.iter().map(|name| Ran::ended(name, Outcome::Error(why.to_owned()))).collect()
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

    fn bundle_path(&self, suite: &Suite) -> PathBuf {
        let own = || gradgate_field::hil::beside(self.file(), &suite.bundle);
        self.bundle.clone().unwrap_or_else(own)
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
