//! `gradgate flash`: a bundle onto a device, verified, on trial, confirmed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use gradgate_bundle::keys::parse_public;
use gradgate_field::flash::{Confirm, Flash, Options, Package};

use crate::board::{BoardArgs, at};
use crate::files;
use crate::output::print;

mod fleet;
pub(super) mod show;
mod told;

/// Put a bundle onto a device: check, upload, verify, start on trial; with --confirm keep it.
///
/// The bundle that runs is never written over. One that was interrupted goes on where it stopped.
/// A bundle on trial that fails is given up by the device, which goes back to the confirmed one.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate flash net.gate --device tcp://127.0.0.1:4444 --dry-run
  gradgate flash net.gate --confirm --after-frames 100
  gradgate flash net.gate --inventory hall.csv --jobs 8 --canary 2 --confirm
Exit code: 0 done, 2 an error here (also a bundle that does not suit), 4 the device refused, 5 no
answer or another key, 6 the trial failed and the confirmed bundle runs, if there was one; of many
boards 7: some were not done; 130 interrupted: how the board was left is said, and the same command
goes on.")]
pub struct Args {
    /// The bundle, signed
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Public key that must have signed it; without, the device alone checks the signature
    #[arg(long, value_name = "KEY.pub")]
    key: Option<PathBuf>,
    /// Check everything that can be checked without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Leave the bundle in its slot, verified, and start nothing
    #[arg(long, conflicts_with = "confirm")]
    stage_only: bool,
    /// Keep the bundle once it has stood its trial; otherwise take it back
    #[arg(long)]
    confirm: bool,
    /// The trial is stood after so many frames were judged without a fault
    #[arg(long, value_name = "N", default_value_t = 1, requires = "confirm")]
    after_frames: u32,
    /// The trial has failed if they were not judged within this time [default: by frame period]
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        hide_default_value = true,
        requires = "confirm"
    )]
    within: u32,
    /// Send a bundle that this device has rejected before
    #[arg(long)]
    retry_rejected: bool,
    #[command(flatten)]
    fleet: fleet::FleetArgs,
    #[command(flatten)]
    board: BoardArgs,
    #[command(flatten)]
    show: show::ShowArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    args.show.check()?;
    let package = package(&args)?;
    if args.fleet.is_meant() {
        args.show.check_for_many()?;
        let options = options(&args);
        let Args { fleet, board, bundle, show, .. } = &args;
        return fleet::run(fleet, board, bundle, &package, options, show.json);
    }
    let (address, mut client) = args.board.client()?;
    let mut flash = Flash::new(&package, options(&args))?;
    let mut show = show::Show::new(&args.show, &address, Some(&package));
    let outcome = show.run(&mut client, &mut flash);
    show.end(&flash, client.effort(), outcome.as_ref().err())?;
    outcome.map_err(|error| at(&address, error))?;
    if !args.show.json {
        print(&show::text(&flash, &address))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn package(args: &Args) -> Result<Package> {
    let name = || args.bundle.display().to_string();
    let key = match &args.key {
        Some(path) => {
            let text = files::read_text(path)?;
            Some(parse_public(&text).with_context(|| path.display().to_string())?)
        }
        None => None,
    };
    Package::read(files::read_bundle(&args.bundle)?, key.as_ref()).with_context(name)
}

fn options(args: &Args) -> Options {
    let confirm = args.confirm.then(|| Confirm {
        after_frames: args.after_frames,
        within_ms: u64::from(args.within) * 1000,
    });
    Options {
        dry_run: args.dry_run,
        stage_only: args.stage_only,
        confirm,
        retry_rejected: args.retry_rejected,
        ..Options::default()
    }
}
