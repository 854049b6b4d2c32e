//! A graph compiled for gradgate's engine and run over many frames on all cores.
//!
//! The bundle lives in this process alone: unsigned, without detector and evidence.

use std::sync::Arc;

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::digest::schema_digest;
use gradgate_bundle::header::{Evidence, Header, Provenance};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::write::{BundleParts, assemble};
use gradgate_engine::compute::{Compute, LINE, line_offset};
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_engine::{Engine, Features, Frame};
use gradgate_frame::Preprocessing;
use gradgate_gate::DEFAULT_POLICY;
use gradgate_graph::expand::Expanded;
use gradgate_graph::graph::Graph;
use gradgate_graph::lower::{Products, lower_with};
use gradgate_graph::pack::{SchemaNames, pack, schema_names};
use gradgate_graph::plan::{Plan, PlanOptions, plan};
use gradgate_graph::schedule::Schedule;
use rayon::prelude::*;

use crate::array::Array;
use crate::error::LabError;

/// A bundle in memory and its weights as this machine's kernels read them; exact numerics, so that
/// results are those of a device, bit for bit.
pub struct Program {
    name: Arc<str>,
    bytes: AlignedBytes,
    prepared: Vec<f32>,
    names: SchemaNames,
}

impl Program {
    /// Compiles a graph with whatever taps it has; frames go through `preprocessing`.
    ///
    /// # Errors
    /// When an operation cannot be lowered, or the engine refuses the plan.
    pub fn new(expanded: &Expanded, preprocessing: &Preprocessing) -> Result<Self, LabError> {
        Self::compiled(expanded, preprocessing, Products::Dropped)
    }

    /// As [`Program::new`], with a choice of products.
    ///
    /// # Errors
    /// As [`Program::new`].
    pub fn compiled(
        expanded: &Expanded,
        preprocessing: &Preprocessing,
        products: Products,
    ) -> Result<Self, LabError> {
        let refused = |error: String| refused(&expanded.graph.name, &error);
        let schedule = lower_with(expanded, preprocessing, products)
            .map_err(|error| refused(error.to_string()))?;
        let planned =
            plan(schedule, PlanOptions::default()).map_err(|error| refused(error.to_string()))?;
        let mut program = Self::packed(expanded, &planned.schedule, &planned.plan, preprocessing)?;
        program.prepare()?;
        Ok(program)
    }

    /// Packs a planned schedule of `expanded`. Kernels read its weights as they are: for a program
    /// that runs once, until [`Program::prepare`].
    ///
    /// # Errors
    /// When a name or a length does not fit a bundle.
    pub fn packed(
        expanded: &Expanded,
        schedule: &Schedule,
        plan: &Plan,
        preprocessing: &Preprocessing,
    ) -> Result<Self, LabError> {
        let name: Arc<str> = expanded.graph.name.as_str().into();
        let names = schema_names(expanded).map_err(|error| refused(&name, &error.to_string()))?;
        let bytes = bundle(schedule, plan, preprocessing, &names)
            .map_err(|error| refused(&name, &error))?;
        Ok(Self { name, bytes, prepared: Vec::new(), names })
    }

    /// Keeps the weights as this machine's kernels read them.
    ///
    /// # Errors
    /// When the engine refuses the program.
    pub fn prepare(&mut self) -> Result<(), LabError> {
        if Isa::best().is_none() {
            return Ok(());
        }
        let engine = self.load()?;
        let length = engine.prepared_elements(Numerics::Exact);
        let mut prepared = vec![0.0; length + LINE - 1];
        let first = line_offset(&prepared);
        prepared.truncate(first + length);
        let made = engine.prepare(Numerics::Exact, &mut prepared[first..]);
        made.map_err(|error| refused(&self.name, &error.to_string()))?;
        self.prepared = prepared;
        Ok(())
    }

    /// The classifier alone, without taps.
    ///
    /// # Errors
    /// As [`Program::new`].
    pub fn forward(graph: &Graph) -> Result<Self, LabError> {
        let expanded = Expanded {
            graph: graph.clone(),
            forward_nodes: graph.nodes.len(),
            squared_norms: Vec::new(),
            activation_norms: Vec::new(),
            alignments: Vec::new(),
            penultimate: None,
            label: Vec::new(),
            rules: Vec::new(),
        };
        Self::new(&expanded, &Preprocessing::default())
    }

    /// Names of what a frame gives.
    pub fn names(&self) -> &SchemaNames {
        &self.names
    }

    /// Digest of these names, as a bundle of the same taps has it; the model's batch
    /// normalisation not folded, no products kept.
    pub fn schema_digest(&self, folded: bool) -> [u8; 32] {
        schema_digest(&self.names.schema(folded, Products::Dropped))
    }

    fn load(&self) -> Result<Engine<'_>, LabError> {
        let refused =
            |error: String| refused(&self.name, &format!("the engine refuses it: {error}"));
        let bundle = Bundle::parse(&self.bytes).map_err(|error| refused(error.to_string()))?;
        Engine::load(bundle).map_err(|error| refused(error.to_string()))
    }

    /// An engine in exact numerics, on this machine's vector kernels.
    ///
    /// # Errors
    /// When the engine refuses the program.
    pub fn engine(&self) -> Result<Engine<'_>, LabError> {
        let first = line_offset(&self.prepared).min(self.prepared.len());
        let compute = Compute {
            isa: Isa::best(),
            numerics: Numerics::Exact,
            prepared: &self.prepared[first..],
            workers: None,
        };
        let engine = self.load()?.with_compute(compute);
        engine.map_err(|error| refused(&self.name, &error.to_string()))
    }

    /// Runs all frames, each in rows, columns, channels, on all cores; `take` makes of each what
    /// is wanted, in the order of the frames. Results do not depend on the number of cores.
    ///
    /// # Errors
    /// When a frame does not fit or gives no result, with its number; what `take` says.
    pub fn run<T: Send>(
        &self,
        frames: &[Vec<f32>],
        take: impl Fn(usize, &Features<'_>) -> Result<T, LabError> + Sync,
    ) -> Result<Vec<T>, LabError> {
        let refused = |error: String| refused(&self.name, &error);
        let engine = self.engine()?;
        let arena = || vec![0.0; engine.arena_elements()];
        let run = |arena: &mut Vec<f32>, (at, frame): (usize, &Vec<f32>)| {
            let features = engine.run(Frame::F32(frame), arena);
            take(at, &features.map_err(|error| refused(format!("frame {at}: {error}")))?)
        };
        frames.par_iter().enumerate().map_init(arena, run).collect()
    }
}

fn refused(name: &str, error: &str) -> LabError {
    LabError::Model(format!("model `{name}`: {error}"))
}

/// From channels, rows, columns to rows, columns, channels, as the engine takes frames.
pub fn interleaved(frame: &[f32], channels: usize) -> Vec<f32> {
    let plane = frame.len() / channels.max(1);
    (0..frame.len()).map(|at| frame[at % channels * plane + at / channels]).collect()
}

/// The opposite of [`interleaved`].
pub fn deinterleave(from: &[f32], channels: usize, to: &mut [f32]) {
    let plane = from.len() / channels.max(1);
    for (at, value) in from.iter().enumerate() {
        to[at % channels * plane + at / channels] = *value;
    }
}

/// All frames of `images [n, C, H, W]` as the engine takes them.
pub fn frames_of(images: &Array) -> Vec<Vec<f32>> {
    let channels = images.shape()[1];
    (0..images.frames()).into_par_iter().map(|at| interleaved(images.frame(at), channels)).collect()
}

fn bundle(
    schedule: &Schedule,
    plan: &Plan,
    preprocessing: &Preprocessing,
    names: &SchemaNames,
) -> Result<AlignedBytes, String> {
    let packed = pack(schedule, plan).map_err(|error| error.to_string())?;
    let preprocessing = preprocessing.to_string();
    let header = Header {
        provenance: Provenance {
            model: "",
            model_digest: [0; 32],
            detector_digest: [0; 32],
            tool: "gradgate-lab",
            references_digest: [0; 32],
        },
        schema: names.schema(false, Products::Dropped),
        classes: "",
        preprocessing: &preprocessing,
        label: "",
        layout: packed.layout,
        detector: None,
        evidence: Evidence::NONE,
        policy: DEFAULT_POLICY,
        self_test: None,
    };
    let parts = BundleParts {
        header,
        tensors: packed.tensors,
        steps: packed.steps,
        params: packed.params,
        blobs: packed.blobs,
        device_class: DeviceClass::Any,
        security_counter: 0,
        input: schedule.input.map(|n| n as u32),
    };
    assemble(&parts).map_err(|error| error.to_string())
}
