//! Softmax over one axis and its gradient `y * (g - sum(g * y))`.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::{arity, expect_shape};

fn check_axis(axis: usize, shape: &[usize]) -> Result<(), String> {
    if axis == 0 || axis >= shape.len() {
        return Err(format!("axis {axis} of {shape:?} (axis 0 is the frame)"));
    }
    Ok(())
}

/// Shape rule: x.
pub fn shape(axis: usize, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    check_axis(axis, s[0])?;
    Ok(s[0].to_vec())
}

/// Shape rule of the gradient: y, g.
pub fn gradient_shape(axis: usize, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    check_axis(axis, s[0])?;
    expect_shape("cotangent", s[1], s[0])?;
    Ok(s[0].to_vec())
}

/// Gradient rule; goes by the result.
pub fn gradient(axis: usize, b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let gradient = b.emit("softmax", Op::SoftmaxGradient { axis }, &[node.output, g])?;
    Ok(vec![Some(gradient)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradient_matches_differences() {
        gradients("softmax", |rng: &mut Rng| {
            let shape = [1, rng.range(1, 4), rng.range(1, 4)];
            (Op::Softmax { axis: rng.range(1, 2) }, vec![O::frame(&shape)])
        });
    }
}
