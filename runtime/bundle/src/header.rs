//! The variable part of a bundle: names, preprocessing, label, layout, detector, evidence, policy.
//!
//! Encoded with postcard and borrowed from the bundle's bytes; lists of names are one string, a
//! name
//! a line, so that nothing is allocated. Field order is the wire order: append only.

use serde::{Deserialize, Serialize};

use crate::detector::Detector;

/// An interval of blob bytes holding little-endian f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// First byte, a multiple of 16.
    pub offset: u32,
    /// Length in f32 elements.
    pub elements: u32,
}

/// The names in a list, a name a line; none in an empty one.
pub fn names(list: &str) -> impl Iterator<Item = &str> {
    // An array of one: searching for a lone `char` leaves a panic that cannot be optimised away.
    list.split(['\n']).filter(move |_| !list.is_empty())
}

/// Everything that is not a fixed-width record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header<'a> {
    /// Where the bundle came from.
    #[serde(borrow)]
    pub provenance: Provenance<'a>,
    /// What the features are.
    #[serde(borrow)]
    pub schema: Schema<'a>,
    /// Class names, one a line; empty when unknown.
    pub classes: &'a str,
    /// From camera pixels to the input tensor, as text (`range=0,1 order=rgb ..`); the numbers that
    /// the engine uses stand in the `Preprocess` step.
    pub preprocessing: &'a str,
    /// The confounding label, as text (`ones`, `zeros`, `custom:` and one number a class).
    pub label: &'a str,
    /// Where the results lie.
    pub layout: Layout,
    /// From features to score; absent in a bundle that only yields features.
    pub detector: Option<Detector>,
    /// What was promised and on what evidence.
    #[serde(borrow)]
    pub evidence: Evidence<'a>,
    /// When the gate opens and closes.
    pub policy: Policy,
    /// One frame and its expected bits.
    pub self_test: Option<SelfTest>,
}

/// Where a bundle came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance<'a> {
    /// Model name.
    pub model: &'a str,
    /// SHA-256 of the ONNX file (with its external data).
    pub model_digest: [u8; 32],
    /// SHA-256 of the detector file; zeros without one.
    pub detector_digest: [u8; 32],
    /// Name and version of the tool that packed it.
    pub tool: &'a str,
    /// SHA-256 of the references behind the alignments; zeros without alignments.
    pub references_digest: [u8; 32],
}

/// Names of all features; their digest is in the manifest, and detectors are fitted for one schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema<'a> {
    /// Parameter tensors whose squared gradient norm is a feature, one a line.
    pub parameters: &'a str,
    /// Values whose squared activation norm is a feature, one a line.
    pub layers: &'a str,
    /// Parameter tensors whose gradient's cosine against its references is a feature, one a line.
    pub alignments: &'a str,
    /// Logits.
    pub classes: u32,
    /// Length of the penultimate vector, 0 when the model has none.
    pub penultimate: u32,
    /// Whether the exporter folded BatchNormalization into convolutions.
    pub folded: bool,
    /// Whether results of convolutions are kept before their normalisation, which gives norms by
    /// another method, and other last bits.
    pub products_kept: bool,
}

impl Schema<'_> {
    /// Values from `features_offset` on: gradient norms, activation norms, alignments.
    pub fn features(&self) -> usize {
        [self.parameters, self.layers, self.alignments].iter().map(|list| names(list).count()).sum()
    }
}

/// Where the results lie in the arena, in f32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Length of the arena.
    pub arena_elements: u32,
    /// First feature: squared gradient norms in schema order, squared activation norms, then
    /// alignments.
    pub features_offset: u32,
    /// Tensor index of the logits.
    pub logits: u16,
    /// Tensor index of the penultimate vector, [`crate::op::NONE`] without one.
    pub penultimate: u16,
    /// First element of the detector's scratch, which may overlap anything but features, logits
    /// and penultimate.
    pub scratch_offset: u32,
}

/// What was promised, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence<'a> {
    /// Promised per-frame false-alarm rate; NaN when nothing is promised.
    pub false_alarm_rate: f32,
    /// Confidence of the promise.
    pub confidence: f32,
    /// Calibration frames, and alarms among them at the threshold.
    pub calibration: [u32; 2],
    /// Independent sources (images, tracks, sequences) among the calibration frames.
    pub calibration_sources: u32,
    /// Audit frames (never used before), and alarms among them.
    pub audit: [u32; 2],
    /// Name of the normal frames.
    pub source: &'a str,
}

impl Evidence<'_> {
    /// Of a bundle without a detector, which promises nothing.
    pub const NONE: Evidence<'static> = Evidence {
        false_alarm_rate: f32::NAN,
        confidence: 0.0,
        calibration: [0; 2],
        calibration_sources: 0,
        audit: [0; 2],
        source: "",
    };
}

/// Gate policy (DESIGN section 6); the state machine is in gradgate-gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whether the pin follows the gate.
    pub enforce: bool,
    /// Nominal time between frames.
    pub frame_period_us: u32,
    /// BLOCK verdicts among the last `m` that close the gate.
    pub k: u8,
    /// Window of `k`.
    pub m: u8,
    /// PASS verdicts in a row that open the gate.
    pub n: u8,
    /// Lease: frame periods without a PASS or a tolerated BLOCK before the gate closes.
    pub lease_periods: u8,
    /// Identical frames in a row that count as frozen.
    pub frozen_frames: u8,
}

/// One frame with the bits it must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// First byte of the u8 frame in the blobs (rows, columns, channels), a multiple of 16.
    pub frame_offset: u32,
    /// Length of the frame in bytes.
    pub frame_bytes: u32,
    /// Expected logits, features, then the score when there is a detector, as f32 bits.
    pub expected: BlobRef,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names() {
        for (list, expected) in [("", &[][..]), ("a", &["a"]), ("a\nb c", &["a", "b c"])] {
            assert!(names(list).eq(expected.iter().copied()), "{list:?}");
        }
    }
}
