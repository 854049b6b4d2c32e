//! The bytes of a pickle in order, through a window, with long texts passed over.

use super::{REMEDY, Span};
use crate::error::{FramesError, Problem};
use crate::record::Records;

/// Bytes that are read at a time.
const WINDOW: usize = 16 << 10;

/// A place in a file, and the bytes around it.
pub(super) struct Source<'a> {
    records: &'a Records,
    /// Where the window begins.
    start: u64,
    window: Vec<u8>,
    /// Within the window, or behind its end.
    next: usize,
}

impl<'a> Source<'a> {
    /// Before the first byte.
    pub fn new(records: &'a Records) -> Self {
        Source { records, start: 0, window: Vec::new(), next: 0 }
    }

    /// The place of the next byte.
    pub fn at(&self) -> u64 {
        self.start + self.next as u64
    }

    fn ended(&self) -> Problem {
        Problem::truncated(self.records.len() as usize, "the pickle")
    }

    fn read(&self, start: u64, count: usize) -> Result<Vec<u8>, Problem> {
        self.records.read(start, count).map_err(|error| match error {
            FramesError::Malformed { at, what, remedy, .. } => Problem { at, what, remedy },
            other => Problem::new(format!("byte {start}"), other.to_string(), REMEDY),
        })
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Problem> {
        if self.next >= self.window.len() {
            let at = self.at();
            let left = self.records.len().saturating_sub(at);
            if left == 0 {
                return Err(self.ended());
            }
            self.window = self.read(at, left.min(WINDOW as u64) as usize)?;
            (self.start, self.next) = (at, 0);
        }
        let byte = self.window[self.next];
        self.next += 1;
        Ok(byte)
    }

    /// Passes over bytes, which must be there.
    pub fn skip(&mut self, count: usize) -> Result<(), Problem> {
        let end = self.at().checked_add(count as u64).filter(|&end| end <= self.records.len());
        match end {
            Some(end) => {
                self.next = (end - self.start) as usize;
                Ok(())
            }
            None => Err(self.ended()),
        }
    }

    /// A number of up to 8 bytes, the least first.
    pub fn integer(&mut self, bytes: usize, signed: bool) -> Result<i64, Problem> {
        let mut value = 0_u64;
        for place in 0..bytes {
            value |= u64::from(self.byte()?) << (8 * place);
        }
        let unused = 64 - 8 * bytes as u32;
        let extended = ((value << unused) as i64) >> unused;
        Ok(if signed { extended } else { value as i64 })
    }

    /// A text whose length stands before it, in so many bytes; it is passed over.
    pub fn span(&mut self, length: usize) -> Result<Span, Problem> {
        let len = self.integer(length, false)?;
        let start = self.at();
        let len = u32::try_from(len).map_err(|_| self.ended())?;
        self.skip(len as usize)?;
        // The whole file is shorter than 4 GiB.
        Ok(Span { start: start as u32, len })
    }

    /// A short text, read where it stands; bytes are taken for Latin-1.
    pub fn text(&self, span: Span) -> Result<String, Problem> {
        let bytes = self.read(u64::from(span.start), span.len as usize)?;
        Ok(bytes.into_iter().map(char::from).collect())
    }

    /// A line of at most `most` bytes, without its end.
    pub fn line(&mut self, most: usize) -> Result<String, Problem> {
        let at = self.at();
        let mut line = String::new();
        loop {
            match self.byte()? {
                b'\n' => return Ok(line),
                byte if line.len() < most => line.push(char::from(byte)),
                _ => {
                    let what = format!("a name of more than {most} bytes");
                    return Err(Problem::new(format!("byte {at}"), what, REMEDY));
                }
            }
        }
    }
}
