//! Every way to get features from an expanded graph, behind one trait: what the suite runs on.

use gradgate_bundle::Bundle;
use gradgate_engine::{Engine, Frame};
use gradgate_graph::expand::Expanded;
use gradgate_graph::interp::{Features, Interp, Masks};

use crate::{Compiled, compile};

/// Computes features of u8 frames given in rows, columns, channels.
pub trait Executor {
    /// Name for messages.
    fn name(&self) -> &'static str;
    /// Features of one frame.
    fn features(&self, expanded: &Expanded, frame: &[u8]) -> Features;
}

/// The f64 reference interpreter.
pub struct InterpExecutor;

impl Executor for InterpExecutor {
    fn name(&self) -> &'static str {
        "interp"
    }

    fn features(&self, expanded: &Expanded, frame: &[u8]) -> Features {
        let image = image(expanded, frame);
        Interp::new(&expanded.graph).features(expanded, &image, &Masks::new())
    }
}

/// A u8 frame as the interpreter wants it: channels, rows, columns, divided by 255.
pub fn image(expanded: &Expanded, frame: &[u8]) -> Vec<f64> {
    let input = expanded.graph.input.expect("a classifier has an image");
    let channels = expanded.graph.shape(input)[1];
    let pixels = frame.len() / channels;
    let at = |i: usize| frame[i % pixels * channels + i / pixels];
    (0..frame.len()).map(|i| f64::from(at(i)) / 255.0).collect()
}

/// The no_std engine over a bundle packed in memory.
pub struct EngineExecutor;

impl Executor for EngineExecutor {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn features(&self, expanded: &Expanded, frame: &[u8]) -> Features {
        let compiled = compile(expanded, false);
        run_engine(&compiled, frame)
    }
}

/// Loads a compiled bundle and runs one frame.
///
/// # Panics
/// When the engine refuses the bundle or the frame.
pub fn run_engine(compiled: &Compiled, frame: &[u8]) -> Features {
    let bundle = Bundle::parse(&compiled.bytes).unwrap_or_else(|e| panic!("parse: {e}"));
    let engine = Engine::load(bundle).unwrap_or_else(|e| panic!("load: {e:?}"));
    let mut arena = vec![0.0; compiled.plan.arena_elements];
    let features = engine.run(Frame::U8(frame), &mut arena).unwrap_or_else(|e| panic!("run: {e:?}"));
    let wide = |list: &[f32]| list.iter().map(|&x| f64::from(x)).collect();
    Features {
        logits: wide(features.logits),
        squared_norms: wide(features.squared_norms),
        activation_norms: wide(features.activation_norms),
        penultimate: wide(features.penultimate),
    }
}
