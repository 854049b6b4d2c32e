//! The markers of a JPEG file, from start to end (ITU-T T.81, annex B).

use super::Header;
use crate::error::Problem;

const REMEDY: &str = "save it as 8-bit RGB or grey JPEG, or as PNG";

/// Walks all segments to the end-of-image marker, which the decoder does not insist on, and gives
/// the size. A file without that marker was cut off and is an error.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Problem> {
    let mut at = 2;
    let (mut size, mut scans) = (None, 0_usize);
    loop {
        let marker = loop {
            match bytes.get(at..) {
                Some([0xff, 0xff, ..]) => at += 1,
                Some([0xff, marker @ (1..), ..]) => break *marker,
                Some([_, _, ..]) => {
                    let what = "there is no marker where one must be";
                    return Err(Problem::new(format!("byte {at}"), what, "replace the file"));
                }
                _ => return Err(Problem::truncated(bytes.len(), "the JPEG data")),
            }
        };
        at += 2;
        match marker {
            0xd9 => break,
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let body = segment(bytes, at)?;
        at += 2 + body.len();
        match marker {
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => size = Some(frame(marker, body, at)?),
            0xda => {
                scans += 1;
                at = skip_scan(bytes, at);
            }
            _ => {}
        }
    }
    match size {
        Some(size) if scans > 0 => Ok(size),
        _ => {
            let what = "the JPEG data ends without an image";
            Err(Problem::new(format!("byte {at}"), what, "replace the file"))
        }
    }
}

/// The body of the segment whose length stands at `at`.
fn segment(bytes: &[u8], at: usize) -> Result<&[u8], Problem> {
    let cut = || Problem::truncated(bytes.len(), "a JPEG segment");
    let Some(&[high, low]) = bytes.get(at..at + 2) else {
        return Err(cut());
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < 2 {
        let what = format!("a segment of length {length}");
        return Err(Problem::new(format!("byte {at}"), what, "replace the file"));
    }
    bytes.get(at + 2..at + length).ok_or_else(cut)
}

/// Precision, size and components from a frame header that ends at `end`.
fn frame(marker: u8, body: &[u8], end: usize) -> Result<Header, Problem> {
    let problem = |what: String| Problem::new(format!("byte {}", end - body.len()), what, REMEDY);
    let &[precision, h1, h0, w1, w0, components, ..] = body else {
        return Err(problem("a frame header that is too short".to_owned()));
    };
    if !matches!(marker, 0xc0..=0xc2) {
        return Err(problem(format!("JPEG process {:#04x}, which is not read", marker)));
    }
    if precision != 8 {
        return Err(problem(format!("JPEG samples of {precision} bits")));
    }
    match components {
        1 | 3 => {}
        4 => return Err(problem("a JPEG of four inks (CMYK)".to_owned())),
        n => return Err(problem(format!("a JPEG of {n} components"))),
    }
    let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
    Ok(Header { width: width.into(), height: height.into() })
}

/// The place of the next marker that is neither stuffing nor restart.
fn skip_scan(bytes: &[u8], from: usize) -> usize {
    let scan = bytes.get(from..).unwrap_or_default();
    let next =
        scan.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xd0..=0xd7 | 0xff));
    from + next.unwrap_or(scan.len())
}
