//! Which tensors moved a score.
//!
//! Each feature in turn is given the value that it has in the middle of the normal frames (the mean
//! of the detector's training frames, of norms the mean of their logarithms), and the frame is
//! scored again by the engine's own detector. The difference is what the tensor's deviation did to
//! the score. Changes do not add up to the score: inputs act together.

use gradgate_bundle::Bundle;
use gradgate_bundle::detector::{Fault, Inputs};
use gradgate_engine::Engine;
use gradgate_engine::detector::{DetectorView, FrameFeatures, evaluate};

use crate::DetectError;
use crate::standardised::input_names;

/// A tensor or layer, and what it did to a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Its name in the schema.
    pub name: String,
    /// [`Inputs::NORM`], [`Inputs::FORWARD`] or [`Inputs::ALIGNMENT`].
    pub kind: Inputs,
    /// The score minus the score without its deviation: positive when it made the frame look more
    /// anomalous.
    pub change: f32,
}

/// Every tensor that the detector reads, the largest change first; equal ones in schema order.
/// Logits and the penultimate vector belong to no tensor and are left out.
///
/// # Errors
/// A bundle without a detector; a frame that has no score.
pub fn attribution(
    engine: &Engine<'_>,
    frame: &FrameFeatures<'_>,
) -> Result<Vec<Moved>, DetectError> {
    let bundle = engine.bundle();
    let without = || DetectError::Data("the bundle holds no detector".to_owned());
    let view = engine.detector().ok_or_else(without)?;
    let detector = bundle.header().detector.as_ref().ok_or_else(without)?;
    let mean = bundle.floats(detector.mean).ok_or_else(without)?;
    let mut scratch = vec![0.0; detector.scratch_elements().unwrap_or(0)];
    let mut frame = Owned::of(frame);
    let score = frame.score(view, &mut scratch)?;
    let mut all = vec![];
    for (place, (name, kind)) in input_names(bundle).into_iter().enumerate() {
        let Some(normal) = mean.get(place) else { continue };
        let Some(feature) = frame.feature(bundle, kind, place) else { continue };
        let kept = *feature;
        *feature = if kind == Inputs::ALIGNMENT { *normal } else { normal.exp() };
        let change = score - frame.score(view, &mut scratch)?;
        if let Some(feature) = frame.feature(bundle, kind, place) {
            *feature = kept;
        }
        all.push(Moved { name, kind, change });
    }
    all.sort_by(|a, b| b.change.abs().total_cmp(&a.change.abs()));
    Ok(all)
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
    fn feature(&mut self, bundle: &Bundle<'_>, kind: Inputs, place: usize) -> Option<&mut f32> {
        let detector = bundle.header().detector.as_ref()?;
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
    use gradgate_bundle::align::AlignedBytes;
    use gradgate_engine::Frame;

    use super::*;

    #[test]
    fn the_tensor_that_was_moved_is_named_first() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/bundles/signs.gate");
        let bytes = AlignedBytes::from(&std::fs::read(path).expect("the shipped bundle")[..]);
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
            let found = attribution(&engine, &input).unwrap();
            assert_eq!(found.len(), tensors, "{layers}");
            assert_eq!((&found[0].name, found[0].kind), (&names[first + place].0, kind));
            assert!(found[0].change > 0.0, "{:?}", found[0]);
            assert!(found.windows(2).all(|pair| pair[0].change.abs() >= pair[1].change.abs()));
        }
        let broken = FrameFeatures { norms: &[f32::NAN], ..features.input() };
        assert!(attribution(&engine, &broken).is_err());
    }
}
