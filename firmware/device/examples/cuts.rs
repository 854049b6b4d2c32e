//! The long sweep: at least so many power cuts over ten flash layouts, and a tenth as many runs of
//! up to six cuts in a row. Prints a line a round; exit status 1 for a broken promise.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::ExitCode;
use std::time::Instant;

use common::tally::Tally;
use common::{Case, SCRIPTS, STARTS, layout, sizes};
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

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(400_000);
    let begin = Instant::now();
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
    let mut tally = Tally::default();
    let mut round = 0;
    while tally.cuts < wanted {
        // Short scripts have fewer cuts than their share: another round takes others.
        let share = (wanted - tally.cuts).div_ceil(cases.len() as u64).max(8);
        for (index, case) in cases.iter().enumerate() {
            tally.spread(&Case { seed: round << 16 | index as u64, ..case.clone() }, share);
        }
        round += 1;
        let Tally { cuts, runs, broken } = &tally;
        let (broken, seconds) = (broken.len(), begin.elapsed().as_secs());
        println!("{cuts} cuts, {runs} runs of several, {broken} promises broken, {seconds} s");
    }
    tally.broken.iter().take(10).for_each(|broken| println!("{broken}"));
    ExitCode::from(u8::from(!tally.broken.is_empty()))
}
