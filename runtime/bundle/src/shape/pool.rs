//! Geometry of window pools.

use super::{ShapeError, sizes, times};
use crate::op::PoolParams;

/// A checked pool, all in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Input rows, columns.
    pub input: [usize; 2],
    /// Output rows, columns.
    pub output: [usize; 2],
    /// Window rows, columns.
    pub kernel: [usize; 2],
    /// Strides.
    pub strides: [usize; 2],
    /// Dilations.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
    /// Channels.
    pub channels: usize,
    /// Whether padding counts in an average's divisor.
    pub count_include_pad: bool,
}

impl PoolShape {
    /// Checks the parameters. The output is the floor or, as ONNX's ceil_mode has it, the ceiling;
    /// every window must hold an input pixel.
    pub fn new(p: &PoolParams) -> Result<PoolShape, ShapeError> {
        if p.count_include_pad.get() > 1 {
            return Err(ShapeError::Number);
        }
        let shape = PoolShape {
            input: sizes(&p.input),
            output: sizes(&p.output),
            kernel: sizes(&p.kernel),
            strides: sizes(&p.strides),
            dilations: sizes(&p.dilations),
            pads: sizes(&p.pads),
            channels: usize::from(p.channels.get()),
            count_include_pad: p.count_include_pad.get() == 1,
        };
        if shape.strides.contains(&0) || shape.dilations.contains(&0) {
            return Err(ShapeError::Zero);
        }
        for hw in [shape.input, shape.output, shape.kernel] {
            [hw[0], hw[1], shape.channels]
                .iter()
                .try_fold(1, |total, &length| times(total, length))?;
        }
        if (0..2).any(|axis| !shape.axis_is_sound(axis)) {
            return Err(ShapeError::Geometry);
        }
        Ok(shape)
    }

    fn axis_is_sound(&self, axis: usize) -> bool {
        let (input, output, pad) = (self.input[axis], self.output[axis], self.pads[axis]);
        let (stride, dilation) = (self.strides[axis], self.dilations[axis]);
        let window = dilation * (self.kernel[axis] - 1) + 1;
        let padded = input + pad + self.pads[axis + 2];
        // With ceil_mode the last window may hang over the padded input, but by less than a stride.
        let Some(free) = padded.checked_sub(window) else {
            return false;
        };
        let divided = (free.checked_div(stride), divide_up(free, stride));
        let (Some(floor), Some(ceiling)) = divided else {
            return false;
        };
        if output != floor + 1 && output != ceiling + 1 {
            return false;
        }
        (0..output).all(|o| {
            let first = o * stride;
            // Smallest tap at or after the first input pixel; it must lie before the last one.
            divide_up(pad.saturating_sub(first), dilation)
                .is_some_and(|tap| tap < self.kernel[axis] && first + tap * dilation < pad + input)
        })
    }

    /// Elements of x.
    pub fn input_elements(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Elements of y.
    pub fn output_elements(&self) -> usize {
        self.output[0] * self.output[1] * self.channels
    }
}

/// Ceiling of the quotient; `div_ceil` would panic where this is `None`.
fn divide_up(value: usize, divisor: usize) -> Option<usize> {
    let floor = value.checked_div(divisor)?;
    Some(floor + usize::from(floor * divisor < value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;
    use zerocopy::little_endian::U16;

    fn pool(input: u16, output: u16, kernel: u16, stride: u16, pads: [u16; 2]) -> PoolParams {
        let mut p = PoolParams::new_zeroed();
        p.input = [input.into(); 2];
        p.output = [output.into(); 2];
        p.kernel = [kernel.into(); 2];
        p.strides = [stride.into(); 2];
        p.dilations = [1.into(); 2];
        p.pads = [pads[0], pads[0], pads[1], pads[1]].map(U16::new);
        p.channels = 3.into();
        p
    }

    #[test]
    fn output_is_floor_or_ceiling_and_windows_are_not_empty() {
        let cases = [
            (pool(8, 4, 2, 2, [0, 0]), true),
            (pool(7, 3, 2, 2, [0, 0]), true),
            (pool(7, 4, 2, 2, [0, 0]), true),
            (pool(7, 5, 2, 2, [0, 0]), false),
            (pool(7, 2, 2, 2, [0, 0]), false),
            (pool(8, 4, 3, 2, [1, 1]), true),
            (pool(4, 5, 2, 1, [1, 0]), false),
            (pool(4, 4, 2, 1, [1, 0]), true),
            (pool(4, 5, 2, 1, [2, 0]), false),
            (pool(4, 1, 5, 1, [0, 0]), false),
            (pool(4, 1, 4, 0, [0, 0]), false),
            (pool(4, 0, 4, 1, [0, 0]), false),
        ];
        for (params, sound) in cases {
            assert_eq!(PoolShape::new(&params).is_ok(), sound, "{params:?}");
        }
    }
}
