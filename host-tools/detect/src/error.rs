//! What can go wrong, each with the name of the culprit and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug)]
pub enum DetectError {
    /// A file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// Feature sets that do not belong together.
    Mixture {
        /// Metadata that differs.
        field: &'static str,
        /// Name and value of the first set.
        first: (String, String),
        /// Name and value of the second set.
        second: (String, String),
    },
    /// Too few independent units (frames, or sources when frames share one) for the request.
    TooFew {
        /// What they are needed for.
        purpose: String,
        /// How many there are.
        have: usize,
        /// How many it takes.
        need: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// An option out of its range, or options that exclude one another.
    Options(String),
    /// Values that cannot be used.
    Data(String),
}

impl DetectError {
    /// A problem with a file's content.
    pub fn file(path: &Path, problem: impl Into<String>) -> DetectError {
        DetectError::File { path: path.to_owned(), problem: problem.into() }
    }

    /// A problem with reading or writing.
    pub fn io(path: &Path, source: std::io::Error) -> DetectError {
        DetectError::Io { path: path.to_owned(), source }
    }
}

impl fmt::Display for DetectError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DetectError::Io { path, source } => write!(out, "{}: {source}", path.display()),
            DetectError::File { path, problem } => write!(out, "{}: {problem}", path.display()),
            DetectError::Mixture { field, first, second } => write!(
                out,
                "features that do not belong together: {field} is {} in {} but {} in {}; compute \
                 both with the same `gradgate features` options and model",
                first.1, first.0, second.1, second.0
            ),
            DetectError::TooFew { purpose, have, need, unit } => {
                write!(out, "{purpose} needs {need} {unit}, there are {have}; give more frames")
            }
            DetectError::Options(problem) | DetectError::Data(problem) => out.write_str(problem),
        }
    }
}

impl std::error::Error for DetectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DetectError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
