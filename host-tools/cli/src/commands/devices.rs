//! `gradgate devices`: which boards answer at which ports.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use gradgate_field::address::Address;
use gradgate_field::device::{Status, hex, rows, state_name};
use gradgate_field::found::{Answered, Found};
use serde_json::{Value, json};

use crate::board::LinkArgs;
use crate::output::print;

/// List the boards at the serial ports of USB, and at ports that are named.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate devices
  gradgate devices tcp://127.0.0.1:4444 tcp://127.0.0.1:4445 --site-key site.key
Exit code: 0 somebody answers, 5 nobody does.")]
pub struct Args {
    /// Ports to ask at (tcp://HOST:PORT, /dev/ttyS0); without, the serial ports of USB
    #[arg(value_name = "PORT", value_parser = Address::from_str)]
    ports: Vec<Address>,
    #[command(flatten)]
    link: LinkArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Nobody answers.
const NOBODY: u8 = 5;

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let found = args.link.probe(&args.ports, &args.link.keyring()?)?;
    if args.json {
        let devices: Vec<Value> = found.iter().map(to_json).collect();
        print(&format!("{:#}\n", json!({ "devices": devices })))?;
    } else {
        print(&text(&found, &args.link))?;
    }
    let answers = found.iter().any(|found| found.answer.is_ok());
    Ok(if answers { ExitCode::SUCCESS } else { ExitCode::from(NOBODY) })
}

fn text(found: &[Found], link: &LinkArgs) -> String {
    if found.is_empty() {
        return "no serial port at USB: plug a board in, or name a port\n".to_owned();
    }
    let mut text = String::new();
    for Found { address, product, answer } in found {
        let product = if product.is_empty() { String::new() } else { format!(" ({product})") };
        let _ = match answer {
            Ok(answered) => writeln!(text, "{address}{product}\n{}", lines(answered, link)),
            Err(error) => writeln!(text, "{address}{product}\n  {error}"),
        };
    }
    text
}

fn lines(answered: &Answered, link: &LinkArgs) -> String {
    let Answered { identity, status, slots, origin } = answered;
    let name = if status.name.is_empty() { "no name" } else { &status.name };
    let keys = keys(status, &link.whose(*origin));
    let bundle = slots.running().map_or_else(
        || "no bundle runs".to_owned(),
        |slot| format!("bundle {} ({})", hex(&slot.identity[..8]), state_name(slot.state)),
    );
    format!(
        "  {name}, {} with firmware {}, {}, chip {}\n  {keys}; {bundle}",
        identity.board,
        identity.firmware,
        identity.class(),
        hex(&identity.serial),
    )
}

/// Whose keys a device has, of its link, in words, and of bundles.
pub fn keys(status: &Status, whose: &str) -> String {
    match status.provisioned {
        true => {
            format!("its link has {whose}; takes bundles of key {}", hex(&status.key_id))
        }
        false => "new: no keys yet, takes no bundle (`gradgate provision`)".to_owned(),
    }
}

fn to_json(found: &Found) -> Value {
    let port = found.address.to_string();
    match &found.answer {
        Err(error) => json!({"port": port, "product": found.product, "error": error.to_string()}),
        Ok(Answered { identity, status, slots, origin }) => json!({
            "port": port,
            "product": found.product,
            "name": status.name,
            "board": identity.board,
            "firmware": identity.firmware,
            "serial": hex(&identity.serial),
            "device_class": identity.class(),
            "container_version": identity.container_version,
            "arena_bytes": identity.arena_bytes,
            "slot_bytes": identity.slot_bytes,
            "security_counter": identity.security_counter,
            "provisioned": status.provisioned,
            "link_key": origin.name(),
            "key_id": hex(&status.key_id),
            "slots": rows(slots),
        }),
    }
}
