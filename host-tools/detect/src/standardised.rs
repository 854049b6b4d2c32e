//! What a detector reads of one frame, value by value with its name.

use gradgate_bundle::Bundle;
use gradgate_bundle::detector::Inputs;
use gradgate_bundle::header::names;
use gradgate_engine::detector::{FrameFeatures, raw_inputs};

use crate::DetectError;

/// One input of a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct StandardisedInput {
    /// Name of the tensor or layer in the schema; `logit 1` is the largest logit.
    pub name: String,
    /// [`Inputs::NORM`], [`Inputs::FORWARD`] or [`Inputs::ALIGNMENT`].
    pub kind: Inputs,
    /// Standard deviations from the mean of the detector's training frames; of norms, by their
    /// logarithms.
    pub deviation: f32,
}

/// Names and kinds of the inputs of a bundle's detector, in the order of the input vector; empty
/// without a detector.
pub fn input_names(bundle: &Bundle<'_>) -> Vec<(String, Inputs)> {
    let header = bundle.header();
    let Some(detector) = &header.detector else { return vec![] };
    let owned = |list: &str, kind: Inputs| -> Vec<(String, Inputs)> {
        match detector.inputs.has(kind) {
            true => names(list).map(|name| (name.to_owned(), kind)).collect(),
            false => vec![],
        }
    };
    let mut all = owned(header.schema.parameters, Inputs::NORM);
    all.extend(owned(header.schema.layers, Inputs::FORWARD));
    if detector.inputs.has(Inputs::FORWARD) {
        let logits = 1..=detector.shape.sorted_logits();
        all.extend(logits.map(|rank| (format!("logit {rank}"), Inputs::FORWARD)));
        all.push(("energy".to_owned(), Inputs::FORWARD));
    }
    all.extend(owned(header.schema.alignments, Inputs::ALIGNMENT));
    all
}

/// The detector's inputs for one frame.
///
/// # Errors
/// A bundle without a detector; values that are not finite.
pub fn standardised(
    bundle: &Bundle<'_>,
    frame: &FrameFeatures<'_>,
) -> Result<Vec<StandardisedInput>, DetectError> {
    let unfit = || DetectError::Data("the frame's features do not fit the detector".into());
    let detector = bundle.header().detector.as_ref().ok_or_else(|| {
        DetectError::Data("the bundle holds no detector: pack the model with --detector".into())
    })?;
    let [mean, inverse] = [detector.mean, detector.inverse_std].map(|blob| bundle.floats(blob));
    let (mean, inverse) = mean.zip(inverse).ok_or_else(unfit)?;
    let mut values = vec![0.0; mean.len()];
    raw_inputs(detector.inputs, &detector.shape, frame, &mut values).map_err(|_| unfit())?;
    let names = input_names(bundle);
    if names.len() != values.len() || inverse.len() != values.len() {
        return Err(unfit());
    }
    let input = |(at, (name, kind)): (usize, (String, Inputs))| {
        let deviation = (values[at] - mean[at]) * inverse[at];
        StandardisedInput { name, kind, deviation }
    };
    Ok(names.into_iter().enumerate().map(input).collect())
}

#[cfg(test)]
mod tests {
    use gradgate_engine::{Engine, Frame};

    use super::*;
    use crate::shipped;

    #[test]
    fn every_input_of_the_shipped_bundle_has_its_name() {
        let bytes = shipped::bundle();
        let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
        let (frame, _) = engine.bundle().self_test().unwrap();
        let mut arena = vec![0.0; engine.arena_elements()];
        let features = engine.run(Frame::U8(frame), &mut arena).unwrap();
        let inputs = standardised(engine.bundle(), &features.input()).unwrap();
        let schema = &engine.bundle().header().schema;
        let parameters: Vec<&str> = names(schema.parameters).collect();
        assert_eq!(inputs[3].name, parameters[3]);
        assert_eq!(inputs.last().unwrap().name, "energy");
        let norms = inputs.iter().filter(|input| input.kind == Inputs::NORM).count();
        assert_eq!(norms, features.squared_norms.len());
        // A normal frame's inputs are a few deviations from the mean.
        assert!(inputs.iter().all(|input| input.deviation.abs() < 8.0), "{inputs:?}");
        let wrong = FrameFeatures { norms: &features.squared_norms[1..], ..features.input() };
        let error = standardised(engine.bundle(), &wrong).unwrap_err().to_string();
        assert!(error.contains("do not fit"), "{error}");
    }
}
