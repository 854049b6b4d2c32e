//! How many of N corrupted frames are taken: `cargo run --release -p gradgate-link --example
//! corrupted -- 10000000 [SEED]`. None is.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/damaged/mod.rs"]
mod damaged;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<u64>());
    let (count, seed) = match (numbers.next(), numbers.next().unwrap_or(Ok(1))) {
        (Some(Ok(count)), Ok(seed)) => (count, seed),
        _ => {
            eprintln!("usage: corrupted FRAMES [SEED]");
            return ExitCode::from(2);
        }
    };
    let found = damaged::run(seed, count);
    println!("corrupted frames: {}", found.corrupted);
    println!("damaged, packet whole: {}", found.harmless);
    println!("let through by the CRC: {} {:x?}", found.past_crc.len(), found.past_crc);
    println!("executed: {}", found.executed);
    ExitCode::from(u8::from(found.executed > 0))
}
