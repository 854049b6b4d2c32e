//! ReduceMean, ReduceSum and Expand, which is their gradient's shape change.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::elementwise::broadcast;
use super::{arity, expect_shape};

/// Shape rule of the reductions: x.
pub fn shape(axes: &[usize], keep_dims: bool, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    if !axes.is_sorted_by(|a, b| a < b) || axes.iter().any(|&axis| axis == 0 || axis >= s[0].len())
    {
        return Err(format!("axes {axes:?} of {:?} (axis 0 is the frame)", s[0]));
    }
    let kept = |axis: &usize| !axes.contains(axis);
    Ok(if keep_dims {
        (0..s[0].len()).map(|axis| if kept(&axis) { s[0][axis] } else { 1 }).collect()
    } else {
        (0..s[0].len()).filter(kept).map(|axis| s[0][axis]).collect()
    })
}

/// Shape rule of Expand: x broadcasts to `target`.
pub fn expand_shape(target: &[usize], s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    expect_shape("broadcast of the operand", &broadcast(s[0], target)?, target)?;
    Ok(target.to_vec())
}

/// Gradient rule: the cotangent, divided by the count for a mean, spreads over the reduced axes.
pub fn gradient(
    mean: bool,
    axes: &[usize],
    b: &mut Backward,
    node: &Node,
    g: ValueId,
) -> Gradients {
    let shape = b.graph().shape(node.inputs[0]).to_vec();
    let mut kept = shape.clone();
    for &axis in axes {
        kept[axis] = 1;
    }
    let mut g = b.reshape(g, &kept)?;
    if mean {
        let count = b.scalar(axes.iter().map(|&axis| shape[axis]).product::<usize>() as f32);
        g = b.emit("mean", Op::Div, &[g, count])?;
    }
    Ok(vec![Some(b.emit("expand", Op::Expand { shape }, &[g])?)])
}

/// Gradient rule of Expand: the sum over the axes that it repeated.
pub fn expand_gradient(b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    Ok(vec![Some(b.unbroadcast(g, node.inputs[0])?)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradients_match_differences() {
        for mean in [false, true] {
            gradients(if mean { "reduce_mean" } else { "reduce_sum" }, |rng: &mut Rng| {
                let x = [1, rng.range(1, 3), rng.range(1, 3), rng.range(1, 3)];
                let axes = rng.pick(&[&[1][..], &[2, 3], &[1, 3], &[3], &[1, 2, 3]]).to_vec();
                let keep_dims = rng.range(0, 1) == 1;
                let op = match mean {
                    true => Op::ReduceMean { axes, keep_dims },
                    false => Op::ReduceSum { axes, keep_dims },
                };
                (op, vec![O::frame(&x)])
            });
        }
    }

    #[test]
    fn gradient_of_expand_matches_differences() {
        gradients("expand", |rng: &mut Rng| {
            let target = [1, rng.range(1, 3), rng.range(1, 3)];
            let x = [1, rng.pick(&[1, target[1]]), rng.pick(&[1, target[2]])];
            (Op::Expand { shape: target.to_vec() }, vec![O::frame(&x)])
        });
    }
}
