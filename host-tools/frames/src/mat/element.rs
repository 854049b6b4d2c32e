//! The elements of a MAT-file of level 5: tags, compression, headers of arrays, their data.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::REMEDY;
use crate::error::{FramesError, Problem};
use crate::record::Records;

/// Text, offset of more data, version, byte order.
const HEADER: u64 = 128;
/// Deflate never packs better than 1032 to 1 (<https://zlib.net/zlib_tech.html>).
const DEFLATE_BEST: u64 = 1032;
/// Longest list of dimensions, and longest name, in bytes.
const SMALL_MAX: u64 = 256;
/// Most labels.
const NUMBERS_MAX: u64 = 1 << 24;

const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT16: u32 = 3;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const SINGLE: u32 = 7;
const DOUBLE: u32 = 9;
const INT64: u32 = 12;
const UINT64: u32 = 13;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Classes of arrays by their number, from 1.
const CLASSES: [&str; 15] = [
    "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16",
    "uint16", "int32", "uint32", "int64", "uint64",
];
const CLASS_UINT8: u8 = 9;
/// Classes from here on are numbers.
const CLASS_DOUBLE: u8 = 6;
/// The array has imaginary parts.
const COMPLEX: u8 = 8;

/// The elements of a file in order.
pub(super) struct Elements<'a> {
    path: &'a Path,
    file: File,
    len: u64,
    next: u64,
}

/// What stands in an element, from its array's first part on.
pub(super) struct Body {
    reader: Box<dyn Read>,
    /// Where the next part stands in the file, unless it is compressed.
    at: Option<u64>,
    /// Most bytes that can follow.
    left: u64,
}

/// The header of an array, up to its data.
pub(super) struct Matrix {
    class: u8,
    complex: bool,
    pub dimensions: Vec<u64>,
    pub name: String,
}

/// A part's type and length, and its bytes when they stand in the tag.
struct Tag {
    kind: u32,
    len: u64,
    inside: Option<[u8; 4]>,
}

fn wrong(what: impl Into<String>) -> Problem {
    Problem::new("", what, REMEDY)
}

fn broken(error: &io::Error) -> Problem {
    let what = format!("the data is broken or ends early ({error})");
    Problem::new("", what, "the file is truncated or damaged: copy or download it again")
}

impl<'a> Elements<'a> {
    /// Reads the header.
    pub fn open(path: &'a Path) -> Result<Self, FramesError> {
        let open = || {
            let mut file = File::open(path)?;
            let len = file.metadata()?.len();
            let mut header = Vec::new();
            Read::by_ref(&mut file).take(HEADER).read_to_end(&mut header)?;
            Ok((file, len, header))
        };
        let (file, len, header) =
            open().map_err(|error| FramesError::io(path, "cannot read", error))?;
        let problem = match header.get(124..) {
            Some([0, 1, b'I', b'M']) => return Ok(Elements { path, file, len, next: HEADER }),
            Some([_, _, b'M', b'I']) => wrong("a big-endian MAT-file: save it on another machine"),
            Some([0, 2, ..]) => wrong("a MAT-file of version 7.3 (HDF5): save it with -v7"),
            Some(_) if header.len() as u64 == HEADER => wrong("a MAT-file of unknown version"),
            _ => Problem::truncated(header.len(), "the header"),
        };
        Err(FramesError::malformed(path, problem))
    }

    /// The next element, after all that the file has of it was found to be there.
    pub fn next(&mut self) -> Result<Option<Body>, Problem> {
        if self.next == self.len {
            return Ok(None);
        }
        let cut = |end: u64| Problem::truncated(end as usize, "an element");
        let start = self.next;
        let mut tag = [0; 8];
        let place = self.file.seek(SeekFrom::Start(start));
        place.and_then(|_| self.file.read_exact(&mut tag)).map_err(|_| cut(self.len))?;
        let [k0, k1, k2, k3, l0, l1, l2, l3] = tag;
        let kind = u32::from_le_bytes([k0, k1, k2, k3]);
        let len = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
        let end = start + 8 + len;
        if end > self.len {
            return Err(cut(self.len));
        }
        self.next = end;
        let at = start + 8;
        let packed = self.part(at, len).map_err(|error| broken(&error))?;
        match kind {
            MATRIX => Ok(Some(Body { reader: Box::new(packed), at: Some(at), left: len })),
            COMPRESSED => {
                let left = len.saturating_mul(DEFLATE_BEST);
                let reader = Box::new(ZlibDecoder::new(packed));
                let mut body = Body { reader, at: None, left };
                let inner = body.tag()?;
                if inner.kind != MATRIX || inner.len > body.left {
                    let what = format!("byte {at}: no array of the stated size is packed here");
                    return Err(wrong(what));
                }
                Ok(Some(body))
            }
            other => {
                let what = format!("an element of type {other}, which is no array");
                Err(Problem::new(format!("byte {start}"), what, REMEDY))
            }
        }
    }

    /// A stretch of the file by a handle of its own.
    fn part(&self, at: u64, len: u64) -> io::Result<io::Take<BufReader<File>>> {
        let mut file = File::open(self.path)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(BufReader::new(file).take(len))
    }
}

impl Body {
    fn read<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| broken(&error))?;
        self.at = self.at.map(|at| at + N as u64);
        self.left = self.left.saturating_sub(N as u64);
        Ok(bytes)
    }

    /// A tag; in the short form the data of up to 4 bytes stands in it.
    fn tag(&mut self) -> Result<Tag, Problem> {
        let [k0, k1, k2, k3, data @ ..] = self.read::<8>()?;
        let (kind, second) = (u32::from_le_bytes([k0, k1, k2, k3]), u32::from_le_bytes(data));
        match kind >> 16 {
            0 => Ok(Tag { kind, len: second.into(), inside: None }),
            len @ 1..=4 => Ok(Tag { kind: kind & 0xffff, len: len.into(), inside: Some(data) }),
            len => Err(wrong(format!("a short part of {len} bytes"))),
        }
    }

    /// A part of at most `most` bytes, and its type.
    fn small(&mut self, what: &str, most: u64) -> Result<(u32, Vec<u8>), Problem> {
        let tag = self.tag()?;
        if tag.len > most {
            return Err(wrong(format!("{what} of {} bytes, at most {most} are read", tag.len)));
        }
        if let Some(inside) = tag.inside {
            return Ok((tag.kind, inside[..tag.len as usize].to_vec()));
        }
        let mut bytes = Vec::new();
        // Parts begin at multiples of 8 bytes.
        let padded = tag.len.next_multiple_of(8);
        let read = Read::by_ref(&mut self.reader).take(padded).read_to_end(&mut bytes);
        read.map_err(|error| broken(&error))?;
        if bytes.len() as u64 != padded && bytes.len() as u64 != tag.len {
            return Err(Problem::new("", format!("the data ends inside {what}"), REMEDY));
        }
        self.at = self.at.map(|at| at + padded);
        self.left = self.left.saturating_sub(padded);
        bytes.truncate(tag.len as usize);
        Ok((tag.kind, bytes))
    }

    /// The header of the array; `None` for those that hold no numbers.
    pub fn matrix(&mut self) -> Result<Option<Matrix>, Problem> {
        let (kind, flags) = self.small("the flags of an array", 8)?;
        let (UINT32, &[class, bits, ..]) = (kind, flags.as_slice()) else {
            return Err(wrong("an array that does not begin with its flags"));
        };
        if !(CLASS_DOUBLE..=CLASSES.len() as u8).contains(&class) {
            return Ok(None);
        }
        let (kind, dimensions) = self.small("the dimensions of an array", SMALL_MAX)?;
        let (words, rest) = dimensions.as_chunks::<4>();
        if kind != INT32 || !rest.is_empty() || words.len() < 2 {
            return Err(wrong("an array without dimensions"));
        }
        let dimension = |&word: &[u8; 4]| u64::try_from(i32::from_le_bytes(word));
        let dimensions = words.iter().map(dimension).collect::<Result<Vec<_>, _>>();
        let dimensions = dimensions.map_err(|_| wrong("an array with a negative dimension"))?;
        let (kind, name) = self.small("the name of an array", SMALL_MAX)?;
        if kind != INT8 {
            return Err(wrong("an array without a name"));
        }
        let name = name.into_iter().map(char::from).collect();
        Ok(Some(Matrix { class, complex: bits & COMPLEX != 0, dimensions, name }))
    }

    /// The elements, `total` bytes, and where they begin: in the file, or unpacked.
    pub fn bytes(
        mut self,
        path: &Path,
        matrix: &Matrix,
        total: u64,
    ) -> Result<(Records, u64), Problem> {
        let tag = self.tag()?;
        matrix.check_length(&tag, total, 1)?;
        if let Some(inside) = tag.inside {
            return Ok((Records::unpacked(path, inside[..tag.len as usize].to_vec()), 0));
        }
        if total > self.left {
            return Err(wrong(format!("`{}` is larger than what can be packed here", matrix.name)));
        }
        if let Some(at) = self.at {
            let records = Records::open(path).map_err(|error| wrong(error.to_string()))?;
            return Ok((records, at));
        }
        let bytes = self.rest(total)?;
        Ok((Records::unpacked(path, bytes), 0))
    }

    /// `count` whole numbers, which may be stored in a shorter type than the array's.
    pub fn numbers(mut self, matrix: &Matrix, count: u64) -> Result<Vec<i64>, Problem> {
        let tag = self.tag()?;
        let size = match tag.kind {
            INT8 | UINT8 => 1,
            INT16 | UINT16 => 2,
            INT32 | UINT32 | SINGLE => 4,
            DOUBLE | INT64 | UINT64 => 8,
            other => return Err(wrong(format!("`{}` is stored as type {other}", matrix.name))),
        };
        if count > NUMBERS_MAX {
            return Err(wrong(format!("`{}` has more than {NUMBERS_MAX} elements", matrix.name)));
        }
        matrix.check_length(&tag, count, size)?;
        let bytes = match tag.inside {
            Some(inside) => inside[..tag.len as usize].to_vec(),
            None => self.rest(tag.len)?,
        };
        let numbers = bytes.chunks_exact(size as usize).map(|bytes| number(tag.kind, bytes));
        let numbers: Option<Vec<i64>> = numbers.collect();
        numbers.ok_or_else(|| wrong(format!("`{}` has elements that are not whole", matrix.name)))
    }

    /// The last part's bytes, and the end of the packed data with its check sum.
    fn rest(mut self, total: u64) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        let read = Read::by_ref(&mut self.reader).take(total).read_to_end(&mut bytes);
        read.map_err(|error| broken(&error))?;
        if bytes.len() as u64 != total {
            return Err(broken(&io::ErrorKind::UnexpectedEof.into()));
        }
        let padding = io::copy(&mut self.reader.take(8), &mut io::sink());
        padding.map_err(|error| broken(&error))?;
        Ok(bytes)
    }
}

impl Matrix {
    /// Whether its elements are bytes without a sign.
    pub fn is_bytes(&self) -> bool {
        self.class == CLASS_UINT8 && !self.complex
    }

    /// The name of its class.
    pub fn class(&self) -> &'static str {
        if self.complex { "complex numbers" } else { CLASSES[usize::from(self.class) - 1] }
    }

    fn check_length(&self, tag: &Tag, count: u64, size: u64) -> Result<(), Problem> {
        let right = count.checked_mul(size) == Some(tag.len);
        if right && !self.complex && (size > 1 || matches!(tag.kind, INT8 | UINT8)) {
            return Ok(());
        }
        let Matrix { name, dimensions, .. } = self;
        let Tag { kind, len, .. } = tag;
        Err(wrong(format!("`{name}` of shape {dimensions:?} has {len} bytes of type {kind}")))
    }
}

/// A whole number of a stored type.
fn number(kind: u32, bytes: &[u8]) -> Option<i64> {
    Some(match (kind, bytes) {
        (INT8, &[b]) => i64::from(b as i8),
        (UINT8, &[b]) => i64::from(b),
        (INT16, &[a, b]) => i64::from(i16::from_le_bytes([a, b])),
        (UINT16, &[a, b]) => i64::from(u16::from_le_bytes([a, b])),
        (INT32, &[a, b, c, d]) => i64::from(i32::from_le_bytes([a, b, c, d])),
        (UINT32, &[a, b, c, d]) => i64::from(u32::from_le_bytes([a, b, c, d])),
        (SINGLE, &[a, b, c, d]) => return whole(f32::from_le_bytes([a, b, c, d]).into()),
        (DOUBLE, _) => return whole(f64::from_le_bytes(bytes.try_into().ok()?)),
        (INT64 | UINT64, _) => i64::from_le_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64)
}
