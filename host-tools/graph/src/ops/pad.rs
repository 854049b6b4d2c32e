//! Constant padding; its gradient is a slice.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::arity;

/// Shape rule: x.
pub fn shape(before: &[usize], after: &[usize], s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    if before.len() != s[0].len()
        || after.len() != s[0].len()
        || before.first() != Some(&0)
        || after[0] != 0
    {
        return Err(format!("padding {before:?}, {after:?} of {:?} (axis 0 is the frame)", s[0]));
    }
    Ok(s[0].iter().zip(before.iter().zip(after)).map(|(x, (b, a))| x + b + a).collect())
}

/// Gradient rule: the cotangent without the padding.
pub fn gradient(before: &[usize], b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let lengths = b.graph().shape(node.inputs[0]).to_vec();
    let steps = vec![1; lengths.len()];
    let op = Op::Slice { starts: before.to_vec(), lengths, steps };
    Ok(vec![Some(b.emit("pad", op, &[g])?)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradient_matches_differences() {
        gradients("pad", |rng: &mut Rng| {
            let x = [1, rng.range(1, 3), rng.range(1, 3)];
            let mut some = || vec![0, rng.range(0, 2), rng.range(0, 2)];
            let (before, after) = (some(), some());
            (Op::Pad { before, after, value: 0.5 }, vec![O::frame(&x)])
        });
    }
}
