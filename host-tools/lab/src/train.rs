//! Training: a recipe and labelled frames in, an ONNX model with its card and curves out.
//!
//! Everything random is drawn by counter from the recipe's seed, the epoch and the image, so that
//! a run that was killed at any step and resumed ends with the same weights, bit for bit, on the
//! same kind of processor. A batch is cut into a fixed number of *shards*, each normalised by
//! statistics of its own and computed by a thread of its own; their gradients are added in order.

mod augment;
mod card;
mod checkpoint;
mod curves;
mod data;
mod learner;
mod optimiser;
mod plot;
mod recipe;
mod run;
mod schedule;

pub use augment::Augmentation;
pub use card::Card;
pub use checkpoint::Checkpoint;
pub use curves::{Curves, Epoch};
pub use data::{Dataset, Parts};
pub use learner::{Learner, Shard, StepResult, open};
pub use optimiser::{Decay, Optimiser};
pub use recipe::{Data, Network, Recipe};
pub use run::{Finished, Progress, Run, Trained};
pub use schedule::{Kind, Schedule};

/// Writes a file whole or not at all.
fn write_whole(path: &std::path::Path, bytes: &[u8]) -> Result<(), crate::error::LabError> {
    use crate::error::LabError;
    gradgate_frames::write_atomic(path, bytes).map_err(|error| match error {
        gradgate_frames::FramesError::Io { error, .. } => LabError::unwritable(path, &error),
        other => LabError::File(other.to_string()),
    })
}
