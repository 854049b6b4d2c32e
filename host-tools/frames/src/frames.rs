//! Opening any mix of files and folders as one numbered list of frames.

mod labels;
mod taken;

use std::path::{Path, PathBuf};

use gradgate_frame::{ApplyError, Preprocessing};
use sha2::{Digest, Sha256};

use crate::batch::Batch;
use crate::cifar::Cifar;
use crate::error::FramesError;
use crate::fit::Raw;
use crate::folder::{self, Pictures, without_region};
use crate::idx::Idx;
use crate::kind::{Kind, recognise};
use crate::mat::Mat;
use crate::options::{Crop, OpenOptions};
use crate::pipe::{Pipe, standard_input};
use crate::recording::Recording;
use crate::signs::{self, SignFrames, Spec};
use crate::tensors::Tensors;

pub use labels::labels;

/// Samples in rows, columns, channels, at the size given to [`open`].
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// 0..=255.
    U8(Vec<u8>),
    /// 0..1.
    F32(Vec<f32>),
}

impl Pixels {
    /// How many samples.
    pub fn len(&self) -> usize {
        match self {
            Pixels::U8(v) => v.len(),
            Pixels::F32(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the input tensor for these samples of 1 or 3 `channels`; see [`Preprocessing`].
    pub fn preprocess(
        &self,
        with: &Preprocessing,
        channels: usize,
        out: &mut [f32],
    ) -> Result<(), ApplyError> {
        match self {
            Pixels::U8(v) => with.apply_u8(v, channels, out),
            Pixels::F32(v) => with.apply_f32(v, channels, out),
        }
    }

    /// As [`Pixels::to_u8`], without a copy where they are bytes.
    pub(crate) fn into_u8(self) -> Vec<u8> {
        match self {
            Pixels::U8(bytes) => bytes,
            floats @ Pixels::F32(_) => floats.to_u8(),
        }
    }

    /// As bytes; `f32` samples times 255, rounded to nearest.
    pub fn to_u8(&self) -> Vec<u8> {
        match self {
            Pixels::U8(v) => v.clone(),
            Pixels::F32(v) => v.iter().map(|s| (s * 255.0 + 0.5) as u8).collect(),
        }
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The samples.
    pub pixels: Pixels,
    /// The class, when the file tells.
    pub label: Option<i64>,
    /// Which image, track or sequence the frame belongs to; unique over all files of one [`open`],
    /// and independent of `limit` and `stride`.
    pub source: i64,
    /// File, and for files of many frames `#` and the position in it.
    pub name: String,
    /// When it was taken, in nanoseconds, where that is known: in a recording the stamp of the
    /// message's header, or when it was logged if that is zero; in a stream of raw frames its
    /// number divided by the rate.
    pub time_ns: Option<i64>,
    /// Columns and rows of the whole picture that it was made of.
    pub picture: [usize; 2],
}

/// A frame as a file holds it.
pub(crate) struct Entry {
    pub raw: Raw,
    pub label: Option<i64>,
    /// Counted from 0 within the file.
    pub source: i64,
    pub name: String,
    pub time_ns: Option<i64>,
}

/// One opened file or folder.
pub(crate) trait Part: Send + Sync {
    /// Frames in it.
    fn len(&self) -> usize;
    /// Sources in it; entries name them 0..sources.
    fn sources(&self) -> usize;
    /// What the frames of a source are a sequence of.
    fn sequence(&self, _source: i64) -> Option<String> {
        None
    }
    /// What this is, when it is a recording: its sequences are known by their names beyond this
    /// opening.
    fn recording(&self) -> Option<&Recording> {
        None
    }
    /// Takes the name that tells a recording from others of the same opening.
    fn rename(&mut self, _label: String) {}
    /// Reads and decodes entry `index`, which is below `len`.
    fn read(&self, index: usize) -> Result<Entry, FramesError>;
}

/// A numbered list of frames over several files. Reading is safe from any number of threads.
pub struct Frames {
    parts: Vec<Numbered>,
    options: OpenOptions,
    len: usize,
    classes: Vec<String>,
    ignored: usize,
}

struct Numbered {
    part: Box<dyn Part>,
    first_frame: usize,
    first_source: i64,
}

/// Opens files and folders in the given order, and sets of [`crate::signs`] by their specs.
///
/// Headers, lengths and folder contents are checked here; the pixels of a frame by
/// [`Frames::get`].
pub fn open(paths: &[PathBuf], options: &OpenOptions) -> Result<Frames, FramesError> {
    options.check()?;
    if paths.is_empty() {
        return Err(FramesError::Options("no file or folder of frames was given".to_owned()));
    }
    if paths.iter().any(|path| is_pipe(path)) {
        return open_pipe(paths, options);
    }
    if options.raw.is_some() {
        let what = "a size, pixels or a rate are for raw frames on standard input: give - alone";
        return Err(FramesError::Options(what.to_owned()));
    }
    let mut folders = folder::Scan::new(options);
    for path in paths {
        if signs_spec(path).is_none() && is_folder(path)? {
            folders.add(path)?;
        }
    }
    let (mut scanned, mut classes, ignored) = folders.finish();
    if paths.iter().all(|path| signs_spec(path).is_some()) {
        classes = signs::CLASSES.iter().chain(&signs::UNSEEN_CLASSES).map(|&n| n.into()).collect();
    }
    let mut frames =
        Frames { parts: Vec::new(), options: options.clone(), len: 0, classes, ignored };
    let (mut total, mut sources) = (0_usize, 0_i64);
    for path in paths {
        let part = match scanned.remove_first(path) {
            Some(pictures) => Box::new(pictures),
            None => open_file(path, options)?,
        };
        let (len, own) = (part.len(), part.sources() as i64);
        frames.parts.push(Numbered { part, first_frame: total, first_source: sources });
        total = total.saturating_add(len);
        sources = sources.saturating_add(own);
    }
    frames.tell_apart();
    frames.len = total.div_ceil(options.stride).min(options.limit.unwrap_or(usize::MAX));
    if !options.topics.is_empty() && frames.recordings().next().is_none() {
        let what = "topics are those of recordings (MCAP, .db3), and none was given";
        return Err(FramesError::Options(what.to_owned()));
    }
    frames.check_time()?;
    Ok(frames)
}

fn is_pipe(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open_pipe(paths: &[PathBuf], options: &OpenOptions) -> Result<Frames, FramesError> {
    if paths.len() != 1 || !options.topics.is_empty() || options.crop == Crop::Region {
        let what = "standard input (-) is given alone, and has neither topics nor regions";
        return Err(FramesError::Options(what.to_owned()));
    }
    let part = Pipe::open(standard_input()?, options)?;
    let len = part.len().div_ceil(options.stride).min(options.limit.unwrap_or(usize::MAX));
    let parts = vec![Numbered { part: Box::new(part), first_frame: 0, first_source: 0 }];
    let frames = Frames { parts, options: options.clone(), len, classes: Vec::new(), ignored: 0 };
    frames.check_time()?;
    Ok(frames)
}

fn is_folder(path: &Path) -> Result<bool, FramesError> {
    let found = std::fs::metadata(path).map_err(|e| FramesError::io(path, "cannot open", e))?;
    Ok(found.is_dir())
}

/// The text of a path that names signs to be drawn; a file or folder of that name goes before.
fn signs_spec(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| Spec::is_meant(text) && !path.exists())
}

fn open_file(path: &Path, options: &OpenOptions) -> Result<Box<dyn Part>, FramesError> {
    if options.crop == Crop::Region {
        return Err(FramesError::malformed(path, without_region()));
    }
    if let Some(text) = signs_spec(path) {
        return Ok(Box::new(SignFrames::open(text, options.group)?));
    }
    Ok(match recognise(path, options.records)? {
        Kind::Picture(_) => Box::new(Pictures::one(path, options)),
        Kind::Cifar(layout) => Box::new(Cifar::open(path, layout, options.group)?),
        Kind::Idx { gzipped } => Box::new(Idx::open(path, gzipped, options.group)?),
        Kind::Safetensors => Box::new(Tensors::open(path, options.group)?),
        Kind::Pickle => Box::new(Batch::open(path, options.group)?),
        Kind::Mat => Box::new(Mat::open(path, options.group)?),
        Kind::Mcap => Box::new(Recording::open_mcap(path, options)?),
        Kind::Db3 => Box::new(Recording::open_db3(path, options)?),
    })
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [height, width, channels] = self.shape();
        write!(f, "Frames({} of {height} x {width} x {channels})", self.len)
    }
}

impl Frames {
    /// How many frames. With [`OpenOptions::live`] and frames of a pipe it is the most that there
    /// may be: [`Frames::get`] then says [`FramesError::End`] behind the last.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the number of frames shows only at their end.
    pub fn is_live(&self) -> bool {
        self.options.live && self.options.raw.is_some()
    }

    /// The recordings among what was opened.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        self.parts.iter().filter_map(|numbered| numbered.part.recording())
    }

    /// Whether there are none; [`open`] never gives that.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The size that frames have: rows, columns, channels.
    pub fn shape(&self) -> [usize; 3] {
        [self.options.height, self.options.width, self.options.channels]
    }

    /// Names of the classes that sub-folders stand for, indexed by label, or of those of signs
    /// where all frames are signs; empty without such.
    ///
    /// When every name is a whole number the label is that number, and this is empty.
    pub fn class_names(&self) -> &[String] {
        &self.classes
    }

    /// Files in the given folders that were passed over because they are no pictures.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// The sequence that the frames of a source come from, in their order: a recording's file and
    /// topic, a track. Where there is none, frames are pictures without order.
    pub fn sequence(&self, source: i64) -> Option<String> {
        let (part, own) = self.home(source)?;
        part.sequence(own)
    }

    /// A source's number for files in which frames of several openings meet: of a recording it
    /// follows from the sequence's name, so that two recordings stay apart and one stays itself;
    /// else it is the source.
    pub fn source_id(&self, source: i64) -> i64 {
        match self.home(source) {
            Some((part, own)) if part.recording().is_some() => {
                let recording = part.recording();
                let topic = recording.and_then(|recording| recording.topic_of(own));
                let name = topic.map(|(name, _)| name).unwrap_or_default();
                let digest = Sha256::digest(format!("{name} {own}"));
                let start = digest.first_chunk().copied().unwrap_or_default();
                (u64::from_le_bytes(start) >> 2) as i64
            }
            _ => source,
        }
    }

    /// Names recordings by as much of their paths as tells them apart.
    fn tell_apart(&mut self) {
        let recordings = self.recordings().map(|recording| recording.path().to_owned());
        let mut labels = labels(&recordings.collect::<Vec<_>>()).into_iter();
        for numbered in self.parts.iter_mut().filter(|numbered| numbered.part.recording().is_some())
        {
            numbered.part.rename(labels.next().unwrap_or_default());
        }
    }

    /// The part of a source, and the source's number in it.
    fn home(&self, source: i64) -> Option<(&dyn Part, i64)> {
        let after = self.parts.partition_point(|p| p.first_source <= source);
        let Numbered { part, first_source, .. } = self.parts.get(after.checked_sub(1)?)?;
        let own = source - first_source;
        (own < part.sources() as i64).then_some((part.as_ref(), own))
    }

    /// All frames in order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Frame, FramesError>> + '_ {
        (0..self.len).map(|index| self.get(index))
    }
}

/// The source of entry `index` where only `group` tells.
pub(crate) fn grouped(index: usize, group: Option<usize>) -> i64 {
    (index / group.unwrap_or(1)) as i64
}

/// The sequence that a group of a recording or pipe is; `None` where every frame stands alone.
pub(crate) fn group_name(whole: &str, group: Option<usize>, number: i64) -> Option<String> {
    match group {
        None => Some(whole.to_owned()),
        Some(1) => None,
        Some(_) => Some(format!("{whole} group {number}")),
    }
}

/// How many sources `len` entries have where only `group` tells.
pub(crate) fn groups(len: usize, group: Option<usize>) -> usize {
    len.div_ceil(group.unwrap_or(1))
}
