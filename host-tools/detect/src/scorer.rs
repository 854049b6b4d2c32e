//! Scores through the engine's detector code: the very bits that a device computes.

use gradgate_bundle::detector::{Detector, Fault, FeatureShape, Judgement};
use gradgate_bundle::header::BlobRef;
use gradgate_engine::detector::{DetectorView, FrameFeatures, evaluate, raw_inputs};

use crate::features::FrameBuffer;
use crate::file::Model;
use crate::{DetectError, FeatureSet, Inputs};

/// A detector ready to score; its arrays lie in one pool.
#[derive(Clone, Debug)]
pub struct Scorer {
    detector: Detector,
    pool: Vec<f32>,
}

impl Scorer {
    /// Checks a detector as a device does when it loads one.
    ///
    /// # Errors
    /// Arrays of wrong length, values that are not finite.
    pub fn new(model: &Model, shape: FeatureShape) -> Result<Scorer, DetectError> {
        let mut pool = vec![];
        let detector = model.to_wire(shape, &mut |values| {
            let at = BlobRef { offset: 4 * pool.len() as u32, elements: values.len() as u32 };
            pool.extend_from_slice(values);
            pool.resize(pool.len().next_multiple_of(4), 0.0);
            at
        });
        let scorer = Scorer { detector, pool };
        scorer.view()?;
        Ok(scorer)
    }

    /// Length of its arrays as a bundle holds them.
    pub fn bytes(&self) -> u64 {
        4 * self.pool.len() as u64
    }

    fn view(&self) -> Result<DetectorView<'_>, DetectError> {
        let pool = &self.pool;
        let mut blob = |at: BlobRef| {
            let start = at.offset as usize / 4;
            pool.get(start..start + at.elements as usize)
        };
        DetectorView::new(&self.detector, &self.detector.shape, &mut blob)
            .map_err(|error| DetectError::Data(format!("the detector is not sound: {error:?}")))
    }

    /// Judges one frame.
    ///
    /// # Errors
    /// The first value that is not finite, or a length that does not fit.
    pub fn judge_frame(&self, frame: &FrameFeatures<'_>) -> Result<Judgement, Fault> {
        let view = self.view().map_err(|_| Fault::Length)?;
        let mut scratch = vec![0.0; self.detector.scratch_elements().unwrap_or(0)];
        evaluate(&view, frame, &mut scratch)
    }

    /// Judges frames of a set.
    ///
    /// # Errors
    /// A frame for which the engine has no score.
    pub fn judge(&self, set: &FeatureSet, frames: &[usize]) -> Result<Vec<Judgement>, DetectError> {
        let view = self.view()?;
        let mut scratch = vec![0.0; self.detector.scratch_elements().unwrap_or(0)];
        let mut buffer = FrameBuffer::default();
        let mut judge = |frame: usize| {
            set.load(frame, &mut buffer);
            evaluate(&view, &buffer.view(), &mut scratch).map_err(|fault| {
                let origin = &set.metadata.frames;
                DetectError::Data(format!(
                    "frame {frame} of {origin} cannot be scored ({fault:?}); leave it out"
                ))
            })
        };
        frames.iter().map(|frame| judge(*frame)).collect()
    }

    /// Scores of frames.
    ///
    /// # Errors
    /// As [`Scorer::judge`].
    pub fn scores(&self, set: &FeatureSet, frames: &[usize]) -> Result<Vec<f32>, DetectError> {
        Ok(self.judge(set, frames)?.into_iter().map(|judgement| judgement.score).collect())
    }
}

/// Input vectors before standardising, `[frames][inputs]`.
///
/// # Errors
/// More inputs than a detector may have.
pub fn input_rows(
    set: &FeatureSet,
    frames: &[usize],
    inputs: Inputs,
) -> Result<Vec<f32>, DetectError> {
    let shape = set.shape();
    let fault = || DetectError::Data("the features do not fit the detector's inputs".into());
    let length = shape.inputs(inputs).ok_or_else(fault)? as usize;
    let mut rows = vec![0.0; length * frames.len()];
    let mut buffer = FrameBuffer::default();
    for (row, frame) in rows.chunks_exact_mut(length.max(1)).zip(frames) {
        set.load(*frame, &mut buffer);
        raw_inputs(inputs, &shape, &buffer.view(), row).map_err(|_| fault())?;
    }
    Ok(rows)
}
