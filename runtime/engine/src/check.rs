//! Load checks: everything that execution relies on, re-derived from the records.

mod liveness;

use gradgate_bundle::Bundle;
use gradgate_bundle::detector::FeatureShape;
use gradgate_bundle::header::names;
use gradgate_bundle::op::{Activation, NONE, OpCode};
#[cfg(feature = "attention")]
use gradgate_bundle::op::{BOX_RANK, MatMulParams};
use gradgate_bundle::record::{StepRecord, TensorKind, TensorRecord};
use gradgate_bundle::shape::{Parameters, Role, ShapeError, operands};

#[cfg(feature = "attention")]
use zerocopy::little_endian::U32;

use crate::arena::Interval;
use crate::error::{LoadError, OperandFault};
use crate::float_mode;

/// How many of each feature the network gives.
pub fn feature_shape(bundle: &Bundle<'_>) -> FeatureShape {
    let schema = &bundle.header().schema;
    let count = |list| u32::try_from(names(list).count()).unwrap_or(u32::MAX);
    FeatureShape {
        norms: count(schema.parameters),
        layers: count(schema.layers),
        alignments: count(schema.alignments),
        classes: schema.classes,
        penultimate: schema.penultimate,
    }
}

/// The features' interval; `None` on overflow.
pub fn features_interval(bundle: &Bundle<'_>) -> Option<Interval> {
    let shape = feature_shape(bundle);
    let count = [shape.norms, shape.layers, shape.alignments]
        .iter()
        .try_fold(0usize, |sum, count| sum.checked_add(*count as usize))?;
    Interval::new(bundle.header().layout.features_offset as usize, count)
}

/// The arena interval of a tensor; `None` for one in the blobs.
pub fn arena_interval(tensor: &TensorRecord) -> Option<Interval> {
    if tensor.kind.get() != TensorKind::Arena as u32 {
        return None;
    }
    Interval::new(tensor.offset.get() as usize, tensor.elements.get() as usize)
}

/// Checks float mode, every step, the layout, the features and the arena's use over time.
pub fn check(bundle: &Bundle<'_>) -> Result<(), LoadError> {
    if !float_mode::is_exact() {
        return Err(LoadError::FloatMode);
    }
    for (step, record) in bundle.steps().iter().enumerate() {
        check_step(bundle, step, record)?;
    }
    check_layout(bundle)?;
    check_features(bundle)?;
    liveness::check(bundle)
}

fn check_step(bundle: &Bundle<'_>, step: usize, record: &StepRecord) -> Result<(), LoadError> {
    let refused = |error| LoadError::Parameters { step, error };
    let opcode = OpCode::from_number(record.opcode.get()).ok_or(refused(ShapeError::Number))?;
    let parameters = Parameters::of(bundle, record).ok_or(refused(ShapeError::Number))?;
    let elements = parameters.elements().map_err(refused)?;
    if opcode == OpCode::MatMul && !cfg!(feature = "attention") {
        return Err(LoadError::Operation { step, opcode });
    }
    #[cfg(feature = "attention")]
    if let Parameters::MatMul(p) = &parameters
        && !is_bounded(p)
    {
        return Err(refused(ShapeError::Box));
    }
    if let Some(kind) = lacking(&parameters, cfg!(feature = "functions")) {
        return Err(LoadError::Function { step, kind });
    }
    if let Parameters::Preprocess(p) = parameters
        && [p.height, p.width, p.channels] != bundle.manifest().input
    {
        return Err(LoadError::FrameShape { step });
    }
    let roles = operands(opcode);
    for (place, operand) in record.operands.iter().enumerate() {
        let wrong = |fault| LoadError::Operand { step, place, fault };
        let Some(role) = roles.get(place) else {
            if operand.get() != NONE {
                return Err(wrong(OperandFault::Surplus));
            }
            continue;
        };
        if operand.get() == NONE {
            if *role != Role::ReadOptional || parameters.needs(place) {
                return Err(wrong(OperandFault::Missing));
            }
            continue;
        }
        let tensor = bundle.tensors().get(usize::from(operand.get()));
        let tensor = tensor.ok_or(wrong(OperandFault::Missing))?;
        if elements.get(place) != Some(&(tensor.elements.get() as usize)) {
            return Err(wrong(OperandFault::Length));
        }
        if weight_place(opcode) == Some(place) && arena_interval(tensor).is_some() {
            return Err(wrong(OperandFault::Weight));
        }
        if role.writes() {
            if arena_interval(tensor).is_none() {
                return Err(wrong(OperandFault::ReadOnly));
            }
            // In place, the result is a tensor of its own: it has its own life.
            if record.operands.iter().take(place).any(|other| other == operand) {
                return Err(wrong(OperandFault::InPlace));
            }
        }
    }
    Ok(())
}

/// Whether a product has no more terms than its operands' elements allow: strides of 0, or that
/// overlap, would let a few bytes be summed for days.
#[cfg(feature = "attention")]
fn is_bounded(p: &MatMulParams) -> bool {
    let of = |strides: &[U32; BOX_RANK], step: U32| {
        let (mut terms, mut reach) = (u64::from(p.inner.get()), 1);
        reach += (terms - 1) * u64::from(step.get());
        for (dim, stride) in p.dims.iter().zip(strides).filter(|(_, stride)| stride.get() > 0) {
            terms = terms.saturating_mul(dim.get().into());
            reach += u64::from(dim.get() - 1) * u64::from(stride.get());
        }
        terms <= reach
    };
    let strides = p.a_strides.iter().zip(&p.b_strides);
    let repeats = |(dim, (a, b)): (&U32, (&U32, &U32))| dim.get() > 1 && a.get() + b.get() == 0;
    let repeated = p.dims.iter().zip(strides).any(repeats);
    !repeated && of(&p.a_strides, p.a_step) && of(&p.b_strides, p.b_step)
}

/// The function that a step asks for and an engine without functions lacks.
fn lacking(parameters: &Parameters<'_>, functions: bool) -> Option<Activation> {
    if functions { None } else { parameters.activation().filter(|kind| kind.is_function()) }
}

/// Where a step has a convolution's weight. It must be a constant, which the bundle's reader found
/// finite: vector kernels multiply it by the +0 of a filled border.
fn weight_place(opcode: OpCode) -> Option<usize> {
    match opcode {
        OpCode::Conv | OpCode::ConvInputGradient => Some(1),
        OpCode::ConvWeightNorm => Some(2),
        _ => None,
    }
}

fn check_layout(bundle: &Bundle<'_>) -> Result<(), LoadError> {
    let header = bundle.header();
    let (layout, schema) = (&header.layout, &header.schema);
    let holds = |fact: bool, what| {
        if fact { Ok(()) } else { Err(LoadError::Layout(what)) }
    };
    let features = features_interval(bundle).ok_or(LoadError::Layout("features overflow"))?;
    let arena = layout.arena_elements as usize;
    holds(features.end <= arena, "the features leave the arena")?;
    holds(schema.classes > 0, "there are no classes")?;
    let result = |index: u16| {
        let tensor = bundle.tensors().get(usize::from(index))?;
        Some((tensor.elements.get(), arena_interval(tensor)?))
    };
    let (classes, logits) =
        result(layout.logits).ok_or(LoadError::Layout("the logits lie outside the arena"))?;
    holds(classes == schema.classes, "the logits are not one per class")?;
    let mut penultimate = Interval::default();
    if layout.penultimate == NONE {
        holds(schema.penultimate == 0, "the penultimate vector has no tensor")?;
    } else {
        let (length, interval) = result(layout.penultimate)
            .ok_or(LoadError::Layout("the penultimate vector lies outside the arena"))?;
        holds(length == schema.penultimate, "the penultimate vector has another length")?;
        penultimate = interval;
    }
    if let Some(detector) = &header.detector {
        let scratch = detector
            .scratch_elements()
            .and_then(|length| Interval::new(layout.scratch_offset as usize, length))
            .ok_or(LoadError::Layout("the detector's scratch overflows"))?;
        holds(scratch.end <= arena, "the detector's scratch leaves the arena")?;
        let apart = ![features, logits, penultimate].iter().any(|i| i.overlaps(scratch));
        holds(apart, "the detector's scratch overlaps a result")?;
    }
    Ok(())
}

/// Every feature exactly once.
fn check_features(bundle: &Bundle<'_>) -> Result<(), LoadError> {
    let count = features_interval(bundle).map_or(0, Interval::length);
    let mut written = 0;
    for (step, feature) in written_features(bundle) {
        let first = written_features(bundle).take(written).all(|(_, earlier)| earlier != feature);
        if feature >= count || !first {
            return Err(LoadError::Feature { step, feature });
        }
        written += 1;
    }
    check_features_read(bundle)?;
    if written == count { Ok(()) } else { Err(LoadError::FeaturesMissing) }
}

/// A feature that a step reads was written by an earlier one.
fn check_features_read(bundle: &Bundle<'_>) -> Result<(), LoadError> {
    for (step, record) in bundle.steps().iter().enumerate() {
        let read = Parameters::of(bundle, record).and_then(|p| p.feature_read());
        let Some(feature) = read.map(usize::from) else { continue };
        if !written_features(bundle).any(|(writer, written)| written == feature && writer < step) {
            return Err(LoadError::FeatureUnwritten { step, feature });
        }
    }
    Ok(())
}

/// Steps and the features that they write.
fn written_features<'b>(bundle: &'b Bundle<'_>) -> impl Iterator<Item = (usize, usize)> + 'b {
    bundle.steps().iter().enumerate().flat_map(move |(step, record)| {
        let features = Parameters::of(bundle, record).map_or([NONE; 4], |p| p.features());
        features.into_iter().filter(|f| *f != NONE).map(move |f| (step, usize::from(f)))
    })
}

/// First step that writes a feature.
fn first_feature(bundle: &Bundle<'_>) -> Option<usize> {
    written_features(bundle).next().map(|(step, _)| step)
}
