//! Shape rules: how many elements each operand of a step has, and whether its parameters make
//! sense.
//!
//! The planner sizes buffers with these rules, the loader compares every record against them, and
//! kernels then rely on them. All arithmetic is checked: parameters may come from outside.

mod activation;
mod boxes;
mod conv;
mod in_place;
mod pool;

use activation::{activation, gate, mask_words};
pub use boxes::{box_elements, box_reach, covers_exactly};
use boxes::{copy, mat_mul, reduce};
use conv::conv_alignment;
pub use conv::{ConvShape, PixelGram, reference_rows, window_output};
pub use in_place::in_place;
pub use pool::PoolShape;

use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};

use crate::op::{
    Activation, AffineNormParams, AffineParams, BinaryKind, BinaryParams, ConvAlignmentParams,
    ConvParams, ConvWeightNormParams, CopyParams, MaskParams, MatMulParams, NONE, OpCode,
    PoolParams, PreprocessParams, ReduceParams, SoftmaxParams, SquaredNormParams, UnaryParams,
};
use crate::read::Bundle;
use crate::record::{OPERANDS, StepRecord};

/// No operand has this many elements or more, so that byte offsets fit 32 bits.
pub const ELEMENT_LIMIT: usize = 1 << 28;

/// Direct method of a weight norm: the gradient in register tiles, squared and dropped.
pub const METHOD_DIRECT: u16 = 0;

/// Gram method where one output pixel sees one input pixel: the product of two norms.
pub const METHOD_GRAM: u16 = 1;

/// Gram method: the sum of the products of two Gram matrices of pixels, that of the im2col columns
/// and that of the scaled cotangent.
pub const METHOD_PIXEL_GRAM: u16 = 2;

/// Why parameters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeError {
    /// A length, stride, dilation or group count is zero.
    Zero,
    /// The output does not follow from input, kernel, strides, pads and dilations, or groups do not
    /// divide the channels.
    Geometry,
    /// [`ELEMENT_LIMIT`] elements or more.
    TooLarge,
    /// An activation, kind, method or flag number that this version does not know.
    Number,
    /// A strided box leaves its tensor, or has more indices than elements to sum or to write.
    Box,
    /// Gram is asked for where it is not defined.
    Method,
}

/// What a step does with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Read; must be there.
    Read,
    /// Read; may be [`NONE`].
    ReadOptional,
    /// The result. Written in full, except by a `Copy` without filling.
    Write,
    /// Written and read by the step alone.
    Scratch,
}

impl Role {
    /// Whether the step writes it.
    pub fn writes(self) -> bool {
        matches!(self, Role::Write | Role::Scratch)
    }
}

/// Operands of a step, in record order; places past the end hold [`NONE`].
pub fn operands(opcode: OpCode) -> &'static [Role] {
    use Role::{Read as R, ReadOptional as O, Scratch as S, Write as W};
    match opcode {
        OpCode::Preprocess => &[W],
        OpCode::Conv => &[R, R, O, O, O, W],
        OpCode::ConvInputGradient => &[R, R, O, O, O, W],
        OpCode::ConvWeightNorm => &[R, R, R, O, O, O, S],
        OpCode::Affine => &[R, R, O, W],
        OpCode::AffineNorm => &[R, R, R, R, S],
        OpCode::ConvAlignment => &[R, R, R, R, R, S],
        OpCode::ConvWeightGradient
        | OpCode::Binary
        | OpCode::UnaryGradient
        | OpCode::SoftmaxGradient
        | OpCode::MaxPoolGradient
        | OpCode::MatMul => &[R, R, W],
        OpCode::Unary
        | OpCode::Softmax
        | OpCode::MaxPool
        | OpCode::AveragePool
        | OpCode::AveragePoolGradient
        | OpCode::Reduce
        | OpCode::Copy
        | OpCode::Mask => &[R, W],
        OpCode::SquaredNorm => &[R],
    }
}

macro_rules! parameters {
    ($($name:ident($record:ident)),* $(,)?) => {
        /// Parameters of a step, decoded.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Parameters<'a> {
            $(#[doc = concat!("Of `", stringify!($name), "`.")] $name(&'a $record)),*
        }

        impl<'a> Parameters<'a> {
            /// The parameters in an operation's record; `None` where its length is another.
            pub fn decode(opcode: OpCode, bytes: &'a [u8]) -> Option<Self> {
                Some(match opcode {
                    $(OpCode::$name => Parameters::$name($record::ref_from_bytes(bytes).ok()?)),*
                })
            }

            /// Whose they are.
            pub fn opcode(&self) -> OpCode {
                match self { $(Parameters::$name(_) => OpCode::$name),* }
            }
        }
    };
}

parameters! {
    Preprocess(PreprocessParams),
    Conv(ConvParams),
    ConvInputGradient(ConvParams),
    ConvWeightNorm(ConvWeightNormParams),
    ConvWeightGradient(ConvParams),
    Affine(AffineParams),
    AffineNorm(AffineNormParams),
    Binary(BinaryParams),
    Unary(UnaryParams),
    UnaryGradient(UnaryParams),
    Softmax(SoftmaxParams),
    SoftmaxGradient(SoftmaxParams),
    MaxPool(PoolParams),
    MaxPoolGradient(PoolParams),
    AveragePool(PoolParams),
    AveragePoolGradient(PoolParams),
    Reduce(ReduceParams),
    Copy(CopyParams),
    SquaredNorm(SquaredNormParams),
    Mask(MaskParams),
    ConvAlignment(ConvAlignmentParams),
    MatMul(MatMulParams),
}

impl<'a> Parameters<'a> {
    /// The parameters of a step; `None` for an unknown operation or a record outside its section.
    pub fn of(bundle: &Bundle<'a>, step: &StepRecord) -> Option<Self> {
        Self::decode(OpCode::from_number(step.opcode.get())?, bundle.params_bytes(step)?)
    }

    /// Elements of each operand, by place in the record; optional ones as if present, unused
    /// places 0.
    pub fn elements(&self) -> Result<[usize; OPERANDS], ShapeError> {
        match *self {
            Parameters::Preprocess(p) => preprocess(p),
            Parameters::Conv(p) => {
                activation(p.activation.get().into(), p.low, p.high)?;
                let s = ConvShape::new(p)?;
                let (x, y, co) = (s.input_elements(), s.output_elements(), s.output[2]);
                Ok(places(&[x, s.weight_elements(), co, co, y, y]))
            }
            Parameters::ConvInputGradient(p) => {
                let s = ConvShape::new(p)?;
                let (x, y) = (s.input_elements(), s.output_elements());
                let gate = gate(p.activation.get().into(), p.low, p.high, x)?;
                Ok(places(&[y, s.weight_elements(), s.output[2], x, gate, x]))
            }
            Parameters::ConvWeightNorm(p) => conv_weight_norm(p),
            Parameters::ConvWeightGradient(p) => {
                let s = ConvShape::new(p)?;
                Ok(places(&[s.input_elements(), s.output_elements(), s.weight_elements()]))
            }
            Parameters::Affine(p) => {
                activation(p.activation.get(), p.low, p.high)?;
                let n = product(&[p.pixels, p.channels])?;
                let c = size(p.channels)?;
                Ok(places(&[n, c, c, n]))
            }
            Parameters::AffineNorm(p) => {
                let n = product(&[p.pixels, p.channels])?;
                let c = size(p.channels)?;
                let scratch = c.checked_mul(2).filter(|&n| n < ELEMENT_LIMIT);
                Ok(places(&[n, n, c, c, scratch.ok_or(ShapeError::TooLarge)?]))
            }
            Parameters::Binary(p) => {
                BinaryKind::from_number(p.kind.get()).ok_or(ShapeError::Number)?;
                let a = box_reach(0, &p.dims, &p.a_strides)?;
                let b = box_reach(0, &p.dims, &p.b_strides)?;
                Ok(places(&[a, b, box_elements(&p.dims)?]))
            }
            Parameters::Unary(p) => {
                activation(p.kind.get(), p.low, p.high)?;
                let n = product(&[p.elements])?;
                Ok(places(&[n, n]))
            }
            Parameters::UnaryGradient(p) => {
                let n = product(&[p.elements])?;
                Ok(places(&[gate(p.kind.get(), p.low, p.high, n)?, n, n]))
            }
            Parameters::Softmax(p) => {
                let n = product(&[p.outer, p.axis, p.inner])?;
                Ok(places(&[n, n]))
            }
            Parameters::SoftmaxGradient(p) => {
                let n = product(&[p.outer, p.axis, p.inner])?;
                Ok(places(&[n, n, n]))
            }
            Parameters::MaxPool(p) | Parameters::AveragePool(p) => {
                let s = PoolShape::new(p)?;
                Ok(places(&[s.input_elements(), s.output_elements()]))
            }
            Parameters::MaxPoolGradient(p) => {
                let s = PoolShape::new(p)?;
                let (x, y) = (s.input_elements(), s.output_elements());
                Ok(places(&[x, y, x]))
            }
            Parameters::AveragePoolGradient(p) => {
                let s = PoolShape::new(p)?;
                Ok(places(&[s.output_elements(), s.input_elements()]))
            }
            Parameters::Reduce(p) => reduce(p),
            Parameters::Copy(p) => copy(p),
            Parameters::SquaredNorm(p) => Ok(places(&[product(&[p.elements])?])),
            Parameters::Mask(p) => product(&[p.elements]).map(|n| places(&[n, mask_words(n)])),
            Parameters::ConvAlignment(p) => conv_alignment(p),
            Parameters::MatMul(p) => mat_mul(p),
        }
    }

    /// Features that the step writes; [`NONE`] in unused places.
    pub fn features(&self) -> [u16; 4] {
        match self {
            Parameters::ConvWeightNorm(p) => {
                [p.weight.get(), p.bias.get(), p.scale.get(), p.shift.get()]
            }
            Parameters::AffineNorm(p) => [p.scale.get(), p.shift.get(), NONE, NONE],
            Parameters::SquaredNorm(p) => [p.feature.get(), NONE, NONE, NONE],
            Parameters::ConvAlignment(p) => [p.feature.get(), NONE, NONE, NONE],
            _ => [NONE; 4],
        }
    }

    /// The feature that the step reads, which an earlier step must have written.
    pub fn feature_read(&self) -> Option<u16> {
        match self {
            Parameters::ConvAlignment(p) => Some(p.norm.get()),
            _ => None,
        }
    }

    /// Whether the step writes every element of its result, whatever stood there before.
    pub fn writes_in_full(&self) -> bool {
        match self {
            Parameters::Copy(p) => {
                p.fills.get() == 1
                    || covers_exactly(p.y_offset.get(), &p.dims, &p.y_strides, p.y_elements.get())
            }
            _ => true,
        }
    }

    /// Whether an optional operand must be there after all: the norm of a normalisation's scale
    /// needs its inverse sigma, an activation's gradient its gate.
    pub fn needs(&self, place: usize) -> bool {
        match self {
            Parameters::ConvWeightNorm(p) => place == 4 && p.scale.get() != NONE,
            Parameters::ConvInputGradient(p) => {
                place == 4 && p.activation.get() != Activation::Identity as u16
            }
            _ => false,
        }
    }
}

// Not copied into each of its twenty callers.
#[inline(never)]
fn places(counts: &[usize]) -> [usize; OPERANDS] {
    let mut all = [0; OPERANDS];
    all.iter_mut().zip(counts).for_each(|(place, &count)| *place = count);
    all
}

/// Lengths of a record as usize; `map` of an array may leave a panic.
fn sizes<const N: usize>(values: &[U16; N]) -> [usize; N] {
    let mut sizes = [0; N];
    sizes.iter_mut().zip(values).for_each(|(size, value)| *size = value.get().into());
    sizes
}

/// A length as usize.
fn size(length: U32) -> Result<usize, ShapeError> {
    usize::try_from(length.get()).map_err(|_| ShapeError::TooLarge)
}

/// Product of lengths, none of them zero.
#[inline(never)]
fn product(lengths: &[U32]) -> Result<usize, ShapeError> {
    let mut total = 1;
    for &length in lengths {
        total = times(total, size(length)?)?;
    }
    Ok(total)
}

/// One step of a product that stays positive and under the limit.
fn times(total: usize, length: usize) -> Result<usize, ShapeError> {
    if length == 0 {
        return Err(ShapeError::Zero);
    }
    total.checked_mul(length).filter(|&n| n < ELEMENT_LIMIT).ok_or(ShapeError::TooLarge)
}

fn preprocess(p: &PreprocessParams) -> Result<[usize; OPERANDS], ShapeError> {
    let known = matches!(p.channels.get(), 1 | 3) && p.bgr.get() <= 1;
    if !known || (p.bgr.get() == 1 && p.channels.get() != 3) {
        return Err(ShapeError::Number);
    }
    Ok(places(&[product(&[p.height, p.width, p.channels])?]))
}

fn conv_weight_norm(p: &ConvWeightNormParams) -> Result<[usize; OPERANDS], ShapeError> {
    let s = ConvShape::new(&p.conv)?;
    let gram = match p.method.get() {
        METHOD_DIRECT => 0,
        METHOD_GRAM | METHOD_PIXEL_GRAM if p.scale.get() != NONE => return Err(ShapeError::Method),
        METHOD_GRAM if s.gram_is_defined() => 0,
        METHOD_GRAM => return Err(ShapeError::Method),
        METHOD_PIXEL_GRAM => s.pixel_gram().ok_or(ShapeError::Method)?.elements(),
        _ => return Err(ShapeError::Number),
    };
    let (x, y, co) = (s.input_elements(), s.output_elements(), s.output[2]);
    let scratch = (3 * co).checked_add(gram).filter(|&n| n < ELEMENT_LIMIT);
    let scratch = scratch.ok_or(ShapeError::TooLarge)?;
    Ok(places(&[x, y, s.weight_elements(), co, co, co, scratch]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Params;

    fn zeroed<P: Params>() -> P {
        P::new_zeroed()
    }

    fn ones() -> [U32; crate::op::BOX_RANK] {
        [U32::new(1); crate::op::BOX_RANK]
    }

    #[test]
    fn every_opcode_has_roles_that_fit_a_record() {
        for &opcode in OpCode::ALL {
            let roles = operands(opcode);
            assert!(!roles.is_empty() && roles.len() <= OPERANDS, "{}", opcode.name());
            let first_write = roles.iter().position(|r| r.writes()).unwrap_or(roles.len());
            assert!(roles[first_write..].iter().all(|r| r.writes()), "{}", opcode.name());
        }
    }

    #[test]
    fn all_zero_parameters_are_refused() {
        let (conv, pool, unary) = (zeroed(), zeroed(), zeroed());
        let softmax = zeroed();
        let all = [
            Parameters::Preprocess(&zeroed()).elements(),
            Parameters::Conv(&conv).elements(),
            Parameters::ConvInputGradient(&conv).elements(),
            Parameters::ConvWeightNorm(&zeroed()).elements(),
            Parameters::ConvWeightGradient(&conv).elements(),
            Parameters::Affine(&zeroed()).elements(),
            Parameters::AffineNorm(&zeroed()).elements(),
            Parameters::Binary(&zeroed()).elements(),
            Parameters::Unary(&unary).elements(),
            Parameters::UnaryGradient(&unary).elements(),
            Parameters::Softmax(&softmax).elements(),
            Parameters::SoftmaxGradient(&softmax).elements(),
            Parameters::MaxPool(&pool).elements(),
            Parameters::MaxPoolGradient(&pool).elements(),
            Parameters::AveragePool(&pool).elements(),
            Parameters::AveragePoolGradient(&pool).elements(),
            Parameters::Reduce(&zeroed()).elements(),
            Parameters::Copy(&zeroed()).elements(),
            Parameters::SquaredNorm(&zeroed()).elements(),
            Parameters::Mask(&zeroed()).elements(),
            Parameters::ConvAlignment(&zeroed()).elements(),
            Parameters::MatMul(&zeroed()).elements(),
        ];
        assert_eq!(all.len(), OpCode::ALL.len());
        for (elements, opcode) in all.iter().zip(OpCode::ALL) {
            assert!(elements.is_err(), "{}", opcode.name());
        }
    }

    #[test]
    fn weight_norm_by_gram_needs_one_pixel_and_no_scale() {
        let mut p: ConvWeightNormParams = zeroed();
        let one = |n: u16| n.into();
        p.conv.input = [one(1), one(1), one(64)];
        p.conv.output = [one(1), one(1), one(10)];
        p.conv.kernel = [one(1); 2];
        p.conv.strides = [one(1); 2];
        p.conv.dilations = [one(1); 2];
        p.conv.groups = one(1);
        p.method = METHOD_GRAM.into();
        p.scale = NONE.into();
        let counts = Parameters::ConvWeightNorm(&p).elements().unwrap();
        assert_eq!(counts, [64, 10, 640, 10, 10, 10, 30, 0]);
        p.scale = one(3);
        assert_eq!(Parameters::ConvWeightNorm(&p).elements(), Err(ShapeError::Method));
        p.scale = NONE.into();
        p.conv.input[1] = one(2);
        p.conv.output[1] = one(2);
        assert_eq!(Parameters::ConvWeightNorm(&p).elements(), Err(ShapeError::Method));
        p.method = one(2);
        let counts = Parameters::ConvWeightNorm(&p).elements().unwrap();
        // Two padded pixels and fifteen more make a row of 32: two rows and one of sums.
        assert_eq!(counts[6], 30 + 3 * 32);
        p.scale = one(3);
        assert_eq!(Parameters::ConvWeightNorm(&p).elements(), Err(ShapeError::Method));
        p.scale = NONE.into();
        p.conv.groups = one(2);
        assert_eq!(Parameters::ConvWeightNorm(&p).elements(), Err(ShapeError::Method));
        p.method = one(3);
        assert_eq!(Parameters::ConvWeightNorm(&p).elements(), Err(ShapeError::Number));
    }

    #[test]
    fn copy_leaving_its_tensor_is_refused() {
        let mut p: CopyParams = zeroed();
        p.dims = ones();
        (p.x_strides, p.y_strides) = (ones(), ones());
        p.dims[5] = 4.into();
        p.x_elements = 4.into();
        p.y_elements = 6.into();
        p.y_offset = 2.into();
        assert_eq!(Parameters::Copy(&p).elements().unwrap()[..2], [4, 6]);
        assert!(!Parameters::Copy(&p).writes_in_full());
        p.y_offset = 3.into();
        assert_eq!(Parameters::Copy(&p).elements(), Err(ShapeError::Box));
        p.y_offset = u32::MAX.into();
        assert!(Parameters::Copy(&p).elements().is_err());
    }

    #[test]
    fn unknown_numbers_and_huge_counts_are_refused() {
        let mut p: UnaryParams = zeroed();
        p.elements = 8.into();
        p.kind = 99.into();
        assert_eq!(Parameters::Unary(&p).elements(), Err(ShapeError::Number));
        p.kind = 1.into();
        p.elements = (1 << 28).into();
        assert_eq!(Parameters::Unary(&p).elements(), Err(ShapeError::TooLarge));
        let mut s: SoftmaxParams = zeroed();
        (s.outer, s.axis, s.inner) = (65536.into(), 65536.into(), 65536.into());
        assert_eq!(Parameters::Softmax(&s).elements(), Err(ShapeError::TooLarge));
    }
}
