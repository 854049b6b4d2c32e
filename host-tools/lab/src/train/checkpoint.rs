//! The state of a run in one safetensors file, written whole or not at all.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::curves::Epoch;
use super::learner::State;
use crate::array::Array;
use crate::error::LabError;

/// Key of the metadata.
const KEY: &str = "gradgate.checkpoint";
/// Of the layout below.
const VERSION: u32 = 1;

/// A run between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Where the run is.
    pub progress: Position,
    /// Weights, momentum, running statistics.
    pub state: State,
}

/// Where a run is, and of which recipe and data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Position {
    version: u32,
    /// Digest of the recipe.
    pub recipe: String,
    /// Digest of the training frames.
    pub data: String,
    /// Steps that were made.
    pub step: usize,
    /// Bits of the sum of losses over the steps of the epoch that has begun.
    pub loss_bits: u64,
    /// Right answers in that epoch.
    pub correct: usize,
    /// Epochs that are done.
    pub epochs: Vec<Epoch>,
}

impl Position {
    /// The beginning of a run.
    pub fn start(recipe: String, data: String) -> Self {
        Self { version: VERSION, recipe, data, ..Self::default() }
    }

    /// Sum of losses over the steps of the epoch that has begun.
    pub fn loss(&self) -> f64 {
        f64::from_bits(self.loss_bits)
    }
}

impl Checkpoint {
    /// Replaces the file.
    ///
    /// # Errors
    /// When it cannot be written; what was there stays.
    pub fn write(&self, path: &Path) -> Result<(), LabError> {
        let wrong =
            |error: String| LabError::File(format!("cannot write {}: {error}", path.display()));
        let text = serde_json::to_string(&self.progress).map_err(|e| wrong(e.to_string()))?;
        let bytes: Vec<Vec<u8>> = self
            .state
            .iter()
            .map(|(_, array)| array.data().iter().flat_map(|x| x.to_le_bytes()).collect())
            .collect();
        let views = self.state.iter().zip(&bytes).map(|((name, array), bytes)| {
            Ok((name, TensorView::new(Dtype::F32, array.shape().to_vec(), bytes)?))
        });
        let file = views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| {
                safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), text)])))
            })
            .map_err(|error| wrong(error.to_string()))?;
        super::write_whole(path, &file)
    }

    /// Reads a file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or is no checkpoint.
    pub fn read(path: &Path) -> Result<Option<Self>, LabError> {
        let wrong = |error: String| {
            LabError::File(format!(
                "checkpoint {}: {error}; remove it to begin again",
                path.display()
            ))
        };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let no_checkpoint = || wrong("it is not one of this command".to_owned());
        let (_, head) = SafeTensors::read_metadata(&bytes).map_err(|e| wrong(e.to_string()))?;
        let text =
            head.metadata().as_ref().and_then(|all| all.get(KEY)).ok_or_else(no_checkpoint)?;
        let progress: Position = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if progress.version != VERSION {
            return Err(wrong(format!("its version is {}, not {VERSION}", progress.version)));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
        let mut state = State::new();
        for (name, view) in tensors.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(no_checkpoint());
            }
            let numbers = view.data().chunks_exact(4);
            let data = numbers.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            state.push((name.to_owned(), Array::new(view.shape().to_vec(), data)));
        }
        Ok(Some(Self { progress, state }))
    }
}

/// Name of the first tensor that holds something that is no number.
pub(super) fn not_finite(state: &State) -> Option<&str> {
    let bad = |array: &Array| array.data().iter().any(|x| !x.is_finite());
    state.iter().find(|(_, array)| bad(array)).map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoint.safetensors");
        assert_eq!(Checkpoint::read(&path).expect("none"), None);
        let mut progress = Position::start("r".into(), "d".into());
        progress.loss_bits = 0.1_f64.to_bits();
        progress.step = 7;
        let state = vec![("a".to_owned(), Array::new([2], vec![f32::MIN_POSITIVE, -0.0]))];
        let checkpoint = Checkpoint { progress, state };
        checkpoint.write(&path).expect("writes");
        assert_eq!(Checkpoint::read(&path).expect("reads"), Some(checkpoint));
        let whole = std::fs::read(&path).expect("reads");
        for length in [0, 7, 40, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).expect("writes");
            let error = Checkpoint::read(&path).expect_err("truncated").to_string();
            assert!(error.contains("remove it to begin again"), "{error}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_found() {
        let state = |x: f32| vec![("a".to_owned(), Array::new([2], vec![0.0, x]))];
        assert_eq!(not_finite(&state(1.0)), None);
        assert_eq!(not_finite(&state(f32::NAN)), Some("a"));
        assert_eq!(not_finite(&state(f32::INFINITY)), Some("a"));
    }
}
