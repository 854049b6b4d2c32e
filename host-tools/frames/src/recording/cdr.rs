//! Values of a ROS 2 message in CDR (OMG, Common Data Representation): plain CDR of either byte
//! order, and plain XCDR2, which is the same for values of at most 4 bytes.

use crate::error::Problem;

/// A message, read from its start.
pub(super) struct Cdr<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

/// Bytes before the values: what they are encoded in, and options.
const HEADER: usize = 4;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl<'a> Cdr<'a> {
    /// Reads the header of a message.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Problem> {
        let little = match bytes {
            [0, 0 | 6, _, _, ..] => false,
            [0, 1 | 7, _, _, ..] => true,
            _ if bytes.starts_with(&ZSTD) => {
                let remedy = "unpack the bag first, as `ros2 bag convert` does";
                return Err(Problem::new("", "the message is compressed by the recorder", remedy));
            }
            [a, b, _, _, ..] => {
                let what =
                    format!("the message begins with {a:02x} {b:02x}, which is no plain CDR");
                return Err(Problem::new("byte 0 of the message", what, "record it as CDR"));
            }
            _ => return Err(short(0, "its header")),
        };
        Ok(Cdr { bytes, at: HEADER, little })
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Problem> {
        let end = self.at.checked_add(count);
        let found = end.and_then(|end| self.bytes.get(self.at..end));
        let found = found.ok_or_else(|| short(self.at, what))?;
        self.at += count;
        Ok(found)
    }

    /// A byte.
    pub fn u8(&mut self, what: &str) -> Result<u8, Problem> {
        Ok(self.take(1, what)?[0])
    }

    /// Four bytes, at a multiple of four from the end of the header.
    pub fn u32(&mut self, what: &str) -> Result<u32, Problem> {
        self.at = HEADER + (self.at - HEADER).next_multiple_of(4);
        let bytes = self.take(4, what)?;
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        Ok(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// As [`Cdr::u32`], for a number of something.
    pub fn count(&mut self, what: &str) -> Result<usize, Problem> {
        Ok(self.u32(what)? as usize)
    }

    /// A text; its length counts the zero byte at its end.
    pub fn text(&mut self, what: &str) -> Result<String, Problem> {
        let bytes = self.bytes(what)?;
        let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// A sequence of bytes.
    pub fn bytes(&mut self, what: &str) -> Result<&'a [u8], Problem> {
        let count = self.count(what)?;
        self.take(count, what)
    }
}

/// A message under construction, in little-endian plain CDR.
pub struct CdrWriter(Vec<u8>);

impl Default for CdrWriter {
    fn default() -> Self {
        CdrWriter(vec![0, 1, 0, 0])
    }
}

impl CdrWriter {
    fn aligned<const N: usize>(&mut self, bytes: [u8; N]) {
        let values = self.0.len() - HEADER;
        self.0.resize(HEADER + values.next_multiple_of(N), 0);
        self.0.extend(bytes);
    }

    /// A byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// `int32`.
    pub fn i32(&mut self, value: i32) {
        self.aligned(value.to_le_bytes());
    }

    /// `uint32`, also the length before a sequence.
    pub fn u32(&mut self, value: u32) {
        self.aligned(value.to_le_bytes());
    }

    /// `uint64`.
    pub fn u64(&mut self, value: u64) {
        self.aligned(value.to_le_bytes());
    }

    /// `float32`.
    pub fn f32(&mut self, value: f32) {
        self.aligned(value.to_le_bytes());
    }

    /// `float64`.
    pub fn f64(&mut self, value: f64) {
        self.aligned(value.to_le_bytes());
    }

    /// `string`; it ends at the first zero byte.
    pub fn text(&mut self, text: &str) {
        let text = text.split('\0').next().unwrap_or_default();
        self.u32(text.len() as u32 + 1);
        self.0.extend(text.bytes());
        self.0.push(0);
    }

    /// `builtin_interfaces/msg/Time`, as far as its seconds reach.
    pub fn time(&mut self, time_ns: i64) {
        const SECOND: i64 = 1_000_000_000;
        let seconds = time_ns.div_euclid(SECOND);
        self.i32(i32::try_from(seconds).unwrap_or(i32::MAX));
        self.u32(time_ns.rem_euclid(SECOND) as u32);
    }

    /// The message.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

fn short(at: usize, inside: &str) -> Problem {
    Problem::new(
        format!("byte {at} of the message"),
        format!("it ends inside {inside}"),
        "the message was not recorded whole: leave it out, or record it again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_byte_order_and_alignment() {
        let little = b"\0\x01\0\0\x03\0\0\0ab\0\x07\x05\0\0\0\x02\0\0\0xy";
        let big = b"\0\0\0\0\0\0\0\x03ab\0\x07\0\0\0\x05\0\0\0\x02xy";
        for bytes in [&little[..], big] {
            let mut cdr = Cdr::new(bytes).unwrap();
            assert_eq!(cdr.text("a").unwrap(), "ab");
            assert_eq!(cdr.u8("b").unwrap(), 7);
            assert_eq!(cdr.u32("c").unwrap(), 5);
            assert_eq!(cdr.bytes("d").unwrap(), b"xy");
            assert!(cdr.u8("e").is_err());
            for length in 0..bytes.len() {
                let read = || {
                    let mut cdr = Cdr::new(&bytes[..length])?;
                    cdr.text("a")?;
                    cdr.u32("c")?;
                    cdr.bytes("d")
                };
                assert!(read().is_err(), "{length}");
            }
        }
        // Alignment is skipped before the next number.
        let padded = b"\0\x01\0\0\x01\x09\x09\x09\x05\0\0\0";
        let mut cdr = Cdr::new(padded).unwrap();
        assert_eq!((cdr.u8("a").unwrap(), cdr.u32("b").unwrap()), (1, 5));
    }

    #[test]
    fn what_is_written_is_aligned_from_the_header() {
        let mut cdr = CdrWriter::default();
        cdr.u8(7);
        cdr.text("ab");
        cdr.u64(1);
        cdr.time(-1);
        cdr.f32(0.5);
        // A number of eight bytes stands at 16 after the header.
        let expected = [
            &b"\0\x01\0\0\x07\0\0\0\x03\0\0\0ab\0"[..],
            &[0; 5],
            b"\x01\0\0\0\0\0\0\0",
            b"\xff\xff\xff\xff\xff\xc9\x9a\x3b",
            b"\0\0\0\x3f",
        ];
        assert_eq!(cdr.finish(), expected.concat());
    }

    #[test]
    fn lengths_beyond_the_message_and_other_encodings_are_refused() {
        let cases: [(&[u8], &str); 5] = [
            (b"\0\x01\0\0\xff\xff\xff\xff", "ends inside"),
            (b"\0\x03\0\0\0\0\0\0", "no plain CDR"),
            (b"\x28\xb5\x2f\xfd\0\0", "compressed by the recorder"),
            (b"", "ends inside"),
            (b"\0\x01\0", "ends inside"),
        ];
        for (bytes, says) in cases {
            let error = Cdr::new(bytes).and_then(|mut cdr| cdr.bytes("x")).unwrap_err();
            assert!(error.what.contains(says), "{error:?}");
        }
    }
}
