//! Bytes to [`Bundle`]: everything that can be wrong with the container is found here, once.
//!
//! After a successful parse no accessor can fail on the bundle's own records, and nothing here
//! panics on any bytes. What the records mean together (operand lengths, arena liveness, the
//! detector's tables) is checked by gradgate-engine when it loads.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use zerocopy::FromBytes;

use crate::align::ALIGNMENT;
use crate::decode::Reader;
use crate::digest::schema_digest;
use crate::error::{ParseError, Section};
use crate::header::{BlobRef, Header, SelfTest, names};
use crate::manifest::{Manifest, PREFIX_BYTES};
use crate::op::{
    AffineNormParams, AffineParams, BinaryParams, ConvAlignmentParams, ConvParams,
    ConvWeightNormParams, CopyParams, MaskParams, MatMulParams, NONE, OpCode, Params, PoolParams,
    PreprocessParams, ReduceParams, SoftmaxParams, SquaredNormParams, UnaryParams,
};
use crate::record::{StepRecord, TensorKind, TensorRecord};
use crate::signature::{StreamCheck, Verified};

#[cfg(target_endian = "big")]
compile_error!("bundles are little-endian and read in place: big-endian targets are not supported");

/// A checked bundle, borrowed from its bytes.
#[derive(Clone, Debug)]
pub struct Bundle<'a> {
    file: &'a [u8],
    manifest: &'a Manifest,
    header: Header<'a>,
    tensors: &'a [TensorRecord],
    steps: &'a [StepRecord],
    params: &'a [u8],
    blobs: &'a [u8],
}

impl<'a> Bundle<'a> {
    /// Reads a bundle whose signature nobody has checked: for the host alone. A device calls
    /// [`Bundle::from_verified`].
    ///
    /// `file` begins at a multiple of 16 bytes ([`crate::align`]).
    ///
    /// # Errors
    /// The first fault found, in file order where possible.
    pub fn parse(file: &'a [u8]) -> Result<Self, ParseError> {
        let manifest = Manifest::parse(file.first_chunk().ok_or(ParseError::Short)?)?;
        let mut stream = StreamCheck::unsigned(manifest);
        stream.update(file.get(PREFIX_BYTES..).ok_or(ParseError::Short)?)?;
        stream.finish()?;
        Self::decode(file, manifest)
    }

    /// Reads a bundle whose signature and digests are right.
    ///
    /// # Errors
    /// The first fault found, in file order where possible.
    pub fn from_verified(verified: Verified<'a>) -> Result<Self, ParseError> {
        let file = verified.bytes();
        Self::decode(file, Manifest::parse(file.first_chunk().ok_or(ParseError::Short)?)?)
    }

    fn decode(file: &'a [u8], manifest: &'a Manifest) -> Result<Self, ParseError> {
        if !file.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(ParseError::Misaligned);
        }
        let section =
            |span: &crate::manifest::Span, which| span.of(file).ok_or(ParseError::Layout(which));
        let params = section(&manifest.params, Section::Params)?;
        check_padding(file, manifest)?;
        let bundle = Self {
            file,
            manifest,
            header: decode_header(section(&manifest.header, Section::Header)?)?,
            tensors: records(section(&manifest.tensors, Section::Tensors)?, Section::Tensors)?,
            steps: records(section(&manifest.steps, Section::Steps)?, Section::Steps)?,
            params,
            blobs: section(&manifest.blobs, Section::Blobs)?,
        };
        bundle.check_header()?;
        bundle.check_tensors()?;
        bundle.check_steps()?;
        Ok(bundle)
    }

    /// All bytes of the file.
    pub fn bytes(&self) -> &'a [u8] {
        self.file
    }

    /// The fixed part.
    pub fn manifest(&self) -> &'a Manifest {
        self.manifest
    }

    /// Names, preprocessing, detector, evidence, policy.
    pub fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// All tensors.
    pub fn tensors(&self) -> &'a [TensorRecord] {
        self.tensors
    }

    /// All kernel calls, in the order of execution.
    pub fn steps(&self) -> &'a [StepRecord] {
        self.steps
    }

    /// The blobs as bytes.
    pub fn blobs(&self) -> &'a [u8] {
        self.blobs
    }

    /// What step `index` computes; `None` when there is no such step.
    pub fn opcode(&self, index: usize) -> Option<OpCode> {
        self.steps.get(index).and_then(|step| OpCode::from_number(step.opcode.get()))
    }

    /// A step's parameters; `None` when `P` is not as long as the operation's record.
    pub fn params<P: Params>(&self, step: &StepRecord) -> Option<&'a P> {
        P::ref_from_bytes(self.params_bytes(step)?).ok()
    }

    /// A step's parameter record.
    pub fn params_bytes(&self, step: &StepRecord) -> Option<&'a [u8]> {
        let size = params_size(OpCode::from_number(step.opcode.get())?);
        interval(self.params, step.params.get(), size)
    }

    /// Floats in the blobs, in place; `None` outside them or when the offset is no multiple of 16.
    pub fn floats(&self, blob: BlobRef) -> Option<&'a [f32]> {
        if !(blob.offset as usize).is_multiple_of(ALIGNMENT) {
            return None;
        }
        let length = (blob.elements as usize).checked_mul(size_of::<f32>())?;
        <[f32]>::ref_from_bytes(interval(self.blobs, blob.offset, length)?).ok()
    }

    /// Values of a tensor that lies in the blobs; `None` for one in the arena.
    pub fn weights(&self, tensor: &TensorRecord) -> Option<&'a [f32]> {
        if tensor.kind.get() != TensorKind::Blob as u32 {
            return None;
        }
        self.floats(BlobRef { offset: tensor.offset.get(), elements: tensor.elements.get() })
    }

    /// The self-test's frame (u8: rows, columns, channels) and the expected f32.
    pub fn self_test(&self) -> Option<(&'a [u8], &'a [f32])> {
        self_test(self, self.header.self_test.as_ref()?)
    }

    fn check_header(&self) -> Result<(), ParseError> {
        if schema_digest(&self.header.schema) != self.manifest.schema_digest {
            return Err(ParseError::SchemaDigest);
        }
        let layout = &self.header.layout;
        let arena = layout.arena_elements.checked_mul(4).ok_or(ParseError::Arena)?;
        if arena != self.manifest.arena_bytes.get() {
            return Err(ParseError::Arena);
        }
        self.check_values()?;
        let Some(test) = &self.header.self_test else {
            return Ok(());
        };
        let fits = test.frame_bytes == self.manifest.frame_bytes()
            && (test.frame_offset as usize).is_multiple_of(ALIGNMENT)
            && self_test(self, test).is_some_and(|(_, bits)| bits.iter().all(|v| v.is_finite()));
        fits.then_some(()).ok_or(ParseError::HeaderValue("self-test"))
    }

    fn check_values(&self) -> Result<(), ParseError> {
        let Header { schema, layout, evidence, .. } = &self.header;
        let known = |index: u16| usize::from(index) < self.tensors.len();
        let features = (layout.features_offset as usize).checked_add(schema.features());
        let lists = [schema.parameters, schema.layers, schema.alignments, self.header.classes];
        let rate = evidence.false_alarm_rate;
        let holds = |fact: bool, what| match fact {
            true => Ok(()),
            false => Err(ParseError::HeaderValue(what)),
        };
        holds(!lists.iter().any(|list| names(list).any(str::is_empty)), "list of names")?;
        holds(known(layout.logits), "tensor of the logits")?;
        let penultimate = layout.penultimate == NONE || known(layout.penultimate);
        holds(penultimate, "tensor of the penultimate")?;
        let inside = features.is_some_and(|end| end <= layout.arena_elements as usize);
        holds(inside, "place of the features")?;
        holds(layout.scratch_offset <= layout.arena_elements, "place of the scratch")?;
        holds(rate.is_nan() || (0.0..=1.0).contains(&rate), "false-alarm rate")?;
        holds((0.0..=1.0).contains(&evidence.confidence), "confidence")?;
        holds(evidence.calibration[1] <= evidence.calibration[0], "calibration alarms")?;
        holds(evidence.audit[1] <= evidence.audit[0], "audit alarms")
    }

    fn check_tensors(&self) -> Result<(), ParseError> {
        let arena = self.header.layout.arena_elements;
        for (tensor, index) in self.tensors.iter().zip(0_u32..) {
            if tensor.kind.get() == TensorKind::Arena as u32 {
                let end = tensor.offset.get().checked_add(tensor.elements.get());
                if end.is_none_or(|end| end > arena) {
                    return Err(ParseError::Tensor { index });
                }
            } else {
                let values = self.weights(tensor).ok_or(ParseError::Tensor { index })?;
                if !values.iter().all(|value| value.is_finite()) {
                    return Err(ParseError::NonFinite { tensor: index });
                }
            }
        }
        Ok(())
    }

    fn check_steps(&self) -> Result<(), ParseError> {
        for (record, step) in self.steps.iter().zip(0_u32..) {
            let number = record.opcode.get();
            let opcode = OpCode::from_number(number).ok_or(ParseError::Opcode { step, number })?;
            if record.reserved.get() != 0 {
                return Err(ParseError::Reserved(Section::Steps));
            }
            interval(self.params, record.params.get(), params_size(opcode))
                .ok_or(ParseError::Params { step })?;
            for (operand, place) in record.operands.iter().zip(0_u32..) {
                let operand = operand.get();
                if operand != NONE && usize::from(operand) >= self.tensors.len() {
                    return Err(ParseError::Operand { step, place });
                }
            }
        }
        Ok(())
    }
}

/// Length in bytes of the parameter record of an operation.
pub const fn params_size(opcode: OpCode) -> usize {
    match opcode {
        OpCode::Preprocess => size_of::<PreprocessParams>(),
        OpCode::Conv | OpCode::ConvInputGradient | OpCode::ConvWeightGradient => {
            size_of::<ConvParams>()
        }
        OpCode::ConvWeightNorm => size_of::<ConvWeightNormParams>(),
        OpCode::ConvAlignment => size_of::<ConvAlignmentParams>(),
        OpCode::Affine => size_of::<AffineParams>(),
        OpCode::AffineNorm => size_of::<AffineNormParams>(),
        OpCode::Binary => size_of::<BinaryParams>(),
        OpCode::Unary | OpCode::UnaryGradient => size_of::<UnaryParams>(),
        OpCode::Softmax | OpCode::SoftmaxGradient => size_of::<SoftmaxParams>(),
        OpCode::MaxPool
        | OpCode::MaxPoolGradient
        | OpCode::AveragePool
        | OpCode::AveragePoolGradient => size_of::<PoolParams>(),
        OpCode::Reduce => size_of::<ReduceParams>(),
        OpCode::Copy => size_of::<CopyParams>(),
        OpCode::SquaredNorm => size_of::<SquaredNormParams>(),
        OpCode::Mask => size_of::<MaskParams>(),
        OpCode::MatMul => size_of::<MatMulParams>(),
    }
}

fn decode_header(bytes: &[u8]) -> Result<Header<'_>, ParseError> {
    let mut reader = Reader::new(bytes);
    let header = reader.header().ok_or(ParseError::HeaderEncoding)?;
    if reader.is_empty() { Ok(header) } else { Err(ParseError::HeaderTrailing) }
}

fn records<T: FromBytes + zerocopy::KnownLayout + zerocopy::Immutable>(
    bytes: &[u8],
    section: Section,
) -> Result<&[T], ParseError> {
    <[T]>::ref_from_bytes(bytes).map_err(|_| ParseError::Layout(section))
}

fn check_padding(file: &[u8], manifest: &Manifest) -> Result<(), ParseError> {
    let wrong = ParseError::Layout(Section::Blobs);
    let params = manifest.params;
    let end = params.offset.get().checked_add(params.length.get()).ok_or(wrong)?;
    let length = manifest.blobs.offset.get().checked_sub(end).ok_or(wrong)?;
    let padding = interval(file, end, length as usize).ok_or(wrong)?;
    if padding.iter().any(|&byte| byte != 0) {
        return Err(ParseError::Reserved(Section::Params));
    }
    Ok(())
}

fn self_test<'a>(bundle: &Bundle<'a>, test: &SelfTest) -> Option<(&'a [u8], &'a [f32])> {
    let frame = interval(bundle.blobs, test.frame_offset, test.frame_bytes as usize)?;
    Some((frame, bundle.floats(test.expected)?))
}

fn interval(bytes: &[u8], offset: u32, length: usize) -> Option<&[u8]> {
    let first = offset as usize;
    bytes.get(first..first.checked_add(length)?)
}
