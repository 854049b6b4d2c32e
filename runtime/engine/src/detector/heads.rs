//! The heads: standardised inputs, logits and penultimate vector to one score.

use gradgate_bundle::detector::{Energy, Fault, Reason};

use super::inputs::{energy, largest};
use super::{
    CompositeView, DetectorView, FrameFeatures, GaussianView, HeadView, MlpView, PrototypesView,
    Scored, TableView, predicted,
};
use crate::kernels::lanes::{Sum, dot};
use crate::math;

/// A penultimate vector shorter than this (squared) has no direction; its cosines count as 0.
const SMALLEST_SQUARE: f32 = 1e-30;

/// Score of the view's head; `scratch` is what lies behind x.
pub fn score(
    view: &DetectorView<'_>,
    frame: &FrameFeatures<'_>,
    class: u32,
    x: &[f32],
    scratch: &mut [f32],
) -> Result<Scored, Fault> {
    let class = class as usize;
    let shift = |score| Ok(Scored { score, reason: Reason::Shift });
    match &view.head {
        HeadView::Mlp(head) => shift(mlp(head, x, scratch)?),
        HeadView::Gaussian(head) => shift(gaussian(head, class, x, scratch)?),
        HeadView::Prototypes(head) => shift(prototypes(head, class, frame.penultimate)?),
        HeadView::Energy(head) => energy_distance(head, frame.logits),
        HeadView::Composite(head) => composite(head, frame, class, x, scratch),
    }
}

fn mlp(head: &MlpView<'_>, x: &[f32], scratch: &mut [f32]) -> Result<f32, Fault> {
    let hidden = scratch.get_mut(..head.b1.len()).ok_or(Fault::Length)?;
    let mut rest = head.w1;
    for (value, bias) in hidden.iter_mut().zip(head.b1) {
        let (row, after) = rest.split_at_checked(x.len()).ok_or(Fault::Length)?;
        rest = after;
        let sum = dot(row, x) + bias;
        // Before the ReLU, which would hide an overflow to -Inf.
        if !sum.is_finite() {
            return Err(Fault::Intermediate);
        }
        *value = if sum <= 0.0 { 0.0 } else { sum };
    }
    Ok(dot(head.w2, hidden) + head.b2)
}

fn gaussian(
    head: &GaussianView<'_>,
    class: usize,
    x: &[f32],
    scratch: &mut [f32],
) -> Result<f32, Fault> {
    let difference = scratch.get_mut(..x.len()).ok_or(Fault::Length)?;
    let start = class * x.len();
    let mean = head.means.get(start..start + x.len()).ok_or(Fault::Length)?;
    for ((place, value), mean) in difference.iter_mut().zip(x).zip(mean) {
        *place = value - mean;
    }
    let mut sum = Sum::new();
    let mut rest = head.whitening;
    for row in 1..=x.len() {
        let (weights, after) = rest.split_at_checked(row).ok_or(Fault::Length)?;
        let whitened = dot(weights, difference.get(..row).ok_or(Fault::Length)?);
        sum.add(whitened * whitened);
        rest = after;
    }
    Ok(sum.total())
}

fn prototypes(head: &PrototypesView<'_>, class: usize, vector: &[f32]) -> Result<f32, Fault> {
    let square = dot(vector, vector);
    if !square.is_finite() {
        return Err(Fault::Intermediate);
    }
    if square <= SMALLEST_SQUARE {
        return Ok(1.0);
    }
    let length = math::sqrt(square);
    let block = head.per_class * vector.len();
    let start = class * block;
    let mut rest = head.vectors.get(start..start + block).ok_or(Fault::Length)?;
    let mut best = -1.0f32;
    for _ in 0..head.per_class {
        let (prototype, after) = rest.split_at_checked(vector.len()).ok_or(Fault::Length)?;
        rest = after;
        let cosine = dot(prototype, vector) / length;
        if !cosine.is_finite() {
            return Err(Fault::Intermediate);
        }
        best = if cosine <= best { best } else { cosine };
    }
    Ok(1.0 - best)
}

fn energy_distance(head: &Energy, logits: &[f32]) -> Result<Scored, Fault> {
    let energy = energy(logits);
    if !energy.is_finite() {
        return Err(Fault::Intermediate);
    }
    Ok(if energy <= head.median {
        Scored { score: (head.median - energy) * head.below, reason: Reason::Doubt }
    } else {
        Scored { score: (energy - head.median) * head.above, reason: Reason::Shift }
    })
}

/// Minus the logarithm of the largest softmax probability; a single logit stands against 0.
fn doubt(logits: &[f32]) -> f32 {
    if let [single] = logits {
        let magnitude = if *single < 0.0 { -single } else { *single };
        return math::ln_above_one(math::exp(-magnitude));
    }
    let (top, class) = (largest(logits), predicted(logits) as usize);
    let mut others = Sum::new();
    for (index, &logit) in logits.iter().enumerate() {
        if index != class {
            others.add(math::exp(logit - top));
        }
    }
    math::ln_above_one(others.total())
}

fn composite(
    head: &CompositeView<'_>,
    frame: &FrameFeatures<'_>,
    class: usize,
    x: &[f32],
    scratch: &mut [f32],
) -> Result<Scored, Fault> {
    let mut total = Scored { score: 0.0, reason: Reason::Shift };
    let mut strongest = -1.0f32;
    let mut add = |table: &TableView<'_>, part: Scored| {
        // Before the table, which would give an infinite score its last level.
        let level = table.interpolate(part.score);
        if !part.score.is_finite() || !level.is_finite() {
            return Err(Fault::Intermediate);
        }
        total.score += level;
        if level > strongest {
            (strongest, total.reason) = (level, part.reason);
        }
        Ok(())
    };
    let shift = |score| Scored { score, reason: Reason::Shift };
    if let Some((part, table)) = &head.gaussian {
        add(table, shift(gaussian(part, class, x, scratch)?))?;
    }
    if let Some((part, table)) = &head.prototypes {
        add(table, shift(prototypes(part, class, frame.penultimate)?))?;
    }
    if let Some((part, table)) = &head.energy {
        add(table, energy_distance(part, frame.logits)?)?;
    }
    if let Some(table) = &head.confidence {
        add(table, Scored { score: doubt(frame.logits), reason: Reason::Doubt })?;
    }
    Ok(total)
}
