//! `gradgate revert`: the bundle on trial is given up.

use std::process::ExitCode;

use anyhow::Result;
use gradgate_field::device::rows;
use gradgate_link::Request;
use serde_json::json;

use crate::board::{BoardArgs, at};
use crate::output::print;

/// Give up the bundle that is on trial: the confirmed one runs again, or none before the first.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  gradgate revert --device dock-7
Exit code: 0 done, 2 an error here, 4 the device refused (nothing is on trial), 5 no answer or
another key, 130 interrupted.")]
pub struct Args {
    #[command(flatten)]
    board: BoardArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let (address, mut client) = args.board.client()?;
    let mut revert = || {
        client.order(&Request::Revert)?;
        client.slots()
    };
    let slots = revert().map_err(|error| at(&address, error))?;
    if args.json {
        let device = address.to_string();
        print(&format!("{:#}\n", json!({"device": device, "slots": rows(&slots)})))?;
    } else {
        print(&super::slots::text(&slots, None))?;
    }
    Ok(ExitCode::SUCCESS)
}
