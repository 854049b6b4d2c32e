//! A bundle as an optimised tract model.

use std::sync::Arc;

use gradgate_bundle::Bundle;
use gradgate_bundle::op::{NONE, OpCode};
use gradgate_bundle::shape::Parameters;
use gradgate_engine::Engine;
use tract_core::internal::*;
use tract_core::knobs::KnobScope;
use tract_core::prelude::TypedSimplePlan;

use crate::error::TractError;
use crate::session::Session;
use crate::steps;
use crate::wires::Wires;

/// Bytes from which on a convolution's input is gathered while it is multiplied, instead of being
/// written out first: always. tract's own choice would write out small kernels and small inputs.
const LAZY_BYTES: (&str, &str) = ("TRACT_LAZY_IM2COL_MAX_EAGER_BYTES", "0");

/// A bundle that tract can run. Holds no frame state: sessions do, one a thread.
#[derive(Debug)]
pub struct TractModel<'a> {
    pub(crate) engine: Engine<'a>,
    pub(crate) plan: Arc<TypedSimplePlan>,
    /// What each of the model's outputs holds, in their order.
    pub(crate) results: Vec<Output>,
}

/// What an output of the model holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The logits.
    Logits,
    /// The penultimate vector.
    Penultimate,
    /// The features with these numbers.
    Features([u16; 4]),
    /// A tensor that was asked for.
    Observed,
}

impl<'a> TractModel<'a> {
    /// Builds and optimises the model of a bundle that the engine has accepted.
    ///
    /// # Errors
    /// The first step that tract cannot run, by name.
    pub fn load(engine: Engine<'a>) -> Result<Self, TractError> {
        Self::observing(engine, &[])
    }

    /// As [`TractModel::load`]; a session then also shows the last value of these tensors.
    ///
    /// # Errors
    /// As [`TractModel::load`].
    pub fn observing(engine: Engine<'a>, tensors: &[usize]) -> Result<Self, TractError> {
        Self::build(engine, tensors, true)
    }

    /// As [`TractModel::load`], without what the features alone need: they stay 0. To tell what the
    /// forward pass costs.
    ///
    /// # Errors
    /// As [`TractModel::load`].
    pub fn forward_only(engine: Engine<'a>) -> Result<Self, TractError> {
        Self::build(engine, &[], false)
    }

    fn build(
        engine: Engine<'a>,
        tensors: &[usize],
        with_features: bool,
    ) -> Result<Self, TractError> {
        let bundle = engine.bundle();
        let mut wires = Wires::new(bundle).map_err(TractError::of)?;
        for (step, record) in bundle.steps().iter().enumerate() {
            let parameters = Parameters::of(bundle, record);
            let opcode = OpCode::from_number(record.opcode.get());
            let (Some(parameters), Some(opcode)) = (parameters, opcode) else {
                return Err(TractError::Tract(format!("step {step} is unknown")));
            };
            steps::wire(&mut wires.site(step, opcode, record), &parameters)?;
        }
        if !with_features {
            wires.features.clear();
        }
        let results = select_outputs(&mut wires, bundle, tensors)?;
        let plan = optimised(wires.model).map_err(TractError::of)?;
        Ok(TractModel { engine, plan, results })
    }

    /// State for one thread.
    ///
    /// # Errors
    /// tract's.
    pub fn session(&self) -> Result<Session<'_, 'a>, TractError> {
        Session::new(self)
    }

    /// The engine that checked the bundle.
    pub fn engine(&self) -> &Engine<'a> {
        &self.engine
    }

    /// Nodes that run for each frame: operation and name, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (String, &str)> {
        let model = self.plan.model();
        self.plan.order_without_consts().iter().map(move |node| {
            let node = model.node(*node);
            (node.op().name().into_owned(), node.name.as_str())
        })
    }
}

/// Results, features and observed tensors become the model's outputs.
fn select_outputs(
    wires: &mut Wires<'_, '_>,
    bundle: &Bundle<'_>,
    tensors: &[usize],
) -> Result<Vec<Output>, TractError> {
    let layout = &bundle.header().layout;
    let mut outputs = vec![(usize::from(layout.logits), Output::Logits)];
    if layout.penultimate != NONE {
        outputs.push((usize::from(layout.penultimate), Output::Penultimate));
    }
    outputs.extend(tensors.iter().map(|tensor| (*tensor, Output::Observed)));
    let (mut outlets, mut results) = (Vec::new(), Vec::new());
    for (tensor, result) in outputs {
        let outlet = wires.value(tensor);
        let missing = || TractError::Tract(format!("no step writes {result:?}"));
        outlets.push(outlet.ok_or_else(missing)?);
        results.push(result);
    }
    for (outlet, features) in &wires.features {
        outlets.push(*outlet);
        results.push(Output::Features(*features));
    }
    wires.model.select_output_outlets(&outlets).map_err(TractError::of)?;
    Ok(results)
}

fn optimised(model: TypedModel) -> TractResult<Arc<TypedSimplePlan>> {
    KnobScope::new([LAZY_BYTES])?.enter(|| TypedSimplePlan::new(model.into_optimized()?))
}
