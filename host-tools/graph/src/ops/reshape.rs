//! Change of shape in row-major order.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::Gradients;

use super::arity;

/// Shape rule: x.
pub fn shape(target: &[usize], s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    if target.iter().product::<usize>() != s[0].iter().product() || target.first() != Some(&1) {
        return Err(format!("{:?} to {target:?} (axis 0 is the frame)", s[0]));
    }
    Ok(target.to_vec())
}

/// Gradient rule: the operand's shape.
pub fn gradient(b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let shape = b.graph().shape(node.inputs[0]).to_vec();
    Ok(vec![Some(b.reshape(g, &shape)?)])
}

#[cfg(test)]
mod tests {
    use crate::ops::Op;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradient_matches_differences() {
        gradients("reshape", |rng: &mut Rng| {
            let (a, b) = (rng.range(1, 4), rng.range(1, 4));
            (Op::Reshape { shape: vec![1, b, a] }, vec![O::frame(&[1, a, b])])
        });
    }
}
