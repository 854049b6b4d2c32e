//! The whole device in QEMU: every fault closes the pin in time, and bits are this machine's.
//!
//! `device_in_qemu IMAGE PROVOKE CASES [--frames N] [--only NAME]` with the board's released image,
//! the one that can be made to fail, and the folder that `board_cases` wrote. Prints a line a case;
//! fails unless all of them hold.

mod bits;
mod bundle;
mod client;
mod emulator;
mod faults;
mod flash;
mod image;
mod provoked;
mod rig;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use gradgate_tests::shared;

use rig::Bench;

/// A case's name, and what it does; what it says was seen.
type Case = (&'static str, fn(&Bench) -> String);

const CASES: [Case; 12] = [
    ("released image", provoked::released_image),
    ("silence", faults::silence),
    ("power cut", faults::power_cut),
    ("bad bundles", faults::bad_bundles),
    ("damaged flash", faults::damaged_flash),
    ("NaN in weights", faults::nan_in_weights),
    ("corrupted weights", faults::corrupted_weights),
    ("link flood", faults::link_flood),
    ("queue overflow", provoked::queue_overflow),
    ("restarts", provoked::restarts),
    ("float modes", provoked::float_modes),
    ("stack room", faults::stack_room),
];

/// Frames that are compared unless told otherwise.
const FRAMES: usize = 100;

struct Arguments {
    files: Vec<PathBuf>,
    frames: usize,
    only: Option<String>,
}

fn arguments() -> Option<Arguments> {
    let mut given = Arguments { files: Vec::new(), frames: FRAMES, only: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--frames" => given.frames = words.next()?.parse().ok()?,
            "--only" => given.only = Some(words.next()?),
            file => given.files.push(file.into()),
        }
    }
    (given.files.len() == 3).then_some(given)
}

fn main() -> ExitCode {
    let Some(Arguments { files, frames, only }) = arguments() else {
        eprintln!("usage: device_in_qemu IMAGE PROVOKE CASES [--frames N] [--only NAME]");
        return ExitCode::from(2);
    };
    let [image, provoke, cases] = [0, 1, 2].map(|index| files[index].clone());
    let small = std::fs::read(cases.join("residual-block/bundle.gate")).expect("a small bundle");
    let bench = Bench::prepare(image, provoke, &small);
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let mut good = true;
    for (name, case) in CASES.into_iter().filter(|(name, _)| wanted(name)) {
        good &= report(name, || case(&bench));
    }
    if wanted("bits") {
        good &= bits(&bench, &cases.join("resnet8/bundle.gate"), frames);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bits(bench: &Bench, bundle: &Path, frames: usize) -> bool {
    let Some(records) = shared("data/cifar10-lossless/test.bin").filter(|_| bundle.is_file())
    else {
        return true;
    };
    report("bits", || bits::same_bits(bench, bundle, &records, frames))
}

fn report(name: &str, case: impl FnOnce() -> String) -> bool {
    let begin = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(case));
    let seconds = begin.elapsed().as_secs_f64();
    match &outcome {
        Ok(seen) => println!("ok      {name} ({seconds:.1} s): {seen}"),
        Err(_) => println!("FAILED  {name} ({seconds:.1} s)"),
    }
    outcome.is_ok()
}
