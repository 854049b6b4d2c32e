//! Every way to get features from an expanded graph, behind one trait: what the suite runs on.

use std::fmt::Write;

use gradgate_bundle::Bundle;
use gradgate_engine::compute::Compute;
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_engine::{Engine, Frame};
use gradgate_graph::expand::Expanded;
use gradgate_graph::interp::{Choices, Features, Interp};

use crate::{Compiled, compile, compile_kept};

/// Computes features of u8 frames given in rows, columns, channels.
pub trait Executor {
    /// Name for messages.
    fn name(&self) -> &'static str;
    /// Features of one frame.
    fn features(&self, expanded: &Expanded, frame: &[u8]) -> Features;
    /// Features of several frames, for executors that take long to load.
    fn of_frames(&self, expanded: &Expanded, frames: &[Vec<u8>]) -> Vec<Features> {
        frames.iter().map(|frame| self.features(expanded, frame)).collect()
    }
}

/// The f64 reference interpreter.
pub struct InterpExecutor;

impl Executor for InterpExecutor {
    fn name(&self) -> &'static str {
        "interp"
    }

    fn features(&self, expanded: &Expanded, frame: &[u8]) -> Features {
        let image = image(expanded, frame);
        Interp::new(&expanded.graph).features(expanded, &image, &Choices::new())
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

/// The engine with the vector kernels of this machine's best instruction set.
pub struct VectorExecutor(pub Numerics);

impl Executor for VectorExecutor {
    fn name(&self) -> &'static str {
        match self.0 {
            Numerics::Exact => "vector exact",
            Numerics::Fast => "vector fast",
        }
    }

    fn features(&self, expanded: &Expanded, frame: &[u8]) -> Features {
        let isa = Isa::best();
        run_engine_with(&compile(expanded, false), frame, isa, self.0)
    }
}

/// The scalar engine, with the products of convolutions kept.
pub struct KeptExecutor;

impl Executor for KeptExecutor {
    fn name(&self) -> &'static str {
        "products kept"
    }

    fn features(&self, expanded: &Expanded, frame: &[u8]) -> Features {
        run_engine(&compile_kept(expanded), frame)
    }
}

/// Loads a compiled bundle and runs one frame with the scalar kernels.
///
/// # Panics
/// When the engine refuses the bundle or the frame.
pub fn run_engine(compiled: &Compiled, frame: &[u8]) -> Features {
    run_engine_with(compiled, frame, None, Numerics::Exact)
}

/// As [`run_engine`], with an instruction set's vector kernels; weights are kept as they read them.
///
/// # Panics
/// As [`run_engine`].
pub fn run_engine_with(
    compiled: &Compiled,
    frame: &[u8],
    isa: Option<Isa>,
    numerics: Numerics,
) -> Features {
    let bundle = Bundle::parse(&compiled.bytes).unwrap_or_else(|e| panic!("parse: {e}"));
    let engine = Engine::load(bundle).unwrap_or_else(|e| panic!("load: {e:?}"));
    let mut prepared = vec![0.0; engine.prepared_elements(numerics)];
    engine.prepare(numerics, &mut prepared).unwrap_or_else(|e| panic!("prepare: {e}"));
    let kept = if isa.is_some() { &prepared[..] } else { &[] };
    let compute = Compute { isa, numerics, prepared: kept, workers: None };
    let engine = engine.with_compute(compute).unwrap_or_else(|e| panic!("compute: {e}"));
    // Kernels may not rely on what stood in the arena or in the workspace.
    let mut arena = vec![f32::NAN; engine.arena_elements()];
    wide(&engine.run(Frame::U8(frame), &mut arena).unwrap_or_else(|e| panic!("run: {e:?}")))
}

/// The same values as f64.
pub fn wide(features: &gradgate_engine::Features<'_>) -> Features {
    let wide = |list: &[f32]| list.iter().map(|&x| f64::from(x)).collect();
    Features {
        logits: wide(features.logits),
        squared_norms: wide(features.squared_norms),
        activation_norms: wide(features.activation_norms),
        penultimate: wide(features.penultimate),
        alignments: wide(features.alignments),
    }
}

/// The same bundle through tract.
#[cfg(feature = "tract")]
pub struct TractExecutor;

#[cfg(feature = "tract")]
impl Executor for TractExecutor {
    fn name(&self) -> &'static str {
        "tract"
    }

    fn features(&self, expanded: &Expanded, frame: &[u8]) -> Features {
        self.of_frames(expanded, &[frame.to_vec()]).swap_remove(0)
    }

    fn of_frames(&self, expanded: &Expanded, frames: &[Vec<u8>]) -> Vec<Features> {
        let compiled = compile(expanded, false);
        let model = tract_model(&compiled, &[]);
        let mut session = model.session().unwrap_or_else(|e| panic!("session: {e}"));
        let mut run = |frame: &Vec<u8>| {
            wide(&session.run(Frame::U8(frame)).unwrap_or_else(|e| panic!("run: {e}")))
        };
        frames.iter().map(&mut run).collect()
    }
}

/// A compiled bundle as a tract model that also shows some tensors.
///
/// # Panics
/// When the engine or tract refuses the bundle.
#[cfg(feature = "tract")]
pub fn tract_model<'c>(
    compiled: &'c Compiled,
    tensors: &[usize],
) -> gradgate_tract::TractModel<'c> {
    let bundle = Bundle::parse(&compiled.bytes).unwrap_or_else(|e| panic!("parse: {e}"));
    let engine = Engine::load(bundle).unwrap_or_else(|e| panic!("load: {e:?}"));
    gradgate_tract::TractModel::observing(engine, tensors).unwrap_or_else(|e| panic!("tract: {e}"))
}

/// Everything that a bundle yields for one frame, as text with f32 bits: the format of the
/// emulated board.
///
/// # Panics
/// As [`run_engine`].
pub fn report(bytes: &[u8], frame: &[u8]) -> String {
    let bundle = Bundle::parse(bytes).unwrap_or_else(|e| panic!("parse: {e}"));
    let engine = Engine::load(bundle).unwrap_or_else(|e| panic!("load: {e:?}"));
    let mut arena = vec![0.0; engine.arena_elements()];
    let (features, judgement) =
        engine.judge(Frame::U8(frame), &mut arena).unwrap_or_else(|e| panic!("run: {e:?}"));
    let parts = [
        ("logit", features.logits),
        ("squared_norm", features.squared_norms),
        ("activation_norm", features.activation_norms),
        ("penultimate", features.penultimate),
        ("alignment", features.alignments),
    ];
    let mut text = String::new();
    for (name, values) in parts {
        for (index, value) in values.iter().enumerate() {
            let _ = writeln!(text, "{name} {index} {:08x}", value.to_bits());
        }
    }
    match judgement {
        Some(Ok(seen)) => {
            let _ = writeln!(text, "score {:08x}", seen.score.to_bits());
            let _ = writeln!(text, "p_value {:08x}", seen.p_value.to_bits());
            let _ = writeln!(text, "reason {:?}", seen.reason);
            let _ = writeln!(text, "class {}", seen.class);
        }
        Some(Err(fault)) => {
            let _ = writeln!(text, "fault {fault:?}");
        }
        None => {}
    }
    text
}
