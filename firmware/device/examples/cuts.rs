//! The long sweep: at least so many power cuts over ten flash layouts.
//! Prints one line; exit status 1 for a broken promise.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::ExitCode;
use std::time::Instant;

use common::{Case, Flaw, SCRIPTS, STARTS, Tally, layout, sizes};
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
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut round = 0;
    // A round takes about every 29th cut of every case, another one each time.
    while tally.cuts < wanted {
        for layout in layouts() {
            for (new_bytes, begin) in
                sizes(&layout).into_iter().flat_map(|size| STARTS.map(|start| (size, start)))
            {
                for script in SCRIPTS {
                    let old_bytes = 700;
                    let case =
                        Case { layout, start: begin, script, old_bytes, new_bytes, seed: round };
                    tally.sweep(&case, Flaw::None, round % 29, 29);
                }
            }
        }
        round += 1;
    }
    let seconds = start.elapsed().as_secs();
    println!("{} cuts, {} promises broken, {seconds} s", tally.cuts, tally.broken.len());
    tally.broken.iter().take(10).for_each(|broken| println!("{broken}"));
    ExitCode::from(u8::from(!tally.broken.is_empty()))
}
