//! What can go wrong, each with the name of the culprit and what to do.

use std::fmt;
use std::io;
use std::path::Path;

/// An error of this crate.
#[derive(Debug)]
pub enum LabError {
    /// The device that was asked for cannot be used.
    Device(String),
    /// The model cannot be executed, trained or attacked here.
    Model(String),
    /// Images that do not fit the model, or labels that do not fit its classes.
    Data(String),
    /// An option out of its range, or options that exclude one another.
    Options(String),
    /// Numbers that are not finite where they must be.
    NotFinite(String),
    /// A file that cannot be read or written.
    File(String),
    /// The caller asked to stop; what was finished is kept.
    Stopped,
}

impl LabError {
    /// A file that cannot be written, and what to do.
    pub fn unwritable(path: &Path, error: &io::Error) -> LabError {
        let remedy = gradgate_frames::remedy(error);
        LabError::File(format!("cannot write {}: {error} ({remedy})", path.display()))
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabError::Device(text)
            | LabError::Model(text)
            | LabError::Data(text)
            | LabError::Options(text)
            | LabError::NotFinite(text)
            | LabError::File(text) => f.write_str(text),
            LabError::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for LabError {}
