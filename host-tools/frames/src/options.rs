//! What to make of files of frames: how many, how large, which part, spoilt how.

use crate::codec::Jpeg;
use crate::error::FramesError;
use crate::fault::Fault;
use crate::pipe::RawFrames;

/// What to make of the files. Start from [`OpenOptions::new`].
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOptions {
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// At most this many frames, after `stride`.
    pub limit: Option<usize>,
    /// Every `stride`-th frame only, beginning with the first; at least 1.
    pub stride: usize,
    /// This many consecutive frames of a file share a source (a track or sequence); otherwise every
    /// frame is its own. A tensor `source` in the file goes before. Counted before `stride`.
    pub group: Option<usize>,
    /// How to read record files that could be of either layout.
    pub records: RecordLayout,
    /// Take the sub-folders of a folder as classes.
    pub folder_labels: bool,
    /// Pictures with more pixels are refused before they are decoded.
    pub max_pixels: u64,
    /// Which part of an image becomes the frame.
    pub crop: Crop,
    /// A codec that every frame passes at its final size.
    pub codec: Option<Jpeg>,
    /// Faults that every frame gets after it was resized, in this order; frames with faults are
    /// bytes. Lasting ones are the same for all frames of a source. One that needs time shows an
    /// earlier frame with its other faults; the first frame of a source stays as it is.
    pub faults: Vec<Fault>,
    /// Another seed places the faults elsewhere.
    pub fault_seed: u64,
    /// Topics of recordings, one after the other; none means the only one with images.
    pub topics: Vec<String>,
    /// What the frames on standard input are, which is opened as `-`.
    pub raw: Option<RawFrames>,
    /// Frames on standard input are read when they are asked for, once and in about their order;
    /// else they are read to their end and held.
    pub live: bool,
}

/// Which part of an image becomes the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crop {
    /// All of it, whatever its proportions.
    #[default]
    Whole,
    /// The largest part in the middle that has the frame's proportions.
    Centre,
    /// The region that the dataset states for each picture (GTSRB); an error where it states none.
    Region,
}

impl OpenOptions {
    /// Every frame, at the given size, 64 megapixels a picture at most.
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        OpenOptions {
            height,
            width,
            channels,
            limit: None,
            stride: 1,
            group: None,
            records: RecordLayout::Auto,
            folder_labels: true,
            max_pixels: 64 << 20,
            crop: Crop::Whole,
            codec: None,
            faults: Vec::new(),
            fault_seed: 0,
            topics: Vec::new(),
            raw: None,
            live: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), FramesError> {
        let side = 1..=gradgate_frame::MAX_SIDE as usize;
        let wrong = |what: String| Err(FramesError::Options(what));
        if !side.contains(&self.height) || !side.contains(&self.width) {
            let (h, w) = (self.height, self.width);
            return wrong(format!("frames of {h} x {w} pixels: sides are 1 to {}", side.end()));
        }
        if self.channels != 1 && self.channels != 3 {
            return wrong(format!("frames have 1 or 3 channels, not {}", self.channels));
        }
        if self.stride == 0 || self.group == Some(0) || self.limit == Some(0) {
            return wrong("limit, stride and group begin at 1".to_owned());
        }
        let check = |fault: &Fault| fault.check(self.channels).map_err(FramesError::Options);
        self.faults.iter().try_for_each(check)
    }
}

/// The two layouts of CIFAR's binary records; they have no signature to tell them by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordLayout {
    /// By the length of the file; an error when it fits both.
    #[default]
    Auto,
    /// 1 label byte, 3072 sample bytes.
    Cifar10,
    /// 1 coarse and 1 fine label byte (the fine one is taken), 3072 sample bytes.
    Cifar100,
}
