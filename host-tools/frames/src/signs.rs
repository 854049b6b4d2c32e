//! Traffic and warehouse signs as a robot's camera sees them, drawn on the spot.
//!
//! Classifiers, detectors and demonstrations need frames where nothing can be downloaded. Every
//! frame is a scene: a vector drawing of a sign in some pose, before some background, under some
//! light, perhaps half hidden, through a lens out of focus and a noisy sensor. [`CLASSES`] are what
//! classifiers learn, [`UNSEEN_CLASSES`] what they meet without having learnt it.
//!
//! A frame follows from its [`Spec`] and index alone, by arithmetic that has the same bits on every
//! machine: frames may be made in any order by any number of threads.
//!
//! Not here: files, resizing, faults of cameras.

mod background;
mod camera;
mod catalogue;
mod glyph;
mod pose;
mod raster;
mod scene;
mod shape;
mod sheet;
mod spec;
mod track;

use crate::random::Random;
use catalogue::{KNOWN, Sign, UNSEEN};
use scene::{Site, View};
use track::Track;

use crate::error::FramesError;
use crate::fit::Raw;
use crate::frames::{Entry, Part, Pixels, grouped, groups};

pub use sheet::{Sheet, contact_sheet};
pub use spec::{Spec, Split};

/// Names of the classes that classifiers learn, indexed by label.
pub const CLASSES: [&str; KNOWN] = catalogue::names(0);

/// Names of the other classes; their labels begin at `CLASSES.len()`.
pub const UNSEEN_CLASSES: [&str; UNSEEN] = catalogue::names(KNOWN);

/// One frame with its truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows of pixels of red, green, blue; `size` x `size` of the spec.
    pub pixels: Vec<u8>,
    /// Index into [`CLASSES`], or that of [`UNSEEN_CLASSES`] plus `CLASSES.len()`.
    pub label: usize,
    /// The track for frames of tracks, the frame's own index for others.
    pub source: usize,
}

/// A set of signs, ready to be drawn.
#[derive(Clone, Debug)]
pub struct Signs {
    spec: Spec,
    drawings: Vec<Sign>,
}

/// Streams of chance of one frame or track, so that none moves when another takes more.
#[derive(Clone, Copy)]
enum Stream {
    Classes,
    Site,
    View,
    Noise,
}

impl Signs {
    /// The set of a spec.
    pub fn new(spec: Spec) -> Self {
        Signs { spec, drawings: catalogue::draw_all() }
    }

    /// The spec it was made of.
    pub fn spec(&self) -> Spec {
        self.spec
    }

    /// Draws frame `index`, which may lie beyond the spec's count.
    pub fn picture(&self, index: usize) -> Picture {
        let source = self.source(index);
        let label = self.label(source);
        let site = Site::draw(&mut self.random(Stream::Site, source));
        let view = self.view(&site, source, index);
        let mut noise = self.random(Stream::Noise, index);
        let pixels = site.render(&self.drawings[label], &view, self.spec.size, &mut noise);
        Picture { pixels, label, source }
    }

    /// Sources come in blocks that hold each class once, in an order of the block's own: any run of
    /// frames is balanced, and no stride picks one class out.
    fn label(&self, source: usize) -> usize {
        if self.spec.split.is_unseen() {
            let mut random = self.random(Stream::Classes, source / UNSEEN);
            return KNOWN + random.order::<UNSEEN>()[source % UNSEEN];
        }
        let mut random = self.random(Stream::Classes, source / KNOWN);
        random.order::<KNOWN>()[source % KNOWN]
    }

    fn source(&self, index: usize) -> usize {
        if self.spec.split.is_sequence() { index / self.spec.track } else { index }
    }

    fn view(&self, site: &Site, source: usize, index: usize) -> View {
        let mut random = self.random(Stream::View, source);
        if !self.spec.split.is_sequence() {
            return site.view(&mut random, [0.24, 0.47]);
        }
        let track = self.spec.track;
        Track::draw(site, &mut random).view(index % track, track)
    }

    fn random(&self, stream: Stream, number: usize) -> Random {
        Random::of(&[self.spec.seed, self.spec.split.stream(), stream as u64, number as u64])
    }
}

/// Signs as frames under the name that they were asked for with.
pub(crate) struct SignFrames {
    signs: Signs,
    name: String,
    group: Option<usize>,
}

impl SignFrames {
    /// From a text that is meant as a spec.
    pub fn open(text: &str, group: Option<usize>) -> Result<Self, FramesError> {
        let spec = Spec::parse(text).map_err(FramesError::Options)?;
        Ok(SignFrames { signs: Signs::new(spec), name: text.to_owned(), group })
    }
}

impl Part for SignFrames {
    fn len(&self) -> usize {
        self.signs.spec.count
    }

    fn sources(&self) -> usize {
        let Spec { split, count, track, .. } = self.signs.spec;
        if split.is_sequence() { count.div_ceil(track) } else { groups(count, self.group) }
    }

    fn sequence(&self, source: i64) -> Option<String> {
        let tracks = self.signs.spec.split.is_sequence();
        tracks.then(|| format!("{} track {source}", self.name))
    }

    fn read(&self, index: usize) -> Result<Entry, FramesError> {
        let Picture { pixels, label, source } = self.signs.picture(index);
        let Spec { split, size, .. } = self.signs.spec;
        let source = if split.is_sequence() { source as i64 } else { grouped(index, self.group) };
        Ok(Entry {
            raw: Raw { width: size, height: size, channels: 3, pixels: Pixels::U8(pixels) },
            label: Some(label as i64),
            source,
            name: format!("{}#{index}", self.name),
            time_ns: None,
        })
    }
}
