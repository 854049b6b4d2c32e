//! Recordings written out by hand, and lengths that lie.

use crate::{Seed, seed};

const MAGIC: &[u8] = b"\x89MCAP0\r\n";
const COMPRESSED_IMAGE: &str = "sensor_msgs/msg/CompressedImage";

fn record(op: u8, body: &[u8]) -> Vec<u8> {
    [&[op][..], &(body.len() as u64).to_le_bytes(), body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A message with a PPM of one pixel.
fn message() -> Vec<u8> {
    let picture = b"P6 1 1 255\nabc";
    let length = (picture.len() as u32).to_le_bytes();
    // Stamp, an empty frame, an empty format, each padded to four bytes.
    let words = [0_u32, 0, 1, 0, 1, 0].map(u32::to_le_bytes).concat();
    let cdr = [&[0, 1, 0, 0][..], &words, &length, picture].concat();
    record(5, &[&[1, 0][..], &[0; 20], &cdr].concat())
}

fn head() -> Vec<u8> {
    let schema = [&[1, 0][..], &text(COMPRESSED_IMAGE), &text("ros2msg"), &[0; 4]].concat();
    let channel = [&[1, 0, 1, 0][..], &text("/cam"), &text("cdr"), &[0; 4]].concat();
    let header = [text("ros2"), text("")].concat();
    [MAGIC, &record(1, &header), &record(3, &schema), &record(4, &channel)].concat()
}

fn end() -> Vec<u8> {
    [&record(15, &[0; 4])[..], &record(2, &[0; 20]), MAGIC].concat()
}

/// A chunk that says `size` for its records, in a compression.
fn chunk(size: u64, compression: &str, records: &[u8]) -> Vec<u8> {
    let length = (records.len() as u64).to_le_bytes();
    let body = [&[0; 16][..], &size.to_le_bytes(), &[0; 4], &text(compression), &length, records];
    record(6, &body.concat())
}

fn file(middle: &[u8]) -> Vec<u8> {
    [&head()[..], middle, &end()].concat()
}

pub fn seeds() -> Vec<Seed> {
    let one = message();
    let mut beyond = one.clone();
    beyond[1..9].copy_from_slice(&u64::MAX.to_le_bytes());
    vec![
        seed("valid-plain.mcap", file(&one)),
        seed("valid-chunk.mcap", file(&chunk(one.len() as u64, "", &one))),
        seed("attack-chunk_size.mcap", file(&chunk(1 << 60, "", &one))),
        seed("attack-chunk_short.mcap", file(&chunk(9, "zstd", &one))),
        seed("attack-record_beyond_the_file.mcap", file(&beyond)),
        seed("attack-record_beyond_the_chunk.mcap", file(&chunk(one.len() as u64, "", &beyond))),
        seed("attack-empty.mcap", [MAGIC, &end()].concat()),
        seed("attack-header.db3", b"SQLite format 3\0\x02\0\x01\x01\0\x40\x20\x20".to_vec()),
    ]
}
