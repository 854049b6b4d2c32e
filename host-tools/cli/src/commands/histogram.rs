//! `gradgate histogram`: how often which scores were, and how often the gate closed.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
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
  gradgate histogram --device dock-7 --low -2 --high 6
  gradgate histogram --device dock-7 -o monday.csv")]
pub struct Args {
    /// Begin anew, with this lower edge
    #[arg(long, value_name = "SCORE", requires = "high", allow_negative_numbers = true)]
    low: Option<f32>,
    /// Begin anew, with this upper edge
    #[arg(long, value_name = "SCORE", requires = "low", allow_negative_numbers = true)]
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
    if let Some(path) = &args.output {
        files::check_writable(path)?;
    }
    let (address, mut client) = args.board.client()?;
    let (histogram, counters) = read(&mut client, &args).map_err(|error| at(&address, error))?;
    if let Some(path) = &args.output {
        files::write_atomic(path, csv(&histogram).as_bytes())?;
    }
    if args.json {
        let mut value = to_json(&histogram);
        value["device"] = json!(address.to_string());
        value["counters"] = counters_json(&counters);
        print(&format!("{value:#}\n"))?;
    } else {
        print(&text(&histogram, &counters))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was counted so far, also where it then begins anew.
fn read(client: &mut Device, args: &Args) -> Result<(Histogram, Counters), Error> {
    let seen = (client.histogram()?, client.counters()?);
    if let (Some(low), Some(high)) = (args.low, args.high) {
        client.order(&Request::SetHistogram { low, high })?;
    }
    Ok(seen)
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
