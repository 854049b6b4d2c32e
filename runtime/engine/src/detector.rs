//! The detector: from one frame's features to a judgement.
//!
//! Arithmetic is f32 in a fixed order (16 lanes folded 8-4-2-1), so host and device agree bit for
//! bit. All arrays are checked once, in [`DetectorView::new`]; evaluation cannot panic and needs
//! no memory but the caller's scratch. Anything that is not finite gives a [`Fault`], never a
//! score.

mod heads;
mod inputs;
mod view;

use gradgate_bundle::detector::{Fault, Inputs, Judgement, Reason};

use crate::math;
pub use inputs::{energy, largest, raw_inputs};
pub use view::{
    CompositeView, DetectorView, GaussianView, HeadView, MlpView, PrototypesView, TableView, check,
};

/// What the network gave for one frame; a kind that the detector does not read may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameFeatures<'a> {
    /// Squared gradient norms in schema order.
    pub norms: &'a [f32],
    /// Squared activation norms in schema order.
    pub layers: &'a [f32],
    /// Logits.
    pub logits: &'a [f32],
    /// Input of the last linear layer.
    pub penultimate: &'a [f32],
    /// Cosines against reference directions, in schema order.
    pub alignments: &'a [f32],
}

/// Judges one frame. `scratch` holds at least `Detector::scratch_elements` values; its content does
/// not matter before and means nothing after.
///
/// # Errors
/// A length that differs from the detector's shape, or the first value that is not finite.
pub fn evaluate(
    view: &DetectorView<'_>,
    frame: &FrameFeatures<'_>,
    scratch: &mut [f32],
) -> Result<Judgement, Fault> {
    check_lengths(view, frame)?;
    check_finite(frame)?;
    let (x, rest) = scratch.split_at_mut_checked(view.mean.len()).ok_or(Fault::Length)?;
    inputs::write(view, frame, x)?;
    let class = predicted(frame.logits);
    let scored = heads::score(view, frame, class, x, rest)?;
    if !scored.score.is_finite() {
        return Err(Fault::Score);
    }
    let p_value = math::exp(-view.p_values.step(scored.score));
    if !p_value.is_finite() {
        return Err(Fault::Score);
    }
    Ok(Judgement { score: scored.score, p_value, reason: scored.reason, class })
}

/// A score with what dominates it.
#[derive(Clone, Copy, Debug)]
struct Scored {
    score: f32,
    reason: Reason,
}

/// Index of the largest logit, the first of equals; a single logit predicts 1 above zero.
pub fn predicted(logits: &[f32]) -> u32 {
    if let [single] = logits {
        return u32::from(*single > 0.0);
    }
    let (mut best, mut top) = (0, logits.first().copied().unwrap_or(f32::NAN));
    for (index, value) in logits.iter().enumerate() {
        if *value > top {
            (best, top) = (index, *value);
        }
    }
    best as u32
}

fn check_lengths(view: &DetectorView<'_>, frame: &FrameFeatures<'_>) -> Result<(), Fault> {
    let shape = &view.shape;
    let fits = |wanted: u32, slice: &[f32], needed: bool| {
        slice.len() == wanted as usize || (slice.is_empty() && !needed)
    };
    let fine = fits(shape.norms, frame.norms, view.inputs.has(Inputs::NORM))
        && fits(shape.layers, frame.layers, view.inputs.has(Inputs::FORWARD))
        && fits(shape.classes, frame.logits, true)
        && fits(shape.penultimate, frame.penultimate, view.needs_penultimate())
        && fits(shape.alignments, frame.alignments, view.inputs.has(Inputs::ALIGNMENT));
    if fine { Ok(()) } else { Err(Fault::Length) }
}

fn check_finite(frame: &FrameFeatures<'_>) -> Result<(), Fault> {
    type Kind<'a> = (&'a [f32], fn(u32) -> Fault);
    let kinds: [Kind<'_>; 5] = [
        (frame.norms, Fault::Norm),
        (frame.layers, Fault::Activation),
        (frame.logits, Fault::Logit),
        (frame.penultimate, Fault::Penultimate),
        (frame.alignments, Fault::Alignment),
    ];
    for (values, fault) in kinds {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(fault(index as u32));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
