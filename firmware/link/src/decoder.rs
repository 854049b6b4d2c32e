//! Frames out of a stream of bytes, whatever else the stream holds.
//!
//! A frame that is too long, cut, or wrong in its CRC is dropped and counted; the next delimiter
//! starts afresh. A delimiter is the only state that matters, so nothing but a lost delimiter can
//! cost a good frame, and then two at most.

use crate::frame::{CRC_BYTES, DELIMITER, PACKET_BYTES_MAX, checksum};

/// A buffer for the longest packet and its CRC.
pub const BUFFER_BYTES: usize = PACKET_BYTES_MAX + CRC_BYTES;

/// What came in; counts stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames with a good CRC.
    pub good: u32,
    /// Frames longer than the buffer.
    pub long: u32,
    /// Frames that end inside a stuffed block, or before a CRC and a byte to go with it.
    pub cut: u32,
    /// Frames whose CRC is another.
    pub crc: u32,
}

/// Takes bytes and gives packets; `BYTES` is the longest packet it takes and [`CRC_BYTES`] more.
#[derive(Clone, Debug)]
pub struct Decoder<const BYTES: usize = BUFFER_BYTES> {
    buffer: [u8; BYTES],
    length: usize,
    /// Bytes that the open block still wants.
    left: u8,
    /// Whether the block before stands for a zero, which is due as soon as another block follows.
    zero_due: bool,
    /// Whether the frame has bytes at all, and whether they were too many.
    begun: bool,
    long: bool,
    counts: Counts,
}

impl<const BYTES: usize> Default for Decoder<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BYTES: usize> Decoder<BYTES> {
    /// One that waits for a frame.
    pub const fn new() -> Self {
        let counts = Counts { good: 0, long: 0, cut: 0, crc: 0 };
        let buffer = [0; BYTES];
        Decoder { buffer, length: 0, left: 0, zero_due: false, begun: false, long: false, counts }
    }

    /// What came in so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes bytes off `input` up to the next whole frame and gives its packet; `None` once `input`
    /// is used up.
    pub fn feed(&mut self, input: &mut &[u8]) -> Option<&[u8]> {
        let mut found = None;
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            found = self.push(byte);
            if found.is_some() {
                break;
            }
        }
        self.buffer.get(..found?)
    }

    /// Length of the packet that `byte` completes, if it does.
    fn push(&mut self, byte: u8) -> Option<usize> {
        if byte == DELIMITER {
            return self.end();
        }
        self.begun = true;
        match self.left {
            0 => {
                if self.zero_due {
                    self.keep(0);
                }
                self.left = byte - 1;
                self.zero_due = byte != u8::MAX;
            }
            _ => {
                self.keep(byte);
                self.left -= 1;
            }
        }
        None
    }

    fn keep(&mut self, byte: u8) {
        match self.buffer.get_mut(self.length) {
            Some(free) => {
                *free = byte;
                self.length += 1;
            }
            None => self.long = true,
        }
    }

    fn end(&mut self) -> Option<usize> {
        let (begun, long, left) = (self.begun, self.long, self.left);
        let data = self.buffer.get(..self.length).unwrap_or_default();
        let parts = data.split_last_chunk::<CRC_BYTES>();
        (self.begun, self.long, self.left, self.zero_due, self.length) =
            (false, false, 0, false, 0);
        let count = match parts {
            _ if !begun => return None,
            _ if long => &mut self.counts.long,
            // The CRC of an empty packet is zero: a run of zeros would be one.
            Some((packet, crc)) if left == 0 && !packet.is_empty() => {
                if checksum(packet) == u32::from_le_bytes(*crc) {
                    self.counts.good = self.counts.good.saturating_add(1);
                    return Some(packet.len());
                }
                &mut self.counts.crc
            }
            _ => &mut self.counts.cut,
        };
        *count = count.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FRAME_BYTES_MAX, encode};
    use alloc::vec::Vec;

    fn framed(packet: &[u8]) -> Vec<u8> {
        let mut out = [0; FRAME_BYTES_MAX];
        let length = encode(packet, &mut out).unwrap();
        out[..length].to_vec()
    }

    fn packets(decoder: &mut Decoder, mut input: &[u8]) -> Vec<Vec<u8>> {
        core::iter::from_fn(|| decoder.feed(&mut input).map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn every_length_comes_back_in_any_slices() {
        for length in (1..600).chain([1023, 4000, PACKET_BYTES_MAX]) {
            let packet: Vec<u8> = (0..length).map(|at| (at * 37 % 256) as u8).collect();
            let bytes = framed(&packet);
            assert_eq!(packets(&mut Decoder::new(), &bytes), [&packet[..]], "{length}");
            let mut decoder = Decoder::new();
            let pieces = bytes.chunks(1 + length % 5);
            let found: Vec<_> = pieces.flat_map(|piece| packets(&mut decoder, piece)).collect();
            assert_eq!(found, [&packet[..]], "{length} in pieces");
        }
    }

    #[test]
    fn what_is_wrong_is_counted_and_the_next_frame_is_found() {
        let good = framed(&[7; 9]);
        let mut wrong = framed(&[1, 2, 3]);
        wrong[3] ^= 0x10;
        let long: Vec<u8> = [0].into_iter().chain([1; 5000]).chain([0]).collect();
        let table: [(&str, &[u8], Counts); 7] = [
            ("nothing", &[], Counts { good: 1, ..Counts::default() }),
            ("delimiters", &[0; 9], Counts { good: 1, ..Counts::default() }),
            ("wrong bit", &wrong, Counts { good: 1, crc: 1, ..Counts::default() }),
            ("short", &[0, 3, 9, 9, 0], Counts { good: 1, cut: 1, ..Counts::default() }),
            ("empty", &[0, 1, 1, 1, 1, 1, 0], Counts { good: 1, cut: 1, ..Counts::default() }),
            ("cut", &[0, 9, 1, 2, 3, 4, 5, 6], Counts { good: 1, cut: 1, ..Counts::default() }),
            ("long", &long, Counts { good: 1, long: 1, ..Counts::default() }),
        ];
        for (name, before, counts) in table {
            let mut decoder = Decoder::new();
            let mut bytes = before.to_vec();
            bytes.extend(&good);
            assert_eq!(packets(&mut decoder, &bytes), [[7; 9]], "{name}");
            assert_eq!(decoder.counts(), counts, "{name}");
        }
    }

    #[test]
    fn one_and_two_wrong_bits_of_64_bytes_are_all_found() {
        let clean = framed(&core::array::from_fn::<u8, 56, _>(|at| (at * 73 + 5) as u8));
        let bits = clean.len() * 8;
        let mut decoder = Decoder::new();
        for (one, two) in (0..bits).flat_map(|one| (one..bits).map(move |two| (one, two))) {
            let mut bytes = clean.clone();
            bytes[one / 8] ^= 1 << (one % 8);
            if two != one {
                bytes[two / 8] ^= 1 << (two % 8);
            }
            // Delimiters may be lost with impunity; then the packet is the right one.
            bytes.push(0);
            for packet in packets(&mut decoder, &bytes) {
                let right = packets(&mut Decoder::new(), &clean);
                assert_eq!(packet, right[0], "bits {one} and {two}");
            }
        }
    }
}
