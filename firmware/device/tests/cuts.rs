//! Power fails at every flash operation of an update, in seven ways: the short sweep.

mod common;

use common::{Case, Flaw, SCRIPTS, STARTS, Script, Start, Tally, layout, sizes};
use gradgate_device::flash::Layout;

fn case(layout: Layout, start: Start, script: Script, new_bytes: u32) -> Case {
    Case { layout, start, script, old_bytes: 700, new_bytes, seed: 1 }
}

/// 32-byte words as on an STM32H7, one byte more than a sector; a part of the starts in each test,
/// so that they run beside each other.
fn sweep(starts: &[Start]) {
    let layout = layout(32, 0xFF, 512, 512, [2, 2]);
    let mut tally = Tally::default();
    for &start in starts {
        for script in SCRIPTS {
            tally.sweep(&case(layout, start, script, 513), Flaw::None, 0, 2);
        }
    }
    eprintln!("{} cuts", tally.cuts);
    tally.assert_whole();
}

#[test]
fn cuts_of_first_updates_are_survived() {
    sweep(&STARTS[..4]);
}

#[test]
fn cuts_while_the_journal_moves_are_survived() {
    sweep(&STARTS[4..7]);
}

#[test]
fn cuts_over_leftovers_are_survived() {
    sweep(&STARTS[7..]);
}

/// Lengths about a sector and a slot, words of 8 bytes, flash that erases to zeros.
#[test]
fn awkward_lengths_are_survived() {
    let layout = layout(8, 0x00, 512, 512, [3, 2]);
    let mut tally = Tally::default();
    for size in sizes(&layout) {
        for start in [Start::ConfirmedA, Start::ConfirmedB] {
            tally.sweep(&case(layout, start, Script::Confirm, size), Flaw::None, 0, 7);
        }
    }
    eprintln!("{} cuts", tally.cuts);
    tally.assert_whole();
}

#[test]
fn several_cuts_in_a_row_are_survived() {
    let layout = layout(32, 0xFF, 512, 512, [2, 2]);
    let mut tally = Tally::default();
    for start in STARTS {
        for script in [Script::Confirm, Script::Revert] {
            tally.spread(&Case { seed: 7, ..case(layout, start, script, 513) }, 30);
        }
    }
    eprintln!("{} cuts, {} runs of several", tally.cuts, tally.runs);
    tally.assert_whole();
}

#[test]
fn mistakes_are_noticed() {
    let layout = layout(32, 0xFF, 512, 512, [2, 2]);
    for flaw in [Flaw::BothSectors, Flaw::WriteBack] {
        let mut tally = Tally::default();
        tally.sweep(&case(layout, Start::ConfirmedA, Script::Confirm, 513), flaw, 0, 5);
        assert!(!tally.broken.is_empty(), "{flaw:?} went unseen in {} cuts", tally.cuts);
    }
}
