//! Nothing corrupted is taken for something sent.

mod common;
mod damaged;

use common::{Device, commands, framed, noise};
use gradgate_link::Decoder;

/// Fewer where the target is emulated.
const FRAMES: u64 = if cfg!(target_arch = "x86_64") { 1_000_000 } else { 50_000 };

#[test]
fn a_million_corrupted_frames_are_all_refused() {
    let found = damaged::run(1, FRAMES);
    assert_eq!((found.past_crc.len(), found.executed), (0, 0), "{found:?}");
    assert_eq!(found.corrupted, FRAMES, "{found:?}");
}

#[test]
fn a_frame_after_64_kib_of_garbage_is_found() {
    for seed in 0..200 {
        let mut bytes = noise(seed, 64 * 1024);
        if seed % 2 == 1 {
            bytes.iter_mut().for_each(|byte| *byte = (*byte).max(1));
        }
        bytes.extend(framed(b"after the noise"));
        let mut decoder: Decoder = Decoder::new();
        let mut input = &bytes[..];
        assert_eq!(decoder.feed(&mut input), Some(&b"after the noise"[..]), "seed {seed}");
        assert_eq!(decoder.counts().good, 1, "seed {seed}");
        let counts = decoder.counts();
        assert!(counts.cut + counts.crc + counts.long > 0, "seed {seed}: {counts:?}");
    }
}

#[test]
fn recorded_commands_are_never_executed_again() {
    let mut device = Device::new(1);
    let first = commands(&mut device, 100);
    assert_eq!(device.executed, 100);
    let replay = |device: &mut Device, frames: &[Vec<u8>], when: &str| {
        let before = device.executed;
        for _ in 0..2 {
            for frame in frames.iter().chain(frames.iter().rev()) {
                device.take(frame);
            }
        }
        assert_eq!(device.executed, before, "{when}");
    };
    replay(&mut device, &first, "in their session");
    let second = commands(&mut device, 5);
    assert_eq!(device.executed, 105, "a replayed session does not hinder a new one");
    replay(&mut device, &first, "of an earlier session");
    replay(&mut device, &second, "in the later session");
    let mut restarted = Device::new(2);
    replay(&mut restarted, &first, "after a restart");
    assert_eq!(commands(&mut restarted, 3).len(), 4);
    replay(&mut restarted, &second, "after a restart, in a session");
}
