//! The input vector: norms, forward features, alignments, each standardised.

use core::mem::swap;

use gradgate_bundle::detector::{Fault, FeatureShape, Inputs};

use super::{DetectorView, FrameFeatures};
use crate::kernels::lanes::Sum;
use crate::math;

/// Squared norms below this count as this, so that a dead tensor has a finite logarithm.
const SMALLEST_NORM: f32 = 1e-30;

/// Fills x, whose length is that of the detector's mean, with standardised inputs.
pub(super) fn write(
    view: &DetectorView<'_>,
    frame: &FrameFeatures<'_>,
    x: &mut [f32],
) -> Result<(), Fault> {
    raw_inputs(view.inputs, &view.shape, frame, x)?;
    for ((value, mean), inverse) in x.iter_mut().zip(view.mean).zip(view.inverse_std) {
        *value = (*value - mean) * inverse;
        if !value.is_finite() {
            return Err(Fault::Intermediate);
        }
    }
    Ok(())
}

/// The inputs before standardising; x has exactly `shape.inputs(inputs)` values, and the frame's
/// values are finite.
///
/// # Errors
/// [`Fault::Length`] where features and x do not fit together.
pub fn raw_inputs(
    inputs: Inputs,
    shape: &FeatureShape,
    frame: &FrameFeatures<'_>,
    x: &mut [f32],
) -> Result<(), Fault> {
    let mut rest = x;
    if inputs.has(Inputs::NORM) {
        rest = logarithms(frame.norms, rest)?;
    }
    if inputs.has(Inputs::FORWARD) {
        rest = logarithms(frame.layers, rest)?;
        let (sorted, after) = split(rest, shape.sorted_logits() as usize)?;
        sort_largest(frame.logits, sorted);
        let (last, after) = after.split_first_mut().ok_or(Fault::Length)?;
        *last = energy(frame.logits);
        rest = after;
    }
    if inputs.has(Inputs::ALIGNMENT) {
        let (cosines, after) = split(rest, frame.alignments.len())?;
        cosines.iter_mut().zip(frame.alignments).for_each(|(to, cosine)| *to = *cosine);
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(Fault::Length) }
}

fn split(values: &mut [f32], at: usize) -> Result<(&mut [f32], &mut [f32]), Fault> {
    values.split_at_mut_checked(at).ok_or(Fault::Length)
}

/// Writes `ln(max(f, 1e-30))` and returns what lies behind.
fn logarithms<'x>(features: &[f32], x: &'x mut [f32]) -> Result<&'x mut [f32], Fault> {
    let (place, after) = split(x, features.len())?;
    for (value, feature) in place.iter_mut().zip(features) {
        let floored = if *feature <= SMALLEST_NORM { SMALLEST_NORM } else { *feature };
        *value = math::ln(floored);
    }
    Ok(after)
}

/// The largest values in descending order, as many as `sorted` holds; values are finite. Equal ones
/// keep their order, which tells -0 from 0.
fn sort_largest(values: &[f32], sorted: &mut [f32]) {
    for (filled, &value) in values.iter().enumerate() {
        let mut carried = value;
        let mut shifts = false;
        for place in sorted.iter_mut().take(filled) {
            shifts |= *place < carried;
            if shifts {
                swap(place, &mut carried);
            }
        }
        if let Some(place) = sorted.get_mut(filled) {
            *place = carried;
        }
    }
}

/// The largest value; NaN when there is none or any is NaN.
pub fn largest(values: &[f32]) -> f32 {
    let mut best = match values.first() {
        Some(first) => *first,
        None => f32::NAN,
    };
    for &value in values {
        best = if value <= best { best } else { value };
    }
    best
}

/// `ln(sum exp(z))`; NaN without logits.
pub fn energy(logits: &[f32]) -> f32 {
    let top = largest(logits);
    top + log_sum_above(logits, top)
}

/// `ln(sum exp(z - top))`
fn log_sum_above(logits: &[f32], top: f32) -> f32 {
    let mut sum = Sum::new();
    for &logit in logits {
        sum.add(math::exp(logit - top));
    }
    math::ln(sum.total())
}
