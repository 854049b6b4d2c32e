//! What a frame holds: kind, session, sequence number, a message, and mostly a tag.

use serde::Serialize;

use crate::frame::PACKET_BYTES_MAX;
use crate::mac::{Key, TAG_BYTES};

/// Kind, session, sequence.
pub const HEADER_BYTES: usize = 13;
/// A message at most, in bytes.
pub const BODY_BYTES_MAX: usize = PACKET_BYTES_MAX - HEADER_BYTES - TAG_BYTES;

/// What a packet is for. Numbers are never used anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Host to device: who is there.
    Hello = 1,
    /// Device to host: a session.
    Welcome = 2,
    /// Host to device: do this.
    Command = 3,
    /// Device to host: what came of it.
    Reply = 4,
    /// Device to host, unasked.
    Telemetry = 5,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] =
        [Kind::Hello, Kind::Welcome, Kind::Command, Kind::Reply, Kind::Telemetry];

    /// Whether its packets end in a tag.
    pub const fn is_tagged(self) -> bool {
        match self {
            Kind::Welcome | Kind::Command | Kind::Reply => true,
            Kind::Hello | Kind::Telemetry => false,
        }
    }
}

/// A packet in its parts; whoever holds one knows nothing of its tag yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'p> {
    /// What it is for.
    pub kind: Kind,
    /// The session; 0: none.
    pub session: u64,
    /// Counts within the session.
    pub sequence: u32,
    /// The message, postcard.
    pub body: &'p [u8],
    /// What the tag covers, and the tag.
    signed: &'p [u8],
    tag: Option<&'p [u8; TAG_BYTES]>,
}

impl<'p> Packet<'p> {
    /// `None` where the kind is unknown or bytes are missing.
    pub fn parse(bytes: &'p [u8]) -> Option<Packet<'p>> {
        let first = *bytes.first()?;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == first)?;
        let (signed, tag) = match kind.is_tagged() {
            true => bytes.split_last_chunk().map(|(signed, tag)| (signed, Some(tag)))?,
            false => (bytes, None),
        };
        let (session, rest) = signed.get(1..)?.split_first_chunk()?;
        let (sequence, body) = rest.split_first_chunk()?;
        let (session, sequence) = (u64::from_le_bytes(*session), u32::from_le_bytes(*sequence));
        Some(Packet { kind, session, sequence, body, signed, tag })
    }

    /// Its tag, for kinds that have one; nobody compared it yet.
    pub fn tag(&self) -> Option<&'p [u8; TAG_BYTES]> {
        self.tag
    }

    /// Whether the holder of `key` wrote it; never so for a kind without a tag.
    pub fn is_authentic(&self, key: &Key) -> bool {
        self.tag.is_some_and(|tag| key.is_tag(self.signed, tag))
    }
}

/// The parts that a packet starts with.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// The session; 0: none.
    pub session: u64,
    /// Counts within the session.
    pub sequence: u32,
}

/// Writes a packet to the start of `out`; its length in bytes, `None` where it does not fit there
/// or in a frame.
pub fn write(header: Header, message: &impl Serialize, key: &Key, out: &mut [u8]) -> Option<usize> {
    let body = out.get_mut(HEADER_BYTES..)?;
    let length = postcard::to_slice(message, body).ok()?.len();
    seal(header, length, key, out)
}

/// The same for a message that stands in `out` already, `length` bytes from [`HEADER_BYTES`] on.
pub fn seal(header: Header, length: usize, key: &Key, out: &mut [u8]) -> Option<usize> {
    let (session, sequence) = (header.session.to_le_bytes(), header.sequence.to_le_bytes());
    let start = [header.kind as u8].into_iter().chain(session).chain(sequence);
    let mut end = HEADER_BYTES.checked_add(length)?;
    let signed = out.get_mut(..end)?;
    signed.iter_mut().zip(start).for_each(|(to, from)| *to = from);
    if header.kind.is_tagged() {
        let tag = key.tag(signed);
        let free = out.get_mut(end..)?.first_chunk_mut::<TAG_BYTES>()?;
        *free = tag;
        end += TAG_BYTES;
    }
    (end <= PACKET_BYTES_MAX).then_some(end)
}

/// A message that takes all of `body`; `None` for anything else.
pub fn message<'b, M: serde::Deserialize<'b>>(body: &'b [u8]) -> Option<M> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}
