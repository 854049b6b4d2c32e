//! Recordings of robots: MCAP files and rosbag2's SQLite files with topics of images.
//!
//! A recording is read once from its start to its end when it is opened, to find the messages; the
//! frames of a topic come in the order in which they were logged. A message's picture is read and
//! decoded when its frame is asked for. The file is never written to.
//!
//! ROS 1 bags, other serialisations than CDR, video streams and depth are not read.

mod annotate;
mod cdr;
mod db3;
mod fields;
mod image;
mod mcap;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use annotate::{AddedChannel, AddedMessage, Copied};
pub use cdr::CdrWriter;

use crate::error::{FramesError, Problem};
use crate::frames::{Entry, Part, group_name, grouped, groups};
use crate::options::OpenOptions;
use crate::record::Records;
use db3::Db3;
use fields::{Channel, Schema};
use image::ImageType;
use mcap::{Event, Mcap};

/// The first bytes of an MCAP file of the version that is read.
pub(crate) const MCAP_MAGIC: &[u8] = &fields::MAGIC;
/// The first bytes of a SQLite file.
pub(crate) const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Where a file ends before its format says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first byte of what is not whole.
    pub byte: u64,
}

/// A recording and the topics of images that were chosen in it.
pub struct Recording {
    path: PathBuf,
    /// Tells it from others of the same opening.
    label: String,
    store: Store,
    index: Index,
    /// Places in the index's topics.
    chosen: Vec<usize>,
    group: Option<usize>,
    max_pixels: u64,
}

enum Store {
    Mcap(Box<Mcap>),
    Db3(Box<Db3>),
}

/// What a recording holds.
#[derive(Default)]
struct Index {
    profile: String,
    /// Whether the recorder compressed what it wrote.
    compressed: bool,
    schemas: BTreeMap<u16, Schema>,
    channels: BTreeMap<u16, Channel>,
    topics: Vec<Topic>,
    cut: Option<Cut>,
}

/// All messages of one name.
struct Topic {
    name: String,
    type_name: String,
    encoding: String,
    messages: usize,
    /// Where the messages are, in the order of their times; only of images.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    place: Place,
    log_time_ns: i64,
    /// How many messages of the topic stand before it in the file.
    order: usize,
}

#[derive(Clone, Copy)]
enum Place {
    Mcap(mcap::Place),
    Row(i64),
}

impl Index {
    fn of_mcap(mcap: &Mcap) -> Result<Self, FramesError> {
        let mut index = Index::default();
        let mut places: BTreeMap<u16, usize> = BTreeMap::new();
        let wrong = |what: String| {
            let remedy = "`mcap doctor` says more about the file";
            FramesError::malformed(mcap.records.path(), Problem::new("", what, remedy))
        };
        let cut = mcap.walk(&mut |event| {
            match event {
                Event::Profile(profile) => index.profile = profile,
                Event::Chunk { compressed } => index.compressed |= compressed,
                Event::Schema(schema) => {
                    let id = schema.id;
                    let known = index.schemas.entry(id).or_insert_with(|| schema.clone());
                    if *known != schema {
                        return Err(wrong(format!("two schemas have the number {id}")));
                    }
                }
                Event::Channel(channel) => {
                    let id = channel.id;
                    let known = index.channels.entry(id).or_insert_with(|| channel.clone());
                    if *known != channel {
                        return Err(wrong(format!("two channels have the number {id}")));
                    }
                    let schema = index.schemas.get(&channel.schema);
                    let type_name = schema.map_or("", |schema| schema.name.as_str()).to_owned();
                    let place = index.topic(&channel.topic, &type_name, &channel.encoding);
                    places.insert(id, place);
                }
                Event::Message { head, place, .. } => {
                    let Some(&topic) = places.get(&head.channel) else {
                        let id = head.channel;
                        return Err(wrong(format!(
                            "a message is of channel {id}, which is not there"
                        )));
                    };
                    let time = i64::try_from(head.log_time).unwrap_or(i64::MAX);
                    index.topics[topic].add(Place::Mcap(place), time);
                }
                Event::Attachment { .. } | Event::Metadata(_) | Event::Private { .. } => {}
            }
            Ok(())
        })?;
        index.cut = cut;
        index.finish();
        Ok(index)
    }

    fn of_db3(file: &Db3) -> Result<Self, FramesError> {
        let mut index = Index { profile: "ros2".into(), compressed: true, ..Index::default() };
        let mut places = BTreeMap::new();
        for row in file.topics()? {
            places.insert(row.id, index.topic(&row.name, &row.type_name, &row.encoding));
        }
        for row in file.messages()? {
            if let Some(&topic) = places.get(&row.topic) {
                index.topics[topic].add(Place::Row(row.id), row.time_ns);
            }
        }
        index.finish();
        Ok(index)
    }

    /// The place of a topic, which is new or known by now; one of two types is two topics.
    fn topic(&mut self, name: &str, type_name: &str, encoding: &str) -> usize {
        let same = |topic: &Topic| {
            topic.name == name && topic.type_name == type_name && topic.encoding == encoding
        };
        self.topics.iter().position(same).unwrap_or_else(|| {
            let [name, type_name, encoding] = [name, type_name, encoding].map(str::to_owned);
            self.topics.push(Topic { name, type_name, encoding, messages: 0, slots: Vec::new() });
            self.topics.len() - 1
        })
    }

    fn finish(&mut self) {
        for topic in &mut self.topics {
            topic.slots.sort_by_key(|slot| slot.log_time_ns);
        }
    }

    /// The topics that were asked for, or the only one with images.
    fn choose(&self, path: &Path, wanted: &[String]) -> Result<Vec<usize>, FramesError> {
        let images = |topic: &Topic| topic.image_type().is_some() && topic.messages > 0;
        let with_images: Vec<usize> =
            (0..self.topics.len()).filter(|&at| images(&self.topics[at])).collect();
        if wanted.is_empty() {
            return match with_images[..] {
                [one] => Ok(vec![one]),
                [] => Err(self.without_images(path)),
                _ => {
                    let names = self.list(|topic| images(topic));
                    let what = format!("{} topics with images ({names})", with_images.len());
                    let problem = Problem::new("", what, "choose with --topic");
                    Err(FramesError::malformed(path, problem))
                }
            };
        }
        let place = |name: &String| {
            let found = with_images.iter().find(|&&at| self.topics[at].name == *name);
            found.copied().ok_or_else(|| self.without_topic(path, name))
        };
        wanted.iter().map(place).collect()
    }

    fn without_images(&self, path: &Path) -> FramesError {
        let cut = match self.cut {
            Some(Cut { byte }) => format!("; the file is cut off at byte {byte}"),
            None => String::new(),
        };
        let found = match self.topics.is_empty() {
            true => format!("the recording has no topics{cut}"),
            false => format!(
                "no topic has messages of sensor_msgs/msg/Image or CompressedImage in CDR; it has \
                 {}{cut}",
                self.list(|_| true)
            ),
        };
        FramesError::Empty { path: path.to_owned(), found }
    }

    fn without_topic(&self, path: &Path, name: &str) -> FramesError {
        let known = self.topics.iter().find(|topic| topic.name == *name);
        let what = match known {
            None => format!("no topic {name}"),
            Some(topic) if topic.image_type().is_none() => {
                format!("{} is no topic of images in CDR", topic.describe())
            }
            Some(_) => format!("no messages on {name}"),
        };
        let remedy = match self.list(|topic| topic.image_type().is_some()) {
            none if none.is_empty() => format!("it has {}", self.list(|_| true)),
            images => format!("choose of {images}"),
        };
        FramesError::malformed(path, Problem::new("", what, remedy))
    }

    /// Topics with types and numbers, not too many for a message.
    fn list(&self, keep: impl Fn(&Topic) -> bool) -> String {
        const SHOWN: usize = 20;
        let kept: Vec<&Topic> = self.topics.iter().filter(|topic| keep(topic)).collect();
        let mut names: Vec<String> = kept.iter().take(SHOWN).map(|t| t.describe()).collect();
        if kept.len() > SHOWN {
            names.push(format!("and {} more", kept.len() - SHOWN));
        }
        names.join(", ")
    }
}

impl Topic {
    /// What kind of images, when messages are images that can be read.
    fn image_type(&self) -> Option<ImageType> {
        ImageType::of(&self.type_name).filter(|_| self.encoding == "cdr")
    }

    fn add(&mut self, place: Place, log_time_ns: i64) {
        if self.image_type().is_some() {
            self.slots.push(Slot { place, log_time_ns, order: self.messages });
        }
        self.messages += 1;
    }

    fn describe(&self) -> String {
        let Topic { name, type_name, encoding, messages, .. } = self;
        let type_name = if type_name.is_empty() { "no schema" } else { type_name };
        let encoding = match encoding.as_str() {
            "cdr" => String::new(),
            other => format!(" in {other}"),
        };
        format!("{name} ({type_name}{encoding}, {messages} messages)")
    }
}

impl Recording {
    pub(crate) fn open_mcap(path: &Path, options: &OpenOptions) -> Result<Self, FramesError> {
        let mcap = Mcap::new(Records::open(path)?);
        let index = Index::of_mcap(&mcap)?;
        Recording::new(path, Store::Mcap(Box::new(mcap)), index, options)
    }

    pub(crate) fn open_db3(path: &Path, options: &OpenOptions) -> Result<Self, FramesError> {
        let file = Db3::open(path)?;
        let index = Index::of_db3(&file)?;
        Recording::new(path, Store::Db3(Box::new(file)), index, options)
    }

    fn new(
        path: &Path,
        store: Store,
        index: Index,
        options: &OpenOptions,
    ) -> Result<Self, FramesError> {
        let chosen = index.choose(path, &options.topics)?;
        let (path, group, max_pixels) = (path.to_owned(), options.group, options.max_pixels);
        let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Recording { path, label, store, index, chosen, group, max_pixels })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it was cut off, if it was.
    pub fn cut(&self) -> Option<Cut> {
        self.index.cut
    }

    /// How many frames its topics have.
    pub fn frames(&self) -> usize {
        self.chosen().map(|topic| topic.slots.len()).sum()
    }

    /// The topics whose frames these are, one after the other.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.chosen().map(|topic| topic.name.as_str())
    }

    fn chosen(&self) -> impl Iterator<Item = &Topic> {
        self.chosen.iter().map(|&at| &self.index.topics[at])
    }

    /// The place in [`Recording::topics`] of a frame's topic, and the frame's number in the topic.
    fn locate(&self, mut index: usize) -> Option<(usize, usize)> {
        for (place, topic) in self.chosen().enumerate() {
            if index < topic.slots.len() {
                return Some((place, index));
            }
            index -= topic.slots.len();
        }
        None
    }

    /// The topic, by its place in [`Recording::topics`], and the time at which it was logged, in
    /// nanoseconds, of a frame counted from 0; `None` beyond the last.
    pub fn logged(&self, frame: usize) -> Option<(usize, i64)> {
        let (place, number) = self.locate(frame)?;
        let topic = &self.index.topics[self.chosen[place]];
        Some((place, topic.slots[number].log_time_ns))
    }

    fn message(&self, slot: Slot) -> Result<Vec<u8>, FramesError> {
        match (&self.store, slot.place) {
            (Store::Mcap(mcap), Place::Mcap(place)) => mcap.read(place),
            (Store::Db3(file), Place::Row(id)) => file.read(id),
            // A slot belongs to its recording's store.
            (Store::Mcap(_), Place::Row(_)) | (Store::Db3(_), Place::Mcap(_)) => Ok(Vec::new()),
        }
    }
}

impl Part for Recording {
    fn len(&self) -> usize {
        self.frames()
    }

    fn sources(&self) -> usize {
        self.chosen().map(|topic| self.sources_of(topic)).sum()
    }

    fn sequence(&self, source: i64) -> Option<String> {
        let (topic, group) = self.topic_of(source)?;
        group_name(&topic, self.group, group)
    }

    fn rename(&mut self, label: String) {
        self.label = label;
    }

    fn recording(&self) -> Option<&Recording> {
        Some(self)
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let len = self.len();
        let (place, number) = self.locate(index).ok_or(FramesError::Index { index, len })?;
        let topic = &self.index.topics[self.chosen[place]];
        let slot = topic.slots[number];
        let kind = topic.image_type().unwrap_or(ImageType::Plain);
        let image = kind.read(&self.message(slot)?, self.max_pixels).map_err(|mut problem| {
            let at = format!("{} message {number}, logged at {} ns", topic.name, slot.log_time_ns);
            problem.at = match problem.at.is_empty() {
                true => at,
                false => format!("{at}, {}", problem.at),
            };
            FramesError::malformed(&self.path, problem)
        })?;
        let before: usize = self.chosen().take(place).map(|topic| self.sources_of(topic)).sum();
        let within = if self.group.is_some() { grouped(number, self.group) } else { 0 };
        Ok(Entry {
            raw: image.raw,
            label: None,
            source: before as i64 + within,
            name: format!("{}:{}#{number}", self.path.display(), topic.name),
            time_ns: Some(image.stamp_ns.unwrap_or(slot.log_time_ns)),
        })
    }
}

impl Recording {
    /// The recording and the topic that a source is of, and the source's number in the topic.
    pub(crate) fn topic_of(&self, mut source: i64) -> Option<(String, i64)> {
        for topic in self.chosen() {
            let own = self.sources_of(topic) as i64;
            if source < own {
                return Some((format!("{}:{}", self.label, topic.name), source));
            }
            source -= own;
        }
        None
    }

    fn sources_of(&self, topic: &Topic) -> usize {
        if self.group.is_some() { groups(topic.slots.len(), self.group) } else { 1 }
    }
}
