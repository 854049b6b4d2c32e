//! Relu, LeakyRelu, Clip, Sigmoid and their gradients.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::{arity, expect_shape};

/// Shape rule: x.
pub fn shape(s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    Ok(s[0].to_vec())
}

/// Shape rule of the gradients: x or y, g.
pub fn gradient_shape(s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    expect_shape("cotangent", s[1], s[0])?;
    Ok(s[0].to_vec())
}

/// Gradient rule. Relu and Sigmoid go by their result, so that the operand need not be kept.
pub fn gradient(b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let (x, y) = (node.inputs[0], node.output);
    let gradient = match node.op {
        Op::LeakyRelu { alpha } => {
            b.emit("leaky_relu", Op::LeakyReluGradient { alpha }, &[x, g])?
        }
        Op::Clip { min, max } => b.emit("clip", Op::ClipGradient { min, max }, &[x, g])?,
        Op::Sigmoid => b.emit("sigmoid", Op::SigmoidGradient, &[y, g])?,
        _ => b.emit("relu", Op::ReluGradient, &[y, g])?,
    };
    Ok(vec![Some(gradient)])
}

/// Gradient rule of Relu's gradient: by the cotangent; by what decides the gate it is 0.
pub fn gate_gradient(b: &mut Backward, node: &Node, h: ValueId) -> Gradients {
    let gradient = match b.needs(node.inputs[1]) {
        true => Some(b.emit("gate", Op::ReluGradient, &[node.inputs[0], h])?),
        false => None,
    };
    Ok(vec![None, gradient])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradients_match_differences() {
        let ops = [
            Op::Relu,
            Op::LeakyRelu { alpha: 0.1 },
            Op::Clip { min: -0.3, max: 0.6 },
            Op::Clip { min: f32::NEG_INFINITY, max: 0.25 },
            Op::Sigmoid,
        ];
        for op in ops {
            gradients(op.name(), |rng: &mut Rng| {
                let shape = [1, rng.range(1, 4), rng.range(1, 4)];
                (op.clone(), vec![O::frame(&shape)])
            });
        }
    }

    #[test]
    fn gradient_of_a_gate_matches_differences() {
        gradients("relu_gradient", |rng: &mut Rng| {
            let shape = [1, rng.range(1, 4), rng.range(1, 4)];
            let gate = O { checked: false, ..O::frame(&shape) };
            (Op::ReluGradient, vec![gate, O::frame(&shape)])
        });
    }
}
