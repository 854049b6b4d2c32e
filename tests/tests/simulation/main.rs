//! The whole system by seeds: promises kept on every one, replayed exactly, and a checker that sees
//! broken devices.

#![allow(missing_docs)]

#[path = "mod.rs"]
mod simulation;

use simulation::{Flaw, Options, Seen, simulate};

/// Rounds of a seed here; the example takes more.
const ROUNDS: u64 = 1500;

fn options(seed: u64) -> Options {
    Options { seed, rounds: ROUNDS, verbose: false, flaw: Flaw::None }
}

#[test]
fn every_promise_is_kept_on_every_seed() {
    let mut seen = Seen::default();
    for seed in 0..1000 {
        let report = simulate(&options(seed));
        seen.add(&report.seen);
        assert_eq!(report.broken, None, "seed {seed}: --seed {seed} --rounds {ROUNDS} --verbose");
    }
    for (name, count) in seen.rows() {
        println!("{count:>12} {name}");
        assert!(count > 0, "no {name}: the simulation looks elsewhere");
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        assert_eq!(simulate(&options(seed)), simulate(&options(seed)), "seed {seed}");
    }
    assert_ne!(simulate(&options(1)).hash, simulate(&options(2)).hash);
}

#[test]
fn broken_devices_are_seen() {
    let flaws = [
        (Flaw::StuckPin, "the pin is OPEN"),
        (Flaw::NoTimer, "the pin is OPEN"),
        (Flaw::LongLease, "Open {"),
        (Flaw::LostBytes, "telemetry"),
        (Flaw::Starved, "the watchdog starves"),
        (Flaw::OldFlash, "is lost"),
        (Flaw::SameBoot, "without a command"),
        (Flaw::OtherTrust, "runs"),
        (Flaw::LyingFlash, "staged, and other bytes"),
        (Flaw::OtherBytes, "is not found"),
        (Flaw::OtherMode, "mode:"),
        (Flaw::NoAge, "a frame was judged with"),
    ];
    for (flaw, words) in flaws {
        let broken = |seed| simulate(&Options { flaw, ..options(seed) }).broken;
        let found: Vec<String> = (0..100).filter_map(broken).collect();
        assert!(found.iter().any(|text| text.contains(words)), "{flaw:?}: {found:?}");
    }
}
