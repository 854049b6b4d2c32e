//! FRAMES on the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use gradgate_frames::fault::Fault;
use gradgate_frames::{Crop, Cut, Frames, Jpeg, OpenOptions, labels, open};

use crate::raw::RawArgs;

/// Which frames to take.
#[derive(Args, Clone, Debug)]
pub struct FramesArgs {
    /// Image files and folders (PNG, JPEG, PPM), CIFAR records or batches, MAT-file, idx(.gz),
    /// safetensors, recordings (MCAP, rosbag2's .db3), raw frames on standard input (-), or signs
    /// drawn on the spot (signs:test)
    #[arg(required = true, value_name = "FRAMES")]
    pub frames: Vec<PathBuf>,
    #[command(flatten)]
    pub choice: ChoiceArgs,
}

/// Which of the frames.
#[derive(Args, Clone, Debug, Default)]
pub struct ChoiceArgs {
    /// At most this many frames
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Every N-th frame only
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub stride: Option<u64>,
    /// N consecutive frames of a file belong to one source (a track or sequence)
    #[arg(long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub group: Option<u64>,
    /// Which part of an image becomes the frame
    #[arg(long, value_enum, default_value_t)]
    pub crop: CropArg,
    /// A recording's topic of images [default: the only one]; can be repeated
    #[arg(long, value_name = "TOPIC")]
    pub topic: Vec<String>,
    #[command(flatten)]
    pub raw: RawArgs,
    /// Pass every frame through JPEG at its final size, as a control: quality 1 to 100, and the
    /// colour sampling (:444, :422, :420, the default)
    #[arg(long, value_name = "QUALITY[:SAMPLING]")]
    pub jpeg: Option<Jpeg>,
    /// Spoil every frame as a faulty camera would: NAME or NAME:SEVERITY, 1 to 5, as in fog:4; can
    /// be repeated
    #[arg(long, value_name = "FAULT", value_parser = Fault::from_str)]
    pub fault: Vec<Fault>,
    /// Another seed places the faults elsewhere
    #[arg(long, value_name = "N", default_value_t = 0, requires = "fault")]
    pub fault_seed: u64,
}

/// See [`Crop`].
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CropArg {
    /// All of it, whatever its proportions
    #[default]
    Whole,
    /// The largest part in the middle that has the frame's proportions
    Centre,
    /// The region that GTSRB's tables state
    Region,
}

impl FramesArgs {
    /// Opens them at a model's input size.
    pub fn open(&self, shape: [usize; 3]) -> Result<Frames> {
        self.choice.open(&self.frames, shape)
    }

    /// The same for [`crate::parallel::for_each`] alone: frames of a pipe are read as they come.
    pub fn open_live(&self, shape: [usize; 3]) -> Result<Frames> {
        self.choice.open_as(&self.frames, shape, true)
    }

    /// The paths, for checks.
    pub fn paths(&self) -> Vec<&Path> {
        self.frames.iter().map(PathBuf::as_path).collect()
    }

    /// As [`ChoiceArgs::describe`].
    pub fn describe(&self) -> String {
        self.choice.describe(&self.frames)
    }
}

/// Names of paths without folders, where those tell them apart.
fn describe(paths: &[PathBuf]) -> String {
    let name = |path: &PathBuf| match path.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.display().to_string(),
    };
    let names: Vec<String> = paths.iter().map(name).collect();
    let alone = |own: &str| names.iter().filter(|name| *name == own).count() == 1;
    let told = names.iter().zip(labels(paths));
    let told = told.map(|(name, label)| if alone(name) { name.clone() } else { label });
    told.collect::<Vec<_>>().join(" ")
}

impl ChoiceArgs {
    /// The sequence that a source of these frames is: a recording, a track, or what --group says;
    /// `None` for a picture without order.
    pub fn sequence(&self, frames: &Frames, source: i64) -> Option<String> {
        let grouped = self.group.is_some_and(|frames| frames > 1);
        frames.sequence(source).or_else(|| grouped.then(|| format!("group {source}")))
    }

    /// Names of paths without folders, and what is done to the frames before a model sees them.
    pub fn describe(&self, paths: &[PathBuf]) -> String {
        let mut text = describe(paths);
        match self.crop {
            CropArg::Whole => {}
            CropArg::Centre => text.push_str(" crop=centre"),
            CropArg::Region => text.push_str(" crop=region"),
        }
        if let Some(jpeg) = self.jpeg {
            text.push_str(&format!(" jpeg={jpeg}"));
        }
        let topics = self.topic.iter().map(|topic| format!(" topic={topic}"));
        text.extend(topics);
        let faults = self.fault.iter().map(|fault| format!(" fault={fault}"));
        text.extend(faults);
        if self.fault_seed != 0 {
            text.push_str(&format!(" fault-seed={}", self.fault_seed));
        }
        text
    }

    /// Opens frames at a model's input size.
    pub fn open(&self, paths: &[PathBuf], shape: [usize; 3]) -> Result<Frames> {
        self.open_as(paths, shape, false)
    }

    fn open_as(
        &self,
        paths: &[PathBuf],
        [height, width, channels]: [usize; 3],
        live: bool,
    ) -> Result<Frames> {
        let mut options = OpenOptions::new(height, width, channels);
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        options.limit = self.limit.map(size);
        options.stride = self.stride.map_or(1, size);
        options.group = self.group.map(size);
        options.codec = self.jpeg;
        options.crop = match self.crop {
            CropArg::Whole => Crop::Whole,
            CropArg::Centre => Crop::Centre,
            CropArg::Region => Crop::Region,
        };
        options.faults.clone_from(&self.fault);
        options.fault_seed = self.fault_seed;
        options.topics.clone_from(&self.topic);
        options.raw = self.raw.frames();
        options.live = live;
        let frames = open(paths, &options)?;
        if frames.ignored() > 0 {
            let ignored = frames.ignored();
            eprintln!("note: files in the folders that are no pictures, passed over: {ignored}");
        }
        note_cuts(&frames);
        Ok(frames)
    }
}

/// Exit code of a command that did what it was asked for with a recording that is not whole.
pub const CUT_EXIT_CODE: u8 = 3;

fn note_cuts(frames: &Frames) {
    for recording in frames.recordings() {
        if let Some(Cut { byte }) = recording.cut() {
            let (file, whole) = (recording.path().display(), recording.frames());
            eprintln!(
                "warning: {file} is cut off at byte {byte} (its recorder was stopped, or it was \
                 not copied whole): the {whole} frames before are used; exit code {CUT_EXIT_CODE}"
            );
        }
    }
}

/// The exit code of a command that used all of these frames.
pub fn exit_code(frames: &Frames) -> ExitCode {
    match frames.recordings().any(|recording| recording.cut().is_some()) {
        true => ExitCode::from(CUT_EXIT_CODE),
        false => ExitCode::SUCCESS,
    }
}
