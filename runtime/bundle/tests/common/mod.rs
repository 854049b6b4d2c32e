//! A tiny bundle with every kind of part, and random ones; shared by the tests of this crate.
#![allow(dead_code, reason = "each test binary uses its own part")]

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::detector::{Detector, FeatureShape, Head, Inputs, Mlp, Table};
use gradgate_bundle::digest::{schema_digest, sha256};
use gradgate_bundle::header::{
    BlobRef, Evidence, Header, Layout, Policy, Provenance, Schema, SelfTest,
};
use gradgate_bundle::manifest::{DeviceClass, MANIFEST_BYTES, Manifest};
use gradgate_bundle::op::{ConvParams, NONE, OpCode, PreprocessParams};
use gradgate_bundle::record::{OPERANDS, StepRecord, TensorKind, TensorRecord};
use gradgate_bundle::write::{
    BundleParts, SigningKey, assemble, push_bytes, push_floats, push_params, refresh_digests,
};
use zerocopy::little_endian::{F32, U16, U32};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit as u64) as usize
    }
}

/// The seed and count of a random test, from the environment when set.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub fn key(seed: u8) -> SigningKey {
    gradgate_bundle::keys::from_seed(&[seed; 32])
}

pub fn tensor(kind: TensorKind, offset: u32, elements: usize) -> TensorRecord {
    TensorRecord {
        kind: U32::new(kind as u32),
        offset: U32::new(offset),
        elements: U32::new(elements as u32),
    }
}

pub fn step(opcode: OpCode, params: U32, operands: &[u16]) -> StepRecord {
    let mut all = [U16::new(NONE); OPERANDS];
    for (place, &operand) in all.iter_mut().zip(operands) {
        *place = U16::new(operand);
    }
    StepRecord { opcode: U16::new(opcode as u16), reserved: U16::new(0), params, operands: all }
}

/// A 2 x 2 grey frame through one 1 x 1 convolution to three logits, an MLP, and a self-test.
pub fn tiny() -> BundleParts<'static> {
    let (mut params, mut blobs) = (Vec::new(), Vec::new());
    let preprocess = PreprocessParams {
        height: U32::new(2),
        width: U32::new(2),
        channels: U32::new(1),
        bgr: U32::new(0),
        low: F32::new(0.0),
        high: F32::new(1.0),
        mean: [F32::new(0.0); 4],
        std: [F32::new(1.0); 4],
    };
    let mut conv = ConvParams::new_zeroed();
    conv.input = [1, 1, 4].map(U16::new);
    conv.output = [1, 1, 3].map(U16::new);
    for pair in [&mut conv.kernel, &mut conv.strides, &mut conv.dilations] {
        *pair = [U16::new(1); 2];
    }
    conv.groups = U16::new(1);
    let preprocess = push_params(&mut params, &preprocess).expect("short");
    let conv = push_params(&mut params, &conv).expect("short");
    let weights: Vec<f32> = (0..12).map(|i| i as f32 / 8.0 - 0.5).collect();
    let mut floats = |values: &[f32]| push_floats(&mut blobs, values).expect("short");
    let weights = floats(&weights);
    let [mean, inverse_std, w1] = [[0.0; 6], [1.0; 6], [0.25; 6]].map(|values| floats(&values));
    let (b1, w2) = (floats(&[0.5]), floats(&[2.0]));
    let p_values = Table { scores: floats(&[0.0, 1.0, 2.0]), levels: floats(&[0.0, 1.0, 3.0]) };
    let expected = floats(&[0.5, 0.25, -0.125, 1.5, 2.5, 0.75]);
    let frame_offset = push_bytes(&mut blobs, &[0, 85, 170, 255]).expect("short");
    BundleParts {
        header: Header {
            provenance: Provenance {
                model: "tiny",
                model_digest: [0x11; 32],
                detector_digest: [0x22; 32],
                tool: "gradgate test",
                references_digest: [0; 32],
            },
            schema: Schema {
                parameters: "fc.weight",
                layers: "fc",
                alignments: "",
                classes: 3,
                penultimate: 4,
                folded: false,
                products_kept: false,
            },
            classes: "cat\ndog\nfrog",
            preprocessing: "range=0,1 order=grey",
            label: "ones",
            layout: Layout {
                arena_elements: 32,
                features_offset: 8,
                logits: 1,
                penultimate: 0,
                scratch_offset: 16,
            },
            detector: Some(Detector {
                inputs: Inputs::NORM.with(Inputs::FORWARD),
                shape: FeatureShape {
                    norms: 1,
                    layers: 1,
                    alignments: 0,
                    classes: 3,
                    penultimate: 4,
                },
                mean,
                inverse_std,
                head: Head::Mlp(Mlp { hidden: 1, w1, b1, w2, b2: -1.0 }),
                p_values,
                threshold: 1.25,
                caution: None,
            }),
            evidence: Evidence {
                false_alarm_rate: 0.05,
                confidence: 0.95,
                calibration: [200, 7],
                calibration_sources: 40,
                audit: [200, 8],
                source: "test frames",
            },
            policy: Policy {
                enforce: false,
                frame_period_us: 100_000,
                k: 3,
                m: 5,
                n: 4,
                lease_periods: 2,
                frozen_frames: 3,
            },
            self_test: Some(SelfTest { frame_offset, frame_bytes: 4, expected }),
        },
        tensors: vec![
            tensor(TensorKind::Arena, 0, 4),
            tensor(TensorKind::Arena, 4, 3),
            tensor(TensorKind::Blob, weights.offset, 12),
        ],
        steps: vec![
            step(OpCode::Preprocess, preprocess, &[0]),
            step(OpCode::Conv, conv, &[0, 2, NONE, NONE, NONE, 1]),
        ],
        params,
        blobs,
        device_class: DeviceClass::CortexM4F,
        security_counter: 7,
        input: [2, 2, 1],
    }
}

/// The tiny bundle's bytes after a change to its parts, valid or not.
pub fn changed(change: impl FnOnce(&mut BundleParts<'static>)) -> AlignedBytes {
    let mut parts = tiny();
    change(&mut parts);
    assemble(&parts).expect("parts fit the format")
}

/// The tiny bundle's bytes after a change to its manifest; nothing else is made to fit.
pub fn with_manifest(change: impl FnOnce(&mut Manifest)) -> AlignedBytes {
    let mut file = changed(|_| ());
    edit_manifest(&mut file, change);
    file
}

pub fn manifest_of(file: &[u8]) -> Manifest {
    Manifest::read_from_prefix(file).expect("256 bytes").0
}

pub fn edit_manifest(file: &mut [u8], change: impl FnOnce(&mut Manifest)) {
    let mut manifest = manifest_of(file);
    change(&mut manifest);
    file[..MANIFEST_BYTES].copy_from_slice(manifest.as_bytes());
}

/// Makes all digests right, the schema's included where the header can be decoded, so that damage
/// reaches the checks behind them.
pub fn forge_digests(file: &mut [u8]) {
    refresh_digests(file);
    let header = manifest_of(file).header.of(file).and_then(|bytes| {
        postcard::from_bytes::<Header<'_>>(bytes).map(|h| schema_digest(&h.schema)).ok()
    });
    if let Some(digest) = header {
        edit_manifest(file, |manifest| manifest.schema_digest = digest);
    }
}

/// The header's bytes replaced, all else kept, lengths and digests made to fit.
pub fn with_header_bytes(header: &[u8]) -> AlignedBytes {
    let old = changed(|_| ());
    let mut manifest = manifest_of(&old);
    let part = |span: gradgate_bundle::manifest::Span| span.of(&old).expect("valid").to_vec();
    let parts = [part(manifest.tensors), part(manifest.steps), part(manifest.params)];
    let mut file = old[..320].to_vec();
    manifest.header.length = U32::new(header.len() as u32);
    file.extend_from_slice(header);
    let spans = [&mut manifest.tensors, &mut manifest.steps, &mut manifest.params];
    for (bytes, span) in parts.iter().zip(spans) {
        span.offset = U32::new(file.len() as u32);
        file.extend_from_slice(bytes);
    }
    file.resize(file.len().next_multiple_of(16), 0);
    let blobs = part(manifest.blobs);
    manifest.blobs.offset = U32::new(file.len() as u32);
    file.extend_from_slice(&blobs);
    manifest.total_bytes = U32::new(file.len() as u32);
    manifest.blobs_digest = sha256(&blobs);
    file[..MANIFEST_BYTES].copy_from_slice(manifest.as_bytes());
    let mut file = AlignedBytes::from(&file[..]);
    forge_digests(&mut file);
    file
}

pub fn float_bytes(blob: BlobRef) -> std::ops::Range<usize> {
    blob.offset as usize..blob.offset as usize + 4 * blob.elements as usize
}
