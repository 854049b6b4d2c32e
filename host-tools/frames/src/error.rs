//! Why frames could not be opened, read or written: always the file, the place and the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why frames could not be opened, read or written.
#[derive(Debug)]
pub enum FramesError {
    /// The options make no sense.
    Options(String),
    /// The operating system refused.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as in "cannot read".
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The content is of no known kind.
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// What it may be, or what is wrong with it.
        hint: String,
    },
    /// No frames.
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The content contradicts its own format, or is of a variant that is not read.
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it (byte or record); empty when it is about the whole file.
        at: String,
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// No such frame.
    Index {
        /// The frame asked for, counted from 0.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// A pipe has no more frames.
    End,
    /// Frames that cannot be written as asked.
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
    },
}

impl FramesError {
    pub(crate) fn io(path: &Path, doing: &'static str, error: io::Error) -> Self {
        FramesError::Io { path: path.to_owned(), doing, error }
    }

    pub(crate) fn malformed(path: &Path, problem: Problem) -> Self {
        let Problem { at, what, remedy } = problem;
        FramesError::Malformed { path: path.to_owned(), at, what, remedy }
    }
}

/// A [`FramesError::Malformed`] that does not know its file yet.
#[derive(Debug)]
pub(crate) struct Problem {
    pub at: String,
    pub what: String,
    pub remedy: String,
}

impl Problem {
    pub fn new(at: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Problem { at: at.into(), what: what.into(), remedy: remedy.into() }
    }

    /// The data ends before the format says so.
    pub fn truncated(byte: usize, inside: &str) -> Self {
        Problem::new(
            format!("byte {byte}"),
            format!("the data ends inside {inside}"),
            "the file is truncated: copy or download it again",
        )
    }
}

impl fmt::Display for FramesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FramesError::Options(what) => f.write_str(what),
            FramesError::Io { path, doing, error } => {
                write!(f, "{doing} {}: {error}", path.display())
            }
            FramesError::Unrecognised { path, hint } => write!(
                f,
                "{}: not a kind of frames that is read (PNG, JPEG, PPM, CIFAR records and batches, \
                 MAT-file, idx, safetensors, MCAP, rosbag2's .db3): {hint}",
                path.display()
            ),
            FramesError::Empty { path, found } => {
                write!(f, "{}: no frames: {found}", path.display())
            }
            FramesError::Malformed { path, at, what, remedy } => {
                write!(f, "{}", path.display())?;
                if !at.is_empty() {
                    write!(f, ", {at}")?;
                }
                write!(f, ": {what}; {remedy}")
            }
            FramesError::Index { index, len } => {
                write!(f, "frame {index} was asked for, but there are {len} (counted from 0)")
            }
            FramesError::End => f.write_str("there are no more frames"),
            FramesError::Unwritable { path, what } => {
                write!(f, "cannot write {}: {what}", path.display())
            }
        }
    }
}

impl std::error::Error for FramesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FramesError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
