//! Squared norms of parameter gradients from the softmax loss, frame by frame, on all cores.
//!
//! The compiler's backward pass runs on the engine, whose memory is one arena a thread: a framework
//! would hold a gradient of every parameter for every frame of a batch.

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::header::{Evidence, Header, Provenance, Schema};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::write::{BundleParts, assemble};
use gradgate_engine::compute::Compute;
use gradgate_engine::isa::{Isa, Numerics};
use gradgate_engine::{Engine, Frame};
use gradgate_frame::Preprocessing;
use gradgate_gate::DEFAULT_POLICY;
use gradgate_graph::expand::{Expanded, Label, Loss, expand_loss};
use gradgate_graph::graph::Graph;
use gradgate_graph::lower::lower;
use gradgate_graph::pack::{pack, schema_names};
use gradgate_graph::plan::{PlanOptions, plan};
use gradgate_graph::taps::Taps;
use rayon::prelude::*;

use crate::array::Array;
use crate::baseline::Rows;
use crate::error::LabError;

/// For each of the images named, the squared gradient norm of each trainable parameter,
/// `[chosen][parameters]`, in the order of the graph. The loss is `-sum(label * log(softmax(z)))`.
///
/// # Errors
/// When the model has no backward pass or cannot be compiled, or a norm is not finite.
pub fn squared_norms(
    graph: &Graph,
    images: &Array,
    chosen: &[usize],
    label: &Label,
) -> Result<Rows, LabError> {
    let refused = |stage: &str, reason: String| {
        LabError::Model(format!("model `{}`: {stage}: {reason}", graph.name))
    };
    let expanded = expand_loss(graph, Loss::Softmax, label, &Taps::all())
        .map_err(|e| refused("no backward pass", e.to_string()))?;
    let bytes = compile(&expanded).map_err(|e| refused("not compiled", e))?;
    let bundle = Bundle::parse(&bytes).map_err(|e| refused("not compiled", e.to_string()))?;
    let engine = Engine::load(bundle).map_err(|e| refused("not loaded", e.to_string()))?;
    let isa = Isa::best();
    let kept = if isa.is_some() { engine.prepared_elements(Numerics::Exact) } else { 0 };
    let mut prepared = vec![0.0; kept];
    if kept > 0 {
        engine
            .prepare(Numerics::Exact, &mut prepared)
            .map_err(|e| refused("not loaded", e.to_string()))?;
    }
    let compute = Compute { isa, numerics: Numerics::Exact, prepared: &prepared, workers: None };
    let engine = engine.with_compute(compute).map_err(|e| refused("not loaded", e.to_string()))?;
    let run = |arena: &mut Vec<f32>, image: usize| {
        let frame = channels_last(images.frame(image), images.shape()[1]);
        let features = engine
            .run(Frame::F32(&frame), arena)
            .map_err(|e| refused("not run", format!("image {image}: {e}")))?;
        check(&expanded, image, features.squared_norms)
    };
    let arena = || vec![0.0; engine.arena_elements()];
    let frames: Vec<Vec<f64>> = chosen
        .par_iter()
        .map_init(arena, |arena, &image| run(arena, image))
        .collect::<Result<_, LabError>>()?;
    let mut rows = Rows::empty(expanded.squared_norms.len());
    frames.into_iter().for_each(|frame| rows.push(frame));
    Ok(rows)
}

/// The norms as f64.
fn check(expanded: &Expanded, image: usize, norms: &[f32]) -> Result<Vec<f64>, LabError> {
    if let Some(at) = norms.iter().position(|norm| !norm.is_finite()) {
        let name = &expanded.graph.value(expanded.squared_norms[at].0).name;
        return Err(LabError::NotFinite(format!(
            "image {image}: the squared gradient norm of `{name}` is {}; leave the image out",
            norms[at]
        )));
    }
    Ok(norms.iter().map(|&norm| f64::from(norm)).collect())
}

/// From channels, rows, columns to rows, columns, channels.
fn channels_last(frame: &[f32], channels: usize) -> Vec<f32> {
    let pixels = frame.len() / channels.max(1);
    (0..frame.len()).map(|i| frame[i % channels * pixels + i / channels]).collect()
}

const NO_EVIDENCE: Evidence<'static> = Evidence {
    false_alarm_rate: f32::NAN,
    confidence: 0.95,
    calibration: [0; 2],
    calibration_sources: 0,
    audit: [0; 2],
    source: "",
};

/// A bundle that never leaves this process: no detector, no evidence, no digests.
fn compile(expanded: &Expanded) -> Result<AlignedBytes, String> {
    let preprocessing = Preprocessing::default();
    let schedule = lower(expanded, &preprocessing).map_err(|e| e.to_string())?;
    let planned = plan(schedule, PlanOptions::default()).map_err(|e| e.to_string())?;
    let packed = pack(&planned.schedule, &planned.plan).map_err(|e| e.to_string())?;
    let names = schema_names(expanded).map_err(|e| e.to_string())?;
    let text = preprocessing.to_string();
    let header = Header {
        provenance: Provenance {
            model: &expanded.graph.name,
            model_digest: [0; 32],
            detector_digest: [0; 32],
            tool: "gradgate-lab",
            references_digest: [0; 32],
        },
        schema: Schema {
            parameters: &names.parameters,
            layers: &names.layers,
            alignments: &names.alignments,
            classes: names.classes,
            penultimate: names.penultimate,
            folded: false,
            products_kept: false,
        },
        classes: "",
        preprocessing: &text,
        label: "ones",
        layout: packed.layout,
        detector: None,
        evidence: NO_EVIDENCE,
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
        input: planned.schedule.input.map(|n| n as u32),
    };
    assemble(&parts).map_err(|e| e.to_string())
}
