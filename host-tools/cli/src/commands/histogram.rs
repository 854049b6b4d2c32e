//! `gradgate histogram`: how often which scores were, and how often the gate closed.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use gradgate_field::device::Histogram;
use gradgate_field::error::Error;
use gradgate_link::Request;
use gradgate_link::message::Counters;
use serde_json::{Value, json};

use super::status::counters_json;
use crate::board::{BoardArgs, Device, at};
use crate::files;
use crate::output::print;

/// Width of the longest bar, in characters.
const BAR: f64 = 50.0;

/// Show how often which scores were, and the counts of verdicts and closings of the gate.
///
/// So a site learns what its own threshold should be without an image leaving it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate histogram --device dock-7
  gradgate histogram --device dock-7 -o monday.csv
  gradgate histogram --device dock-7 -o monday.csv --reset --low -2 --high 6
Exit code: 0 done, 2 an error here, 4 the device refused, 5 no answer or another key,
130 interrupted.")]
pub struct Args {
    /// Once they are shown (read, with --json), and written with -o, forget the counts on the
    /// device and begin anew
    #[arg(long)]
    reset: bool,
    /// Lower edge of the bins from then on [default: as they are]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    low: Option<f32>,
    /// Upper edge of the bins from then on [default: as they are]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    high: Option<f32>,
    /// Write the bins as CSV: low,high,count
    #[arg(short, long, value_name = "FILE.csv")]
    output: Option<PathBuf>,
    #[command(flatten)]
    board: BoardArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    if !args.reset && args.low.or(args.high).is_some() {
        bail!("other edges begin anew, and the device forgets its counts: say so with --reset");
    }
    if let Some(path) = &args.output {
        files::check_writable(path)?;
    }
    let (address, mut client) = args.board.client()?;
    let (histogram, counters) = read(&mut client).map_err(|error| at(&address, error))?;
    let next = args.reset.then(|| edges(&args, &histogram)).transpose()?;
    if let Some(path) = &args.output {
        files::write_atomic(path, csv(&histogram).as_bytes())?;
    }
    if !args.json {
        print(&text(&histogram, &counters))?;
    }
    let reset = next.map_or(Ok(()), |[low, high]| {
        client.order(&Request::SetHistogram { low, high }).map_err(|error| at(&address, error))
    });
    if args.json {
        // Also where the order failed: the device may have forgotten the counts.
        let mut value = to_json(&histogram);
        value["device"] = json!(address.to_string());
        value["counters"] = counters_json(&counters);
        value["reset_to"] = json!(next.filter(|_| reset.is_ok()));
        print(&format!("{value:#}\n"))?;
    }
    reset?;
    if let Some([low, high]) = next {
        eprintln!("the device has forgotten these counts, and begins anew from {low} to {high}");
    }
    Ok(ExitCode::SUCCESS)
}

fn read(client: &mut Device) -> Result<(Histogram, Counters), Error> {
    Ok((client.histogram()?, client.counters()?))
}

/// Edges of the bins after a reset.
fn edges(args: &Args, now: &Histogram) -> Result<[f32; 2]> {
    let [low, high] = [args.low.unwrap_or(now.low), args.high.unwrap_or(now.high)];
    if low.is_finite() && high.is_finite() && low < high {
        return Ok([low, high]);
    }
    bail!(
        "--low {low} --high {high}: the lower edge is to be below the upper one; nothing was reset"
    )
}

fn csv(histogram: &Histogram) -> String {
    let mut text = "low,high,count\n".to_owned();
    for (low, high, count) in histogram.rows() {
        let _ = writeln!(text, "{low},{high},{count}");
    }
    text
}

fn to_json(histogram: &Histogram) -> Value {
    let bins = histogram.counts.len().saturating_sub(3);
    json!({
        "low": histogram.low,
        "high": histogram.high,
        "threshold": histogram.threshold,
        "below": histogram.counts.first(),
        "bins": histogram.counts.get(1..=bins),
        "above": histogram.counts.get(bins + 1),
        "without_score": histogram.counts.last(),
    })
}

fn text(histogram: &Histogram, counters: &Counters) -> String {
    let rows = histogram.rows();
    let most = rows.iter().map(|row| row.2).max().unwrap_or(0).max(1);
    let mut text = String::new();
    for (low, high, count) in rows.into_iter().filter(|row| row.2 > 0) {
        let bar = "#".repeat((f64::from(count) / f64::from(most) * BAR).ceil() as usize);
        let edge = match (low.is_nan(), low.is_finite()) {
            (true, _) => "no score".to_owned(),
            (_, true) => format!("{low:.3}"),
            _ => format!("< {high:.3}"),
        };
        let over = if low >= histogram.threshold { "BLOCK" } else { "" };
        let _ = writeln!(text, "{edge:>12} {count:>9} {over:<5} {bar}");
    }
    let _ = writeln!(
        text,
        "threshold {}; {} PASS, {} BLOCK, {} UNKNOWN since the start; the gate closed {} times",
        histogram.threshold, counters.passed, counters.blocked, counters.unknown, counters.closed,
    );
    text
}
