//! `gradgate slots`: what lies in a device's bundle slots.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use gradgate_field::device::{Slots, rows};
use serde_json::json;

use crate::board::{BoardArgs, at};
use crate::output::{bytes, print};

/// Show what lies in a device's two bundle slots.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  gradgate slots --device tcp://127.0.0.1:4444")]
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
    let slots = client.slots().map_err(|error| at(&address, error))?;
    if args.json {
        let device = address.to_string();
        print(&format!("{:#}\n", json!({"device": device, "slots": rows(&slots)})))?;
    } else {
        print(&text(&slots))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The slots for people, a line each.
pub fn text(slots: &Slots) -> String {
    let mut text = String::new();
    for row in rows(slots) {
        let active = if row.active { "*" } else { " " };
        let _ = write!(text, "{active} slot {} {:<9}", row.slot, row.state);
        if !row.identity.is_empty() {
            let (name, size) = (&row.identity[..16], bytes(row.bytes.into()));
            let _ = write!(text, " {name} counter {} {size}", row.security_counter);
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
