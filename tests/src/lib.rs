//! What the whole-path tests share: models and reference data, bundles in memory, executors.

pub mod cases;
pub mod executor;
pub mod reference;
pub mod rng;

use std::path::PathBuf;

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::Bundle;
use gradgate_bundle::header::{Evidence, Header, Policy, Provenance, Schema, SelfTest};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::write::{BundleParts, assemble, push_bytes, push_floats};
use gradgate_engine::{Engine, Frame};
use gradgate_frame::Preprocessing;
use gradgate_graph::expand::Expanded;
use gradgate_graph::lower::lower;
use gradgate_graph::pack::{pack, schema_names};
use gradgate_graph::plan::{Plan, PlanOptions, plan};
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

/// Lowers, plans and packs an expanded graph; `keep_all` gives every tensor its own place.
///
/// # Panics
/// When a stage refuses: the cases are meant to pass.
pub fn compile(expanded: &Expanded, keep_all: bool) -> Compiled {
    compile_inner(expanded, keep_all, None)
}

/// A bundle with a self-test on `frame`, its expectation from the engine on this machine.
///
/// # Panics
/// As [`compile`].
pub fn compile_with_self_test(expanded: &Expanded, frame: &[u8]) -> AlignedBytes {
    let compiled = compile(expanded, false);
    let engine = Engine::load(Bundle::parse(&compiled.bytes).expect("own bundle")).expect("own plan");
    let mut arena = vec![0.0; engine.arena_elements()];
    let features = engine.run(Frame::U8(frame), &mut arena).expect("own frame");
    let expected = [features.logits, features.squared_norms, features.activation_norms].concat();
    compile_inner(expanded, false, Some((frame, &expected))).bytes
}

fn compile_inner(expanded: &Expanded, keep_all: bool, self_test: Option<(&[u8], &[f32])>) -> Compiled {
    let preprocessing = Preprocessing::default();
    let schedule = lower(expanded, &preprocessing).unwrap_or_else(|e| panic!("lower: {e}"));
    let options = PlanOptions { detector_scratch: 0, keep_all };
    let plan = plan(&schedule, options).unwrap_or_else(|e| panic!("plan: {e}"));
    let mut packed = pack(&schedule, &plan).unwrap_or_else(|e| panic!("pack: {e}"));
    let names = schema_names(expanded).unwrap_or_else(|e| panic!("schema: {e}"));
    let text = preprocessing.to_string();
    let self_test = self_test.map(|(frame, expected)| SelfTest {
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
        },
        schema: Schema {
            parameters: &names.parameters,
            layers: &names.layers,
            alignments: "",
            classes: names.classes,
            penultimate: names.penultimate,
            folded: false,
        },
        classes: "",
        preprocessing: &text,
        label: "ones",
        layout: packed.layout,
        detector: None,
        evidence: NO_EVIDENCE,
        policy: MONITOR,
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
    let bytes = assemble(&parts).unwrap_or_else(|e| panic!("write: {e}"));
    Compiled { schedule, plan, bytes }
}

const NO_EVIDENCE: Evidence<'static> = Evidence {
    false_alarm_rate: f32::NAN,
    confidence: 0.95,
    calibration: [0; 2],
    calibration_sources: 0,
    audit: [0; 2],
    source: "",
};

const MONITOR: Policy = Policy {
    enforce: false,
    frame_period_us: 100_000,
    k: 1,
    m: 1,
    n: 1,
    lease_periods: 2,
    frozen_frames: 3,
};
