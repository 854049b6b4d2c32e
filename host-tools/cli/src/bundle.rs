//! A compiled model, and perhaps a detector, as the bytes of an unsigned bundle.

use anyhow::{Context, Result};
use gradgate_bundle::header::{BlobRef, Evidence, Header, Policy, Provenance, SelfTest};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::write::{BundleParts, push_bytes, push_floats, write};
use gradgate_detect::DetectorFile;
use gradgate_detect::file::FileEvidence;
use gradgate_gate::DEFAULT_POLICY;
use gradgate_graph::pack::pack;

use crate::label;
use crate::model::{Compiled, Model, Recipe};

/// Name and version of this tool, as bundles carry them.
pub const TOOL: &str = concat!("gradgate ", env!("CARGO_PKG_VERSION"));

/// What goes into a bundle beside the compiled model.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// From features to score.
    pub detector: Option<&'a DetectorFile>,
    /// Class names, one a line; empty when unknown.
    pub classes: &'a str,
    /// When the gate opens.
    pub policy: Policy,
    /// Hardware that it is for.
    pub device_class: DeviceClass,
    /// A device refuses smaller ones than it confirmed.
    pub release: u64,
    /// A frame and what it must give.
    pub self_test: Option<(&'a [u8], &'a [f32])>,
}

impl Default for Contents<'_> {
    fn default() -> Self {
        Contents {
            detector: None,
            classes: "",
            policy: DEFAULT_POLICY,
            device_class: DeviceClass::Any,
            release: 0,
            self_test: None,
        }
    }
}

/// The bytes; equal arguments give equal bytes.
pub fn assemble(
    model: &Model,
    compiled: &Compiled,
    recipe: &Recipe,
    contents: &Contents<'_>,
) -> Result<Vec<u8>> {
    let mut packed = pack(&compiled.schedule, &compiled.plan)?;
    let detector = contents.detector.map(|file| file.to_bundle(&mut packed.blobs));
    let self_test = match contents.self_test {
        Some((frame, expected)) => Some(push_self_test(&mut packed.blobs, frame, expected)?),
        None => None,
    };
    let (preprocessing, label) = (recipe.preprocessing.to_string(), label::to_text(&recipe.label));
    let name = model.name();
    let header = Header {
        provenance: Provenance {
            model: &name,
            model_digest: model.digest,
            detector_digest: match contents.detector {
                Some(file) => file.digest()?,
                None => [0; 32],
            },
            tool: TOOL,
            references_digest: recipe.references_digest()?,
        },
        schema: compiled.schema(),
        classes: contents.classes,
        preprocessing: &preprocessing,
        label: &label,
        layout: packed.layout,
        detector,
        evidence: contents.detector.map_or(Evidence::NONE, |file| evidence(&file.evidence)),
        policy: contents.policy,
        self_test,
    };
    let parts = BundleParts {
        header,
        tensors: packed.tensors,
        steps: packed.steps,
        params: packed.params,
        blobs: packed.blobs,
        device_class: contents.device_class,
        security_counter: contents.release,
        input: compiled.schedule.input.map(|side| side as u32),
    };
    write(&parts).context("no bundle was made")
}

fn evidence(file: &FileEvidence) -> Evidence<'_> {
    Evidence {
        false_alarm_rate: file.promised_rate.map_or(f32::NAN, |rate| rate as f32),
        confidence: file.confidence as f32,
        calibration: [file.calibration_frames, file.calibration_alarms],
        calibration_sources: file.calibration_sources,
        audit: [file.audit_frames, file.audit_alarms],
        source: &file.frames,
    }
}

fn push_self_test(blobs: &mut Vec<u8>, frame: &[u8], expected: &[f32]) -> Result<SelfTest> {
    let frame_offset = push_bytes(blobs, frame)?;
    let expected: BlobRef = push_floats(blobs, expected)?;
    Ok(SelfTest { frame_offset, frame_bytes: u32::try_from(frame.len())?, expected })
}
