//! In-place rules: whose interval a result may take.
//!
//! A kernel that reads an input at an index for the last time when it writes that index needs no
//! second interval. Planner and loader share this table; that the input's life ends with the step
//! is theirs to see.

use super::Parameters;
use crate::op::{Activation, BOX_RANK, OpCode};
use zerocopy::little_endian::U32;

/// Inputs (places in the record) whose interval the result may take, as far as the operation alone
/// tells; [`Parameters::in_place`] has the last word.
pub fn in_place(opcode: OpCode) -> &'static [usize] {
    match opcode {
        // The skip; addend and gate.
        OpCode::Conv => &[4],
        OpCode::ConvInputGradient => &[3, 4],
        OpCode::Affine | OpCode::Unary | OpCode::Softmax => &[0],
        OpCode::Binary | OpCode::UnaryGradient | OpCode::SoftmaxGradient => &[0, 1],
        OpCode::Preprocess
        | OpCode::ConvWeightNorm
        | OpCode::ConvWeightGradient
        | OpCode::AffineNorm
        | OpCode::MaxPool
        | OpCode::MaxPoolGradient
        | OpCode::AveragePool
        | OpCode::AveragePoolGradient
        | OpCode::Reduce
        | OpCode::Copy
        | OpCode::SquaredNorm
        | OpCode::Mask
        | OpCode::ConvAlignment
        | OpCode::MatMul => &[],
    }
}

impl Parameters<'_> {
    /// Whether the result may take the interval of the input at `place`. An input of another length
    /// than the result never has the same interval.
    pub fn in_place(&self, place: usize) -> bool {
        let kind = |number: u32| Activation::from_number(number);
        let fits = match self {
            Parameters::Binary(p) => match place {
                0 => is_row_major(&p.dims, &p.a_strides),
                _ => is_row_major(&p.dims, &p.b_strides),
            },
            // A mask is no index of the result, even where both have one element.
            Parameters::UnaryGradient(p) => place != 0 || kind(p.kind.get()) != MASK,
            Parameters::ConvInputGradient(p) => {
                place != 4 || kind(p.activation.get().into()) != MASK
            }
            _ => true,
        };
        fits && in_place(self.opcode()).contains(&place)
    }
}

const MASK: Option<Activation> = Some(Activation::Mask);

/// Whether the strides are those of the result: contiguous in box order.
fn is_row_major(dims: &[U32; BOX_RANK], strides: &[U32; BOX_RANK]) -> bool {
    let mut expected = 1u64;
    dims.iter().zip(strides).rev().all(|(dim, stride)| {
        let fits = dim.get() == 1 || u64::from(stride.get()) == expected;
        expected = expected.saturating_mul(dim.get().into());
        fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{BinaryParams, ConvParams, UnaryParams};
    use crate::shape::operands;
    use zerocopy::FromZeros;

    #[test]
    fn only_inputs_are_taken_and_only_by_operations_with_a_result() {
        for &opcode in OpCode::ALL {
            for &place in in_place(opcode) {
                assert!(!operands(opcode)[place].writes(), "{}", opcode.name());
            }
        }
    }

    #[test]
    fn a_broadcast_or_transposed_operand_keeps_its_interval() {
        let words = |values: [u32; BOX_RANK]| values.map(U32::new);
        let mut p = BinaryParams::new_zeroed();
        p.dims = words([1, 1, 1, 2, 3, 4]);
        p.a_strides = words([0, 7, 0, 12, 4, 1]);
        for (strides, expected) in [
            ([0, 0, 0, 12, 4, 1], true),
            ([0, 0, 0, 0, 4, 1], false),
            ([0, 0, 0, 1, 2, 6], false),
            ([0, 0, 0, 12, 4, 2], false),
        ] {
            p.b_strides = words(strides);
            let found = [0, 1, 2].map(|place| Parameters::Binary(&p).in_place(place));
            assert_eq!(found, [true, expected, false], "{strides:?}");
        }
    }

    #[test]
    fn a_mask_keeps_its_interval() {
        let (mut unary, mut conv) = (UnaryParams::new_zeroed(), ConvParams::new_zeroed());
        for (kind, first) in [(Activation::Relu, true), (Activation::Mask, false)] {
            unary.kind = (kind as u32).into();
            conv.activation = (kind as u16).into();
            let unary = [0, 1].map(|place| Parameters::UnaryGradient(&unary).in_place(place));
            let conv = [0, 3, 4].map(|place| Parameters::ConvInputGradient(&conv).in_place(place));
            assert_eq!((unary, conv), ([first, true], [false, true, first]), "{kind:?}");
        }
    }
}
