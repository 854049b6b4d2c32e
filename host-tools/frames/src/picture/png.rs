//! The chunks of a PNG file, from start to end (W3C PNG, third edition, section 5).

use super::Header;
use crate::error::Problem;

/// Walks all chunks to `IEND`, which the decoder does not insist on, and gives the size.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Problem> {
    let mut at = 8;
    let mut size = None;
    loop {
        let cut = || Problem::truncated(bytes.len(), "a PNG chunk");
        let [l3, l2, l1, l0, kind @ ..] = bytes.get(at..at + 8).ok_or_else(cut)? else {
            return Err(cut());
        };
        let length = u32::from_be_bytes([*l3, *l2, *l1, *l0]) as usize;
        let data = at + 8;
        let end = data.checked_add(length).and_then(|e| e.checked_add(4));
        let end = end.filter(|&e| e <= bytes.len()).ok_or_else(cut)?;
        match kind {
            b"IHDR" if at == 8 && length == 13 => {
                let word = |i: usize| {
                    let word = &bytes[data + i..data + i + 4];
                    word.iter().fold(0_u64, |n, &b| n << 8 | u64::from(b))
                };
                size = Some(Header { width: word(0), height: word(4) });
            }
            b"IEND" => break,
            _ => {}
        }
        at = end;
    }
    size.ok_or_else(|| {
        Problem::new("byte 8", "a PNG that does not begin with its header", "replace the file")
    })
}
