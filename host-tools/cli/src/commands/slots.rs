//! `gradgate slots`: what lies in a device's bundle slots.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use gradgate_field::device::{Slots, Unfinished, rows_with};
use gradgate_field::error::Error;
use serde_json::json;

use crate::board::{BoardArgs, Device, at};
use crate::output::{bytes, print};

/// Show what lies in a device's two bundle slots.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  gradgate slots --device tcp://127.0.0.1:4444
Exit code: 0 done, 2 an error here, 4 the device refused, 5 no answer or another key,
130 interrupted.")]
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
    let (slots, unfinished) = see(&mut client).map_err(|error| at(&address, error))?;
    if args.json {
        let (device, rows) = (address.to_string(), rows_with(&slots, unfinished.as_ref()));
        print(&format!("{:#}\n", json!({"device": device, "slots": rows})))?;
    } else {
        print(&text(&slots, unfinished.as_ref()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What lies in the slots, whole or not.
pub fn see(client: &mut Device) -> Result<(Slots, Option<Unfinished>), Error> {
    Ok((client.slots()?, client.unfinished()?))
}

/// The slots for people, a line each.
pub fn text(slots: &Slots, unfinished: Option<&Unfinished>) -> String {
    let mut text = String::new();
    for row in rows_with(slots, unfinished) {
        let active = if row.active { "*" } else { " " };
        let _ = write!(text, "{active} slot {} {:<9}", row.slot, row.state);
        if !row.identity.is_empty() {
            let (name, size) = (&row.identity[..16], bytes(row.bytes.into()));
            let _ = write!(text, " {name} counter {} {size}", row.security_counter);
        }
        if let Some(unfinished) = &row.unfinished {
            let name = &unfinished.identity[..16];
            let _ = write!(text, " {name} {unfinished}: `flash` it again to go on");
        }
        text.push('\n');
    }
    text.push_str(if slots.active.is_some() {
        "* judges frames\n"
    } else {
        "no bundle runs: the gate is closed (fail state)\n"
    });
    text
}
