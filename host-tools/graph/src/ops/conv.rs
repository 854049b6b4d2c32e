//! Two-dimensional convolution, its input gradient and its weight gradient.
//!
//! Shapes only carry what geometry needs: x `[1,C,H,W]`, w `[O,C/groups,kh,kw]`, b `[O]`,
//! y and its cotangent g `[1,O,H',W']`.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

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
        return Err(format!(
            "weight {:?} with {} groups over {channels} channels",
            s[1], conv.groups
        ));
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
pub fn input_gradient_shape(
    conv: &Conv,
    input_hw: [usize; 2],
    s: &[&[usize]],
) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    let &[_, per_group, ..] = s[1] else { return Err("weight is not of rank 4".into()) };
    let input = [1, per_group * conv.groups, input_hw[0], input_hw[1]];
    expect_shape("cotangent", s[0], &shape(conv, &[&input, s[1]])?)?;
    Ok(input.to_vec())
}

/// Shape rule of the weight gradient: operands x, g.
pub fn weight_gradient_shape(
    conv: &Conv,
    kernel_hw: [usize; 2],
    s: &[&[usize]],
) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    let (&[_, channels, ..], &[_, out, ..]) = (s[0], s[1]) else {
        return Err("operands are not of rank 4".into());
    };
    let weight = [out, channels / conv.groups.max(1), kernel_hw[0], kernel_hw[1]];
    expect_shape("cotangent", s[1], &shape(conv, &[s[0], &weight])?)?;
    Ok([&[1], weight.as_slice()].concat())
}

/// Gradient rule: the two convolutions' gradients are ops of their own; the bias sums over pixels.
pub fn gradient(conv: &Conv, b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let (x, w) = (node.inputs[0], node.inputs[1]);
    let hw = |shape: &[usize]| [shape[2], shape[3]];
    let (input_hw, kernel_hw) = (hw(b.graph().shape(x)), hw(b.graph().shape(w)));
    let mut gradients = vec![None; node.inputs.len()];
    if b.needs(x) {
        let op = Op::ConvInputGradient { conv: conv.clone(), input_hw };
        gradients[0] = Some(b.emit("conv_input", op, &[g, w])?);
    }
    if b.needs(w) {
        let op = Op::ConvWeightGradient { conv: conv.clone(), kernel_hw };
        gradients[1] = Some(b.emit("conv_weight", op, &[x, g])?);
    }
    if node.inputs.get(2).is_some_and(|&bias| b.needs(bias)) {
        let op = Op::ReduceSum { axes: vec![2, 3], keep_dims: false };
        gradients[2] = Some(b.emit("conv_bias", op, &[g])?);
    }
    Ok(gradients)
}

/// Gradient rule of the input gradient, which forward is a transposed convolution: of its cotangent
/// the convolution itself; of the weight its gradient, h and the cotangent in place of x and g.
pub fn input_gradient_gradient(
    conv: &Conv,
    b: &mut Backward,
    node: &Node,
    h: ValueId,
) -> Gradients {
    let (g, w) = (node.inputs[0], node.inputs[1]);
    let mut gradients = vec![None, None];
    if b.needs(g) {
        gradients[0] = Some(b.emit("conv", Op::Conv(conv.clone()), &[h, w])?);
    }
    if b.needs(w) {
        let shape = b.graph().shape(w);
        let kernel_hw = [shape[2], shape[3]];
        let op = Op::ConvWeightGradient { conv: conv.clone(), kernel_hw };
        gradients[1] = Some(b.emit("conv_weight", op, &[h, g])?);
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    fn random(rng: &mut Rng) -> (Conv, [usize; 4], [usize; 4]) {
        loop {
            let groups = rng.pick(&[1, 1, 2, 3]);
            let channels = groups * rng.range(1, 2);
            let out = groups * rng.range(1, 2);
            let conv = Conv {
                strides: [rng.range(1, 2), rng.range(1, 3)],
                pads: [rng.range(0, 2), rng.range(0, 1), rng.range(0, 1), rng.range(0, 2)],
                dilations: [rng.range(1, 2), rng.range(1, 2)],
                groups,
            };
            let input = [1, channels, rng.range(1, 5), rng.range(1, 5)];
            let weight = [out, channels / groups, rng.range(1, 3), rng.range(1, 3)];
            if shape(&conv, &[&input, &weight]).is_ok() {
                return (conv, input, weight);
            }
        }
    }

    #[test]
    fn gradient_matches_differences() {
        gradients("conv", |rng| {
            let (conv, input, weight) = random(rng);
            let mut operands = vec![O::frame(&input), O::parameter(&weight)];
            if rng.range(0, 1) == 1 {
                operands.push(O::parameter(&weight[..1]));
            }
            (Op::Conv(conv), operands)
        });
    }

    #[test]
    fn gradient_of_input_gradient_matches_differences() {
        gradients("conv_input_gradient", |rng| {
            let (conv, input, weight) = random(rng);
            let output = shape(&conv, &[&input, &weight]).unwrap();
            let op = Op::ConvInputGradient { conv, input_hw: [input[2], input[3]] };
            (op, vec![O::frame(&output), O::parameter(&weight)])
        });
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let conv = Conv { strides: [1, 1], pads: [0; 4], dilations: [1, 1], groups: 1 };
        let cases: [(&[usize], &[usize]); 4] = [
            (&[1, 3, 8, 8], &[4, 2, 3, 3]),
            (&[1, 3, 2, 2], &[4, 3, 3, 3]),
            (&[1, 3, 8], &[4, 3, 3]),
            (&[2, 3, 8, 8], &[4, 3, 3, 3]),
        ];
        for (x, w) in cases {
            assert!(shape(&conv, &[x, w]).is_err(), "{x:?} {w:?}");
        }
        let grouped = Conv { groups: 2, ..conv };
        assert!(shape(&grouped, &[&[1, 4, 8, 8], &[3, 2, 3, 3]]).is_err());
    }
}
