//! The device's side: pieces in order into a [`Sink`].

use sha2::{Digest as _, Sha256};

use crate::message::{Digest, Refusal, Reply, Request};

/// Where an upload goes, such as the slot that is not active.
pub trait Sink {
    /// Make room for an upload, unless `prefix`, its first bytes, forbids it. Tells how many bytes
    /// of this very upload are there from before a restart; 0: what was there is gone.
    fn begin(&mut self, upload: &Announced<'_>) -> Result<u32, SinkError>;
    /// Read bytes back that were there at the beginning; `false` where they cannot be read.
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> bool;
    /// Take bytes; offsets come in order and without gaps.
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SinkError>;
    /// All bytes are there, and their digest is right.
    fn finish(&mut self, total_bytes: u32, digest: &Digest) -> Result<(), SinkError>;
}

/// What a host wants to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced<'a> {
    /// Length of the bundle.
    pub total_bytes: u32,
    /// SHA-256 of the bundle.
    pub digest: Digest,
    /// The bundle's first bytes; nobody compared them with the digest yet.
    pub prefix: &'a [u8],
}

/// Why a sink took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkError {
    /// Still at work; nothing was taken, the same is welcome later.
    NotNow,
    /// The sink does not want the upload, for this reason; the upload is over.
    Refused(Refusal),
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    Receiving { total_bytes: u32, digest: Digest, offset: u32, hash: Sha256 },
    Complete { total_bytes: u32, digest: Digest },
}

/// How far an upload came.
#[derive(Clone, Debug)]
pub struct Receiver {
    state: State,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// No upload.
    pub fn new() -> Receiver {
        Receiver { state: State::Idle }
    }

    /// Forgets the upload, as when its slot was erased.
    pub fn abandon(&mut self) {
        self.state = State::Idle;
    }

    /// Answers the requests of an upload; `None` for others. What a sink kept over a restart is
    /// read back at once: a device gives that its time, and closes its gate first.
    pub fn answer(
        &mut self,
        request: &Request<'_>,
        sink: &mut impl Sink,
    ) -> Option<Reply<'static>> {
        let result = match *request {
            Request::UploadBegin { total_bytes, digest, prefix } => {
                self.begin(&Announced { total_bytes, digest, prefix }, sink)
            }
            Request::UploadChunk { offset, bytes } => self.chunk(offset, bytes, sink),
            Request::UploadFinish => self.finish(sink).map(|()| Reply::Done),
            _ => return None,
        };
        Some(result.unwrap_or_else(Reply::Refused))
    }

    fn begin(
        &mut self,
        upload: &Announced<'_>,
        sink: &mut impl Sink,
    ) -> Result<Reply<'static>, Refusal> {
        let (total_bytes, digest) = (upload.total_bytes, upload.digest);
        let known = match &self.state {
            State::Idle => None,
            State::Receiving { total_bytes, digest, offset, .. } => {
                Some((*total_bytes, *digest, *offset))
            }
            State::Complete { total_bytes, digest } => Some((*total_bytes, *digest, *total_bytes)),
        };
        if let Some((known_bytes, known_digest, offset)) = known
            && (known_bytes, known_digest) == (total_bytes, digest)
        {
            return Ok(Reply::Upload { offset });
        }
        if total_bytes == 0 {
            return Err(Refusal::Range);
        }
        // From here on the sink may have lost what it had.
        self.state = State::Idle;
        let offset = sink.begin(upload).map_err(refusal)?;
        if offset > total_bytes {
            return Err(Refusal::Storage);
        }
        let hash = hash_kept(offset, sink).ok_or(Refusal::Storage)?;
        self.state = State::Receiving { total_bytes, digest, offset, hash };
        Ok(Reply::Upload { offset })
    }

    fn chunk(
        &mut self,
        at: u32,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<Reply<'static>, Refusal> {
        let (total_bytes, offset, hash) = match &mut self.state {
            State::Receiving { total_bytes, offset, hash, .. } => (*total_bytes, offset, hash),
            State::Complete { total_bytes, .. } => {
                return Ok(Reply::Upload { offset: *total_bytes });
            }
            State::Idle => return Err(Refusal::State),
        };
        if at != *offset {
            return Ok(Reply::Upload { offset: *offset });
        }
        let end = u32::try_from(bytes.len()).ok().and_then(|length| at.checked_add(length));
        let Some(end) = end.filter(|end| *end > at && *end <= total_bytes) else {
            return Err(Refusal::Range);
        };
        if let Err(error) = sink.write(at, bytes) {
            if error != SinkError::NotNow {
                self.state = State::Idle;
            }
            return Err(refusal(error));
        }
        hash.update(bytes);
        *offset = end;
        Ok(Reply::Upload { offset: end })
    }

    fn finish(&mut self, sink: &mut impl Sink) -> Result<(), Refusal> {
        let (total_bytes, digest, found) = match &self.state {
            State::Complete { .. } => return Ok(()),
            State::Receiving { total_bytes, digest, offset, hash } if offset == total_bytes => {
                (*total_bytes, *digest, Digest::from(hash.clone().finalize()))
            }
            State::Receiving { .. } | State::Idle => return Err(Refusal::State),
        };
        if found != digest {
            self.state = State::Idle;
            return Err(Refusal::Digest);
        }
        match sink.finish(total_bytes, &digest) {
            Ok(()) => self.state = State::Complete { total_bytes, digest },
            Err(SinkError::NotNow) => return Err(Refusal::NotNow),
            Err(error) => {
                self.state = State::Idle;
                return Err(refusal(error));
            }
        }
        Ok(())
    }
}

/// The hash goes over what is there from before a restart as well.
fn hash_kept(end: u32, sink: &mut impl Sink) -> Option<Sha256> {
    let (mut hash, mut offset, mut buffer) = (Sha256::new(), 0, [0; 256]);
    while offset < end {
        let length = (end - offset).min(buffer.len() as u32);
        let piece = buffer.get_mut(..length as usize)?;
        if !sink.read(offset, piece) {
            return None;
        }
        hash.update(&*piece);
        offset += length;
    }
    Some(hash)
}

fn refusal(error: SinkError) -> Refusal {
    match error {
        SinkError::NotNow => Refusal::NotNow,
        SinkError::Refused(refusal) => refusal,
    }
}
