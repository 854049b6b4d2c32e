//! Real frames on the board and through the engine here: the same bits.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_engine::{Engine, Frame};
use gradgate_link::message::Judged;
use gradgate_tests::reference::channels_last;

use crate::bundle::signed;
use crate::client::Client;
use crate::emulator::{Emulator, Pace};
use crate::flash::confirmed;
use crate::rig::Bench;

/// A record of the CIFAR-10 files: the label, then three planes of 32 x 32.
const RECORD_BYTES: usize = 3073;

/// Judges the first `count` records on as many boards as the host has cores.
pub fn same_bits(bench: &Bench, bundle: &Path, records: &Path, count: usize) -> String {
    let bundle = signed(&std::fs::read(bundle).expect("a bundle"));
    let records = std::fs::read(records).expect("records");
    let frames: Vec<Vec<u8>> = records
        .chunks_exact(RECORD_BYTES)
        .take(count)
        .map(|record| channels_last(&record[1..], 3))
        .collect();
    assert_eq!(frames.len(), count, "too few records");
    let next = AtomicUsize::new(0);
    let boards = thread::available_parallelism().map_or(1, usize::from).min(8);
    let stacks: Vec<u32> = thread::scope(|scope| {
        let workers: Vec<_> = (0..boards)
            .map(|board| {
                let (bundle, frames, next) = (&bundle, &frames, &next);
                scope.spawn(move || compare(bench, board, bundle, frames, next))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("equal bits")).collect()
    });
    let stack = stacks.into_iter().max().unwrap_or(0);
    format!("{count} frames, class, score and p-value equal; {stack} bytes of stack")
}

/// One board's share; the stack that it used.
fn compare(
    bench: &Bench,
    board: usize,
    bundle: &AlignedBytes,
    frames: &[Vec<u8>],
    next: &AtomicUsize,
) -> u32 {
    let flash = bench.empty_flash(&format!("bits-{board}"));
    std::fs::write(&flash, confirmed(bundle)).expect("a flash");
    let emulator = Emulator::boot(&bench.image, &flash, Pace::Instructions);
    let mut client = Client::open(emulator.port()).expect("a device that answers");
    let engine = Engine::load(Bundle::parse(bundle).expect("a bundle")).expect("a plan");
    let mut arena = vec![0.0; engine.arena_elements()];
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(frame) = frames.get(index) else { break };
        let seen: Judged = client.judge(index as u32, frame);

        let (_, judgement) = engine.judge(Frame::U8(frame), &mut arena).expect("a frame");
        let here = judgement.expect("a detector").expect("finite");
        let bits = |class, score: f32, p_value: f32| (class, score.to_bits(), p_value.to_bits());
        assert_eq!(
            bits(u32::from(seen.class), seen.score, seen.p_value),
            bits(here.class, here.score, here.p_value),
            "frame {index}"
        );
    }
    let (room, used) = client.health().stack;
    assert!(used * 4 <= room * 3, "{used} of {room} bytes of stack");
    used
}
