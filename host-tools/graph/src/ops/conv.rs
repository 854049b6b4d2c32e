//! Two-dimensional convolution, its input gradient and its weight gradient.
//!
//! Shapes only carry what geometry needs: x `[1,C,H,W]`, w `[O,C/groups,kh,kw]`, b `[O]`,
//! y and its cotangent g `[1,O,H',W']`.

use super::{arity, expect_shape};

/// Attributes of a convolution. Padding is explicit (auto_pad is resolved at import).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Rows and columns between windows.
    pub strides: [usize; 2],
    /// Zero padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Rows and columns between taps.
    pub dilations: [usize; 2],
    /// Channel groups; equal to the channels for a depthwise convolution.
    pub groups: usize,
}

impl Conv {
    /// Height and width of the output for an input and a kernel, or `None` when the window does
    /// not fit.
    pub fn output_hw(&self, input_hw: [usize; 2], kernel_hw: [usize; 2]) -> Option<[usize; 2]> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let padded = input_hw[axis] + self.pads[axis] + self.pads[axis + 2];
            let window = self.dilations[axis] * kernel_hw[axis].checked_sub(1)? + 1;
            output[axis] = padded.checked_sub(window)? / self.strides[axis] + 1;
        }
        Some(output)
    }
}

/// Shape rule of the convolution.
pub fn shape(conv: &Conv, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 3)?;
    let (&[1, channels, h, w], &[out, per_group, kh, kw]) = (s[0], s[1]) else {
        return Err(format!("input {:?} or weight {:?} is not of rank 4", s[0], s[1]));
    };
    if conv.groups == 0 || conv.strides.contains(&0) || conv.dilations.contains(&0) {
        return Err(format!("zero stride, dilation or group in {conv:?}"));
    }
    if channels != per_group * conv.groups || out % conv.groups != 0 || kh * kw * out == 0 {
        return Err(format!("weight {:?} with {} groups over {channels} channels", s[1], conv.groups));
    }
    if let Some(bias) = s.get(2) {
        expect_shape("bias", bias, &[out])?;
    }
    let [oh, ow] = conv
        .output_hw([h, w], [kh, kw])
        .ok_or_else(|| format!("kernel {kh} x {kw} does not fit the padded input {h} x {w}"))?;
    Ok(vec![1, out, oh, ow])
}

/// Shape rule of the input gradient: operands g, w.
pub fn input_gradient_shape(conv: &Conv, input_hw: [usize; 2], s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    let &[_, per_group, ..] = s[1] else { return Err("weight is not of rank 4".into()) };
    let input = [1, per_group * conv.groups, input_hw[0], input_hw[1]];
    expect_shape("cotangent", s[0], &shape(conv, &[&input, s[1]])?)?;
    Ok(input.to_vec())
}

/// Shape rule of the weight gradient: operands x, g.
pub fn weight_gradient_shape(conv: &Conv, kernel_hw: [usize; 2], s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    let (&[_, channels, ..], &[_, out, ..]) = (s[0], s[1]) else {
        return Err("operands are not of rank 4".into());
    };
    let weight = [out, channels / conv.groups.max(1), kernel_hw[0], kernel_hw[1]];
    expect_shape("cotangent", s[1], &shape(conv, &[s[0], &weight])?)?;
    Ok([&[1], weight.as_slice()].concat())
}
