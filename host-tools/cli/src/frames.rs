//! FRAMES on the command line.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use gradgate_frames::{Frames, OpenOptions, open};

/// Which frames to take.
#[derive(Args, Clone, Debug)]
pub struct FramesArgs {
    /// Image files and folders (PNG, JPEG, PPM), CIFAR-10 binary records, idx(.gz), safetensors,
    /// or signs drawn on the spot (signs:test)
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
}

impl FramesArgs {
    /// Opens them at a model's input size.
    pub fn open(&self, shape: [usize; 3]) -> Result<Frames> {
        self.choice.open(&self.frames, shape)
    }

    /// The paths, for checks.
    pub fn paths(&self) -> Vec<&Path> {
        self.frames.iter().map(PathBuf::as_path).collect()
    }

    /// The names without folders, for metadata: nothing of the machine goes into files.
    pub fn describe(&self) -> String {
        describe(&self.frames)
    }
}

/// Names of paths without folders.
pub fn describe(paths: &[PathBuf]) -> String {
    let name = |path: &PathBuf| match path.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.display().to_string(),
    };
    let names: Vec<String> = paths.iter().map(name).collect();
    names.join(" ")
}

impl ChoiceArgs {
    /// Opens frames at a model's input size.
    pub fn open(&self, paths: &[PathBuf], [height, width, channels]: [usize; 3]) -> Result<Frames> {
        let mut options = OpenOptions::new(height, width, channels);
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        options.limit = self.limit.map(size);
        options.stride = self.stride.map_or(1, size);
        options.group = self.group.map(size);
        let frames = open(paths, &options)?;
        if frames.ignored() > 0 {
            let ignored = frames.ignored();
            eprintln!("note: files in the folders that are no pictures, passed over: {ignored}");
        }
        Ok(frames)
    }
}
