//! Many boards at once: which, in what order, and what came of each.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use gradgate_field::client::Client;
use gradgate_field::device::hex;
use gradgate_field::error::Error;
use gradgate_field::flash::{Flash, Options, Outcome, Package, Timeline};
use gradgate_field::fleet::{self, Board, Flashed, Plan, Row, State, Table};
use gradgate_field::found::{self, Found};
use gradgate_field::keys::Keyring;
use gradgate_field::link::Patience;
use serde_json::json;

use super::told::Told;
use crate::board::BoardArgs;
use crate::output::print;
use crate::{files, interrupt};

/// Some boards were not done.
const NOT_ALL: u8 = 7;

/// Which boards, how many at a time, and when to stop.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub struct FleetArgs {
    /// Flash every board that answers, and every port that is named by --port
    #[arg(long, group = "fleet", conflicts_with = "device")]
    all: bool,
    /// Flash the boards whose name, chip number or port is like this (* and ?)
    #[arg(long = "match", value_name = "GLOB", group = "fleet", conflicts_with = "device")]
    matching: Option<String>,
    /// Flash the boards of a list: a line name,port or name,port,serial, then a board a line
    #[arg(long, value_name = "LIST.csv", group = "fleet", conflicts_with_all = ["device", "port"])]
    inventory: Option<PathBuf>,
    /// So many boards at a time
    #[arg(long, value_name = "N", default_value_t = 4, requires = "fleet")]
    jobs: usize,
    /// The first N boards must all succeed before the others begin
    #[arg(long, value_name = "N", default_value_t = 0, requires = "fleet")]
    canary: usize,
    /// With more failures than this no further board begins
    #[arg(long, value_name = "N", default_value_t = 0, requires = "fleet")]
    max_failures: usize,
    /// What was done, for a later run to go on with [default: BUNDLE.fleet.json]
    #[arg(long, value_name = "FILE.json", requires = "fleet")]
    table: Option<PathBuf>,
    /// A line a board [default: BUNDLE.fleet.csv]
    #[arg(long, value_name = "FILE.csv", requires = "fleet")]
    csv: Option<PathBuf>,
}

impl FleetArgs {
    /// Whether many boards are meant.
    pub fn is_meant(&self) -> bool {
        self.all || self.matching.is_some() || self.inventory.is_some()
    }
}

/// What every board gets.
struct Job<'a> {
    package: &'a Package,
    options: Options,
    board: &'a BoardArgs,
    keyring: Keyring,
    patience: Patience,
    quiet: bool,
}

/// Flashes the boards that are meant.
pub fn run(
    args: &FleetArgs,
    board: &BoardArgs,
    bundle: &Path,
    package: &Package,
    options: Options,
    as_json: bool,
) -> Result<ExitCode> {
    let keyring = board.link.keyring()?;
    let boards = boards(args, board, &keyring)?;
    let name = |ending: &str| PathBuf::from(format!("{}.fleet.{ending}", files::stem(bundle)));
    let table_path = args.table.clone().unwrap_or_else(|| name("json"));
    // What is written takes the place of a file, not of a link to it: another run may have that.
    let table_path = std::fs::canonicalize(&table_path).unwrap_or(table_path);
    let csv_path = args.csv.clone().unwrap_or_else(|| name("csv"));
    for path in [&table_path, &csv_path] {
        files::check_writable(path)?;
    }
    let _alone = (!options.dry_run).then(|| fleet::lock_table(&table_path)).transpose()?;
    let mut table = table(&table_path, package, &options)?;
    let patience = board.link.patience()?;
    let job = Job { package, options, board, keyring, patience, quiet: as_json };
    let plan = Plan { jobs: args.jobs, canary: args.canary, failures_max: args.max_failures };
    let mut ended = 0;
    let stops_between_packets = interrupt::Loop::enter();
    fleet::run(
        &boards,
        &plan,
        &mut table,
        |board| job.still(board),
        |board| job.flash(board),
        |table, row| {
            ended += usize::from(row.state != State::NotTried);
            if !options.dry_run {
                keep(&table_path, &table.text())?;
            }
            interrupt::say(&format!("[{ended}/{}] {}", boards.len(), line(row)));
            Ok(())
        },
    )?;
    drop(stops_between_packets);
    let rows = table.rows(&boards);
    if !options.dry_run {
        files::write_atomic(&csv_path, fleet::csv(&rows).as_bytes())?;
    }
    report(&rows, as_json, (!options.dry_run).then_some(&csv_path))?;
    if interrupt::requested() {
        interrupt::say("interrupted: the same command goes on with what is left");
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let all = rows.iter().all(|row| row.state == State::Done);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

fn keep(path: &Path, text: &str) -> Result<(), Error> {
    files::write_atomic(path, text.as_bytes())
        .map_err(|error| Error::File { message: format!("{error:#}: nothing further begins") })
}

fn goal(options: &Options) -> &'static str {
    fleet::name(wanted(options))
}

fn wanted(options: &Options) -> Outcome {
    match options {
        Options { dry_run: true, .. } => Outcome::Suits,
        Options { stage_only: true, .. } => Outcome::Staged,
        Options { confirm: Some(_), .. } => Outcome::Confirmed,
        _ => Outcome::OnTrial,
    }
}

fn table(path: &Path, package: &Package, options: &Options) -> Result<Table> {
    let bundle = hex(package.identity());
    if options.dry_run || !path.exists() {
        return Ok(Table::new(bundle, goal(options)));
    }
    let text = files::read_text(path)?;
    Table::parse(&text, &bundle, goal(options)).with_context(|| path.display().to_string())
}

fn boards(args: &FleetArgs, board: &BoardArgs, keyring: &Keyring) -> Result<Vec<Board>> {
    if let Some(path) = &args.inventory {
        let text = files::read_text(path)?;
        return fleet::parse(&text).with_context(|| path.display().to_string());
    }
    let found = board.link.probe(&board.port, keyring)?;
    let named = !board.port.is_empty();
    let meant = |found: &&Found| match &args.matching {
        Some(pattern) => found.is(pattern),
        // A port of USB may be anything; one that was named is a board.
        None => found.answer.is_ok() || named,
    };
    let boards: Vec<Board> = found.iter().filter(meant).map(from_found).collect();
    if boards.is_empty() {
        let looked: String = found.iter().map(|found| format!("\n  {found}")).collect();
        bail!("no board is meant; looked at {} ports{looked}", found.len());
    }
    let mut names: Vec<&str> = boards.iter().map(|board| board.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two boards are called {}: `provision` one of them anew, or list them", twice[0]);
    }
    Ok(boards)
}

/// A board without a name is called by its chip, one that is silent by its port.
fn from_found(found: &Found) -> Board {
    let (name, serial) = match &found.answer {
        Ok(answered) if answered.status.name.is_empty() => {
            (hex(&answered.identity.serial), Some(answered.identity.serial))
        }
        Ok(answered) => (answered.status.name.clone(), Some(answered.identity.serial)),
        Err(_) => (found.address.to_string(), None),
    };
    Board { name, address: found.address.clone(), serial }
}

impl Job<'_> {
    fn flash(&self, board: &Board) -> Flashed {
        let mut timeline = Timeline::default();
        let result = self.try_flash(board, &mut timeline);
        Flashed { result, phases: timeline.phases }
    }

    fn try_flash(&self, board: &Board, timeline: &mut Timeline) -> Result<Outcome, Error> {
        let wire = self.board.link.open(&board.address)?;
        let mut client = Client::new(wire, self.keyring.clone(), self.patience);
        board.check(&found::ask(&mut client)?)?;
        let mut flash = Flash::new(self.package, self.options)?;
        let mut told = Told::new(&board.name, self.quiet);
        let outcome = client.run_while(&mut flash, |flash, now_ms| {
            timeline.see(flash.phase(), now_ms);
            told.see(flash, timeline);
            !interrupt::requested()
        });
        outcome.map_err(|error| flash.stopped(error))?;
        Ok(flash.outcome())
    }

    /// Whether a board that was done still is.
    fn still(&self, board: &Board) -> Result<bool, Error> {
        if interrupt::requested() {
            return Err(Error::Stopped { left: "it was not asked".to_owned() });
        }
        let wire = self.board.link.open(&board.address)?;
        let mut client = Client::new(wire, self.keyring.clone(), self.patience);
        let answered = found::ask(&mut client)?;
        board.check(&answered)?;
        let bundle = self.package.identity();
        Ok(fleet::holds(&answered.slots, bundle, wanted(&self.options)))
    }
}

fn line(row: &Row) -> String {
    let (state, seconds) = (fleet::state_name(row.state), row.took_ms as f64 / 1000.0);
    format!("{:<16} {:<24} {state:<9} {seconds:>6.1} s  {}", row.name, row.port, row.detail)
}

fn report(rows: &[Row], as_json: bool, csv: Option<&PathBuf>) -> Result<()> {
    if as_json {
        return print(&format!("{:#}\n", json!({ "boards": rows })));
    }
    let mut text: String = rows.iter().map(|row| line(row) + "\n").collect();
    let done = rows.iter().filter(|row| row.state == State::Done).count();
    text.push_str(&format!("{done} of {} boards are done", rows.len()));
    if let Some(csv) = csv {
        text.push_str(&format!("; {}", csv.display()));
    }
    text.push('\n');
    print(&text)
}
