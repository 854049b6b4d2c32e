//! `gradgate monitor`: what a device judges, as it judges.

mod screen;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use gradgate_field::error::Error;
use gradgate_field::monitor::{Monitor, Telemetry};

use crate::board::{BoardArgs, Device, at};
use crate::interrupt;
use crate::output::print;

use screen::Screen;

/// Between two looks at what has come.
const LOOK_MS: u64 = 100;
/// Between two questions how it is.
const ASK: Duration = Duration::from_secs(1);
/// Between two lines of how it is, where lines are printed.
const HEALTH: Duration = Duration::from_secs(30);

/// Watch a device: verdicts as they come, scores against the threshold, rates, health.
///
/// On a terminal a view that is drawn anew ten times a second; else, or with --plain, a line for
/// each verdict, gate change and log entry. A device that does not answer any more is waited for.
/// Ctrl-C ends it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate monitor --device dock-7
  gradgate monitor --device tcp://127.0.0.1:4444 --json --seconds 60 > minute.jsonl
Exit code: 0 ended by Ctrl-C or after --seconds, 2 an error here, 5 no answer at the start.")]
pub struct Args {
    #[command(flatten)]
    board: BoardArgs,
    /// Print lines also on a terminal
    #[arg(long, conflicts_with = "json")]
    plain: bool,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
    /// Every N-th verdict only
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// End after so many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

/// What is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    View,
    Plain,
    Json,
}

type Inbox = Rc<RefCell<VecDeque<(u32, Telemetry)>>>;

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let (address, mut client) = args.board.client()?;
    let inbox = Inbox::default();
    let filled = Rc::clone(&inbox);
    client.listen_with(Box::new(move |sequence, told| {
        filled.borrow_mut().push_back((sequence, *told));
    }));
    let mut monitor = Monitor::new(&address.to_string());
    let guard = interrupt::Loop::enter();
    // Who is not there at the start is another's mistake, not a loss.
    meet(&mut client, &mut monitor, args.every).map_err(|error| at(&address, error))?;
    let outcome = watch(&args, &mut client, &mut monitor, &inbox);
    // A device that is gone has no stream to end.
    let _ = client.order(&gradgate_field::monitor::stream(0));
    drop(guard);
    if interrupt::requested() {
        eprintln!("{address}: stopped watching; the board goes on as it was");
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

fn watch(args: &Args, client: &mut Device, monitor: &mut Monitor, inbox: &Inbox) -> Result<()> {
    let kind = match (args.json, args.plain || !std::io::stdout().is_terminal()) {
        (true, _) => Kind::Json,
        (false, true) => Kind::Plain,
        (false, false) => Kind::View,
    };
    let mut screen = (kind == Kind::View).then(Screen::open).transpose()?;
    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut ask, mut tell) = (Instant::now(), Instant::now());
    while !interrupt::requested() && end.is_none_or(|end| Instant::now() < end) {
        client.listen(LOOK_MS);
        take(kind, monitor, inbox)?;
        if Instant::now() >= ask {
            let was_lost = monitor.lost().is_some();
            poll(args, client, monitor);
            ask = Instant::now() + ASK;
            let news = was_lost != monitor.lost().is_some();
            if kind != Kind::View && (news || Instant::now() >= tell) {
                let json = kind == Kind::Json;
                let line = if json { monitor.health_json() } else { monitor.health_line() };
                print(&format!("{line}\n"))?;
                tell = Instant::now() + HEALTH;
            }
        }
        if let Some(screen) = &mut screen {
            screen.draw(|width, height| monitor.view(width, height))?;
        }
    }
    Ok(())
}

/// Says hello, and asks for verdicts.
fn meet(client: &mut Device, monitor: &mut Monitor, every: u16) -> Result<(), Error> {
    monitor.met(client.identify()?);
    client.order(&gradgate_field::monitor::stream(every))?;
    monitor.polled(client.status()?, client.counters()?);
    Ok(())
}

/// Asks how it is; another session may be another start, after which nothing is streamed.
fn poll(args: &Args, client: &mut Device, monitor: &mut Monitor) {
    let sessions = client.effort().sessions;
    let asked = client.status().and_then(|status| Ok((status, client.counters()?)));
    let outcome = match asked {
        Ok((status, counters)) => {
            let again = client.effort().sessions != sessions || monitor.lost().is_some();
            monitor.polled(status, counters);
            if again { meet(client, monitor, args.every) } else { Ok(()) }
        }
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        monitor.lose(&error.to_string());
    }
}

fn take(kind: Kind, monitor: &mut Monitor, inbox: &Inbox) -> Result<()> {
    while let Some((sequence, told)) = inbox.borrow_mut().pop_front() {
        monitor.hear(sequence, &told);
        match kind {
            Kind::View => {}
            Kind::Plain => print(&format!("{}\n", monitor.line(&told)))?,
            Kind::Json => print(&format!("{}\n", monitor.json(&told)))?,
        }
    }
    Ok(())
}
