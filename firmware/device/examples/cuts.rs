//! The long sweep. `cuts N`: at least N power cuts over ten flash layouts, and a tenth as many runs
//! of up to six cuts in a row. `cuts large N`: the same with sectors of 128 KiB and a bundle of a
//! whole network. `cuts pairs [STRIDE]`: all pairs of cuts on the smallest layout. `cuts sequences
//! N`: at least N runs of two to six cuts alone, over the ten layouts. Prints a line a round; exit
//! status 1 for a broken promise.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::ExitCode;
use std::time::Instant;

use common::tally::Tally;
use common::{Case, RESNET_8_BYTES, SCRIPTS, STARTS, Script, Start, layout, sizes};
use gradgate_device::flash::Layout;

/// Word, erased byte, journal sector, slot sector, sectors of each slot.
fn layouts() -> Vec<Layout> {
    let of = [
        (32, 0xFF, 512, 512, [2, 2]),
        (32, 0xFF, 1024, 1024, [1, 1]),
        (32, 0x00, 512, 1024, [2, 1]),
        (16, 0xFF, 512, 512, [3, 2]),
        (16, 0x00, 1024, 512, [2, 3]),
        (8, 0xFF, 512, 512, [2, 2]),
        (8, 0xFF, 384, 1024, [1, 2]),
        (4, 0xFF, 512, 512, [2, 2]),
        (4, 0x00, 1024, 512, [2, 2]),
        (1, 0xFF, 512, 512, [2, 2]),
    ];
    let made = of
        .map(|(word, erased, journal, slot, sectors)| layout(word, erased, journal, slot, sectors));
    made.to_vec()
}

/// Every case of the layouts.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for layout in layouts() {
        for new_bytes in sizes(&layout) {
            for start in STARTS {
                cases.extend(SCRIPTS.map(|script| Case {
                    layout,
                    start,
                    script,
                    old_bytes: 700,
                    new_bytes,
                    seed: 0,
                }));
            }
        }
    }
    cases
}

/// Sectors of 128 KiB and a bundle as long as a ResNet-8's; the journal moves in some.
fn large() -> Vec<Case> {
    let layout = layout(32, 0xFF, 128 << 10, 128 << 10, [3, 3]);
    let starts = [
        Start::Blank,
        Start::ConfirmedA,
        Start::ConfirmedB,
        Start::LongJournal(673),
        Start::HalfUploaded,
        Start::LeftStaged,
    ];
    let case = |start, script| Case {
        layout,
        start,
        script,
        old_bytes: 700,
        new_bytes: RESNET_8_BYTES,
        seed: 0,
    };
    let scripts = [Script::Confirm, Script::Revert];
    starts.into_iter().flat_map(|start| scripts.map(|script| case(start, script))).collect()
}

/// A slot of one sector and the shortest bundle, so that all pairs of cuts can be made.
fn smallest() -> Vec<Case> {
    let layout = layout(32, 0xFF, 512, 512, [1, 1]);
    let case = |start| Case {
        layout,
        start,
        script: Script::Confirm,
        old_bytes: 320,
        new_bytes: 320,
        seed: 3,
    };
    [Start::ConfirmedA, Start::Blank, Start::LongJournal(1)].map(case).to_vec()
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let count = |place: usize, default| {
        arguments.get(place).and_then(|count| count.parse().ok()).unwrap_or(default)
    };
    let mut tally = Tally::default();
    match arguments.first().map(String::as_str) {
        Some("pairs") => pairs(&mut tally, count(1, 1)),
        Some("sequences") => sequences(&mut tally, count(1, 1_000_000)),
        Some("large") => rounds(&mut tally, &large(), count(1, 2_000)),
        _ => rounds(&mut tally, &cases(), count(0, 400_000)),
    }
    tally.broken.iter().take(10).for_each(|broken| println!("{broken}"));
    ExitCode::from(u8::from(!tally.broken.is_empty()))
}

/// All pairs of cuts, or of every `stride`th first one.
fn pairs(tally: &mut Tally, stride: u64) {
    let begin = Instant::now();
    for case in smallest() {
        tally.pairs(&case, (stride as usize, 1));
        report(tally, begin);
    }
}

/// So many runs of several cuts, as many of each case.
fn sequences(tally: &mut Tally, wanted: u64) {
    let begin = Instant::now();
    let cases = cases();
    let share = wanted.div_ceil(cases.len() as u64);
    for (index, case) in (1..).zip(&cases) {
        tally.sequences(&Case { seed: 1 << 31 | index as u64, ..case.clone() }, share);
        if index % 500 == 0 || index == cases.len() {
            report(tally, begin);
        }
    }
}

fn rounds(tally: &mut Tally, cases: &[Case], wanted: u64) {
    let begin = Instant::now();
    let mut round = 0;
    while tally.cuts < wanted {
        // Short scripts have fewer cuts than their share: another round takes others.
        let share = (wanted - tally.cuts).div_ceil(cases.len() as u64).max(8);
        for (index, case) in cases.iter().enumerate() {
            tally.spread(&Case { seed: round << 16 | index as u64, ..case.clone() }, share);
        }
        round += 1;
        report(tally, begin);
    }
}

fn report(tally: &Tally, begin: Instant) {
    let Tally { cuts, runs, broken } = tally;
    let (broken, seconds) = (broken.len(), begin.elapsed().as_secs());
    println!("{cuts} cuts, {runs} runs of several, {broken} promises broken, {seconds} s");
}
