//! Permutation of axes.

use crate::expand::Backward;
use crate::graph::ValueId;
use crate::ops::{Gradients, Op};

use super::arity;

/// Shape rule: x.
pub fn shape(permutation: &[usize], s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 1, 1)?;
    let mut sorted = permutation.to_vec();
    sorted.sort_unstable();
    if sorted != (0..s[0].len()).collect::<Vec<_>>() || permutation.first() != Some(&0) {
        return Err(format!("permutation {permutation:?} of {:?} (axis 0 is the frame)", s[0]));
    }
    Ok(permutation.iter().map(|&axis| s[0][axis]).collect())
}

/// The permutation that undoes `permutation`.
pub fn inverse(permutation: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; permutation.len()];
    for (to, &from) in permutation.iter().enumerate() {
        inverse[from] = to;
    }
    inverse
}

/// Gradient rule: the inverse permutation.
pub fn gradient(permutation: &[usize], b: &mut Backward, g: ValueId) -> Gradients {
    let op = Op::Transpose { permutation: inverse(permutation) };
    Ok(vec![Some(b.emit("transpose", op, &[g])?)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradient_matches_differences() {
        gradients("transpose", |rng: &mut Rng| {
            let x = [1, rng.range(1, 3), rng.range(1, 3), rng.range(1, 3)];
            let permutation = rng.pick(&[[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 1, 2, 3]]);
            (Op::Transpose { permutation: permutation.to_vec() }, vec![O::frame(&x)])
        });
    }
}
