//! One step: operands out of arena and blobs, then the kernel.

mod call;

pub use call::{Call, prepare, prepared_elements, workspace_elements};

use gradgate_bundle::Bundle;
use gradgate_bundle::op::{
    Activation, BinaryKind, ConvAlignmentParams, ConvWeightNormParams, NONE, OpCode,
};
use gradgate_bundle::record::StepRecord;
use gradgate_bundle::shape::{
    ConvShape, METHOD_GRAM, METHOD_PIXEL_GRAM, Parameters, PoolShape, operands,
};
use zerocopy::little_endian::F32;

use crate::arena::{Interval, Readable, cut};
use crate::check::arena_interval;
use crate::kernels::activation::Act;
use crate::kernels::affine::affine;
use crate::kernels::affine_norm::affine_norm;
use crate::kernels::average_pool::{average_pool, average_pool_gradient};
use crate::kernels::binary::binary;
use crate::kernels::boxes::axes;
use crate::kernels::conv::Epilogue;
use crate::kernels::conv_alignment::Alignment;
use crate::kernels::conv_input_gradient::GradientEnd;
use crate::kernels::conv_weight_gradient::conv_weight_gradient;
use crate::kernels::conv_weight_norm::WeightNorm;
use crate::kernels::copy::{Side, copy};
use crate::kernels::mask::mask;
#[cfg(feature = "attention")]
use crate::kernels::mat_mul::{MatMul, mat_mul};
use crate::kernels::max_pool::{max_pool, max_pool_gradient};
use crate::kernels::operand::Operand;
use crate::kernels::preprocess::Preprocess;
use crate::kernels::reduce::{ReduceBoxes, reduce};
use crate::kernels::softmax::{SoftmaxBox, softmax, softmax_gradient};
use crate::kernels::unary::{Gate, unary, unary_gradient};

/// One frame: rows, columns, channels, without gaps.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'f> {
    /// Bytes.
    U8(&'f [u8]),
    /// Values in 0..1, in place of `u8 / 255`.
    F32(&'f [f32]),
}

impl Frame<'_> {
    /// Values.
    pub fn length(&self) -> usize {
        match self {
            Frame::U8(values) => values.len(),
            Frame::F32(values) => values.len(),
        }
    }
}

/// What a step wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The operand at this place of the record: a result or scratch.
    Operand(usize),
    /// This feature.
    Feature(usize),
}

/// Runs a step and shows the observer everything it wrote. `None` where records and lengths do not
/// fit, which the loader has ruled out.
pub fn execute(
    bundle: &Bundle<'_>,
    record: &StepRecord,
    frame: Frame<'_>,
    features: Interval,
    arena: &mut [f32],
    call: Call<'_>,
    observer: &mut impl FnMut(Written, &mut [f32]),
) -> Option<()> {
    let opcode = OpCode::from_number(record.opcode.get())?;
    let parameters = Parameters::of(bundle, record)?;
    let place = operands(opcode).iter().position(|role| role.writes());
    let output = match place {
        Some(place) => arena_interval(tensor(bundle, record, place)?)?,
        None => Interval::default(),
    };
    let indices = parameters.features();
    let taps = indices.iter().any(|f| *f != NONE);
    let features = if taps { features } else { Interval::default() };
    let (readable, out, features) = cut(arena, output, features)?;
    let reads = Reads { bundle, record, readable, output };
    let norms = match parameters {
        Parameters::ConvAlignment(p) => [alignment(p, &reads, features, out)?, 0.0, 0.0, 0.0],
        _ => compute(&parameters, &reads, frame, call, out)?,
    };
    if let Some(place) = place {
        observer(Written::Operand(place), out);
    }
    for (index, norm) in indices.iter().zip(norms) {
        if *index != NONE {
            let at = usize::from(*index);
            let feature = features.get_mut(at..)?.get_mut(..1)?;
            feature.fill(norm);
            observer(Written::Feature(at), feature);
        }
    }
    Some(())
}

fn tensor<'b>(
    bundle: &Bundle<'b>,
    record: &StepRecord,
    place: usize,
) -> Option<&'b gradgate_bundle::record::TensorRecord> {
    bundle.tensors().get(usize::from(record.operands.get(place)?.get()))
}

/// The step's inputs.
struct Reads<'r, 'a> {
    bundle: &'r Bundle<'a>,
    record: &'r StepRecord,
    readable: Readable<'r>,
    /// What the step writes.
    output: Interval,
}

impl<'r, 'a: 'r> Reads<'r, 'a> {
    fn get(&self, place: usize) -> Option<&'r [f32]> {
        let tensor = tensor(self.bundle, self.record, place)?;
        match arena_interval(tensor) {
            Some(interval) => self.readable.get(interval),
            None => self.bundle.weights(tensor),
        }
    }

    fn optional(&self, place: usize) -> Option<Option<&'r [f32]>> {
        match self.record.operands.get(place)?.get() {
            NONE => Some(None),
            _ => self.get(place).map(Some),
        }
    }

    /// An input that may lie where the result goes.
    fn operand(&self, place: usize) -> Option<Operand<'r>> {
        if self.record.operands.get(place)?.get() == NONE {
            return Some(Operand::Absent);
        }
        let tensor = tensor(self.bundle, self.record, place)?;
        if arena_interval(tensor) == Some(self.output) {
            return Some(Operand::InPlace);
        }
        self.get(place).map(Operand::Slice)
    }
}

fn act(kind: u32, low: F32, high: F32) -> Option<Act> {
    Some(Act { kind: Activation::from_number(kind)?, low: low.get(), high: high.get() })
}

/// Runs the kernel; returns the features in the order of [`Parameters::features`].
fn compute(
    parameters: &Parameters<'_>,
    reads: &Reads<'_, '_>,
    frame: Frame<'_>,
    call: Call<'_>,
    out: &mut [f32],
) -> Option<[f32; 4]> {
    match *parameters {
        Parameters::ConvWeightNorm(p) => return weight_norm(p, reads, call, out),
        Parameters::AffineNorm(_) => {
            let (scale, shift) =
                affine_norm(reads.get(0)?, reads.get(1)?, reads.get(2)?, reads.get(3)?, out)?;
            return Some([scale, shift, 0.0, 0.0]);
        }
        Parameters::SquaredNorm(_) => {
            return Some([call.squared_norm(reads.get(0)?), 0.0, 0.0, 0.0]);
        }
        Parameters::Preprocess(_)
        | Parameters::Conv(_)
        | Parameters::ConvInputGradient(_)
        | Parameters::ConvWeightGradient(_)
        | Parameters::Affine(_) => layers(parameters, reads, frame, call, out)?,
        _ => elementwise(parameters, reads, out)?,
    }
    Some([0.0; 4])
}

fn layers(
    parameters: &Parameters<'_>,
    reads: &Reads<'_, '_>,
    frame: Frame<'_>,
    call: Call<'_>,
    out: &mut [f32],
) -> Option<()> {
    match *parameters {
        Parameters::Preprocess(p) => {
            match frame {
                Frame::U8(values) => Preprocess::new(p).bytes(values, out),
                Frame::F32(values) => Preprocess::new(p).floats(values, out),
            }
            Some(())
        }
        Parameters::Conv(p) => {
            let end = Epilogue {
                scale: reads.optional(2)?,
                shift: reads.optional(3)?,
                skip: reads.operand(4)?,
                act: act(p.activation.get().into(), p.low, p.high)?,
            };
            call.conv(&ConvShape::new(p).ok()?, reads.get(0)?, reads.get(1)?, &end, out)
        }
        Parameters::ConvInputGradient(p) => {
            let s = ConvShape::new(p).ok()?;
            let act = act(p.activation.get().into(), p.low, p.high)?;
            let gate = Gate { act, at: reads.operand(4)? };
            let end = GradientEnd { addend: reads.operand(3)?, gate };
            let scale = reads.optional(2)?;
            call.conv_input_gradient(&s, reads.get(0)?, reads.get(1)?, scale, &end, out)
        }
        Parameters::ConvWeightGradient(p) => {
            conv_weight_gradient(&ConvShape::new(p).ok()?, reads.get(0)?, reads.get(1)?, out)
        }
        Parameters::Affine(p) => {
            let act = act(p.activation.get(), p.low, p.high)?;
            affine(reads.operand(0)?, reads.get(1)?, reads.optional(2)?, &act, out)
        }
        _ => None,
    }
}

fn weight_norm(
    p: &ConvWeightNormParams,
    reads: &Reads<'_, '_>,
    call: Call<'_>,
    scratch: &mut [f32],
) -> Option<[f32; 4]> {
    let s = ConvShape::new(&p.conv).ok()?;
    let norm = WeightNorm {
        s: &s,
        x: reads.get(0)?,
        g: reads.get(1)?,
        w: reads.get(2)?,
        scale: reads.optional(3)?,
        inverse_sigma: reads.optional(4)?,
        bias_minus_mean: reads.optional(5)?,
        wants_scale: p.scale.get() != NONE,
    };
    let norms = match p.method.get() {
        METHOD_GRAM => norm.gram(scratch)?,
        METHOD_PIXEL_GRAM => call.pixel_gram(&norm, scratch)?,
        _ => call.direct(&norm, scratch)?,
    };
    Some([norms.weight, norms.bias, norms.scale, norms.shift])
}

fn alignment(
    p: &ConvAlignmentParams,
    reads: &Reads<'_, '_>,
    features: &[f32],
    scratch: &mut [f32],
) -> Option<f32> {
    let alignment = Alignment {
        s: &ConvShape::new(&p.conv).ok()?,
        x: reads.get(0)?,
        g: reads.get(1)?,
        u: reads.get(2)?,
        v: reads.get(3)?,
        logits: reads.get(4)?,
    };
    alignment.cosine(*features.get(usize::from(p.norm.get()))?, scratch)
}

fn elementwise(parameters: &Parameters<'_>, reads: &Reads<'_, '_>, out: &mut [f32]) -> Option<()> {
    match *parameters {
        Parameters::Binary(p) => {
            let kind = BinaryKind::from_number(p.kind.get())?;
            let strides = [&axes(&p.a_strides), &axes(&p.b_strides)];
            binary(kind, &axes(&p.dims), strides, reads.operand(0)?, reads.operand(1)?, out)
        }
        Parameters::Unary(p) => unary(&act(p.kind.get(), p.low, p.high)?, reads.operand(0)?, out),
        Parameters::UnaryGradient(p) => {
            let gate = Gate { act: act(p.kind.get(), p.low, p.high)?, at: reads.operand(0)? };
            unary_gradient(&gate, reads.operand(1)?, out)
        }
        Parameters::Softmax(p) | Parameters::SoftmaxGradient(p) => {
            let (outer, axis, inner) = (p.outer.get(), p.axis.get(), p.inner.get());
            let b =
                SoftmaxBox { outer: outer as usize, axis: axis as usize, inner: inner as usize };
            match parameters {
                Parameters::Softmax(_) => softmax(b, reads.operand(0)?, out),
                _ => softmax_gradient(b, reads.operand(0)?, reads.operand(1)?, out),
            }
        }
        Parameters::Reduce(p) => {
            let boxes = ReduceBoxes {
                kept: &axes(&p.kept),
                kept_strides: &axes(&p.kept_strides),
                reduced: &axes(&p.reduced),
                reduced_strides: &axes(&p.reduced_strides),
            };
            reduce(&boxes, p.kind.get() == 1, reads.get(0)?, out)
        }
        Parameters::Copy(p) => {
            let from = Side { offset: p.x_offset.get() as usize, strides: &axes(&p.x_strides) };
            let to = Side { offset: p.y_offset.get() as usize, strides: &axes(&p.y_strides) };
            let fill = (p.fills.get() == 1).then_some(p.fill.get());
            copy(&axes(&p.dims), fill, reads.get(0)?, from, out, to)
        }
        Parameters::Mask(_) => mask(reads.get(0)?, out),
        #[cfg(feature = "attention")]
        Parameters::MatMul(p) => {
            let product = MatMul {
                dims: &axes(&p.dims),
                strides: [&axes(&p.a_strides), &axes(&p.b_strides)],
                inner: p.inner.get() as usize,
                steps: [p.a_step.get() as usize, p.b_step.get() as usize],
            };
            mat_mul(&product, reads.get(0)?, reads.get(1)?, out)
        }
        _ => pools(parameters, reads, out),
    }
}

fn pools(parameters: &Parameters<'_>, reads: &Reads<'_, '_>, out: &mut [f32]) -> Option<()> {
    let (Parameters::MaxPool(p)
    | Parameters::MaxPoolGradient(p)
    | Parameters::AveragePool(p)
    | Parameters::AveragePoolGradient(p)) = *parameters
    else {
        return None;
    };
    let s = PoolShape::new(p).ok()?;
    let first = reads.get(0)?;
    match parameters {
        Parameters::MaxPool(_) => max_pool(&s, first, out),
        Parameters::MaxPoolGradient(_) => max_pool_gradient(&s, first, reads.get(1)?, out),
        Parameters::AveragePool(_) => average_pool(&s, first, out),
        _ => average_pool_gradient(&s, first, out),
    }
}
