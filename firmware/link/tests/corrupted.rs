//! Nothing corrupted is taken for something sent.

mod common;
mod damaged;

use common::{Device, commands, framed, noise};
use gradgate_link::Decoder;
use gradgate_link::frame::checksum;

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

/// Syndromes: by how much the checksum of a packet changes for each wrong bit of packet and CRC.
fn syndromes(packet: &[u8]) -> Vec<u32> {
    let right = checksum(packet);
    let bits = |byte: usize| (0..8).map(move |bit| (byte, 1_u8 << bit));
    let of_packet = (0..packet.len()).flat_map(bits).map(|(byte, bit)| {
        let mut wrong = packet.to_vec();
        wrong[byte] ^= bit;
        checksum(&wrong) ^ right
    });
    of_packet.chain((0..32).map(|bit| 1 << bit)).collect()
}

/// A CRC is linear, so the error of several bits is taken exactly when their syndromes cancel out.
#[test]
fn any_one_two_or_three_wrong_bits_of_64_bytes_are_found() {
    let syndromes = syndromes(&noise(5, 64));
    assert_eq!(syndromes.len(), 68 * 8);
    let mut errors = 0_u64;
    for (index, first) in syndromes.iter().enumerate() {
        assert_ne!(*first, 0);
        for (place, second) in syndromes.iter().enumerate().skip(index + 1) {
            let two = first ^ second;
            let cancels = syndromes[place + 1..].iter().any(|third| two ^ third == 0);
            assert!(two != 0 && !cancels, "bits {index}, {place}");
            errors += 1 + (syndromes.len() - place - 1) as u64;
        }
    }
    assert_eq!(errors, 544 * 543 / 2 + 544 * 543 * 542 / 6);
}

/// Half of a flood is for nobody; what is asked in between is answered, and memory stays as it is.
#[test]
fn a_flood_hinders_no_command() {
    let frames = if cfg!(target_arch = "x86_64") { 1_000_000 } else { 20_000 };
    let mut device = Device::new(1);
    let asked = commands(&mut device, 1);
    let (junk, stale) = (noise(7, 60), asked.last().expect("one").clone());
    let mut answered = 0;
    for number in 0..frames {
        let sent = match number % 2 {
            0 => device.take(&junk),
            _ => device.take(&stale),
        };
        answered += sent.len();
    }
    assert_eq!(device.executed, 1, "a repeated command is not executed again");
    assert_eq!(answered, frames / 2, "its kept answer is sent again");
    assert_eq!(commands(&mut device, 10).len(), 11, "and a new session opens");
}
