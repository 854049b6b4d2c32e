//! A copy of a recording, as MCAP, with messages added to the frames.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use mcap::records::{MessageHeader, Metadata};
use mcap::write::PrivateRecordOptions;
use mcap::{Compression, McapError, WriteOptions, Writer};

use super::fields::{Fields, MessageHead};
use super::mcap::{Event, Mcap};
use super::{Db3, Recording, Store, Topic};
use crate::error::{FramesError, Problem};

/// Bytes of an attachment that are copied at a time, and the most before its own.
const PIECE: u64 = 1 << 20;

/// A channel of CDR messages that is added.
pub struct AddedChannel {
    /// Its topic, which the recording does not have.
    pub topic: String,
    /// The type of its messages.
    pub schema: String,
    /// How they are built, as rosbag2 writes it into MCAP (`ros2msg`).
    pub definition: String,
}

/// A message that is added behind a frame's, with its times.
pub struct AddedMessage {
    /// The place of its channel among those that are added.
    pub channel: usize,
    /// CDR.
    pub data: Vec<u8>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Messages of the recording.
    pub messages: usize,
    /// Messages that were added.
    pub added: usize,
}

/// Numbers of the next message of each channel and topic.
struct Copy<'a, W: Write + Seek> {
    recording: &'a Recording,
    writer: Writer<W>,
    /// Ids of the added channels, and their next sequence numbers.
    added: Vec<(u16, u32)>,
    /// For each topic of the index that was chosen: the frame of each message, in the file's order.
    frames: BTreeMap<usize, Vec<usize>>,
    /// Messages so far, by topic of the index.
    passed: Vec<usize>,
    copied: Copied,
}

impl Recording {
    /// Writes everything that the recording holds and, behind each message of the chosen topics,
    /// what `each` gives for its frame, counted as in [`crate::Frames`] without limit and stride.
    /// `about` becomes a metadata record.
    ///
    /// # Errors
    /// The recording cannot be read, holds an added topic already, or `out` cannot be written.
    pub fn annotate<W: Write + Seek>(
        &self,
        out: W,
        channels: &[AddedChannel],
        about: (&str, BTreeMap<String, String>),
        each: &mut dyn FnMut(usize) -> Vec<AddedMessage>,
    ) -> Result<Copied, FramesError> {
        for AddedChannel { topic, .. } in channels {
            if self.index.topics.iter().any(|known| known.name == *topic) {
                let what = format!("it has the topic {topic} already");
                let problem = Problem::new("", what, "scan the recording that it was made from");
                return Err(FramesError::malformed(&self.path, problem));
            }
        }
        let written = |error| self.unwritten(&error);
        let options = WriteOptions::new()
            .compression(self.index.compressed.then_some(Compression::Zstd))
            .profile(&self.index.profile)
            .library(concat!("gradgate ", env!("CARGO_PKG_VERSION")));
        let writer = options.create(out).map_err(written)?;
        let mut copy = Copy {
            recording: self,
            writer,
            added: Vec::new(),
            frames: self.frames_by_order(),
            passed: vec![0; self.index.topics.len()],
            copied: Copied::default(),
        };
        match &self.store {
            Store::Mcap(mcap) => {
                copy.declare().map_err(written)?;
                copy.add_channels(channels).map_err(written)?;
                copy.of_mcap(mcap, each)?;
            }
            Store::Db3(file) => copy.of_db3(file, channels, each)?,
        }
        let (name, metadata) = about;
        let metadata = Metadata { name: name.to_owned(), metadata };
        copy.writer.write_metadata(&metadata).map_err(written)?;
        copy.writer.finish().map_err(written)?;
        Ok(copy.copied)
    }

    fn unwritten(&self, error: &McapError) -> FramesError {
        let what = format!("the annotated copy of {}: {error}", self.path.display());
        FramesError::Options(format!("cannot write {what}; is the disk full?"))
    }

    fn frames_by_order(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut first = 0;
        let of = |first: usize, topic: &Topic| {
            let mut frames = vec![0; topic.slots.len()];
            for (number, slot) in topic.slots.iter().enumerate() {
                frames[slot.order] = first + number;
            }
            frames
        };
        let mut by_topic = BTreeMap::new();
        for &at in &self.chosen {
            let topic = &self.index.topics[at];
            by_topic.insert(at, of(first, topic));
            first += topic.slots.len();
        }
        by_topic
    }
}

impl<W: Write + Seek> Copy<'_, W> {
    /// Schemas and channels under the numbers that they had.
    fn declare(&mut self) -> Result<(), McapError> {
        let index = &self.recording.index;
        for schema in index.schemas.values() {
            let (name, encoding) = (&schema.name, &schema.encoding);
            self.writer.add_schema_with_id(schema.id, name, encoding, &schema.data)?;
        }
        for channel in index.channels.values() {
            let (topic, encoding) = (&channel.topic, &channel.encoding);
            // A channel may name a schema that is nowhere: then it has none.
            let schema = channel.schema;
            let schema = if index.schemas.contains_key(&schema) { schema } else { 0 };
            let metadata = &channel.metadata;
            self.writer.add_channel_with_id(channel.id, schema, topic, encoding, metadata)?;
        }
        Ok(())
    }

    fn add_channels(&mut self, channels: &[AddedChannel]) -> Result<(), McapError> {
        for AddedChannel { topic, schema, definition } in channels {
            let schema = self.writer.add_schema(schema, "ros2msg", definition.as_bytes())?;
            let channel = self.writer.add_channel(schema, topic, "cdr", &BTreeMap::new())?;
            self.added.push((channel, 0));
        }
        Ok(())
    }

    fn of_mcap(
        &mut self,
        mcap: &Mcap,
        each: &mut dyn FnMut(usize) -> Vec<AddedMessage>,
    ) -> Result<(), FramesError> {
        let recording = self.recording;
        let written = |error| recording.unwritten(&error);
        let topics: BTreeMap<u16, usize> = {
            let index = &recording.index;
            let place = |(&id, channel): (&u16, &super::Channel)| {
                let schema = index.schemas.get(&channel.schema);
                let type_name = schema.map_or("", |schema| schema.name.as_str());
                let same = |topic: &Topic| {
                    topic.name == channel.topic
                        && topic.type_name == type_name
                        && topic.encoding == channel.encoding
                };
                index.topics.iter().position(same).map(|at| (id, at))
            };
            index.channels.iter().filter_map(place).collect()
        };
        mcap.walk(&mut |event| {
            match event {
                Event::Profile(_) | Event::Chunk { .. } => {}
                Event::Schema(_) | Event::Channel(_) => {}
                Event::Message { head, data, .. } => {
                    let topic = topics.get(&head.channel).copied();
                    self.message(head, data, topic, each).map_err(written)?;
                }
                Event::Metadata(body) => {
                    if let Some((name, metadata)) = Fields::new(body).metadata() {
                        let metadata = Metadata { name, metadata };
                        self.writer.write_metadata(&metadata).map_err(written)?;
                    }
                }
                Event::Private { op, data, in_chunk } => {
                    let inside = PrivateRecordOptions::IncludeInChunks;
                    let options = in_chunk.then_some(inside).into_iter().collect();
                    self.writer.write_private_record(op, data, options).map_err(written)?;
                }
                Event::Attachment { start, len } => self.attachment(mcap, start, len)?,
            }
            Ok(())
        })?;
        Ok(())
    }

    fn attachment(&mut self, mcap: &Mcap, start: u64, len: u64) -> Result<(), FramesError> {
        let head = mcap.records.read(start, len.min(PIECE) as usize)?;
        let head = Fields::new(&head).attachment_head();
        let fits = |size: u64, before: usize| {
            // A check sum of 4 bytes follows.
            size.checked_add(before as u64 + 4).is_some_and(|all| all <= len)
        };
        let Some(head) = head.filter(|head| fits(head.size, head.before)) else {
            let what = "an attachment contradicts its own lengths";
            let problem = Problem::new(format!("byte {start}"), what, "`mcap recover` may help");
            return Err(FramesError::malformed(mcap.records.path(), problem));
        };
        let written = |error| self.recording.unwritten(&error);
        let header = mcap::records::AttachmentHeader {
            log_time: head.log_time,
            create_time: head.create_time,
            name: head.name,
            media_type: head.media_type,
        };
        self.writer.start_attachment(head.size, header).map_err(written)?;
        let mut at = start + head.before as u64;
        let end = at + head.size;
        while at < end {
            let count = (end - at).min(PIECE);
            let piece = mcap.records.read(at, count as usize)?;
            self.writer.put_attachment_bytes(&piece).map_err(written)?;
            at += count;
        }
        self.writer.finish_attachment().map_err(written)
    }

    fn of_db3(
        &mut self,
        file: &Db3,
        channels: &[AddedChannel],
        each: &mut dyn FnMut(usize) -> Vec<AddedMessage>,
    ) -> Result<(), FramesError> {
        let written = |error| self.recording.unwritten(&error);
        let index = &self.recording.index;
        let mut ids = BTreeMap::new();
        for row in file.topics()? {
            let (encoding, text) = definition(file, &row.type_name)?;
            let schema = self.writer.add_schema(&row.type_name, &encoding, text.as_bytes());
            let none = BTreeMap::new();
            let schema = schema.map_err(written)?;
            let channel = self.writer.add_channel(schema, &row.name, &row.encoding, &none);
            let same = |topic: &Topic| {
                topic.name == row.name
                    && topic.type_name == row.type_name
                    && topic.encoding == row.encoding
            };
            let topic = index.topics.iter().position(same);
            ids.insert(row.id, (channel.map_err(written)?, topic));
        }
        self.add_channels(channels).map_err(written)?;
        let mut sequences: BTreeMap<u16, u32> = BTreeMap::new();
        for row in file.messages()? {
            let Some(&(channel, topic)) = ids.get(&row.topic) else { continue };
            let sequence = sequences.entry(channel).or_default();
            let time = u64::try_from(row.time_ns).unwrap_or_default();
            let head =
                MessageHead { channel, sequence: *sequence, log_time: time, publish_time: time };
            *sequence = sequence.wrapping_add(1);
            let data = file.read(row.id)?;
            self.message(head, &data, topic, each)
                .map_err(|error| self.recording.unwritten(&error))?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        head: MessageHead,
        data: &[u8],
        topic: Option<usize>,
        each: &mut dyn FnMut(usize) -> Vec<AddedMessage>,
    ) -> Result<(), McapError> {
        let MessageHead { channel, sequence, log_time, publish_time } = head;
        let header = MessageHeader { channel_id: channel, sequence, log_time, publish_time };
        self.writer.write_to_known_channel(&header, data)?;
        self.copied.messages += 1;
        let Some(topic) = topic else { return Ok(()) };
        let number = self.passed[topic];
        self.passed[topic] += 1;
        let frame = self.frames.get(&topic).and_then(|frames| frames.get(number));
        let Some(&frame) = frame else { return Ok(()) };
        for AddedMessage { channel, data } in each(frame) {
            let Some((id, next)) = self.added.get_mut(channel) else { continue };
            let header = MessageHeader { channel_id: *id, sequence: *next, log_time, publish_time };
            *next = next.wrapping_add(1);
            self.writer.write_to_known_channel(&header, &data)?;
            self.copied.added += 1;
        }
        Ok(())
    }
}

/// The schema of a type: the bag's own, else that of images, else an empty one.
fn definition(file: &Db3, type_name: &str) -> Result<(String, String), FramesError> {
    if let Some((encoding, text)) = file.definition(type_name)? {
        return Ok((encoding, text));
    }
    let own = match type_name {
        "sensor_msgs/msg/Image" => {
            "uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\n\
             uint8[] data\n"
        }
        "sensor_msgs/msg/CompressedImage" => "string format\nuint8[] data\n",
        _ => return Ok(("ros2msg".to_owned(), String::new())),
    };
    let line = "=".repeat(80);
    let text = format!(
        "std_msgs/Header header\n{own}{line}\nMSG: std_msgs/Header\n\
         builtin_interfaces/Time stamp\nstring frame_id\n{line}\n\
         MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
    );
    Ok(("ros2msg".to_owned(), text))
}
