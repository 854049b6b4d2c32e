//! The whole-system simulation by any number of seeds, `-- --seeds 1000 [--from S] [--rounds N]`,
//! or one of them in words, `-- --seed S --verbose`. Exit status 1 for a broken promise.

#![allow(missing_docs)]

#[path = "../tests/simulation/mod.rs"]
#[allow(dead_code)]
mod simulation;

use std::process::ExitCode;
use std::time::Instant;

use simulation::{Flaw, Options, Seen, simulate};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    let one = number("--seed");
    let from = one.or(number("--from")).unwrap_or(0);
    let count = if one.is_some() { 1 } else { number("--seeds").unwrap_or(1000) };
    let rounds = number("--rounds").unwrap_or(4000);
    let verbose = arguments.iter().any(|argument| argument == "--verbose");
    let (begin, mut seen, mut broken) = (Instant::now(), Seen::default(), 0);
    for seed in from..from + count {
        let report = simulate(&Options { seed, rounds, verbose, flaw: Flaw::None });
        seen.add(&report.seen);
        if let Some(text) = report.broken {
            broken += 1;
            println!("seed {seed}: {text}");
            println!("  replay: --seed {seed} --rounds {rounds} --verbose");
        }
        if verbose {
            println!("hash {:016x}", report.hash);
        }
    }
    for (name, sum) in seen.rows() {
        println!("{sum:>14} {name}");
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!("{count} seeds, {broken} broken, {seconds:.1} s");
    ExitCode::from(u8::from(broken > 0))
}
