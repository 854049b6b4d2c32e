//! Operation codes and their fixed-width parameter records.
//!
//! Numbers are frozen and append-only: a released bundle must mean the same for ever.
//! All tensors are f32, channels last (NHWC) where they are spatial. Operand order is part of the
//! contract; an optional operand that is absent is [`NONE`].
//!
//! Every `*Params` is plain little-endian data, read in place. [`crate::shape`] derives from it how
//! many elements each operand must have; the loader compares, and kernels then rely on it.

use zerocopy::little_endian::{F32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// An absent operand, or a feature that is not tapped.
pub const NONE: u16 = 0xFFFF;

/// Lanes of a blocked weight: output channels are grouped by 16, the last block may be narrower.
pub const LANES: usize = 16;

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        /// What a step computes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum OpCode { $($(#[$doc])* $name = $number),* }

        impl OpCode {
            /// All codes, for tables and tests.
            pub const ALL: &[OpCode] = &[$(OpCode::$name),*];

            /// The code behind a number, `None` when this version does not know it.
            pub fn from_number(number: u16) -> Option<OpCode> {
                match number { $($number => Some(OpCode::$name),)* _ => None }
            }

            /// Name for messages.
            pub fn name(self) -> &'static str {
                match self { $(OpCode::$name => stringify!($name)),* }
            }
        }
    };
}

opcodes! {
    /// `-> y`: the frame, preprocessed. Parameters: [`PreprocessParams`].
    Preprocess = 1,
    /// `x, w, [scale], [shift], [skip] -> y`: per output channel `acc * scale + shift + skip`, then
    /// the activation. [`ConvParams`].
    Conv = 2,
    /// `g, w, [scale], [addend], [gate] -> dx`: cotangent of the convolution's input; g is
    /// multiplied by scale on load. Every element is finished with `+ addend`, then with what
    /// `UnaryGradient` does at gate: the activation's gradient. [`ConvParams`].
    ConvInputGradient = 3,
    /// `x, g, w, [scale], [inverse_sigma], [bias_minus_mean] -> scratch`: norms of the weight, its
    /// bias and the normalisation's scale and shift straight into features. Scratch holds three
    /// values per output channel, and for the method of pixel Grams their matrix; the Gram methods
    /// do not give the scale's norm. [`ConvWeightNormParams`].
    ConvWeightNorm = 4,
    /// `x, g -> dw`: the weight gradient itself, in ONNX order `[O,C/g,kh,kw]`; for weights used
    /// several times. No scale. [`ConvParams`].
    ConvWeightGradient = 5,
    /// `x, scale, [shift] -> y`: per channel `x * scale + shift`, then the activation.
    /// [`AffineParams`].
    Affine = 6,
    /// `x, g, inverse_sigma, mean -> scratch`: norms of a stand-alone normalisation's scale
    /// and shift into features. Scratch: two values per channel. [`AffineNormParams`].
    AffineNorm = 7,
    /// `a, b -> y` with broadcasting by strides. [`BinaryParams`].
    Binary = 8,
    /// `x -> y`. [`UnaryParams`].
    Unary = 9,
    /// `x or y, g -> dx`: y, the result, for Relu, Sigmoid, Exp, Sqrt and Tanh; for Mask what the
    /// step of that name wrote; x for the others. [`UnaryParams`].
    UnaryGradient = 10,
    /// `x -> y`. [`SoftmaxParams`].
    Softmax = 11,
    /// `y, g -> dx`. [`SoftmaxParams`].
    SoftmaxGradient = 12,
    /// `x -> y`. [`PoolParams`].
    MaxPool = 13,
    /// `x, g -> dx`. [`PoolParams`].
    MaxPoolGradient = 14,
    /// `x -> y`. [`PoolParams`].
    AveragePool = 15,
    /// `g -> dx`. [`PoolParams`].
    AveragePoolGradient = 16,
    /// `x -> y`: sum or mean over some axes. [`ReduceParams`].
    Reduce = 17,
    /// `x -> y`: strided copy between boxes; serves Slice, Pad, Concat, Transpose, Expand, Reshape
    /// and
    /// their gradients. [`CopyParams`].
    Copy = 18,
    /// `x ->`: sum of squares into one feature. [`SquaredNormParams`].
    SquaredNorm = 19,
    /// `x -> mask`: one value per [`MASK_BITS`] neighbours of x, the integer whose bit i says
    /// `x[16 k + i] > 0`; NaN where one of them is. [`MaskParams`].
    Mask = 20,
    /// `x, g, u, v, logits -> scratch`: cosine of the weight gradient and the reference direction
    /// of the predicted class into one feature. u holds a row of output channels and v a row of
    /// inputs for each class; scratch one value per output pixel. [`ConvAlignmentParams`].
    ConvAlignment = 21,
    /// `a, b -> y`: sums of products along one axis, the product of two matrices that both depend
    /// on the frame, under any order of axes. [`MatMulParams`].
    MatMul = 22,
}

/// Elements that one value of a mask speaks for: their integer is exact in f32.
pub const MASK_BITS: usize = 16;

/// Marker for records that are plain bytes.
pub trait Params: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned + Copy {}

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty),* }
        impl Params for $name {}
    )*};
}

/// Axes of a strided box; unused leading axes have length 1.
pub const BOX_RANK: usize = 6;

params! {
    /// Frame to input tensor: `v = u8 / 255`, `v = low + v * (high - low)`, `(v - mean) / std`; a
    /// step whose
    /// constants are the neutral ones is skipped. Frames are RGB or grey, rows top to bottom.
    PreprocessParams {
        /// Rows.
        height: U32,
        /// Columns.
        width: U32,
        /// 1 or 3.
        channels: U32,
        /// 1: swap red and blue.
        bgr: U32,
        /// Lower end of the range.
        low: F32,
        /// Upper end of the range.
        high: F32,
        /// Subtracted per channel (in the model's channel order).
        mean: [F32; 4],
        /// Divided by per channel.
        std: [F32; 4],
    }
    /// Geometry of a convolution plus its epilogue's activation. A Gemm is a 1 x 1 convolution
    /// over 1 x M pixels.
    ConvParams {
        /// Input rows, columns, channels.
        input: [U16; 3],
        /// Output rows, columns, channels.
        output: [U16; 3],
        /// Kernel rows, columns.
        kernel: [U16; 2],
        /// Strides.
        strides: [U16; 2],
        /// Dilations.
        dilations: [U16; 2],
        /// Top, left, bottom, right.
        pads: [U16; 4],
        /// Channel groups.
        groups: U16,
        /// [`Activation`] number: of `Conv`'s result, or of `ConvInputGradient`'s gate; else 0.
        activation: U16,
        /// Clip's lower bound, LeakyRelu's slope, or a function's first constant.
        low: F32,
        /// Clip's upper bound, or a function's second constant.
        high: F32,
    }
    /// As [`ConvParams`] and the features written; [`NONE`] for one that is not tapped.
    ConvWeightNormParams {
        /// The convolution.
        conv: ConvParams,
        /// 0 direct, 1 Gram of one pixel, 2 Gram of pixels.
        method: U16,
        /// Feature of the weight.
        weight: U16,
        /// Feature of the bias.
        bias: U16,
        /// Feature of the normalisation's scale.
        scale: U16,
        /// Feature of the normalisation's shift.
        shift: U16,
        /// Zero.
        reserved: U16,
    }
    /// Per-channel affine map.
    AffineParams {
        /// Pixels.
        pixels: U32,
        /// Channels.
        channels: U32,
        /// [`Activation`] number.
        activation: U32,
        /// Clip's lower bound, LeakyRelu's slope, or a function's first constant.
        low: F32,
        /// Clip's upper bound, or a function's second constant.
        high: F32,
    }
    /// Norms of a stand-alone normalisation.
    AffineNormParams {
        /// Pixels.
        pixels: U32,
        /// Channels.
        channels: U32,
        /// Feature of the scale.
        scale: U16,
        /// Feature of the shift.
        shift: U16,
    }
    /// Element-wise operation over a box; the output is contiguous in box order.
    BinaryParams {
        /// [`BinaryKind`] number.
        kind: U32,
        /// Lengths.
        dims: [U32; BOX_RANK],
        /// Elements between neighbours of a, 0 where a is broadcast.
        a_strides: [U32; BOX_RANK],
        /// The same for b.
        b_strides: [U32; BOX_RANK],
    }
    /// Element-wise function.
    UnaryParams {
        /// [`Activation`] number.
        kind: U32,
        /// Elements.
        elements: U32,
        /// Clip's lower bound, LeakyRelu's slope, or a function's first constant.
        low: F32,
        /// Clip's upper bound, or a function's second constant.
        high: F32,
    }
    /// `y[i] = sum over k of a[i . a_strides + k a_step] * b[i . b_strides + k b_step]` for every
    /// index i of the box, k ascending; y is contiguous in box order.
    MatMulParams {
        /// Lengths, slowest first.
        dims: [U32; BOX_RANK],
        /// Steps of a per axis, in elements; 0 repeats.
        a_strides: [U32; BOX_RANK],
        /// Steps of b per axis.
        b_strides: [U32; BOX_RANK],
        /// Terms of each sum.
        inner: U32,
        /// Elements of a from term to term.
        a_step: U32,
        /// Elements of b from term to term.
        b_step: U32,
    }
    /// Softmax over the middle of a box `[outer, axis, inner]`.
    SoftmaxParams {
        /// Product of the lengths before.
        outer: U32,
        /// Length of the axis.
        axis: U32,
        /// Product of the lengths after.
        inner: U32,
    }
    /// Geometry of a window pool.
    PoolParams {
        /// Input rows, columns.
        input: [U16; 2],
        /// Output rows, columns.
        output: [U16; 2],
        /// Window rows, columns.
        kernel: [U16; 2],
        /// Strides.
        strides: [U16; 2],
        /// Dilations.
        dilations: [U16; 2],
        /// Top, left, bottom, right.
        pads: [U16; 4],
        /// Channels.
        channels: U16,
        /// AveragePool: 1 when padding counts in the divisor (clipped to the padded input).
        count_include_pad: U16,
    }
    /// Sum or mean: for every index of the `kept` box, over the `reduced` box.
    ReduceParams {
        /// 0 sum, 1 mean.
        kind: U32,
        /// Lengths of the kept axes; the output is contiguous in this order.
        kept: [U32; BOX_RANK],
        /// Strides of the kept axes in x.
        kept_strides: [U32; BOX_RANK],
        /// Lengths of the reduced axes.
        reduced: [U32; BOX_RANK],
        /// Strides of the reduced axes in x.
        reduced_strides: [U32; BOX_RANK],
    }
    /// `y[y_offset + i . y_strides] = x[x_offset + i . x_strides]` for every index i of the box.
    CopyParams {
        /// 1: y is first filled with `fill`; 0: y was written in full before (Concat's later
        /// parts),
        /// or the box covers y exactly.
        fills: U32,
        /// The filling value.
        fill: F32,
        /// Lengths.
        dims: [U32; BOX_RANK],
        /// First element read.
        x_offset: U32,
        /// Strides in x.
        x_strides: [U32; BOX_RANK],
        /// First element written.
        y_offset: U32,
        /// Strides in y.
        y_strides: [U32; BOX_RANK],
        /// Elements of x.
        x_elements: U32,
        /// Elements of y.
        y_elements: U32,
    }
    /// Signs of elements.
    MaskParams {
        /// Elements of x.
        elements: U32,
    }
    /// Sum of squares.
    SquaredNormParams {
        /// Elements of x.
        elements: U32,
        /// Feature written.
        feature: U16,
        /// Zero.
        reserved: U16,
    }
    /// Cosine against the references of a convolution's weight.
    ConvAlignmentParams {
        /// The convolution.
        conv: ConvParams,
        /// Logits; a single one has references for two classes.
        classes: U16,
        /// Feature read: the weight's squared gradient norm, written by an earlier step.
        norm: U16,
        /// Feature written.
        feature: U16,
        /// Zero.
        reserved: U16,
    }
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$vdoc:meta])* $variant:ident = $number:literal),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant = $number),* }
        impl $name {
            /// The variant behind a number.
            pub fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

numbered! {
    /// Activations: of an epilogue, or alone in `Unary`.
    Activation {
        /// None.
        Identity = 0,
        /// `if x <= 0 {0} else {x}`, so that NaN survives.
        Relu = 1,
        /// Slope `low` below zero.
        LeakyRelu = 2,
        /// Between `low` and `high`.
        Clip = 3,
        /// `1 / (1 + exp(-x))`
        Sigmoid = 4,
        /// A gradient alone: Relu's, at a mask in place of its result.
        Mask = 5,
        /// e to the x.
        Exp = 6,
        /// Natural logarithm.
        Log = 7,
        /// Square root.
        Sqrt = 8,
        /// Hyperbolic tangent.
        Tanh = 9,
        /// Error function.
        Erf = 10,
        /// `high * x` above zero, else `high * low * (exp(x) - 1)`: Elu, Selu.
        Elu = 11,
        /// `ln(1 + exp(x))`
        Softplus = 12,
        /// `low * x + high` between 0 and 1.
        HardSigmoid = 13,
        /// `x * (x + 3) / 6` between -3 and 3, 0 below, x above.
        HardSwish = 14,
        /// x times the normal distribution's probability of less.
        Gelu = 15,
        /// The same by its approximation through tanh.
        GeluTanh = 16,
        /// x to the power of `low`.
        Pow = 17,
    }
}

impl Activation {
    /// Whether it is one of the functions that an engine may lack, and that no step fuses: all
    /// from [`Activation::Exp`] on.
    pub fn is_function(self) -> bool {
        self as u32 >= Activation::Exp as u32
    }
}

numbered! {
    /// Element-wise operations of two operands.
    BinaryKind {
        /// a + b
        Add = 0,
        /// a - b
        Sub = 1,
        /// a * b
        Mul = 2,
        /// a / b
        Div = 3,
    }
}
