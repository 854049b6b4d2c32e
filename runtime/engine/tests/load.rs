//! A small plan through load and run: its values, and every refusal of the loader by name.

use gradgate_bundle::Bundle;
use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::header::{Evidence, Header, Layout, Policy, Provenance, Schema};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_bundle::op::*;
use gradgate_bundle::record::{StepRecord, TensorKind, TensorRecord};
use gradgate_bundle::shape::ShapeError;
use gradgate_bundle::write::{BundleParts, assemble, push_floats, push_params};
use gradgate_engine::{Engine, Frame, LoadError, OperandFault, RunError, Written};
use zerocopy::FromZeros;

/// Tensors of the plan.
const X: u16 = 0;
const W: u16 = 1;
const LOGITS: u16 = 2;
const ONES: u16 = 3;
const SIGMOID: u16 = 4;
const G: u16 = 5;
const SCRATCH: u16 = 6;
const PADDED: u16 = 7;

/// Steps of the plan.
const CONV: usize = 1;
const LAYER_NORM: usize = 2;
const UNARY: usize = 3;
const BINARY: usize = 4;
const WEIGHT_NORM: usize = 5;
const PAD: usize = 6;
const PATCH: usize = 7;

const WEIGHTS: [f32; 12] =
    [1.0, -1.0, 0.5, 2.0, 0.0, 0.25, -0.5, 1.0, 1.0, 0.5, 0.5, -2.0];

/// A frame of 2 x 2 x 1, a 2 x 2 convolution to three logits, a label of ones, two norms and one
/// activation norm; then two copies whose result nobody reads.
struct Net {
    preprocess: PreprocessParams,
    conv: ConvParams,
    layer: SquaredNormParams,
    unary: UnaryParams,
    binary: BinaryParams,
    norm: ConvWeightNormParams,
    pad: CopyParams,
    patch: CopyParams,
    tensors: Vec<TensorRecord>,
    operands: Vec<Vec<u16>>,
    layout: Layout,
    classes: u32,
    penultimate: u32,
    layers: &'static str,
    /// Indices into the plan's steps, in order of execution.
    order: Vec<usize>,
}

fn in_arena(offset: u32, elements: u32) -> TensorRecord {
    let kind = (TensorKind::Arena as u32).into();
    TensorRecord { kind, offset: offset.into(), elements: elements.into() }
}

fn blob(offset: u32, elements: u32) -> TensorRecord {
    let kind = (TensorKind::Blob as u32).into();
    TensorRecord { kind, ..in_arena(offset, elements) }
}

fn line(length: u32) -> [zerocopy::little_endian::U32; BOX_RANK] {
    [1, 1, 1, 1, 1, length].map(Into::into)
}

impl Net {
    fn new() -> Net {
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
            order: (0..8).collect(),
        }
    }

    fn bytes(&self) -> AlignedBytes {
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
        let step = |&step: &usize| {
            let mut operands = [NONE.into(); 8];
            operands.iter_mut().zip(&self.operands[step]).for_each(|(to, o)| *to = (*o).into());
            let opcode = (opcodes[step] as u16).into();
            StepRecord { opcode, reserved: 0.into(), params: offsets[step].unwrap(), operands }
        };
        let mut blobs = Vec::new();
        push_floats(&mut blobs, &WEIGHTS).unwrap();
        push_floats(&mut blobs, &[1.0; 3]).unwrap();
        let parts = BundleParts {
            header: self.header(),
            tensors: self.tensors.clone(),
            steps: self.order.iter().map(step).collect(),
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
            },
            schema: Schema {
                parameters: "w\nb",
                layers: self.layers,
                alignments: "",
                classes: self.classes,
                penultimate: self.penultimate,
                folded: false,
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

/// The loader's refusal after a change of the sound plan.
fn refusal(change: impl FnOnce(&mut Net)) -> LoadError {
    let mut net = Net::new();
    change(&mut net);
    let bytes = net.bytes();
    Engine::load(Bundle::parse(&bytes).unwrap()).expect_err("the plan was accepted")
}

fn operand(step: usize, place: usize, fault: OperandFault) -> LoadError {
    LoadError::Operand { step, place, fault }
}

#[test]
fn a_sound_plan_gives_the_right_features() {
    let bytes = Net::new().bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
    assert_eq!((engine.arena_elements(), engine.frame_length()), (25, 4));
    let mut arena = [f32::NAN; 30];
    let x = [51.0, 102.0, 0.0, 255.0].map(|v| v / 255.0);
    let from_bytes = {
        let f = engine.run(Frame::U8(&[51, 102, 0, 255]), &mut arena).unwrap();
        // One output block of width 3: [ky][kx][ci][3].
        for (o, logit) in f.logits.iter().enumerate() {
            let expected: f64 = (0..4).map(|t| f64::from(x[t] * WEIGHTS[t * 3 + o])).sum();
            assert!((f64::from(*logit) - expected).abs() < 1e-6, "{logit} {expected}");
        }
        let g = f.logits.iter().map(|z| 1.0 / (1.0 + (-f64::from(*z)).exp()) - 1.0);
        let bias: f64 = g.map(|g| g * g).sum();
        let norm: f64 = x.iter().map(|x| f64::from(x * x)).sum();
        let close = |a: f32, b: f64| assert!((f64::from(a) - b).abs() < 1e-6 * b, "{a} {b}");
        close(f.squared_norms[0], bias * norm);
        close(f.squared_norms[1], bias);
        close(f.activation_norms[0], f.logits.iter().map(|z| f64::from(z * z)).sum());
        assert!(f.penultimate.is_empty());
        assert_eq!((f.squared_norms.len(), f.activation_norms.len()), (2, 1));
        f.squared_norms.to_vec()
    };
    let from_floats = engine.run(Frame::F32(&x), &mut arena).unwrap();
    assert_eq!(from_floats.squared_norms, from_bytes);
    let judged = engine.judge(Frame::F32(&x), &mut arena).unwrap();
    assert!(judged.1.is_none() && judged.0.squared_norms == from_bytes);
}

#[test]
fn wrong_frame_and_arena_lengths_are_run_errors() {
    let bytes = Net::new().bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
    let error = engine.run(Frame::U8(&[0; 3]), &mut [0.0; 25]).unwrap_err();
    assert_eq!(error, RunError::Frame { expected: 4, found: 3 });
    let error = engine.run(Frame::F32(&[0.0; 4]), &mut [0.0; 24]).unwrap_err();
    assert_eq!(error, RunError::Arena { expected: 25, found: 24 });
}

#[test]
fn nan_at_every_boundary_reaches_a_result_unless_dead() {
    let bytes = Net::new().bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
    let frame = Frame::U8(&[51, 102, 7, 255]);
    let mut arena = [0.0; 25];
    let mut boundaries = Vec::new();
    let collect = |step: usize, what: Written, values: &mut [f32]| {
        boundaries.push((step, what, values.len()));
    };
    let clean = format!("{:?}", engine.run_observed(frame, &mut arena, collect).unwrap());
    let steps = |wanted: usize| boundaries.iter().filter(|b| b.0 == wanted).count();
    assert_eq!([steps(0), steps(LAYER_NORM), steps(WEIGHT_NORM)], [1, 1, 3]);
    for &(step, what, length) in &boundaries {
        for i in 0..length {
            let mut arena = [0.0; 25];
            let inject = |s: usize, w: Written, values: &mut [f32]| {
                if (s, w) == (step, what) {
                    values[i] = f32::NAN;
                }
            };
            let found = format!("{:?}", engine.run_observed(frame, &mut arena, inject).unwrap());
            // Scratch and the two copies are dead once written.
            let dead = step >= PAD || what == Written::Operand(6);
            assert_eq!(found.contains("NaN"), !dead, "{step} {what:?} {i}");
            assert!(!dead || found == clean, "{step} {what:?} {i}");
        }
    }
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let error = refusal(|n| n.conv.output[0] = 2.into());
    assert_eq!(error, LoadError::Parameters { step: CONV, error: ShapeError::Geometry });
    let error = refusal(|n| n.unary.kind = 77.into());
    assert_eq!(error, LoadError::Parameters { step: UNARY, error: ShapeError::Number });
    let error = refusal(|n| n.pad.y_offset = 3.into());
    assert_eq!(error, LoadError::Parameters { step: PAD, error: ShapeError::Box });
    let error = refusal(|n| n.norm.method = 1.into());
    assert_eq!(error, LoadError::Parameters { step: WEIGHT_NORM, error: ShapeError::Method });
    let error = refusal(|n| n.conv.activation = 9.into());
    assert_eq!(error, LoadError::Parameters { step: CONV, error: ShapeError::Number });
    let error = refusal(|n| n.binary.dims[0] = 0.into());
    assert_eq!(error, LoadError::Parameters { step: BINARY, error: ShapeError::Zero });
}

#[test]
fn another_frame_shape_is_refused() {
    let error = refusal(|n| (n.preprocess.height, n.preprocess.width) = (1.into(), 4.into()));
    assert_eq!(error, LoadError::FrameShape { step: 0 });
}

#[test]
fn a_missing_operand_is_refused() {
    let error = refusal(|n| n.operands[CONV][1] = NONE);
    assert_eq!(error, operand(CONV, 1, OperandFault::Missing));
    let error = refusal(|n| n.norm.scale = 2.into());
    assert_eq!(error, operand(WEIGHT_NORM, 4, OperandFault::Missing));
}

#[test]
fn a_surplus_operand_is_refused() {
    let error = refusal(|n| n.operands[UNARY].push(X));
    assert_eq!(error, operand(UNARY, 2, OperandFault::Surplus));
}

#[test]
fn a_wrong_operand_length_is_refused() {
    let error = refusal(|n| n.tensors[usize::from(W)] = blob(0, 11));
    assert_eq!(error, operand(CONV, 1, OperandFault::Length));
    let error = refusal(|n| n.operands[BINARY][1] = W);
    assert_eq!(error, operand(BINARY, 1, OperandFault::Length));
}

#[test]
fn a_result_in_the_blobs_is_refused() {
    let error = refusal(|n| n.operands[UNARY][1] = ONES);
    assert_eq!(error, operand(UNARY, 1, OperandFault::ReadOnly));
}

#[test]
fn a_result_on_its_own_input_is_refused() {
    let error = refusal(|n| n.operands[UNARY][1] = LOGITS);
    assert_eq!(error, operand(UNARY, 1, OperandFault::InPlace));
    let error = refusal(|n| n.tensors[usize::from(SIGMOID)] = in_arena(5, 3));
    assert_eq!(error, LoadError::Overlap { first: LOGITS.into(), second: SIGMOID.into() });
}

#[test]
fn reading_before_writing_is_refused() {
    let error = refusal(|n| n.order.swap(3, 4));
    assert_eq!(error, operand(3, 0, OperandFault::Unwritten));
    let error = refusal(|n| n.order.swap(0, 1));
    assert_eq!(error, operand(0, 0, OperandFault::Unwritten));
}

#[test]
fn a_partial_copy_before_a_full_write_is_refused() {
    let error = refusal(|n| n.order = vec![0, 1, 2, 3, 4, 5, PATCH]);
    assert_eq!(error, operand(6, 1, OperandFault::Unwritten));
}

#[test]
fn sharing_memory_while_alive_is_refused() {
    let error = refusal(|n| n.tensors[usize::from(SCRATCH)] = in_arena(12, 9));
    assert_eq!(error, LoadError::Overlap { first: G.into(), second: SCRATCH.into() });
    // Logits live to the end, whether a step still reads them or not.
    let error = refusal(|n| n.tensors[usize::from(PADDED)] = in_arena(2, 5));
    assert_eq!(error, LoadError::Overlap { first: LOGITS.into(), second: PADDED.into() });
}

#[test]
fn sharing_memory_with_the_features_is_refused() {
    let error = refusal(|n| n.tensors[usize::from(SCRATCH)] = in_arena(14, 9));
    assert_eq!(error, LoadError::FeatureOverlap { tensor: SCRATCH.into() });
}

#[test]
fn an_unknown_or_repeated_feature_is_refused() {
    let error = refusal(|n| n.norm.bias = 3.into());
    assert_eq!(error, LoadError::Feature { step: WEIGHT_NORM, feature: 3 });
    let error = refusal(|n| n.norm.bias = 2.into());
    assert_eq!(error, LoadError::Feature { step: WEIGHT_NORM, feature: 2 });
}

#[test]
fn a_feature_that_nobody_writes_is_refused() {
    assert_eq!(refusal(|n| n.norm.bias = NONE.into()), LoadError::FeaturesMissing);
}

#[test]
fn a_layout_that_contradicts_the_schema_is_refused() {
    let layout = |change: fn(&mut Net)| match refusal(change) {
        LoadError::Layout(what) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(layout(|n| n.layout.features_offset = 23), "the features leave the arena");
    assert_eq!(layout(|n| n.layout.logits = X), "the logits are not one per class");
    assert_eq!(layout(|n| n.layout.logits = ONES), "the logits lie outside the arena");
    assert_eq!(layout(|n| n.penultimate = 4), "the penultimate vector has no tensor");
    assert_eq!(
        layout(|n| (n.penultimate, n.layout.penultimate) = (5, X)),
        "the penultimate vector has another length"
    );
    assert_eq!(layout(|n| n.classes = 0), "there are no classes");
    assert_eq!(
        layout(|n| {
            n.tensors.push(in_arena(0, 3));
            n.layout.logits = 8;
        }),
        "the logits are never written"
    );
}

#[test]
fn the_penultimate_vector_lives_to_the_end() {
    let mut net = Net::new();
    (net.penultimate, net.layout.penultimate) = (4, X);
    let bytes = net.bytes();
    let engine = Engine::load(Bundle::parse(&bytes).unwrap()).unwrap();
    let mut arena = [0.0; 25];
    let features = engine.run(Frame::F32(&[0.1, 0.2, 0.3, 0.4]), &mut arena).unwrap();
    assert_eq!(features.penultimate, [0.1, 0.2, 0.3, 0.4]);
    let error = refusal(|n| {
        (n.penultimate, n.layout.penultimate) = (4, X);
        n.tensors[usize::from(PADDED)] = in_arena(0, 4);
        n.pad.y_elements = 4.into();
        n.patch.y_elements = 4.into();
    });
    assert_eq!(error, LoadError::Overlap { first: X.into(), second: PADDED.into() });
}
