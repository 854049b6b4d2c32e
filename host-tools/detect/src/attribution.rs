//! Which tensors moved a score, and by how much.
//!
//! A frame's features walk in small steps from where they are in the middle of the normal frames
//! (the mean of the detector's training frames, of norms the mean of their logarithms) to where the
//! frame has them, one tensor after the other in each step, and the frame is scored by the engine's
//! own detector after each. What a tensor's moves changed, added up, is its share: the shares add
//! up to what all tensors together did to the score (Aumann and Shapley 1974; in steps, what
//! Sundararajan, Taly and Yan 2017 call integrated gradients). Putting one tensor back alone would
//! not do: inputs are correlated, and a frame in which a single one is normal is odder still.

use gradgate_bundle::Bundle;
use gradgate_bundle::detector::{Detector, Fault, Inputs};
use gradgate_engine::Engine;
use gradgate_engine::detector::{DetectorView, FrameFeatures, evaluate};

use crate::DetectError;
use crate::standardised::input_names;

/// Steps of the walk; the order of the tensors turns around with each.
const STEPS: u32 = 16;

/// A tensor or layer, and what it did to a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Its name in the schema.
    pub name: String,
    /// [`Inputs::NORM`], [`Inputs::FORWARD`] or [`Inputs::ALIGNMENT`].
    pub kind: Inputs,
    /// Its share of the score: positive when it made the frame look more anomalous.
    pub change: f32,
}

/// A score taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Every tensor that the detector reads, the largest share first; equal ones in schema order.
    pub tensors: Vec<Moved>,
    /// The score with all tensors at their normal values: what logits, energy and penultimate
    /// vector make of it, which belong to no tensor and stay as the frame has them.
    pub rest: f32,
}

/// Takes a frame's score apart.
///
/// # Errors
/// A bundle without a detector; a frame that has no score.
pub fn attribution(
    engine: &Engine<'_>,
    frame: &FrameFeatures<'_>,
) -> Result<Attribution, DetectError> {
    let bundle = engine.bundle();
    let without = || DetectError::Data("the bundle holds no detector".to_owned());
    let view = engine.detector().ok_or_else(without)?;
    let detector = bundle.header().detector.as_ref().ok_or_else(without)?;
    let mean = bundle.floats(detector.mean).ok_or_else(without)?;
    let mut scratch = vec![0.0; detector.scratch_elements().unwrap_or(0)];
    let mut frame = Owned::of(frame);
    frame.score(view, &mut scratch)?;
    let mut walks = walks(bundle, detector, mean, &mut frame);
    let rest = frame.score(view, &mut scratch)?;
    let mut score = rest;
    for step in 1..=STEPS {
        let share = f64::from(step) / f64::from(STEPS);
        let order: Vec<usize> = match step % 2 {
            0 => (0..walks.len()).rev().collect(),
            _ => (0..walks.len()).collect(),
        };
        for at in order {
            let walk = &mut walks[at];
            if let Some(feature) = frame.feature(detector, walk.moved.kind, walk.place) {
                *feature = walk.at(share);
            }
            let next = frame.score(view, &mut scratch)?;
            walk.moved.change += next - score;
            score = next;
        }
    }
    let mut tensors: Vec<Moved> = walks.into_iter().map(|walk| walk.moved).collect();
    tensors.sort_by(|a, b| b.change.abs().total_cmp(&a.change.abs()));
    Ok(Attribution { tensors, rest })
}

/// One tensor's way from its normal value.
struct Walk {
    moved: Moved,
    /// In the input vector.
    place: usize,
    /// Where it begins and ends, as the detector reads it: logarithms of norms, cosines.
    ends: [f64; 2],
}

impl Walk {
    /// The feature after a share of the way; at its end the frame's own, to the bit or nearly so.
    fn at(&self, share: f64) -> f32 {
        let [from, to] = self.ends;
        let value = from + share * (to - from);
        if self.moved.kind == Inputs::ALIGNMENT { value as f32 } else { value.exp() as f32 }
    }
}

/// All tensors at their normal values, with their ways back to where they were.
fn walks(bundle: &Bundle<'_>, detector: &Detector, mean: &[f32], frame: &mut Owned) -> Vec<Walk> {
    /// A squared norm below this counts as this; a normal one above it would overflow.
    const SMALLEST: f32 = 1e-30;
    let mut walks = vec![];
    for (place, (name, kind)) in input_names(bundle).into_iter().enumerate() {
        let Some(normal) = mean.get(place) else { continue };
        let Some(feature) = frame.feature(detector, kind, place) else { continue };
        let to = match kind {
            Inputs::ALIGNMENT => f64::from(*feature),
            _ => f64::from(if *feature <= SMALLEST { SMALLEST } else { *feature }).ln(),
        };
        let moved = Moved { name, kind, change: 0.0 };
        let walk = Walk { moved, place, ends: [f64::from(*normal), to] };
        *feature = walk.at(0.0);
        walks.push(walk);
    }
    walks
}

/// A frame's features, to be changed.
struct Owned {
    norms: Vec<f32>,
    layers: Vec<f32>,
    logits: Vec<f32>,
    penultimate: Vec<f32>,
    alignments: Vec<f32>,
}

impl Owned {
    fn of(frame: &FrameFeatures<'_>) -> Owned {
        Owned {
            norms: frame.norms.to_vec(),
            layers: frame.layers.to_vec(),
            logits: frame.logits.to_vec(),
            penultimate: frame.penultimate.to_vec(),
            alignments: frame.alignments.to_vec(),
        }
    }

    fn score(&self, view: &DetectorView<'_>, scratch: &mut [f32]) -> Result<f32, DetectError> {
        let frame = FrameFeatures {
            norms: &self.norms,
            layers: &self.layers,
            logits: &self.logits,
            penultimate: &self.penultimate,
            alignments: &self.alignments,
        };
        let scored = evaluate(view, &frame, scratch);
        let unscored = |fault: Fault| DetectError::Data(format!("no score ({fault:?})"));
        Ok(scored.map_err(unscored)?.score)
    }

    /// The feature at a place of the input vector; `None` for logits and energy.
    fn feature(&mut self, detector: &Detector, kind: Inputs, place: usize) -> Option<&mut f32> {
        let shape = &detector.shape;
        let count = |kind: Inputs, n: u32| if detector.inputs.has(kind) { n as usize } else { 0 };
        let norms = count(Inputs::NORM, shape.norms);
        let forward = count(Inputs::FORWARD, shape.layers + shape.sorted_logits() + 1);
        match kind {
            Inputs::NORM => self.norms.get_mut(place),
            Inputs::FORWARD => self.layers.get_mut(place - norms),
            _ => self.alignments.get_mut(place - norms - forward),
        }
    }
}

#[cfg(test)]
mod tests {
    use gradgate_engine::Frame;

    use super::*;
    use crate::shipped;

    #[test]
    fn the_tensor_that_was_moved_is_named_first() {
        let bytes = shipped::bundle();
        let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
        let (frame, _) = engine.bundle().self_test().unwrap();
        let mut arena = vec![0.0; engine.arena_elements()];
        let features = engine.run(Frame::U8(frame), &mut arena).unwrap();
        let names = input_names(engine.bundle());
        let layers = names.iter().filter(|(_, kind)| *kind == Inputs::FORWARD).count();
        let tensors = features.squared_norms.len() + features.activation_norms.len();
        for (kind, place, factor) in [(Inputs::NORM, 5, 1e4), (Inputs::FORWARD, 2, 1e-4)] {
            let mut norms = features.squared_norms.to_vec();
            let mut activations = features.activation_norms.to_vec();
            let (moved, first) = match kind {
                Inputs::NORM => (&mut norms, 0),
                _ => (&mut activations, features.squared_norms.len()),
            };
            moved[place] *= factor;
            let input = FrameFeatures { norms: &norms, layers: &activations, ..features.input() };
            let Attribution { tensors: found, rest } = attribution(&engine, &input).unwrap();
            assert_eq!(found.len(), tensors, "{layers}");
            assert_eq!((&found[0].name, found[0].kind), (&names[first + place].0, kind));
            assert!(found[0].change > 0.0, "{:?}", found[0]);
            // The shares add up to the score of the frame.
            let view = engine.detector().unwrap();
            let detector = engine.bundle().header().detector.as_ref().unwrap();
            let mut scratch = vec![0.0; detector.scratch_elements().unwrap()];
            let score = Owned::of(&input).score(view, &mut scratch).unwrap();
            let sum: f32 = rest + found.iter().map(|moved| moved.change).sum::<f32>();
            assert!((sum - score).abs() < 1e-3 * score.abs(), "{sum} {score}");
        }
        let broken = FrameFeatures { norms: &[f32::NAN], ..features.input() };
        assert!(attribution(&engine, &broken).is_err());
    }
}
