//! Frames through a model, on one thread.

use gradgate_bundle::detector::{Fault, Judgement};
use gradgate_bundle::header::names;
use gradgate_bundle::op::NONE;
use gradgate_engine::detector::evaluate;
use gradgate_engine::{Features, Frame};
use tract_core::internal::*;

use crate::error::TractError;
use crate::model::{Output, TractModel};

/// What one thread needs to run frames.
#[derive(Debug)]
pub struct Session<'m, 'a> {
    model: &'m TractModel<'a>,
    state: TypedSimpleState,
    features: Vec<f32>,
    logits: Vec<f32>,
    penultimate: Vec<f32>,
    observed: Vec<Vec<f32>>,
    /// Squared gradient norms, then squared activation norms, among the features.
    counts: [usize; 2],
    /// The detector's.
    scratch: Vec<f32>,
}

impl<'m, 'a> Session<'m, 'a> {
    pub(crate) fn new(model: &'m TractModel<'a>) -> Result<Self, TractError> {
        let header = model.engine.bundle().header();
        let scratch = header.detector.as_ref().and_then(|d| d.scratch_elements());
        Ok(Session {
            model,
            state: model.plan.spawn().map_err(TractError::of)?,
            features: vec![0.0; header.schema.features()],
            logits: Vec::new(),
            penultimate: Vec::new(),
            observed: Vec::new(),
            counts: [header.schema.parameters, header.schema.layers]
                .map(|list| names(list).count()),
            scratch: vec![0.0; scratch.unwrap_or(0)],
        })
    }

    /// Runs one frame.
    ///
    /// # Errors
    /// A frame of the wrong length; tract's own.
    pub fn run(&mut self, frame: Frame<'_>) -> Result<Features<'_>, TractError> {
        self.steps(frame)?;
        Ok(self.results())
    }

    /// Runs one frame and judges it with the engine's detector; `None` without one.
    ///
    /// # Errors
    /// As [`Session::run`]. A value that is not finite is the inner [`Fault`].
    pub fn judge(
        &mut self,
        frame: Frame<'_>,
    ) -> Result<(Features<'_>, Option<Result<Judgement, Fault>>), TractError> {
        self.steps(frame)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let view = self.model.engine.detector();
        let judgement = view.map(|view| evaluate(view, &self.results().input(), &mut scratch));
        self.scratch = scratch;
        Ok((self.results(), judgement))
    }

    /// The tensors that the model was asked to show, as the last frame left them, without gaps.
    pub fn observed(&self) -> impl Iterator<Item = &[f32]> {
        self.observed.iter().map(Vec::as_slice)
    }

    fn results(&self) -> Features<'_> {
        let (squared_norms, rest) = self.features.split_at(self.counts[0]);
        let (activation_norms, alignments) = rest.split_at(self.counts[1]);
        Features {
            logits: &self.logits,
            squared_norms,
            activation_norms,
            penultimate: &self.penultimate,
            alignments,
        }
    }

    fn steps(&mut self, frame: Frame<'_>) -> Result<(), TractError> {
        let (expected, found) = (self.model.engine.frame_length(), frame.length());
        if expected != found {
            return Err(TractError::Frame { expected, found });
        }
        let frame = match frame {
            Frame::U8(values) => {
                let unit: Vec<f32> = values.iter().map(|v| f32::from(*v) / 255.0).collect();
                tensor1(&unit)
            }
            Frame::F32(values) => tensor1(values),
        };
        let outputs = self.state.run(tvec!(frame.into_tvalue())).map_err(TractError::of)?;
        self.observed.clear();
        for (output, value) in self.model.results.iter().zip(outputs) {
            self.keep(*output, &value).map_err(TractError::of)?;
        }
        Ok(())
    }

    fn keep(&mut self, output: Output, value: &Tensor) -> TractResult<()> {
        let plain = value.try_as_plain_ram()?;
        let values: &[f32] = plain.as_slice()?;
        let refill = |list: &mut Vec<f32>| {
            list.clear();
            list.extend_from_slice(values);
        };
        match output {
            Output::Logits => refill(&mut self.logits),
            Output::Penultimate => refill(&mut self.penultimate),
            Output::Observed => self.observed.push(values.to_vec()),
            Output::Features(places) => {
                for (place, value) in places.iter().zip(values).filter(|(p, _)| **p != NONE) {
                    let feature = self.features.get_mut(usize::from(*place));
                    *feature.context("a feature that the schema does not have")? = *value;
                }
            }
        }
        Ok(())
    }
}
