//! Gradient of AveragePool: each window's cotangent spreads evenly over its pixels.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::pool::{self, Pool};
use super::{arity, expect_shape};

/// Shape rule: g.
pub fn gradient_shape(
    pool: &Pool,
    input_hw: [usize; 2],
    s: &[&[usize]],
) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    let &[1, channels, ..] = s[0] else { return Err(format!("cotangent {:?}", s[0])) };
    let input = [1, channels, input_hw[0], input_hw[1]];
    expect_shape("cotangent", s[0], &pool::shape(pool, &[&input])?)?;
    Ok(input.to_vec())
}

/// Gradient rule.
pub fn gradient(pool: &Pool, b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let shape = b.graph().shape(node.inputs[0]);
    let op = Op::AveragePoolGradient { pool: pool.clone(), input_hw: [shape[2], shape[3]] };
    Ok(vec![Some(b.emit("average_pool", op, &[g])?)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, gradients};

    #[test]
    fn gradient_matches_differences() {
        gradients("average_pool", |rng| {
            let (pool, input) = pool::random(rng);
            (Op::AveragePool(pool), vec![O::frame(&input)])
        });
    }
}
