//! Somebody else at the cable, without the key: noise, what was recorded, commands of their own.

use gradgate_link::channel::Random;
use gradgate_link::frame::{FRAME_BYTES_MAX, encode};
use gradgate_link::packet::{Header, Kind, Packet, write};
use gradgate_link::{Decoder, Key, Request};

use super::operator::Act;

/// Frames that are remembered.
const RECORDED_MAX: usize = 400;

/// The stranger.
pub struct Stranger {
    random: Random,
    recorded: Vec<Vec<u8>>,
    /// Of the last command that was heard.
    session: u64,
    sequence: u32,
    decoder: Decoder,
}

impl Stranger {
    /// Has heard nothing.
    pub fn new(seed: u64) -> Stranger {
        let (random, decoder) = (Random::new(seed), Decoder::new());
        Stranger { random, recorded: Vec::new(), session: 1 << 32 | 1, sequence: 0, decoder }
    }

    /// Hears a frame of the operator.
    pub fn hear(&mut self, frame: &[u8]) {
        let mut bytes = frame;
        if let Some(packet) = self.decoder.feed(&mut bytes).and_then(Packet::parse)
            && packet.kind == Kind::Command
        {
            (self.session, self.sequence) = (packet.session, packet.sequence);
        }
        if self.recorded.len() == RECORDED_MAX {
            let place = self.random.below(RECORDED_MAX as u64) as usize;
            self.recorded.swap_remove(place);
        }
        self.recorded.push(frame.to_vec());
    }

    /// Bytes for the device.
    pub fn act(&mut self, act: Act) -> Vec<u8> {
        match act {
            Act::Garbage(count) => (0..count).map(|_| self.random.bits() as u8).collect(),
            Act::Replay(count) => self.replay(count),
            Act::WrongKey(count) => (0..count).flat_map(|_| self.command()).collect(),
            Act::PowerCut | Act::CutAt(..) | Act::Pull(_) => Vec::new(),
        }
    }

    /// A run of recorded frames, as they were or with one wrong bit.
    fn replay(&mut self, count: u64) -> Vec<u8> {
        let known = self.recorded.len() as u64;
        if known == 0 {
            return Vec::new();
        }
        let first = self.random.below(known) as usize;
        let run = self.recorded.iter().skip(first).take(count as usize);
        let mut bytes: Vec<u8> = run.flatten().copied().collect();
        if self.random.below(4) == 0 {
            let place = self.random.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 << self.random.below(8);
        }
        bytes
    }

    /// The next command of the session, or the first of the next, under another key.
    fn command(&mut self) -> Vec<u8> {
        let requests = [Request::Reboot, Request::EraseInactive, Request::Confirm, Request::Revert];
        let request = requests[self.random.below(4) as usize];
        let header = match self.random.below(2) {
            0 => Header { kind: Kind::Command, session: self.session, sequence: self.sequence + 1 },
            _ => Header { kind: Kind::Command, session: self.session + 1, sequence: 1 },
        };
        let (mut packet, mut frame) = ([0; 200], [0; FRAME_BYTES_MAX]);
        let key = Key::new(&[0x11; 32]);
        let length = write(header, &request, &key, &mut packet).expect("a short packet");
        let length = encode(&packet[..length], &mut frame).expect("a short frame");
        frame[..length].to_vec()
    }
}
