//! Who is told how far a run is, and may end it.

use crate::error::LabError;

/// Hears of the progress.
pub trait Watch {
    /// Something that is worth a line.
    fn say(&self, line: &str);

    /// `done` of `total` of a stage.
    ///
    /// # Errors
    /// [`LabError::Stopped`] to end the run; what is finished is kept for the next one.
    fn progress(&self, stage: &str, done: u64, total: u64) -> Result<(), LabError>;
}

/// Nobody.
pub struct Quiet;

impl Watch for Quiet {
    fn say(&self, _: &str) {}

    fn progress(&self, _: &str, _: u64, _: u64) -> Result<(), LabError> {
        Ok(())
    }
}
