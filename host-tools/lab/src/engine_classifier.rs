//! Logits and gradients of the logits through gradgate's own engine.
//!
//! On a CPU the engine computes a small network's gradient some ten times faster than Burn does,
//! and in exact numerics an attack gives the same bits on every machine.

use std::sync::Arc;

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::header::{Evidence, Header, Provenance, Schema};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::write::{BundleParts, assemble};
use gradgate_engine::compute::{Compute, LINE, line_offset};
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_engine::{Engine, Features, Frame};
use gradgate_frame::Preprocessing;
use gradgate_gate::DEFAULT_POLICY;
use gradgate_graph::expand::Expanded;
use gradgate_graph::graph::Graph;
use gradgate_graph::image_gradient::image_gradient;
use gradgate_graph::lower::lower;
use gradgate_graph::pack::pack;
use gradgate_graph::plan::{PlanOptions, Planned, plan};
use rayon::prelude::*;

use crate::array::Array;
use crate::classifier::{Cotangents, Gradient, check_images};
use crate::error::LabError;

/// A classifier compiled twice: forward, and forward with the backward pass to the image.
pub struct EngineClassifier {
    graph: Arc<Graph>,
    forward: Program,
    backward: Program,
    /// Rows of the cotangent below the image.
    rows: usize,
}

/// A bundle in memory and its weights as this machine's kernels read them.
struct Program {
    bytes: AlignedBytes,
    prepared: Vec<f32>,
}

impl EngineClassifier {
    /// Compiles `graph`.
    ///
    /// # Errors
    /// When an operation has no gradient rule or cannot be lowered.
    pub fn new(graph: Arc<Graph>) -> Result<Self, LabError> {
        let refused = |error: String| LabError::Model(format!("model `{}`: {error}", graph.name));
        let forward = logits_alone(&graph);
        let gradient = image_gradient(&graph).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            forward: Program::new(&forward).map_err(refused)?,
            backward: Program::new(&gradient.expanded).map_err(refused)?,
            rows: gradient.rows,
            graph,
        })
    }

    /// The logits `[n, classes]` of `images [n, C, H, W]`.
    ///
    /// # Errors
    /// When the images do not fit the model.
    pub fn logits(&self, images: &Array) -> Result<Array, LabError> {
        check_images(&self.graph, images)?;
        let frames: Vec<Vec<f32>> =
            (0..images.frames()).map(|at| interleaved(images.frame(at), images.shape())).collect();
        let classes = self.classes();
        self.forward.run(&frames, classes, |features, to| to.copy_from_slice(features.logits))
    }

    /// As [`crate::Classifier::gradient`] of the logits alone.
    ///
    /// # Errors
    /// When the images do not fit the model.
    pub fn gradient(
        &self,
        images: &Array,
        cotangents: &mut Cotangents<'_>,
    ) -> Result<Gradient, LabError> {
        let values = vec![self.logits(images)?];
        let cotangents = cotangents(&values);
        assert_eq!(cotangents[0].shape(), values[0].shape(), "a cotangent is shaped as its value");
        let frames: Vec<Vec<f32>> = (0..images.frames())
            .map(|at| self.frame(images.frame(at), images.shape(), cotangents[0].frame(at)))
            .collect();
        let elements = images.frame_elements();
        let gradient = self.backward.run(&frames, elements, |features, to| {
            deinterleave(features.penultimate, images.shape(), to);
        })?;
        let images = Array::new(images.shape(), gradient.data().to_vec());
        Ok(Gradient { values, images })
    }

    fn classes(&self) -> usize {
        self.graph.logits.map_or(0, |id| self.graph.value(id).elements())
    }

    /// The image, and below it the cotangent.
    fn frame(&self, image: &[f32], shape: &[usize], cotangent: &[f32]) -> Vec<f32> {
        let mut below = vec![0.0; shape[1] * self.rows * shape[3]];
        below[..cotangent.len()].copy_from_slice(cotangent);
        let mut frame = interleaved(image, shape);
        frame.extend(interleaved(&below, &[1, shape[1], self.rows, shape[3]]));
        frame
    }
}

impl Program {
    fn new(expanded: &Expanded) -> Result<Self, String> {
        let mut program = Self { bytes: bundle(expanded)?, prepared: Vec::new() };
        let mut prepared = Vec::new();
        if Isa::best().is_some() {
            let engine = program.load().map_err(|error| error.to_string())?;
            let length = engine.prepared_elements(Numerics::Exact);
            prepared = vec![0.0; length + LINE - 1];
            let first = line_offset(&prepared);
            prepared.truncate(first + length);
            let made = engine.prepare(Numerics::Exact, &mut prepared[first..]);
            made.map_err(|error| error.to_string())?;
        }
        program.prepared = prepared;
        Ok(program)
    }

    fn load(&self) -> Result<Engine<'_>, LabError> {
        let refused = |error: String| LabError::Model(format!("the engine refuses it: {error}"));
        let bundle = Bundle::parse(&self.bytes).map_err(|error| refused(error.to_string()))?;
        Engine::load(bundle).map_err(|error| refused(error.to_string()))
    }

    /// Runs all frames on all cores; `take` writes what is wanted of each into `elements` numbers.
    fn run(
        &self,
        frames: &[Vec<f32>],
        elements: usize,
        take: impl Fn(&Features<'_>, &mut [f32]) + Sync,
    ) -> Result<Array, LabError> {
        let first = line_offset(&self.prepared).min(self.prepared.len());
        let compute = Compute {
            isa: Isa::best(),
            numerics: Numerics::Exact,
            prepared: &self.prepared[first..],
            workers: None,
        };
        let refused = |error: String| LabError::Model(format!("the engine: {error}"));
        let engine = self.load()?.with_compute(compute).map_err(|e| refused(e.to_string()))?;
        let mut results = Array::zeros([frames.len(), elements]);
        let run = |arena: &mut Vec<f32>, (frame, to): (&Vec<f32>, &mut [f32])| {
            let features = engine.run(Frame::F32(frame), arena);
            take(&features.map_err(|error| refused(error.to_string()))?, to);
            Ok(())
        };
        let arena = || vec![0.0; engine.arena_elements()];
        let parts = results.data_mut().par_chunks_mut(elements.max(1));
        frames.par_iter().zip(parts).map_init(arena, run).collect::<Result<(), LabError>>()?;
        Ok(results)
    }
}

/// The classifier without taps.
fn logits_alone(graph: &Graph) -> Expanded {
    Expanded {
        graph: graph.clone(),
        forward_nodes: graph.nodes.len(),
        squared_norms: Vec::new(),
        activation_norms: Vec::new(),
        alignments: Vec::new(),
        penultimate: None,
        label: Vec::new(),
        rules: Vec::new(),
    }
}

/// Rows, columns, channels of one `[C, H, W]` frame, as the engine takes them.
fn interleaved(frame: &[f32], shape: &[usize]) -> Vec<f32> {
    let (channels, plane) = (shape[1], shape[2] * shape[3]);
    (0..frame.len()).map(|at| frame[at % channels * plane + at / channels]).collect()
}

/// The opposite of [`interleaved`].
fn deinterleave(from: &[f32], shape: &[usize], to: &mut [f32]) {
    let (channels, plane) = (shape[1], shape[2] * shape[3]);
    for (at, value) in from.iter().enumerate() {
        to[at % channels * plane + at / channels] = *value;
    }
}

/// An unsigned bundle without detector, for this process alone.
fn bundle(expanded: &Expanded) -> Result<AlignedBytes, String> {
    let preprocessing = Preprocessing::default();
    let schedule = lower(expanded, &preprocessing).map_err(|error| error.to_string())?;
    let planned = plan(schedule, PlanOptions::default()).map_err(|error| error.to_string())?;
    let Planned { schedule, plan, .. } = planned;
    let packed = pack(&schedule, &plan).map_err(|error| error.to_string())?;
    let length = |id: gradgate_graph::graph::ValueId| expanded.graph.value(id).elements() as u32;
    let preprocessing = preprocessing.to_string();
    let header = Header {
        provenance: Provenance {
            model: "",
            model_digest: [0; 32],
            detector_digest: [0; 32],
            tool: "gradgate-lab",
            references_digest: [0; 32],
        },
        schema: Schema {
            parameters: "",
            layers: "",
            alignments: "",
            classes: expanded.graph.logits.map_or(0, length),
            penultimate: expanded.penultimate.map_or(0, length),
            folded: false,
            products_kept: false,
        },
        classes: "",
        preprocessing: &preprocessing,
        label: "",
        layout: packed.layout,
        detector: None,
        evidence: Evidence {
            false_alarm_rate: f32::NAN,
            confidence: 0.95,
            calibration: [0; 2],
            calibration_sources: 0,
            audit: [0; 2],
            source: "",
        },
        policy: DEFAULT_POLICY,
        self_test: None,
    };
    let parts = BundleParts {
        header,
        tensors: packed.tensors,
        steps: packed.steps,
        params: packed.params,
        blobs: packed.blobs,
        device_class: DeviceClass::ALL[0],
        security_counter: 0,
        input: schedule.input.map(|n| n as u32),
    };
    assemble(&parts).map_err(|error| error.to_string())
}
