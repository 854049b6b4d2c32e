//! The header of a PPM, PGM or PBM file (Netpbm's `ppm(5)`, `pgm(5)`, `pbm(5)`).

use super::Header;
use crate::error::Problem;

/// Width and height; the largest sample (not in bitmaps) is checked, the decoder scales by it.
pub(super) fn header(bytes: &[u8]) -> Result<Header, Problem> {
    let bitmap = matches!(bytes.get(1), Some(b'1' | b'4'));
    let mut at = 2;
    let mut number = || -> Result<u64, Problem> {
        skip_blanks(bytes, &mut at);
        let digits = bytes.get(at..).unwrap_or_default();
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(&digits[..count]).unwrap_or_default();
        match text.parse::<u64>() {
            Ok(n) if at + count < bytes.len() => {
                at += count;
                Ok(n)
            }
            _ if at + count >= bytes.len() => Err(Problem::truncated(bytes.len(), "the header")),
            _ => {
                let what = "the header has no number where one must be";
                Err(Problem::new(format!("byte {at}"), what, "replace the file"))
            }
        }
    };
    let (width, height) = (number()?, number()?);
    if bitmap {
        return Ok(Header { width, height });
    }
    match number()? {
        1..=65_535 => Ok(Header { width, height }),
        white => {
            let what = format!("the largest sample is {white}, it must be 1 to 65535");
            Err(Problem::new(format!("byte {at}"), what, "replace the file"))
        }
    }
}

/// Passes over white space and comments, which run from `#` to the end of the line.
fn skip_blanks(bytes: &[u8], at: &mut usize) {
    while let Some(&byte) = bytes.get(*at) {
        if byte == b'#' {
            let rest = bytes.get(*at..).unwrap_or_default();
            *at += rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
        } else if byte.is_ascii_whitespace() {
            *at += 1;
        } else {
            break;
        }
    }
}
