//! Gradient of MaxPool: each window's cotangent goes to its first maximum in raster order.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::pool::{self, Pool};
use super::{arity, expect_shape};

/// Shape rule: x, g.
pub fn gradient_shape(pool: &Pool, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    expect_shape("cotangent", s[1], &pool::shape(pool, &s[..1])?)?;
    Ok(s[0].to_vec())
}

/// Gradient rule.
pub fn gradient(pool: &Pool, b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let gradient = b.emit("max_pool", Op::MaxPoolGradient(pool.clone()), &[node.inputs[0], g])?;
    Ok(vec![Some(gradient)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, gradients};

    #[test]
    fn gradient_matches_differences() {
        gradients("max_pool", |rng| {
            let (pool, input) = pool::random(rng);
            (Op::MaxPool(pool), vec![O::frame(&input)])
        });
    }
}
