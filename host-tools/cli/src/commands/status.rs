//! `gradgate status`: how a device is.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use gradgate_field::device::{Identity, Slots, Status, Unfinished, hex, rows_with};
use gradgate_field::error::Error;
use gradgate_field::keys::Origin;
use gradgate_field::words;
use gradgate_link::message::{Counters, Event};
use serde_json::{Value, json};

use crate::board::{BoardArgs, Device, at};
use crate::output::{bytes, print};

/// Show how a device is: gate, bundle, counters, the last entries of its log.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  gradgate status --device dock-7 --log-entries 64 --json
Exit code: 0 done, 2 an error here, 4 the device refused, 5 no answer or another key,
130 interrupted.")]
pub struct Args {
    #[command(flatten)]
    board: BoardArgs,
    /// So many of the last entries of the log
    #[arg(long, value_name = "N", default_value_t = 8)]
    log_entries: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

struct Seen {
    identity: Identity,
    status: Status,
    origin: Origin,
    slots: Slots,
    unfinished: Option<Unfinished>,
    counters: Counters,
    log: Vec<Event>,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let (address, mut client) = args.board.client()?;
    let mut seen = see(&mut client).map_err(|error| at(&address, error))?;
    seen.log.drain(..seen.log.len().saturating_sub(args.log_entries));
    if args.json {
        let mut value = to_json(&seen);
        value["device"] = json!(address.to_string());
        print(&format!("{value:#}\n"))?;
    } else {
        print(&text(&seen, &args.board.link.whose(seen.origin)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn see(client: &mut Device) -> Result<Seen, Error> {
    let (slots, unfinished) = super::slots::see(client)?;
    Ok(Seen {
        identity: client.identify()?,
        status: client.status()?,
        origin: client.origin(),
        slots,
        unfinished,
        counters: client.counters()?,
        log: client.whole_log()?,
    })
}

fn gate(status: &Status) -> String {
    match status.open {
        true => "OPEN".to_owned(),
        false => format!("CLOSED ({})", words::closed(status.reason)),
    }
}

fn timing(status: &Status) -> String {
    match status.frame_period_us {
        0 => "no bundle, no frames".to_owned(),
        period => format!(
            "a frame every {:.1} ms, the last verdict took {:.1} ms",
            f64::from(period) / 1000.0,
            f64::from(status.verdict_us) / 1000.0
        ),
    }
}

fn text(seen: &Seen, whose: &str) -> String {
    let Seen { identity, status, slots, counters, log, .. } = seen;
    let mode = match (status.enforce, slots.active) {
        (_, None) => "the pin is closed: no bundle runs",
        (true, _) => "the pin follows it",
        (false, _) => "the pin does not follow it",
    };
    let name = if status.name.is_empty() { "(no name)" } else { &status.name };
    let mut text = format!(
        "{name}: {}, firmware {}, chip {}\n\
         keys      {}\n\
         gate      {}; {mode}\n\
         verdicts  {} PASS, {} BLOCK, {} UNKNOWN; closed {} times; {} frames missed\n\
         timing    {}\n\
         up        {:.0} s since start {} ({}); bundle found whole {} times\n\
         link      {} frames good, {} bad, {} refused; {} telemetry dropped\n",
        identity.board,
        identity.firmware,
        hex(&identity.serial),
        super::devices::keys(status, whose),
        gate(status),
        counters.passed,
        counters.blocked,
        counters.unknown,
        counters.closed,
        counters.missed,
        timing(status),
        status.time_us as f64 / 1e6,
        status.boots,
        words::reset(status.reset),
        status.rehashes,
        counters.link_good,
        counters.link_bad,
        counters.link_refused,
        counters.telemetry_dropped,
    );
    if status.stack_bytes > 0 {
        let (used, room) = (bytes(status.stack_used.into()), bytes(status.stack_bytes.into()));
        let _ = writeln!(text, "stack     {used} of {room} at most so far");
    }
    text.push_str(&super::slots::text(slots, seen.unfinished.as_ref()));
    for event in log {
        let (seconds, what) = (event.time_us as f64 / 1e6, words::event(event));
        let _ = writeln!(text, "{seconds:>10.3} s  {what} ({})", event.value);
    }
    text
}

fn to_json(seen: &Seen) -> Value {
    let Seen { identity, status, origin, slots, counters, log, .. } = seen;
    let entries: Vec<Value> = log
        .iter()
        .map(|e| {
            json!({"time_us": e.time_us, "code": e.code, "what": words::event(e), "value": e.value})
        })
        .collect();
    json!({
        "name": status.name,
        "board": identity.board,
        "firmware": identity.firmware,
        "serial": hex(&identity.serial),
        "device_class": identity.class(),
        "provisioned": status.provisioned,
        "link_key": origin.name(),
        "key_id": hex(&status.key_id),
        "time_us": status.time_us,
        "boots": status.boots,
        "reset": words::reset(status.reset),
        "gate": if status.open { "OPEN" } else { "CLOSED" },
        "gate_reason": if status.open { Value::Null } else { json!(words::closed(status.reason)) },
        "enforce": status.enforce,
        "threshold": status.threshold,
        "frame_period_us": status.frame_period_us,
        "verdict_us": status.verdict_us,
        "rehashes": status.rehashes,
        "stack_bytes": status.stack_bytes,
        "stack_used": status.stack_used,
        "counters": counters_json(counters),
        "slots": rows_with(slots, seen.unfinished.as_ref()),
        "log": entries,
    })
}

/// The counters by name.
pub fn counters_json(counters: &Counters) -> Value {
    json!({
        "passed": counters.passed,
        "blocked": counters.blocked,
        "unknown": counters.unknown,
        "closed": counters.closed,
        "missed": counters.missed,
        "link_good": counters.link_good,
        "link_bad": counters.link_bad,
        "link_refused": counters.link_refused,
        "telemetry_dropped": counters.telemetry_dropped,
    })
}
