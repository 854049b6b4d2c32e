//! Slice with positive steps, and its gradient: the cotangent scattered into zeros.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::{arity, expect_shape};

/// Shape rule of the slice: x.
pub fn shape(
    starts: &[usize],
    lengths: &[usize],
    steps: &[usize],
    s: &[&[usize]],
) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    let rank = s[0].len();
    if [starts.len(), lengths.len(), steps.len()] != [rank; 3] {
        return Err(format!("starts, lengths and steps need {rank} entries"));
    }
    for axis in 0..rank {
        let end = lengths[axis]
            .checked_sub(1)
            .and_then(|n| n.checked_mul(steps[axis])?.checked_add(starts[axis]));
        if steps[axis] == 0 || end.is_none_or(|end| end >= s[0][axis]) {
            return Err(format!(
                "start {starts:?}, length {lengths:?}, step {steps:?} leaves {:?}",
                s[0]
            ));
        }
    }
    Ok(lengths.to_vec())
}

/// Shape rule of the gradient: g.
pub fn gradient_shape(
    starts: &[usize],
    steps: &[usize],
    input: &[usize],
    s: &[&[usize]],
) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    expect_shape("cotangent", s[0], &shape(starts, s[0], steps, &[input])?)?;
    Ok(input.to_vec())
}

/// Gradient rule.
pub fn gradient(
    starts: &[usize],
    steps: &[usize],
    b: &mut Backward,
    node: &Node,
    g: ValueId,
) -> Gradients {
    let input_shape = b.graph().shape(node.inputs[0]).to_vec();
    let op = Op::SliceGradient { starts: starts.to_vec(), steps: steps.to_vec(), input_shape };
    Ok(vec![Some(b.emit("slice", op, &[g])?)])
}

/// Gradient rule of the gradient: the slice itself.
pub fn gradient_gradient(
    starts: &[usize],
    steps: &[usize],
    b: &mut Backward,
    node: &Node,
    h: ValueId,
) -> Gradients {
    let lengths = b.graph().shape(node.inputs[0]).to_vec();
    let op = Op::Slice { starts: starts.to_vec(), lengths, steps: steps.to_vec() };
    Ok(vec![Some(b.emit("slice", op, &[h])?)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    fn random(rng: &mut Rng) -> [Vec<usize>; 4] {
        let input = vec![1, rng.range(1, 4), rng.range(2, 6)];
        let (start, step) = (rng.range(0, 1), rng.range(1, 3));
        let room = input[2] - 1 - start;
        let length = rng.range(1, room / step + 1);
        let channel = rng.range(0, input[1] - 1);
        [vec![0, channel, start], vec![1, input[1] - channel, length], vec![1, 1, step], input]
    }

    #[test]
    fn gradients_match_differences() {
        gradients("slice", |rng| {
            let [starts, lengths, steps, input] = random(rng);
            (Op::Slice { starts, lengths, steps }, vec![O::frame(&input)])
        });
        gradients("slice_gradient", |rng| {
            let [starts, lengths, steps, input_shape] = random(rng);
            (Op::SliceGradient { starts, steps, input_shape }, vec![O::frame(&lengths)])
        });
    }
}
