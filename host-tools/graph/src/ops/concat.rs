//! Concatenation along one axis.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::{arity, expect_shape};

/// Shape rule: x0, x1, ..
pub fn shape(axis: usize, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, usize::MAX)?;
    if axis == 0 || axis >= s[0].len() {
        return Err(format!("axis {axis} of {:?} (axis 0 is the frame)", s[0]));
    }
    let mut output = s[0].to_vec();
    for x in &s[1..] {
        let mut expected = s[0].to_vec();
        expected[axis] = *x.get(axis).unwrap_or(&0);
        expect_shape("operand", x, &expected)?;
        output[axis] += x[axis];
    }
    Ok(output)
}

/// Gradient rule: every operand takes its slice of the cotangent.
pub fn gradient(axis: usize, b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let mut start = 0;
    let mut gradients = Vec::new();
    for &input in &node.inputs {
        let lengths = b.graph().shape(input).to_vec();
        let mut starts = vec![0; lengths.len()];
        starts[axis] = start;
        start += lengths[axis];
        if !b.needs(input) {
            gradients.push(None);
            continue;
        }
        let steps = vec![1; lengths.len()];
        gradients.push(Some(b.emit("concat", Op::Slice { starts, lengths, steps }, &[g])?));
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradient_matches_differences() {
        gradients("concat", |rng: &mut Rng| {
            let axis = rng.range(1, 2);
            let mut x = [1, rng.range(1, 3), rng.range(1, 3)];
            let mut operands = Vec::new();
            for _ in 0..rng.range(1, 4) {
                x[axis] = rng.range(1, 3);
                operands.push(O::frame(&x));
            }
            (Op::Concat { axis }, operands)
        });
    }
}
