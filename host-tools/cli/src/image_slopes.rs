//! Slopes of a network's logits by the samples of a frame, on the engine.

use std::path::PathBuf;

use anyhow::{Context, Result};
use gradgate_engine::{Engine, Frame};
use gradgate_frame::Preprocessing;
use gradgate_frames::builtin::{Anomalies, PREFIX};
use gradgate_frames::synthetic::Slopes;
use gradgate_graph::image_gradient::{ImageGradient, image_gradient};
use gradgate_graph::plan::PlanOptions;
use gradgate_graph::taps::Taps;

use crate::executor::Packed;
use crate::model::{Model, Recipe};

/// A network with its backward pass to the image, as a bundle in memory.
pub struct ImageSlopes {
    path: PathBuf,
    packed: Packed,
    preprocessing: Preprocessing,
    /// Rows, columns, channels of the image.
    shape: [usize; 3],
    /// Rows below the image, which hold the cotangent.
    rows: usize,
}

/// What one thread needs.
pub struct Session<'a> {
    slopes: &'a ImageSlopes,
    engine: Engine<'a>,
    arena: Vec<f32>,
    input: Vec<f32>,
}

impl ImageSlopes {
    /// For built-in anomalies that need them; `None` for others.
    pub fn for_kinds(
        model: &Model,
        recipe: &Recipe,
        word: Option<&str>,
    ) -> Result<Option<ImageSlopes>> {
        let Some(name) = word.and_then(|word| word.strip_prefix(PREFIX)) else { return Ok(None) };
        let anomalies = Anomalies::new(name, &[1], 0).map_err(anyhow::Error::msg)?;
        let needed = anomalies.kinds().iter().any(|kind| kind.needs_network());
        needed.then(|| ImageSlopes::new(model, recipe)).transpose()
    }

    /// Compiles the backward pass to the image of a model that frames reach through a recipe's
    /// preprocessing.
    pub fn new(model: &Model, recipe: &Recipe) -> Result<ImageSlopes> {
        let plain = Recipe { taps: Taps::none(), label: recipe.label.clone(), ..Recipe::default() };
        let name = || format!("{}: no gradient of its image", model.path.display());
        let ImageGradient { expanded, rows } =
            image_gradient(&model.imported.graph).with_context(name)?;
        let compiled = model.finish(expanded, &plain, PlanOptions::default()).with_context(name)?;
        Ok(ImageSlopes {
            path: model.path.clone(),
            packed: Packed::of_model(model, &compiled, &plain).with_context(name)?,
            preprocessing: recipe.preprocessing,
            shape: model.frame_shape()?,
            rows,
        })
    }

    /// State for one thread.
    pub fn session(&self) -> Result<Session<'_>> {
        let engine = self.packed.engine(&self.path)?;
        let arena = vec![0.0; engine.arena_elements()];
        let [height, width, channels] = self.shape;
        let input = vec![0.0; (height + self.rows) * width * channels];
        Ok(Session { slopes: self, engine, arena, input })
    }
}

impl Session<'_> {
    /// Logits and slopes at samples in 0..1, rows, columns, channels.
    pub fn look(&mut self, samples: &[f32], cotangent: &[f32]) -> Result<Slopes, String> {
        let ImageSlopes { preprocessing, shape: [height, width, channels], rows, .. } = self.slopes;
        let (image, below) = self.input.split_at_mut(height * width * channels);
        let applied = preprocessing.apply_f32(samples, *channels, image);
        applied.map_err(|error| error.to_string())?;
        // Numbers are read in the order of channels, rows, columns.
        below.fill(0.0);
        for (at, value) in cotangent.iter().enumerate() {
            let (channel, pixel) = (at / (rows * width), at % (rows * width));
            below[pixel * channels + channel] = *value;
        }
        let features = self.engine.run(Frame::F32(&self.input), &mut self.arena);
        let features = features.map_err(|error| error.to_string())?;
        let mut slopes = features.penultimate.to_vec();
        if preprocessing.bgr && *channels == 3 {
            slopes.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        }
        Ok(Slopes { logits: features.logits.to_vec(), slopes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelArgs;

    /// Slopes beside differences of the logits, through a preprocessing that exchanges channels.
    #[test]
    fn slopes_are_those_of_the_pixels() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/golden/onnx/tiny_torchscript_kept.onnx");
        let model = Model::read(&golden, &ModelArgs::default()).expect("a model");
        for text in ["range=0,1 order=rgb", "range=0,1 order=bgr mean=0.1,0.2,0.3 std=1,1,1"] {
            let preprocessing = text.parse().expect("preprocessing");
            let recipe = Recipe { preprocessing, ..Recipe::default() };
            let slopes = ImageSlopes::new(&model, &recipe).expect("slopes");
            let mut session = slopes.session().expect("a session");
            let [height, width, channels] = model.frame_shape().expect("a shape");
            let count = height * width * channels;
            let samples: Vec<f32> = (0..count).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
            let cotangent = [1.0, -1.0, 0.5, 0.0];
            let found = session.look(&samples, &cotangent).expect("slopes");
            let mut value = |samples: &[f32]| -> f64 {
                let logits = session.look(samples, &[]).expect("logits").logits;
                logits.iter().zip(cotangent).map(|(z, c)| f64::from(*z * c)).sum()
            };
            let mut near = 0;
            for at in (0..count).step_by(7) {
                let mut moved = |by: f32| {
                    let mut samples = samples.clone();
                    samples[at] += by;
                    value(&samples)
                };
                let slope = (moved(2e-3) - moved(-2e-3)) / 4e-3;
                let scale = 1e-3 + slope.abs();
                near += usize::from((f64::from(found.slopes[at]) - slope).abs() < 0.05 * scale);
            }
            // A kink of a unit may lie within a step.
            assert!(near * 10 > count.div_ceil(7) * 8, "{text}: {near} of {}", count.div_ceil(7));
        }
    }
}
