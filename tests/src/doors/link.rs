//! The doors of the link: what a device reads of its host, and the host of a device.
//!
//! Both read the bytes as they come off the wire, then the messages in them once more under right
//! tags and numbers, so that damage reaches what only the holder of the key may say.

pub mod answers;
pub mod requests;

use gradgate_link::frame::{FRAME_BYTES_MAX, PACKET_BYTES_MAX, encode};
use gradgate_link::packet::{HEADER_BYTES, Header, Kind, Packet, seal};
use gradgate_link::{Decoder, Key};

/// Key of the link.
pub const KEY: [u8; 32] = [0x5A; 32];

/// The first session of a device in its second start.
pub const SESSION: u64 = 2 << 32 | 1;

/// Messages that are tried under right tags.
const FORGED_MAX: usize = 16;

/// A message as a whole frame.
///
/// # Panics
/// When it is longer than a packet may be.
pub fn framed(header: Header, body: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let mut packet = [0; PACKET_BYTES_MAX];
    packet[HEADER_BYTES..][..body.len()].copy_from_slice(body);
    let length = seal(header, body.len(), &Key::new(key), &mut packet).expect("a short message");
    let mut frame = [0; FRAME_BYTES_MAX];
    let length = encode(&packet[..length], &mut frame).expect("a packet fits");
    frame[..length].to_vec()
}

/// The messages of whole frames with their kinds; bytes that hold no frame are one message.
fn messages(mut bytes: &[u8]) -> Vec<(Option<Kind>, Vec<u8>)> {
    // Header and tag have 29 bytes.
    let cut = |bytes: &[u8]| bytes[..bytes.len().min(PACKET_BYTES_MAX - 29)].to_vec();
    let (all, mut found) = (bytes, Vec::new());
    let mut decoder: Decoder = Decoder::new();
    while let Some(packet) = decoder.feed(&mut bytes) {
        if found.len() < FORGED_MAX {
            let parsed = Packet::parse(packet);
            let body = parsed.as_ref().map_or(packet, |packet| packet.body);
            found.push((parsed.map(|packet| packet.kind), cut(body)));
        }
    }
    if found.is_empty() {
        found.push((None, cut(all)));
    }
    found
}
