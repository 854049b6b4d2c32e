//! The records of an MCAP file, read with checked lengths (<https://mcap.dev/spec>).
//!
//! A record is an opcode, a length of 8 bytes and so many bytes; numbers are little-endian, texts
//! and lists have a length of 4 bytes before them.

use std::collections::BTreeMap;

pub(super) const MAGIC: [u8; 8] = *b"\x89MCAP0\r\n";

/// Opcodes.
pub(super) mod op {
    pub const HEADER: u8 = 0x01;
    pub const FOOTER: u8 = 0x02;
    pub const SCHEMA: u8 = 0x03;
    pub const CHANNEL: u8 = 0x04;
    pub const MESSAGE: u8 = 0x05;
    pub const CHUNK: u8 = 0x06;
    pub const ATTACHMENT: u8 = 0x09;
    pub const METADATA: u8 = 0x0c;
    pub const DATA_END: u8 = 0x0f;
    /// From here on, whoever writes the file may define records.
    pub const PRIVATE: u8 = 0x80;
}

/// How messages of some channels are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schema {
    pub id: u16,
    pub name: String,
    pub encoding: String,
    pub data: Vec<u8>,
}

/// A stream of messages on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub id: u16,
    /// 0 without a schema.
    pub schema: u16,
    pub topic: String,
    pub encoding: String,
    pub metadata: BTreeMap<String, String>,
}

/// What stands before a message's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageHead {
    pub channel: u16,
    pub sequence: u32,
    pub log_time: u64,
    pub publish_time: u64,
}

/// Bytes before a message's own.
pub(super) const MESSAGE_HEAD: usize = 2 + 4 + 8 + 8;

/// Compressed records.
pub(super) struct Chunk<'a> {
    pub size: u64,
    pub crc: u32,
    pub compression: String,
    pub data: &'a [u8],
}

/// What stands before an attachment's bytes, and how many these are.
pub(super) struct AttachmentHead {
    pub log_time: u64,
    pub create_time: u64,
    pub name: String,
    pub media_type: String,
    pub size: u64,
    /// Bytes of the record before the attachment's.
    pub before: usize,
}

/// Bytes from which fields are read; all give `None` where the bytes end before.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Fields(bytes)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(found)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()?;
        self.take(usize::try_from(count).ok()?)
    }

    fn text(&mut self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn map(&mut self) -> Option<BTreeMap<String, String>> {
        let mut fields = Fields(self.bytes()?);
        let mut map = BTreeMap::new();
        while !fields.0.is_empty() {
            map.insert(fields.text()?, fields.text()?);
        }
        Some(map)
    }

    /// The profile of a header.
    pub fn header(mut self) -> Option<String> {
        self.text()
    }

    pub fn schema(mut self) -> Option<Schema> {
        let (id, name, encoding) = (self.u16()?, self.text()?, self.text()?);
        Some(Schema { id, name, encoding, data: self.bytes()?.to_vec() })
    }

    pub fn channel(mut self) -> Option<Channel> {
        let (id, schema, topic) = (self.u16()?, self.u16()?, self.text()?);
        Some(Channel { id, schema, topic, encoding: self.text()?, metadata: self.map()? })
    }

    pub fn message_head(mut self) -> Option<MessageHead> {
        let (channel, sequence) = (self.u16()?, self.u32()?);
        let (log_time, publish_time) = (self.u64()?, self.u64()?);
        Some(MessageHead { channel, sequence, log_time, publish_time })
    }

    pub fn chunk(mut self) -> Option<Chunk<'a>> {
        self.take(16)?;
        let (size, crc, compression) = (self.u64()?, self.u32()?, self.text()?);
        let packed = usize::try_from(self.u64()?).ok()?;
        Some(Chunk { size, crc, compression, data: self.take(packed)? })
    }

    /// The start of an attachment, which may be cut after it.
    pub fn attachment_head(mut self) -> Option<AttachmentHead> {
        let all = self.0.len();
        let (log_time, create_time) = (self.u64()?, self.u64()?);
        let (name, media_type) = (self.text()?, self.text()?);
        let size = self.u64()?;
        let before = all - self.0.len();
        Some(AttachmentHead { log_time, create_time, name, media_type, size, before })
    }

    /// The name and the entries of a metadata record.
    pub fn metadata(mut self) -> Option<(String, BTreeMap<String, String>)> {
        Some((self.text()?, self.map()?))
    }

    /// The next record: its opcode and its bytes.
    pub fn record(&mut self) -> Option<(u8, &'a [u8])> {
        let [op] = self.array()?;
        let length = usize::try_from(self.u64()?).ok()?;
        Some((op, self.take(length)?))
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }
}
