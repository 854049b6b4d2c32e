//! Damaged frames of good commands, fed to a device.

use gradgate_link::Decoder;
use gradgate_link::channel::{Damage, Random};
use gradgate_link::session::Received;

use crate::common::{Device, commands};

/// What became of them.
#[derive(Debug, Default)]
pub struct Found {
    /// Damaged so that no packet of them was sent.
    pub corrupted: u64,
    /// The damage left the packet whole: a lost delimiter, a zero between frames.
    pub harmless: u64,
    /// Packets that the CRC let through and nobody sent.
    pub past_crc: Vec<Vec<u8>>,
    /// Commands that the device would execute.
    pub executed: u64,
}

/// Damages frames until `count` of them are corrupted.
pub fn run(seed: u64, count: u64) -> Found {
    // Frames of a session that opens only now: a device that took one would execute it.
    let frames = commands(&mut Device::new(7), 64);
    let originals: Vec<Vec<u8>> = frames.iter().map(|frame| packets(frame).remove(0)).collect();
    let mut device = Device::new(7);
    device.take(&frames[0]);
    let mut out = [0; 4092];
    let mut decoder: Decoder = Decoder::new();
    let mut random = Random::new(seed);
    let mut found = Found::default();
    while found.corrupted < count {
        let at = 1 + random.below(frames.len() as u64 - 1) as usize;
        let mut bytes = frames[at].clone();
        if random.chance(0.1) {
            let other = 1 + random.below(frames.len() as u64 - 1) as usize;
            bytes.pop();
            bytes.extend(&frames[other][1..]);
        }
        for _ in 0..=random.below(2) {
            let kind = Damage::ALL[random.below(Damage::ALL.len() as u64) as usize];
            kind.apply(&mut bytes, &mut random);
        }
        if bytes == frames[at] {
            continue;
        }
        bytes.push(0);
        let mut input = &bytes[..];
        let mut harmless = false;
        while let Some(packet) = decoder.feed(&mut input) {
            if originals.iter().any(|original| original == packet) {
                harmless = true;
                continue;
            }
            found.past_crc.push(packet.to_vec());
            let received = device.responder.receive(packet, &mut out);
            found.executed += u64::from(matches!(received, Ok(Received::Execute(..))));
        }
        *if harmless { &mut found.harmless } else { &mut found.corrupted } += 1;
    }
    found
}

fn packets(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder: Decoder = Decoder::new();
    std::iter::from_fn(|| decoder.feed(&mut bytes).map(<[u8]>::to_vec)).collect()
}
