//! Batch normalisation in inference mode and its two gradients.
//!
//! With sigma = sqrt(variance + epsilon): y = (x - mean) / sigma * scale + shift. The gradient of
//! the
//! shift is a plain `ReduceSum` of the cotangent over pixels.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::{arity, expect_shape};

fn channels(x: &[usize]) -> Result<usize, String> {
    match x {
        [1, channels, ..] => Ok(*channels),
        _ => Err(format!("operand {x:?} has no channel axis 1")),
    }
}

/// Shape rule: x, scale, shift, mean, variance.
pub fn shape(s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 5, 5)?;
    let channels = channels(s[0])?;
    for (what, vector) in ["scale", "shift", "mean", "variance"].iter().zip(&s[1..]) {
        expect_shape(what, vector, &[channels])?;
    }
    Ok(s[0].to_vec())
}

/// Shape rule of the input gradient: g, scale, variance.
pub fn input_gradient_shape(s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 3, 3)?;
    let channels = channels(s[0])?;
    expect_shape("scale", s[1], &[channels])?;
    expect_shape("variance", s[2], &[channels])?;
    Ok(s[0].to_vec())
}

/// Shape rule of the scale's gradient: x, g, mean, variance.
pub fn scale_gradient_shape(s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 4, 4)?;
    let channels = channels(s[0])?;
    expect_shape("cotangent", s[1], s[0])?;
    expect_shape("mean", s[2], &[channels])?;
    expect_shape("variance", s[3], &[channels])?;
    Ok(vec![1, channels])
}

/// Gradient rule; statistics are constants of inference mode and get none.
pub fn gradient(epsilon: f64, b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let &[x, scale, shift, mean, variance] = &node.inputs[..] else { unreachable!("shape rule") };
    let mut gradients = vec![None; 5];
    if b.needs(x) {
        let op = Op::BatchNormInputGradient { epsilon };
        gradients[0] = Some(b.emit("batch_norm_input", op, &[g, scale, variance])?);
    }
    if b.needs(scale) {
        let op = Op::BatchNormScaleGradient { epsilon };
        gradients[1] = Some(b.emit("batch_norm_scale", op, &[x, g, mean, variance])?);
    }
    if b.needs(shift) {
        let axes: Vec<usize> = (2..b.graph().shape(g).len()).collect();
        gradients[2] = Some(match axes.is_empty() {
            true => g,
            false => b.emit("batch_norm_shift", Op::ReduceSum { axes, keep_dims: false }, &[g])?,
        });
    }
    Ok(gradients)
}

/// Gradient rule of the input gradient with respect to its cotangent: the same linear map.
pub fn input_gradient_gradient(
    epsilon: f64,
    b: &mut Backward,
    node: &Node,
    h: ValueId,
) -> Gradients {
    let op = Op::BatchNormInputGradient { epsilon };
    let gradient = b.emit("batch_norm_input", op, &[h, node.inputs[1], node.inputs[2]])?;
    Ok(vec![Some(gradient), None, None])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    fn dims(rng: &mut Rng) -> Vec<usize> {
        let channels = rng.range(1, 3);
        match rng.range(0, 2) {
            0 => vec![1, channels],
            _ => vec![1, channels, rng.range(1, 3), rng.range(1, 3)],
        }
    }

    #[test]
    fn gradient_matches_differences() {
        gradients("batch_norm", |rng| {
            let x = dims(rng);
            let c = [x[1]];
            let operands = vec![
                O::frame(&x),
                O::parameter(&c),
                O::parameter(&c),
                O::constant(&c, 0.0),
                O::constant(&c, 1.5),
            ];
            (Op::BatchNorm { epsilon: 1e-3 }, operands)
        });
    }

    #[test]
    fn gradient_of_input_gradient_matches_differences() {
        gradients("batch_norm_input_gradient", |rng| {
            let g = dims(rng);
            let c = [g[1]];
            let operands = vec![O::frame(&g), O::constant(&c, 0.0), O::constant(&c, 1.5)];
            (Op::BatchNormInputGradient { epsilon: 1e-3 }, operands)
        });
    }
}
