//! What the whole-path tests share: models and reference data, bundles in memory, executors.

pub mod cases;
pub mod doors;
pub mod evaluation;
pub mod executor;
pub mod families;
pub mod reference;
pub mod rng;

use std::path::PathBuf;

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::header::{Evidence, Header, Provenance, SelfTest};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::write::{BundleParts, assemble, push_bytes, push_floats};
use gradgate_detect::{DetectorFile, FeatureSet, FitOptions, Inputs, Metadata, fit};
use gradgate_engine::{Engine, Frame};
use gradgate_frame::Preprocessing;
use gradgate_gate::DEFAULT_POLICY;
use gradgate_graph::expand::Expanded;
use gradgate_graph::lower::{Products, lower, lower_with};
use gradgate_graph::pack::{pack, schema_names};
use gradgate_graph::plan::{Plan, PlanOptions, Planned, plan};
use gradgate_graph::schedule::Schedule;

/// A file of the shared folder beside the repository, or `None`, said aloud, when it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("SKIPPED: shared/{path} is absent");
    None
}

/// A bundle in memory, without detector, with what it was made from.
pub struct Compiled {
    /// The steps.
    pub schedule: Schedule,
    /// Their places.
    pub plan: Plan,
    /// The file.
    pub bytes: AlignedBytes,
}

/// What a bundle may hold beside the network.
#[derive(Clone, Copy, Default)]
struct Extras<'a> {
    detector: Option<&'a DetectorFile>,
    self_test: Option<(&'a [u8], &'a [f32])>,
    products: Products,
}

/// Lowers, plans and packs an expanded graph; `keep_all` gives every tensor its own place.
///
/// # Panics
/// When a stage refuses: the cases are meant to pass.
pub fn compile(expanded: &Expanded, keep_all: bool) -> Compiled {
    let options = PlanOptions { keep_all, ..PlanOptions::default() };
    compile_with(expanded, options, Extras::default())
}

/// The same in an arena of at most `budget` bytes; `None` where there is no such plan.
///
/// # Panics
/// As [`compile`].
pub fn compile_within(expanded: &Expanded, budget: usize) -> Option<Compiled> {
    let schedule = lower(expanded, &Preprocessing::default()).ok()?;
    let options = PlanOptions { budget: Some(budget), ..PlanOptions::default() };
    plan(schedule, options).ok()?;
    Some(compile_with(expanded, options, Extras::default()))
}

/// As [`compile`], with the products of convolutions kept where that saves multiply-adds.
///
/// # Panics
/// As [`compile`].
pub fn compile_kept(expanded: &Expanded) -> Compiled {
    let extras = Extras { products: Products::Kept, ..Extras::default() };
    compile_with(expanded, PlanOptions::default(), extras)
}

/// A bundle with a composite detector fitted on `frames` and a self-test on the first of them.
///
/// # Panics
/// As [`compile`].
pub fn compile_judged(expanded: &Expanded, frames: &[Vec<u8>]) -> AlignedBytes {
    let compiled = compile(expanded, false);
    let detector = fitted(expanded, &compiled, frames);
    let extras = Extras { detector: Some(&detector), self_test: None, ..Extras::default() };
    let untested = compile_with(expanded, PlanOptions::default(), extras).bytes;
    let engine = Engine::load(Bundle::parse(&untested).expect("own bundle")).expect("own plan");
    let mut arena = vec![0.0; engine.arena_elements()];
    let (features, judgement) = engine.judge(Frame::U8(&frames[0]), &mut arena).expect("own frame");
    let score = judgement.expect("a detector").expect("a finite frame").score;
    let parts = [
        features.logits,
        features.squared_norms,
        features.activation_norms,
        features.alignments,
        &[score],
    ]
    .concat();
    let extras = Extras { self_test: Some((&frames[0], &parts)), ..extras };
    compile_with(expanded, PlanOptions::default(), extras).bytes
}

fn fitted(expanded: &Expanded, compiled: &Compiled, frames: &[Vec<u8>]) -> DetectorFile {
    let names = schema_names(expanded).unwrap_or_else(|e| panic!("schema: {e}"));
    let list = |names: &str| names.lines().map(str::to_owned).collect();
    let mut set = FeatureSet {
        metadata: Metadata {
            parameters: list(&names.parameters),
            layers: list(&names.layers),
            alignments: list(&names.alignments),
            references_digest: if names.alignments.is_empty() {
                String::new()
            } else {
                "00".into()
            },
            preprocessing: Preprocessing::default().to_string(),
            label: "ones".into(),
            executor: "engine".into(),
            numerics: "exact".into(),
            model_digest: "00".repeat(32),
            schema_digest: "00".repeat(32),
            frames: "test".into(),
        },
        classes: names.classes as usize,
        penultimate_length: names.penultimate as usize,
        ..FeatureSet::default()
    };
    let engine =
        Engine::load(Bundle::parse(&compiled.bytes).expect("own bundle")).expect("own plan");
    let mut arena = vec![0.0; engine.arena_elements()];
    for (source, frame) in frames.iter().enumerate() {
        let features = engine.run(Frame::U8(frame), &mut arena).expect("own frame");
        set.logits.extend_from_slice(features.logits);
        set.squared_norms.extend(features.squared_norms.iter().map(|&x| f64::from(x)));
        set.activation_norms.extend(features.activation_norms.iter().map(|&x| f64::from(x)));
        set.penultimate.extend_from_slice(features.penultimate);
        set.alignments.extend_from_slice(features.alignments);
        set.labels.push(-1);
        set.source.push(source as i64);
    }
    let kinds = Inputs::NORM.with(Inputs::FORWARD);
    let aligned = !names.alignments.is_empty();
    let inputs = if aligned { kinds.with(Inputs::ALIGNMENT) } else { kinds };
    let options = FitOptions { confidence: 0.9, inputs, ..FitOptions::default() };
    fit(&set, &[], &options).unwrap_or_else(|e| panic!("fit: {e}")).detector
}

fn compile_with(expanded: &Expanded, options: PlanOptions, extras: Extras<'_>) -> Compiled {
    try_compile(expanded, options, extras).unwrap_or_else(|e| panic!("{e}"))
}

/// As [`compile_with`]; an error names the stage.
fn try_compile(
    expanded: &Expanded,
    options: PlanOptions,
    extras: Extras<'_>,
) -> Result<Compiled, String> {
    let preprocessing = Preprocessing::default();
    let products = extras.products;
    let schedule =
        lower_with(expanded, &preprocessing, products).map_err(|e| format!("lower: {e}"))?;
    let mut detector_blobs = Vec::new();
    let scratch = extras.detector.and_then(|d| d.to_bundle(&mut detector_blobs).scratch_elements());
    let options = PlanOptions { detector_scratch: scratch.unwrap_or(0), ..options };
    let planned = plan(schedule, options).map_err(|e| format!("plan: {e}"))?;
    let Planned { schedule, plan, .. } = planned;
    let mut packed = pack(&schedule, &plan).map_err(|e| format!("pack: {e}"))?;
    let names = schema_names(expanded).map_err(|e| format!("schema: {e}"))?;
    let text = preprocessing.to_string();
    let detector = extras.detector.map(|detector| detector.to_bundle(&mut packed.blobs));
    let self_test = extras.self_test.map(|(frame, expected)| SelfTest {
        frame_offset: push_bytes(&mut packed.blobs, frame).expect("short"),
        frame_bytes: frame.len() as u32,
        expected: push_floats(&mut packed.blobs, expected).expect("short"),
    });
    let header = Header {
        provenance: Provenance {
            model: &expanded.graph.name,
            model_digest: [0; 32],
            detector_digest: [0; 32],
            tool: "gradgate-tests",
            references_digest: [0; 32],
        },
        schema: names.schema(false, products),
        classes: "",
        preprocessing: &text,
        label: "ones",
        layout: packed.layout,
        detector,
        evidence: NO_EVIDENCE,
        policy: DEFAULT_POLICY,
        self_test,
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
    let bytes = assemble(&parts).map_err(|e| format!("write: {e}"))?;
    Ok(Compiled { schedule, plan, bytes })
}

const NO_EVIDENCE: Evidence<'static> = Evidence {
    false_alarm_rate: f32::NAN,
    confidence: 0.95,
    calibration: [0; 2],
    calibration_sources: 0,
    audit: [0; 2],
    source: "",
};
