//! MCAP files, read from their start to their end: what the index at the end says is not needed, so
//! that a file whose recorder was stopped is read as far as it was written.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Cut;
use super::fields::{Channel, Chunk, Fields, MAGIC, MESSAGE_HEAD, MessageHead, Schema, op};
use crate::error::{FramesError, Problem};
use crate::record::Records;

/// Largest record that is read into memory, packed or unpacked.
const RECORD_MAX: u64 = 256 << 20;

/// Bytes before a record's own: opcode and length.
const RECORD_HEAD: u64 = 9;

/// Chunks that are kept unpacked, for threads that read neighbouring messages.
const KEPT: usize = 8;

/// Where a message's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The chunk that it is in, by the place of its record in the file.
    chunk: Option<u64>,
    /// From the start of the unpacked chunk, or of the file.
    start: u64,
    len: usize,
}

/// What comes along on the way through a file, in its order.
pub(super) enum Event<'a> {
    Profile(String),
    Chunk {
        compressed: bool,
    },
    Schema(Schema),
    Channel(Channel),
    Message {
        head: MessageHead,
        place: Place,
        data: &'a [u8],
    },
    /// The place of an attachment's record after its head, and its length.
    Attachment {
        start: u64,
        len: u64,
    },
    Metadata(&'a [u8]),
    Private {
        op: u8,
        data: &'a [u8],
        in_chunk: bool,
    },
}

/// An opened file.
pub(super) struct Mcap {
    pub records: Records,
    kept: Mutex<VecDeque<(u64, Unpacked)>>,
}

/// A chunk that one reader unpacks for all; `Err` where it changed since the file was opened.
type Unpacked = Arc<OnceLock<Result<Vec<u8>, ()>>>;

type Visit<'a> = &'a mut dyn FnMut(Event<'_>) -> Result<(), FramesError>;

impl Mcap {
    /// A file that begins as MCAP does.
    pub fn new(records: Records) -> Self {
        Mcap { records, kept: Mutex::default() }
    }

    fn malformed(&self, problem: Problem) -> FramesError {
        FramesError::malformed(self.records.path(), problem)
    }

    /// Goes through the file; says where it was cut off, if it was.
    pub fn walk(&self, visit: Visit<'_>) -> Result<Option<Cut>, FramesError> {
        let end = self.records.len();
        let mut at = MAGIC.len() as u64;
        loop {
            let cut = Ok(Some(Cut { byte: at }));
            if end - at < RECORD_HEAD {
                return cut;
            }
            let head = self.records.read(at, RECORD_HEAD as usize)?;
            let length = u64::from_le_bytes(head[1..].try_into().unwrap_or_default());
            let start = at + RECORD_HEAD;
            // What a file system put in place of what was never written is zero.
            if head[0] == 0 || length > end - start {
                return cut;
            }
            match head[0] {
                op::DATA_END | op::FOOTER => {
                    let closed = end - start >= length + MAGIC.len() as u64
                        && self.records.read(end - MAGIC.len() as u64, MAGIC.len())? == MAGIC;
                    return if closed { Ok(None) } else { cut };
                }
                op::ATTACHMENT => visit(Event::Attachment { start, len: length })?,
                op::HEADER
                | op::SCHEMA
                | op::CHANNEL
                | op::MESSAGE
                | op::CHUNK
                | op::METADATA
                | op::PRIVATE.. => self.record(head[0], at, length, visit)?,
                _ => {}
            }
            at = start + length;
        }
    }

    /// One record at byte `at` that is read into memory.
    fn record(&self, op: u8, at: u64, length: u64, visit: Visit<'_>) -> Result<(), FramesError> {
        if length > RECORD_MAX {
            let what = format!("a record of {length} bytes");
            let remedy = "256 MiB is the most: record with smaller chunks";
            return Err(self.malformed(Problem::new(format!("byte {at}"), what, remedy)));
        }
        let start = at + RECORD_HEAD;
        let body = self.records.read(start, length as usize)?;
        if op != op::CHUNK {
            let place = |len| Place { chunk: None, start: start + MESSAGE_HEAD as u64, len };
            let event = event(op, &body, place).ok_or_else(|| self.malformed(lies(at)))?;
            return match event {
                Some(event) => visit(event),
                None => Ok(()),
            };
        }
        let chunk = Fields::new(&body).chunk().ok_or_else(|| self.malformed(lies(at)))?;
        visit(Event::Chunk { compressed: !chunk.compression.is_empty() })?;
        let unpacked = unpack(&chunk, at).map_err(|problem| self.malformed(problem))?;
        let mut fields = Fields::new(&unpacked);
        while fields.left() > 0 {
            let wrong = || self.malformed(lies_inside(at, unpacked.len()));
            let (op, body) = fields.record().ok_or_else(wrong)?;
            let start = (unpacked.len() - fields.left() - body.len() + MESSAGE_HEAD) as u64;
            let place = |len| Place { chunk: Some(at), start, len };
            match event(op, body, place).ok_or_else(wrong)? {
                Some(Event::Private { op, data, .. }) => {
                    visit(Event::Private { op, data, in_chunk: true })?;
                }
                Some(event) => visit(event)?,
                None => {}
            }
        }
        Ok(())
    }

    /// The bytes of a message.
    pub fn read(&self, place: Place) -> Result<Vec<u8>, FramesError> {
        let Place { chunk, start, len } = place;
        let Some(at) = chunk else { return self.records.read(start, len) };
        let unpacked = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.iter().find(|(known, _)| *known == at) {
                Some((_, unpacked)) => Arc::clone(unpacked),
                None => {
                    let unpacked = Unpacked::default();
                    kept.push_back((at, Arc::clone(&unpacked)));
                    if kept.len() > KEPT {
                        kept.pop_front();
                    }
                    unpacked
                }
            }
        };
        // Whoever comes first unpacks; others wait for this chunk alone.
        let unpacked = unpacked.get_or_init(|| self.unpack_at(at).map_err(|_| ()));
        let changed = || {
            let what = "the chunk is not what it was when the file was opened";
            let problem = Problem::new(format!("byte {at}"), what, "read it when it is complete");
            self.malformed(problem)
        };
        let unpacked = unpacked.as_ref().map_err(|()| changed())?;
        let start = start as usize;
        Ok(unpacked.get(start..start + len).ok_or_else(changed)?.to_vec())
    }

    fn unpack_at(&self, at: u64) -> Result<Vec<u8>, Problem> {
        let read = |start, count| self.records.read(start, count).map_err(|_| lies(at));
        let head = read(at, RECORD_HEAD as usize)?;
        let length = u64::from_le_bytes(head[1..].try_into().unwrap_or_default());
        if length > RECORD_MAX {
            return Err(lies(at));
        }
        let body = read(at + RECORD_HEAD, length as usize)?;
        unpack(&Fields::new(&body).chunk().ok_or_else(|| lies(at))?, at)
    }
}

fn event<'a>(op: u8, body: &'a [u8], place: impl Fn(usize) -> Place) -> Option<Option<Event<'a>>> {
    let fields = Fields::new(body);
    Some(Some(match op {
        op::HEADER => Event::Profile(fields.header()?),
        op::SCHEMA => Event::Schema(fields.schema()?),
        op::CHANNEL => Event::Channel(fields.channel()?),
        op::MESSAGE => {
            let data = body.get(MESSAGE_HEAD..)?;
            Event::Message { head: fields.message_head()?, place: place(data.len()), data }
        }
        op::METADATA => Event::Metadata(body),
        op::PRIVATE.. => Event::Private { op, data: body, in_chunk: false },
        _ => return Some(None),
    }))
}

fn lies(at: u64) -> Problem {
    let what = "a record contradicts its own lengths";
    Problem::new(format!("byte {at}"), what, "`mcap recover` keeps what is whole")
}

fn lies_inside(at: u64, len: usize) -> Problem {
    let what = format!("a record inside the chunk of {len} bytes contradicts its own lengths");
    Problem::new(format!("byte {at}"), what, "`mcap recover` keeps what is whole")
}

fn unpack(chunk: &Chunk<'_>, at: u64) -> Result<Vec<u8>, Problem> {
    let problem = |what: String| {
        Problem::new(
            format!("byte {at}"),
            what,
            "copy it again; `mcap recover` keeps what is whole",
        )
    };
    if chunk.size > RECORD_MAX {
        return Err(problem(format!("a chunk of {} bytes, 256 MiB is the most", chunk.size)));
    }
    let broken = |error: String| problem(format!("the chunk cannot be unpacked ({error})"));
    let bounded = |reader: &mut dyn Read| {
        let mut bytes = Vec::new();
        let read = reader.take(chunk.size + 1).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| broken(error.to_string()))
    };
    let bytes = match chunk.compression.as_str() {
        "" => chunk.data.to_vec(),
        "zstd" => {
            let decoder = zstd::stream::read::Decoder::with_buffer(chunk.data);
            bounded(&mut decoder.map_err(|error| broken(error.to_string()))?)?
        }
        "lz4" => bounded(&mut lz4_flex::frame::FrameDecoder::new(chunk.data))?,
        other => {
            let other: String = other.chars().take(40).collect();
            let remedy = "zstd and lz4 are read: convert it with `mcap compress`";
            let what = format!("a chunk in the compression {other:?}");
            return Err(Problem::new(format!("byte {at}"), what, remedy));
        }
    };
    if bytes.len() as u64 != chunk.size {
        return Err(problem(format!("the chunk is not of the {} bytes that it says", chunk.size)));
    }
    let mut crc = flate2::Crc::new();
    crc.update(&bytes);
    if chunk.crc != 0 && crc.sum() != chunk.crc {
        return Err(problem("the chunk's check sum is wrong".to_owned()));
    }
    Ok(bytes)
}
