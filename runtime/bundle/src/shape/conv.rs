//! Geometry of a convolution and the blocked layout of its weight.
//!
//! For each group, output channels come in blocks of [`LANES`], the last block as wide as is left;
//! within a block: `[ky][kx][ci][width]`. A depthwise convolution with one output per group has its
//! blocks over all channels instead: `[c / 16][ky][kx][width]`. Nothing is padded.

use super::{ELEMENT_LIMIT, ShapeError, places, sizes, times};
use crate::op::{ConvAlignmentParams, ConvParams, LANES};
use crate::record::OPERANDS;

/// A checked convolution, all in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Input rows, columns, channels.
    pub input: [usize; 3],
    /// Output rows, columns, channels.
    pub output: [usize; 3],
    /// Kernel rows, columns.
    pub kernel: [usize; 2],
    /// Strides.
    pub strides: [usize; 2],
    /// Dilations.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Channel groups.
    pub groups: usize,
    /// Input channels of one group.
    pub group_input: usize,
    /// Output channels of one group.
    pub group_output: usize,
}

/// Layout of the Gram matrix of a convolution's input pixels: a row for each of them, a column for
/// each pixel of the padded input, in raster order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelGram {
    /// Columns of the padded input.
    pub columns: usize,
    /// Elements of a row of the matrix.
    pub stride: usize,
    /// Input pixels: rows of the matrix.
    pub pixels: usize,
}

impl PixelGram {
    /// Elements of the matrix, and of a row of sums over taps.
    pub fn elements(&self) -> usize {
        (self.pixels + 1) * self.stride
    }
}

/// Output length along one axis: `(input + pads - window) / stride + 1`.
pub fn window_output(
    input: usize,
    pads: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
) -> Option<usize> {
    let window = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
    let free = input.checked_add(pads)?.checked_sub(window)?;
    free.checked_div(stride)?.checked_add(1)
}

impl ConvShape {
    /// Checks the parameters.
    pub fn new(p: &ConvParams) -> Result<ConvShape, ShapeError> {
        let groups = usize::from(p.groups.get());
        let (input, output) = (sizes(&p.input), sizes(&p.output));
        let divided = |n: usize| n.checked_div(groups).filter(|q| q * groups == n);
        let shape = ConvShape {
            input,
            output,
            kernel: sizes(&p.kernel),
            strides: sizes(&p.strides),
            dilations: sizes(&p.dilations),
            pads: sizes(&p.pads),
            groups,
            group_input: divided(input[2]).ok_or(ShapeError::Geometry)?,
            group_output: divided(output[2]).ok_or(ShapeError::Geometry)?,
        };
        shape.check()?;
        Ok(shape)
    }

    fn check(&self) -> Result<(), ShapeError> {
        if self.strides.contains(&0) || self.dilations.contains(&0) {
            return Err(ShapeError::Zero);
        }
        let weight = [self.kernel[0], self.kernel[1], self.group_input, self.output[2]];
        for lengths in [&self.input[..], &self.output[..], &weight[..]] {
            lengths.iter().try_fold(1, |total, &length| times(total, length))?;
        }
        for axis in 0..2 {
            let derived = window_output(
                self.input[axis],
                self.pads[axis] + self.pads[axis + 2],
                self.kernel[axis],
                self.strides[axis],
                self.dilations[axis],
            );
            if derived != Some(self.output[axis]) {
                return Err(ShapeError::Geometry);
            }
        }
        Ok(())
    }

    /// Elements of x.
    #[inline(never)]
    pub fn input_elements(&self) -> usize {
        self.input.iter().product()
    }

    /// Elements of y.
    #[inline(never)]
    pub fn output_elements(&self) -> usize {
        self.output.iter().product()
    }

    /// Elements of w, blocked or not.
    #[inline(never)]
    pub fn weight_elements(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.group_input * self.output[2]
    }

    /// Elements of one reference direction over the inputs: every tap of every input channel.
    pub fn reference_elements(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.input[2]
    }

    /// Where a reference direction holds tap (`ky`, `kx`) of input channel `c`, counted over all
    /// groups: group after group `[ky][kx][ci]`, depthwise `[ky][kx][c]`. Indices must be in range.
    pub fn reference_index(&self, c: usize, ky: usize, kx: usize) -> usize {
        let tap = ky * self.kernel[1] + kx;
        let channels = if self.depthwise() { self.input[2] } else { self.group_input };
        let within = c.checked_rem(channels).unwrap_or(0);
        (c - within) * self.kernel[0] * self.kernel[1] + tap * channels + within
    }

    /// Multiply-adds of one alignment: one more output channel, and one more input channel of a
    /// 1 x 1 convolution.
    pub fn alignment_macs(&self) -> u64 {
        let pixels = self.output[0] as u64 * self.output[1] as u64;
        pixels * (self.reference_elements() + self.output[2]) as u64
    }

    /// Multiply-adds of one forward pass, padding counted.
    pub fn macs(&self) -> u64 {
        let pixels = self.output[0] as u64 * self.output[1] as u64;
        pixels * self.weight_elements() as u64
    }

    /// Whether every group has one input and one output channel, which has its own weight layout.
    pub fn depthwise(&self) -> bool {
        self.group_input == 1 && self.group_output == 1
    }

    /// Whether the weight norm is `|x|^2 |g|^2`: one output pixel that sees one input pixel.
    pub fn gram_is_defined(&self) -> bool {
        let one = self.output[..2] == [1, 1] && self.kernel == [1, 1];
        one && self.pads == [0; 4] && self.groups == 1
    }

    /// Geometry of the norm by Gram matrices of pixels; `None` for several groups, where a matrix
    /// per group would not pay, and for what is too large.
    pub fn pixel_gram(&self) -> Option<PixelGram> {
        if self.groups != 1 {
            return None;
        }
        let rows = self.pads[0].checked_add(self.input[0])?.checked_add(self.pads[2])?;
        let columns = self.pads[1].checked_add(self.input[1])?.checked_add(self.pads[3])?;
        let padded = rows.checked_mul(columns)?;
        // Sixteen lanes may be read from any padded pixel on.
        let stride = padded.checked_add(2 * (LANES - 1))? / LANES * LANES;
        let pixels = self.input[0] * self.input[1];
        pixels.checked_add(1)?.checked_mul(stride).filter(|&n| n < ELEMENT_LIMIT)?;
        Some(PixelGram { columns, stride, pixels })
    }

    /// Multiply-adds of that norm: both matrices, half of the second one, and a sum a tap.
    pub fn pixel_gram_macs(&self) -> Option<u64> {
        let gram = self.pixel_gram()?;
        let (inputs, outputs) = (gram.pixels as u64, (self.output[0] * self.output[1]) as u64);
        let taps = (self.kernel[0] * self.kernel[1]) as u64;
        let of_inputs =
            inputs.checked_mul(gram.stride as u64)?.checked_mul(self.input[2] as u64)?;
        let of_outputs = outputs * outputs * (self.output[2] as u64 / 2 + taps);
        of_inputs.checked_add(of_outputs)
    }

    /// Where the blocked weight holds output channel `o` (over all groups), tap (`ky`, `kx`), input
    /// channel `c` within the group: the definition of the layout. Indices must be in range.
    pub fn blocked_index(&self, o: usize, ky: usize, kx: usize, c: usize) -> usize {
        let tap = ky * self.kernel[1] + kx;
        let taps = self.kernel[0] * self.kernel[1];
        let (first, channels) = if self.depthwise() {
            (0, self.output[2])
        } else {
            (o - o.checked_rem(self.group_output).unwrap_or(0), self.group_output)
        };
        let within = o - first;
        let block = within / LANES * LANES;
        let width = LANES.min(channels - block);
        (first + block) * taps * self.group_input + (tap * self.group_input + c) * width + within
            - block
    }
}

/// Operands of an alignment.
pub(super) fn conv_alignment(p: &ConvAlignmentParams) -> Result<[usize; OPERANDS], ShapeError> {
    let s = ConvShape::new(&p.conv)?;
    let classes = usize::from(p.classes.get());
    let rows = reference_rows(classes);
    let (x, y) = (s.input_elements(), s.output_elements());
    let (u, v) = (times(rows, s.output[2])?, times(rows, s.reference_elements())?);
    Ok(places(&[x, y, u, v, times(1, classes)?, s.output[0] * s.output[1]]))
}

/// Reference directions for this many logits: a single one tells two classes apart.
pub fn reference_rows(classes: usize) -> usize {
    if classes == 1 { 2 } else { classes }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use zerocopy::FromZeros;
    use zerocopy::little_endian::U16;

    fn params(input: [u16; 3], co: u16, kernel: [u16; 2], groups: u16) -> ConvParams {
        let mut p = ConvParams::new_zeroed();
        p.input = input.map(U16::new);
        p.kernel = kernel.map(U16::new);
        p.strides = [U16::new(1); 2];
        p.dilations = [U16::new(1); 2];
        p.groups = U16::new(groups);
        let rows = input[0].wrapping_sub(kernel[0]).wrapping_add(1);
        p.output = [rows, input[1].wrapping_sub(kernel[1]).wrapping_add(1), co].map(U16::new);
        p
    }

    #[test]
    fn blocked_index_is_a_bijection() {
        let cases = [(16, 16, 1), (3, 40, 1), (8, 10, 1), (8, 48, 2), (20, 20, 20), (4, 12, 4)];
        for (ci, co, groups) in cases {
            let s = ConvShape::new(&params([5, 5, ci], co, [3, 2], groups)).unwrap();
            let mut seen = vec![false; s.weight_elements()];
            for o in 0..s.output[2] {
                for (ky, kx) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
                    for c in 0..s.group_input {
                        let index = s.blocked_index(o, ky, kx, c);
                        assert!(!seen[index], "{ci} {co} {groups}: {o} {ky} {kx} {c}");
                        seen[index] = true;
                    }
                }
            }
            assert!(seen.iter().all(|&s| s));
        }
    }

    #[test]
    fn reference_index_is_a_bijection() {
        for (ci, co, groups) in [(16, 16, 1), (3, 40, 1), (8, 12, 2), (20, 20, 20), (4, 12, 4)] {
            let s = ConvShape::new(&params([5, 5, ci], co, [3, 2], groups)).unwrap();
            let mut seen = vec![false; s.reference_elements()];
            for c in 0..s.input[2] {
                for (ky, kx) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
                    let index = s.reference_index(c, ky, kx);
                    assert!(!seen[index], "{ci} {co} {groups}: {c} {ky} {kx}");
                    seen[index] = true;
                }
            }
            assert!(seen.iter().all(|&s| s));
        }
    }

    #[test]
    fn geometry_is_re_derived() {
        let good = params([8, 8, 4], 6, [3, 3], 2);
        assert!(ConvShape::new(&good).is_ok());
        let broken = |change: fn(&mut ConvParams)| {
            let mut p = good;
            change(&mut p);
            ConvShape::new(&p).unwrap_err()
        };
        assert_eq!(broken(|p| p.output[0] = 7.into()), ShapeError::Geometry);
        assert_eq!(broken(|p| p.groups = 3.into()), ShapeError::Geometry);
        assert_eq!(broken(|p| p.groups = 0.into()), ShapeError::Geometry);
        assert_eq!(broken(|p| p.strides[1] = 0.into()), ShapeError::Zero);
        assert_eq!(broken(|p| p.dilations[0] = 0.into()), ShapeError::Zero);
        assert_eq!(broken(|p| p.kernel[0] = 0.into()), ShapeError::Zero);
        assert_eq!(broken(|p| p.kernel[0] = 9.into()), ShapeError::Geometry);
        assert_eq!(broken(|p| p.pads[3] = 1.into()), ShapeError::Geometry);
        assert_eq!(broken(|p| p.input = [65535.into(); 3]), ShapeError::Geometry);
        let mut huge = params([65535, 65535, 4], 6, [3, 3], 2);
        assert_eq!(ConvShape::new(&huge), Err(ShapeError::TooLarge));
        huge.kernel = [65535.into(); 2];
        assert!(ConvShape::new(&huge).is_err());
    }
}
