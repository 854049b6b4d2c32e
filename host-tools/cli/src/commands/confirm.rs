//! `gradgate confirm`: the bundle on trial is watched, then kept.

use std::process::ExitCode;

use anyhow::Result;
use gradgate_field::flash::{Confirm, Flash};

use super::flash::show::{Show, ShowArgs, text};
use crate::board::{BoardArgs, at};
use crate::output::print;

/// Keep the bundle that is on trial, once it has judged so many frames without a fault.
///
/// A trial that fails is ended: the confirmed bundle is brought back (exit code 6).
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  gradgate confirm --device dock-7 --after-frames 1000
Exit code: 0 kept, 2 an error here, 4 the device refused (nothing is on trial), 5 no answer or
another key, 6 the trial failed, 130 interrupted: it stays on trial.")]
pub struct Args {
    /// So many frames must be judged from now on
    #[arg(long, value_name = "N", default_value_t = 1)]
    after_frames: u32,
    /// The trial has failed if they were not within this time [default: by frame period]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    within: u32,
    #[command(flatten)]
    board: BoardArgs,
    #[command(flatten)]
    show: ShowArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    args.show.check()?;
    let (address, mut client) = args.board.client()?;
    let within_ms = u64::from(args.within) * 1000;
    let mut flash = Flash::of_trial(Confirm { after_frames: args.after_frames, within_ms });
    let mut show = Show::new(&args.show, &address, None);
    let outcome = show.run(&mut client, &mut flash);
    show.end(&flash, client.effort(), outcome.as_ref().err())?;
    outcome.map_err(|error| at(&address, error))?;
    if !args.show.json {
        print(&text(&flash, &address))?;
    }
    Ok(ExitCode::SUCCESS)
}
