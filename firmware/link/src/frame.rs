//! A packet as a frame: CRC appended, zeros stuffed away (COBS), a zero before and after.
//!
//! The zero before costs a byte and ends whatever noise came since the last frame, so that noise
//! never takes a good frame with it.

use crc::{CRC_32_AUTOSAR, Crc, Table};

/// Stands between frames and nowhere inside one.
pub const DELIMITER: u8 = 0;
/// Length of a packet at most, in bytes: up to here the CRC finds any five wrong bits.
pub const PACKET_BYTES_MAX: usize = 4092;
/// The CRC behind the packet, little-endian.
pub const CRC_BYTES: usize = 4;
/// A whole frame at most: packet and CRC, a code byte for every 254 bytes begun, two delimiters.
pub const FRAME_BYTES_MAX: usize = frame_bytes_max(PACKET_BYTES_MAX);

static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_AUTOSAR);

/// Why a packet was not framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A packet has one byte at least: the CRC of nothing is zero, so zeros would be its frame.
    Empty,
    /// The packet is longer than [`PACKET_BYTES_MAX`].
    Long,
    /// The frame does not fit where it should go; [`frame_bytes_max`] says what is enough.
    Room,
}

/// Bytes that suffice for the frame of a packet of `packet_bytes`.
pub const fn frame_bytes_max(packet_bytes: usize) -> usize {
    let data = packet_bytes + CRC_BYTES;
    data + data / 254 + 1 + 2
}

/// CRC-32/AUTOSAR of `packet`.
pub fn checksum(packet: &[u8]) -> u32 {
    CRC.checksum(packet)
}

/// Writes the frame of `packet` to the start of `out`; its length in bytes.
pub fn encode(packet: &[u8], out: &mut [u8]) -> Result<usize, FrameError> {
    if packet.is_empty() {
        return Err(FrameError::Empty);
    }
    if packet.len() > PACKET_BYTES_MAX {
        return Err(FrameError::Long);
    }
    let crc = checksum(packet).to_le_bytes();
    stuff(packet.iter().chain(&crc), out).ok_or(FrameError::Room)
}

fn stuff<'d>(data: impl Iterator<Item = &'d u8>, out: &mut [u8]) -> Option<usize> {
    *out.first_mut()? = DELIMITER;
    // Where the open block has its code byte, and what that byte would be now.
    let (mut block, mut code) = (1_usize, 1_u8);
    for &byte in data {
        if byte != DELIMITER {
            *out.get_mut(block + usize::from(code))? = byte;
            code += 1;
        }
        if byte == DELIMITER || code == u8::MAX {
            *out.get_mut(block)? = code;
            block += usize::from(code);
            code = 1;
        }
    }
    *out.get_mut(block)? = code;
    let end = block + usize::from(code);
    *out.get_mut(end)? = DELIMITER;
    Some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_published_one() {
        assert_eq!(CRC_32_AUTOSAR.poly, 0xF4AC_FB13);
        assert_eq!(checksum(b"123456789"), 0x1697_D06A);
    }

    #[test]
    fn frames_have_golden_bytes() {
        // Stuffed by hand; the checksums from a bitwise division by the polynomial.
        let bitwise = |data: &[u8]| {
            let mut crc = u32::MAX;
            for &byte in data {
                crc ^= u32::from(byte);
                for _ in 0..8 {
                    let odd = crc & 1 == 1;
                    crc >>= 1;
                    crc ^= if odd { 0xF4AC_FB13_u32.reverse_bits() } else { 0 };
                }
            }
            (!crc).to_le_bytes()
        };
        let [a, b, c, d] = bitwise(&[1, 0, 2]);
        assert!([a, b, c, d].iter().all(|&byte| byte != 0), "the case below wants no zero here");
        let mut out = [0xAA; 16];
        assert_eq!(encode(&[1, 0, 2], &mut out), Ok(10));
        assert_eq!(out[..11], [0, 2, 1, 6, 2, a, b, c, d, 0, 0xAA]);
    }

    #[test]
    fn limits_are_refused() {
        let mut out = [0; FRAME_BYTES_MAX];
        assert_eq!(encode(&[], &mut out), Err(FrameError::Empty));
        assert_eq!(encode(&[1; PACKET_BYTES_MAX + 1], &mut out), Err(FrameError::Long));
        let whole = encode(&[1; PACKET_BYTES_MAX], &mut out).unwrap();
        assert!(whole <= FRAME_BYTES_MAX);
        for room in 0..whole {
            let packet = [1; PACKET_BYTES_MAX];
            assert_eq!(encode(&packet, &mut out[..room]), Err(FrameError::Room), "{room}");
        }
    }

    #[test]
    fn another_decoder_reads_every_length() {
        let (mut out, mut back) = ([0; FRAME_BYTES_MAX], [0; FRAME_BYTES_MAX]);
        for (length, zero_every) in (1..1100).flat_map(|length| [(length, 7), (length, 2000)]) {
            let mut packet = [0; 1100];
            for (at, byte) in packet.iter_mut().enumerate() {
                *byte = if at % zero_every == 3 { 0 } else { (at % 255) as u8 + 1 };
            }
            let packet = &packet[..length];
            let whole = encode(packet, &mut out).unwrap();
            assert!(whole <= frame_bytes_max(length), "{length}");
            let stuffed = &out[1..whole - 1];
            assert!(stuffed.iter().all(|&byte| byte != 0), "{length}");
            let found = cobs::decode(stuffed, &mut back).unwrap();
            assert_eq!(&back[..found - 4], packet, "{length}");
            assert_eq!(back[found - 4..found], checksum(packet).to_le_bytes(), "{length}");
        }
    }
}
