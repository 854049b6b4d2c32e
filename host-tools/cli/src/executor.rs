//! One frame to its features, by the engine, by tract or by the f64 interpreter.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::detector::{Fault, Judgement};
use gradgate_bundle::header::Schema;
use gradgate_detect::Metadata;
use gradgate_engine::compute::{Compute, LINE, Workers, line_offset};
use gradgate_engine::isa::Isa;
use gradgate_engine::{Engine, Features, Frame};
use gradgate_frame::Preprocessing;
use gradgate_frames::Pixels;
use gradgate_graph::expand::Expanded;
use gradgate_graph::interp::{Choices, Interp};

use crate::bundle::{Contents, assemble};
use crate::label;
use crate::model::{Compiled, Model, Recipe, owned_names, schema_hex};
use crate::output::hex;
use crate::workers::Pool;

/// Ways to run a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// f32, the very bits of the device
    #[default]
    Engine,
    /// f64 reference interpreter: slow
    Interp,
    /// f32 through tract, by tolerance: only in builds with the feature `tract`
    Tract,
}

impl Kind {
    /// Name in files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Engine => "engine",
            Kind::Interp => "interp",
            Kind::Tract => "tract",
        }
    }

    /// Refuses what this build does not hold.
    pub fn check(self) -> Result<()> {
        if self == Kind::Tract && !cfg!(feature = "tract") {
            bail!(
                "--executor tract: this build holds no tract; build gradgate with `cargo install \
                 --locked --path host-tools/cli --features tract`"
            );
        }
        Ok(())
    }

    /// As [`Kind::check`]; also refuses what cannot run a bundle.
    pub fn check_bundle(self, name: &Path) -> Result<()> {
        if self == Kind::Interp {
            bail!(
                "{} is a bundle, which the interpreter cannot run: give the ONNX model",
                name.display()
            );
        }
        self.check()
    }

    /// How exact the numbers are; `asked` is the engine's choice.
    pub fn numerics(self, asked: Numerics) -> &'static str {
        match self {
            Kind::Engine => asked.name(),
            Kind::Interp => "f64",
            Kind::Tract => Numerics::Fast.name(),
        }
    }

    /// As feature files record it: the interpreter stands for what it is compared with.
    fn recorded(self, asked: Numerics) -> &'static str {
        match self {
            Kind::Engine | Kind::Interp => asked.name(),
            Kind::Tract => self.numerics(asked),
        }
    }
}

/// Arithmetic of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Numerics {
    /// Multiply, then add, in a fixed order: the same bits everywhere
    #[default]
    Exact,
    /// Fused multiply-add, by tolerance
    Fast,
}

impl Numerics {
    /// Name in files.
    pub fn name(self) -> &'static str {
        match self {
            Numerics::Exact => "exact",
            Numerics::Fast => "fast",
        }
    }

    fn of_engine(self) -> gradgate_engine::isa::Numerics {
        match self {
            Numerics::Exact => gradgate_engine::isa::Numerics::Exact,
            Numerics::Fast => gradgate_engine::isa::Numerics::Fast,
        }
    }
}

/// Weights as vector kernels read them, from a cache line on.
struct Prepared {
    values: Vec<f32>,
    /// Where they begin.
    first: usize,
}

impl Prepared {
    fn new(engine: &Engine<'_>, numerics: gradgate_engine::isa::Numerics) -> Prepared {
        let length = engine.prepared_elements(numerics);
        let mut values = vec![0.0; length + LINE - 1];
        let first = line_offset(&values);
        values.truncate(first + length);
        // Their length is what the engine asks for.
        if engine.prepare(numerics, &mut values[first..]).is_err() {
            values.truncate(first);
        }
        Prepared { values, first }
    }

    fn weights(&self) -> &[f32] {
        &self.values[self.first..]
    }
}

/// Bytes of a bundle on disk, or of one made in memory from an ONNX file.
pub struct Packed {
    bytes: AlignedBytes,
    /// Weights as exact and as fast kernels read them, made with the first such engine.
    prepared: [OnceLock<Prepared>; 2],
}

impl Packed {
    /// A bundle file.
    pub fn read(path: &Path) -> Result<Packed> {
        if !crate::files::is_bundle(path)? {
            bail!("{} is no bundle: make one with `gradgate pack`", path.display());
        }
        Ok(Packed { bytes: crate::files::read_bundle(path)?, prepared: Default::default() })
    }

    /// From bytes.
    pub fn from_bytes(bytes: &[u8]) -> Packed {
        Packed { bytes: AlignedBytes::from(bytes), prepared: Default::default() }
    }

    /// A model without a detector.
    pub fn of_model(model: &Model, compiled: &Compiled, recipe: &Recipe) -> Result<Packed> {
        Ok(Packed::from_bytes(&assemble(model, compiled, recipe, &Contents::default())?))
    }

    /// The bytes, aligned.
    pub fn bytes(&self) -> &AlignedBytes {
        &self.bytes
    }

    /// Checks everything and loads it, with this machine's vector kernels; `name` is for errors.
    pub fn engine(&self, name: &Path) -> Result<Engine<'_>> {
        self.engine_with(name, Numerics::Exact, None)
    }

    /// As [`Packed::engine`], with the given numerics, a frame on the threads of a pool.
    pub fn engine_with(
        &self,
        name: &Path,
        numerics: Numerics,
        pool: Option<&'static Pool>,
    ) -> Result<Engine<'_>> {
        let bundle = Bundle::parse(&self.bytes)
            .with_context(|| format!("{}: no usable bundle", name.display()))?;
        let engine = Engine::load(bundle).with_context(|| {
            format!("{}: the engine refuses it; pack the model again", name.display())
        })?;
        let (given, numerics) = (numerics.name(), numerics.of_engine());
        let [exact, fast] = &self.prepared;
        let cell = if numerics == gradgate_engine::isa::Numerics::Fast { fast } else { exact };
        let prepared = cell.get_or_init(|| Prepared::new(&engine, numerics));
        let compute = Compute {
            isa: Isa::best(),
            numerics,
            prepared: prepared.weights(),
            workers: pool.map(|pool| pool as &dyn Workers),
        };
        engine.with_compute(compute).with_context(|| format!("--numerics {given}"))
    }
}

/// A way to run frames, shared by all threads; each has a [`Worker`].
pub enum Executor<'a> {
    /// The engine.
    Engine(Box<Engine<'a>>),
    /// The interpreter.
    Interp(Reference<'a>),
    /// The same bundle through tract.
    #[cfg(feature = "tract")]
    Tract(Box<gradgate_tract::TractModel<'a>>),
}

/// What one thread needs to run frames, one at a time.
pub enum Worker<'w, 'a> {
    /// The engine and its arena.
    Engine(&'w Engine<'a>, Vec<f32>),
    /// The interpreter.
    Interp(&'w Reference<'a>),
    /// tract's state.
    #[cfg(feature = "tract")]
    Tract(Box<gradgate_tract::Session<'w, 'a>>),
}

/// Results of one frame, and what the detector says of them.
pub type Judged<'w> = (Features<'w>, Option<Result<Judgement, Fault>>);

/// The interpreter with what stands before it.
pub struct Reference<'a> {
    interp: Interp<'a>,
    expanded: &'a Expanded,
    preprocessing: Preprocessing,
    shape: [usize; 3],
}

/// Features of one frame, as feature files hold them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameFeatures {
    /// One per class.
    pub logits: Vec<f32>,
    /// Squared gradient norms.
    pub squared_norms: Vec<f64>,
    /// Squared activation norms.
    pub activation_norms: Vec<f64>,
    /// Empty without one.
    pub penultimate: Vec<f32>,
    /// Cosines against the references.
    pub alignments: Vec<f32>,
}

impl<'a> Executor<'a> {
    /// The engine, or tract, over a loaded bundle.
    pub fn of_bundle(engine: Engine<'a>, kind: Kind) -> Result<Executor<'a>> {
        kind.check()?;
        match kind {
            Kind::Engine => Ok(Executor::Engine(Box::new(engine))),
            Kind::Interp => bail!("the interpreter runs models, not bundles"),
            #[cfg(feature = "tract")]
            Kind::Tract => Ok(Executor::Tract(Box::new(gradgate_tract::TractModel::load(engine)?))),
            #[cfg(not(feature = "tract"))]
            Kind::Tract => bail!("this build holds no tract"),
        }
    }

    /// The interpreter over a compiled model.
    pub fn interp(compiled: &'a Compiled, preprocessing: Preprocessing) -> Executor<'a> {
        Executor::Interp(Reference {
            interp: Interp::new(&compiled.expanded.graph),
            expanded: &compiled.expanded,
            preprocessing,
            shape: compiled.schedule.input,
        })
    }

    /// The arena that the bundle states; tract has none.
    pub fn arena_bytes(&self) -> u64 {
        match self {
            Executor::Engine(engine) => u64::from(engine.bundle().manifest().arena_bytes.get()),
            Executor::Interp(_) => 0,
            #[cfg(feature = "tract")]
            Executor::Tract(_) => 0,
        }
    }

    /// State for one thread.
    pub fn worker(&self) -> Result<Worker<'_, 'a>> {
        Ok(match self {
            Executor::Engine(engine) => Worker::Engine(engine, vec![0.0; engine.arena_elements()]),
            Executor::Interp(reference) => Worker::Interp(reference),
            #[cfg(feature = "tract")]
            Executor::Tract(model) => Worker::Tract(Box::new(model.session()?)),
        })
    }
}

impl Worker<'_, '_> {
    /// Features of one frame.
    pub fn features(&mut self, pixels: &Pixels) -> Result<FrameFeatures> {
        if let Worker::Interp(reference) = self {
            return reference.features(pixels);
        }
        let features = self.run(pixels)?;
        let widen = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect();
        Ok(FrameFeatures {
            logits: features.logits.to_vec(),
            squared_norms: widen(features.squared_norms),
            activation_norms: widen(features.activation_norms),
            penultimate: features.penultimate.to_vec(),
            alignments: features.alignments.to_vec(),
        })
    }

    /// Runs one frame; not for the interpreter, which has no f32 results.
    pub fn run(&mut self, pixels: &Pixels) -> Result<Features<'_>> {
        match self {
            Worker::Engine(engine, arena) => Ok(engine.run(engine_frame(pixels), arena)?),
            Worker::Interp(_) => bail!("the interpreter gives features only"),
            #[cfg(feature = "tract")]
            Worker::Tract(session) => Ok(session.run(engine_frame(pixels))?),
        }
    }

    /// Runs and judges one frame; not for the interpreter, which holds no detector.
    pub fn judge(&mut self, pixels: &Pixels) -> Result<Judged<'_>> {
        match self {
            Worker::Engine(engine, arena) => Ok(engine.judge(engine_frame(pixels), arena)?),
            Worker::Interp(_) => bail!("the interpreter judges nothing"),
            #[cfg(feature = "tract")]
            Worker::Tract(session) => Ok(session.judge(engine_frame(pixels))?),
        }
    }
}

impl Reference<'_> {
    /// Features of one frame.
    pub fn features(&self, pixels: &Pixels) -> Result<FrameFeatures> {
        let [height, width, channels] = self.shape;
        let mut input = vec![0.0_f32; height * width * channels];
        match pixels {
            Pixels::U8(values) => self.preprocessing.apply_u8(values, channels, &mut input)?,
            Pixels::F32(values) => self.preprocessing.apply_f32(values, channels, &mut input)?,
        }
        let plane = height * width;
        let image: Vec<f64> = (0..input.len())
            .map(|at| f64::from(input[at % plane * channels + at / plane]))
            .collect();
        let features = self.interp.features(self.expanded, &image, &Choices::new());
        let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
        Ok(FrameFeatures {
            logits: narrow(features.logits),
            squared_norms: features.squared_norms,
            activation_norms: features.activation_norms,
            penultimate: narrow(features.penultimate),
            alignments: narrow(features.alignments),
        })
    }
}

/// A thread's worker, or why it has none.
pub fn usable<'t, 'w, 'a>(
    worker: &'t mut Result<Worker<'w, 'a>>,
) -> Result<&'t mut Worker<'w, 'a>> {
    worker.as_mut().map_err(|error| anyhow!("{error:#}"))
}

/// Pixels as the engine takes them.
pub fn engine_frame(pixels: &Pixels) -> Frame<'_> {
    match pixels {
        Pixels::U8(values) => Frame::U8(values),
        Pixels::F32(values) => Frame::F32(values),
    }
}

/// How the features of a compiled model are described in files.
pub fn metadata_of_model(
    model: &Model,
    compiled: &Compiled,
    recipe: &Recipe,
    kind: Kind,
    numerics: Numerics,
) -> Result<Metadata> {
    let schema = compiled.schema();
    Ok(Metadata {
        preprocessing: recipe.preprocessing.to_string(),
        label: label::to_text(&recipe.label),
        executor: kind.name().to_owned(),
        numerics: kind.recorded(numerics).to_owned(),
        model_digest: hex(&model.digest),
        references_digest: digest_text(&recipe.references_digest()?),
        ..metadata_of(&schema)
    })
}

/// A digest as feature files hold it; empty for zeros.
fn digest_text(digest: &[u8; 32]) -> String {
    if *digest == [0; 32] { String::new() } else { hex(digest) }
}

/// How the features of a bundle are described in files.
pub fn metadata_of_bundle(bundle: &Bundle<'_>, kind: Kind, numerics: Numerics) -> Metadata {
    let header = bundle.header();
    Metadata {
        preprocessing: header.preprocessing.to_owned(),
        label: header.label.to_owned(),
        executor: kind.name().to_owned(),
        numerics: kind.recorded(numerics).to_owned(),
        model_digest: hex(&header.provenance.model_digest),
        references_digest: digest_text(&header.provenance.references_digest),
        ..metadata_of(&header.schema)
    }
}

fn metadata_of(schema: &Schema<'_>) -> Metadata {
    Metadata {
        parameters: owned_names(schema.parameters),
        layers: owned_names(schema.layers),
        alignments: owned_names(schema.alignments),
        schema_digest: schema_hex(schema),
        ..Metadata::default()
    }
}
