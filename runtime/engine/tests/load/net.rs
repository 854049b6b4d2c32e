//! A small plan, to be changed and refused.

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::header::{Evidence, Header, Layout, Policy, Provenance, Schema};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::op::*;
use gradgate_bundle::record::{StepRecord, TensorKind, TensorRecord};
use gradgate_bundle::write::{BundleParts, assemble, push_floats, push_params};
use zerocopy::FromZeros;

/// Tensors of the plan.
pub const X: u16 = 0;
pub const W: u16 = 1;
pub const LOGITS: u16 = 2;
pub const ONES: u16 = 3;
pub const SIGMOID: u16 = 4;
pub const G: u16 = 5;
pub const SCRATCH: u16 = 6;
pub const PADDED: u16 = 7;

/// Steps of the plan.
pub const CONV: usize = 1;
pub const LAYER_NORM: usize = 2;
pub const UNARY: usize = 3;
pub const BINARY: usize = 4;
pub const WEIGHT_NORM: usize = 5;
pub const PAD: usize = 6;
pub const PATCH: usize = 7;

pub const WEIGHTS: [f32; 12] = [1.0, -1.0, 0.5, 2.0, 0.0, 0.25, -0.5, 1.0, 1.0, 0.5, 0.5, -2.0];

/// A frame of 2 x 2 x 1, a 2 x 2 convolution to three logits, a label of ones, two norms and one
/// activation norm; then two copies whose result nobody reads.
pub struct Net {
    pub preprocess: PreprocessParams,
    pub conv: ConvParams,
    pub layer: SquaredNormParams,
    pub unary: UnaryParams,
    pub binary: BinaryParams,
    pub norm: ConvWeightNormParams,
    pub pad: CopyParams,
    pub patch: CopyParams,
    pub tensors: Vec<TensorRecord>,
    pub operands: Vec<Vec<u16>>,
    pub layout: Layout,
    pub classes: u32,
    pub penultimate: u32,
    pub layers: &'static str,
    pub alignments: &'static str,
    /// Indices into the plan's steps, in order of execution.
    pub order: Vec<usize>,
    /// One more step: operation, parameter record, operands.
    pub extra: Option<(OpCode, Vec<u8>, Vec<u16>)>,
    /// How many of the others run before it.
    pub extra_place: usize,
}

pub fn in_arena(offset: u32, elements: u32) -> TensorRecord {
    let kind = (TensorKind::Arena as u32).into();
    TensorRecord { kind, offset: offset.into(), elements: elements.into() }
}

pub fn blob(offset: u32, elements: u32) -> TensorRecord {
    let kind = (TensorKind::Blob as u32).into();
    TensorRecord { kind, ..in_arena(offset, elements) }
}

fn line(length: u32) -> [zerocopy::little_endian::U32; BOX_RANK] {
    [1, 1, 1, 1, 1, length].map(Into::into)
}

impl Net {
    pub fn new() -> Net {
        let mut preprocess = PreprocessParams::new_zeroed();
        (preprocess.height, preprocess.width, preprocess.channels) = (2.into(), 2.into(), 1.into());
        (preprocess.high, preprocess.std) = (1.0.into(), [1.0.into(); 4]);
        let mut conv = ConvParams::new_zeroed();
        conv.input = [2, 2, 1].map(Into::into);
        conv.output = [1, 1, 3].map(Into::into);
        conv.kernel = [2.into(); 2];
        (conv.strides, conv.dilations, conv.groups) = ([1.into(); 2], [1.into(); 2], 1.into());
        let mut norm = ConvWeightNormParams::new_zeroed();
        norm.conv = conv;
        (norm.weight, norm.bias) = (0.into(), 1.into());
        (norm.scale, norm.shift) = (NONE.into(), NONE.into());
        let mut layer = SquaredNormParams::new_zeroed();
        (layer.elements, layer.feature) = (3.into(), 2.into());
        let mut unary = UnaryParams::new_zeroed();
        (unary.kind, unary.elements) = ((Activation::Sigmoid as u32).into(), 3.into());
        let mut binary = BinaryParams::new_zeroed();
        (binary.kind, binary.dims) = ((BinaryKind::Sub as u32).into(), line(3));
        (binary.a_strides, binary.b_strides) = (line(1), line(1));
        let mut pad = CopyParams::new_zeroed();
        (pad.fills, pad.dims, pad.y_offset) = (1.into(), line(3), 1.into());
        (pad.x_strides, pad.y_strides) = (line(1), line(1));
        (pad.x_elements, pad.y_elements) = (3.into(), 5.into());
        let patch = CopyParams { fills: 0.into(), ..pad };
        Net {
            preprocess,
            conv,
            layer,
            unary,
            binary,
            norm,
            pad,
            patch,
            tensors: vec![
                in_arena(0, 4),
                blob(0, 12),
                in_arena(4, 3),
                blob(48, 3),
                in_arena(13, 3),
                in_arena(10, 3),
                in_arena(13, 9),
                in_arena(13, 5),
            ],
            operands: vec![
                vec![X],
                vec![X, W, NONE, NONE, NONE, LOGITS],
                vec![LOGITS],
                vec![LOGITS, SIGMOID],
                vec![SIGMOID, ONES, G],
                vec![X, G, W, NONE, NONE, NONE, SCRATCH],
                vec![G, PADDED],
                vec![G, PADDED],
            ],
            layout: Layout {
                arena_elements: 25,
                features_offset: 22,
                logits: LOGITS,
                penultimate: NONE,
                scratch_offset: 0,
            },
            classes: 3,
            penultimate: 0,
            layers: "logits",
            alignments: "",
            order: (0..8).collect(),
            extra: None,
            extra_place: 8,
        }
    }

    pub fn bytes(&self) -> AlignedBytes {
        let mut params = Vec::new();
        let offsets = [
            push_params(&mut params, &self.preprocess),
            push_params(&mut params, &self.conv),
            push_params(&mut params, &self.layer),
            push_params(&mut params, &self.unary),
            push_params(&mut params, &self.binary),
            push_params(&mut params, &self.norm),
            push_params(&mut params, &self.pad),
            push_params(&mut params, &self.patch),
        ];
        let opcodes = [
            OpCode::Preprocess,
            OpCode::Conv,
            OpCode::SquaredNorm,
            OpCode::Unary,
            OpCode::Binary,
            OpCode::ConvWeightNorm,
            OpCode::Copy,
            OpCode::Copy,
        ];
        let record = |opcode: OpCode, params, places: &[u16]| {
            let mut operands = [NONE.into(); 8];
            operands.iter_mut().zip(places).for_each(|(to, o)| *to = (*o).into());
            StepRecord { opcode: (opcode as u16).into(), reserved: 0.into(), params, operands }
        };
        let step = |&s: &usize| record(opcodes[s], offsets[s].unwrap(), &self.operands[s]);
        let mut steps: Vec<StepRecord> = self.order.iter().map(step).collect();
        if let Some((opcode, bytes, operands)) = &self.extra {
            let offset = u32::try_from(params.len()).unwrap();
            params.extend(bytes);
            let place = self.extra_place.min(steps.len());
            steps.insert(place, record(*opcode, offset.into(), operands));
        }
        let mut blobs = Vec::new();
        push_floats(&mut blobs, &WEIGHTS).unwrap();
        push_floats(&mut blobs, &[1.0; 3]).unwrap();
        let parts = BundleParts {
            header: self.header(),
            tensors: self.tensors.clone(),
            steps,
            params,
            blobs,
            device_class: DeviceClass::ALL[0],
            security_counter: 0,
            input: [2, 2, 1],
        };
        assemble(&parts).unwrap()
    }

    fn header(&self) -> Header<'static> {
        Header {
            provenance: Provenance {
                model: "tiny",
                model_digest: [0; 32],
                detector_digest: [0; 32],
                tool: "test",
                references_digest: [0; 32],
            },
            schema: Schema {
                parameters: "w\nb",
                layers: self.layers,
                alignments: self.alignments,
                classes: self.classes,
                penultimate: self.penultimate,
                folded: false,
                products_kept: false,
            },
            classes: "",
            preprocessing: "",
            label: "ones",
            layout: self.layout,
            detector: None,
            evidence: Evidence {
                false_alarm_rate: f32::NAN,
                confidence: 0.95,
                calibration: [0; 2],
                calibration_sources: 0,
                audit: [0; 2],
                source: "",
            },
            policy: Policy {
                enforce: false,
                frame_period_us: 33_333,
                k: 1,
                m: 1,
                n: 1,
                lease_periods: 2,
                frozen_frames: 3,
            },
            self_test: None,
        }
    }
}
