//! Product of two matrices that both depend on the frame; its gradients are such products too.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::{arity, expect_shape};

/// Rows and columns of an operand as it is multiplied.
pub(crate) fn matrix(transposed: bool, shape: &[usize]) -> Result<[usize; 2], String> {
    match shape {
        [1, .., rows, columns] if shape.len() >= 3 => {
            Ok(if transposed { [*columns, *rows] } else { [*rows, *columns] })
        }
        _ => Err(format!("operand {shape:?} is no frame value of two axes more")),
    }
}

/// Shape rule: a, b.
pub fn shape(transpose_a: bool, transpose_b: bool, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    let [m, k] = matrix(transpose_a, s[0])?;
    let [inner, n] = matrix(transpose_b, s[1])?;
    let outer = &s[0][..s[0].len() - 2];
    expect_shape("axes before the matrix of b", &s[1][..s[1].len() - 2], outer)?;
    if inner != k {
        return Err(format!("{} columns of a meet {inner} rows of b", k));
    }
    Ok([outer, &[m, n]].concat())
}

/// Gradient rule: with A and B as they are multiplied, `dA = g B'` and `dB = A' g`; a transposed
/// operand takes the transposed product.
pub fn gradient(transposed: [bool; 2], b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let [left, right] = [node.inputs[0], node.inputs[1]];
    let needed = [b.needs(left), b.needs(right)];
    let mut product = |first: ValueId, second: ValueId, [transpose_a, transpose_b]: [bool; 2]| {
        b.emit("mat_mul", Op::MatMul { transpose_a, transpose_b }, &[first, second])
    };
    let [a, c] = transposed;
    let of_left = if a { (right, g, [c, true]) } else { (g, right, [false, !c]) };
    let of_right = if c { (g, left, [true, a]) } else { (left, g, [!a, false]) };
    let mut gradients = vec![None, None];
    for (place, (first, second, transposed)) in [of_left, of_right].into_iter().enumerate() {
        if needed[place] {
            gradients[place] = Some(product(first, second, transposed)?);
        }
    }
    Ok(gradients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    #[test]
    fn gradient_matches_differences() {
        gradients("mat_mul", |rng: &mut Rng| {
            let [m, k, n] = [0; 3].map(|_| rng.range(1, 4));
            let [transpose_a, transpose_b] = [0; 2].map(|_| rng.range(0, 1) == 1);
            let outer = if rng.range(0, 1) == 1 { vec![1, rng.range(1, 3)] } else { vec![1] };
            let a = if transpose_a { [k, m] } else { [m, k] };
            let b = if transpose_b { [n, k] } else { [k, n] };
            let operand = |matrix: [usize; 2]| O::frame(&[&outer[..], &matrix].concat());
            (Op::MatMul { transpose_a, transpose_b }, vec![operand(a), operand(b)])
        });
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let refused = |a: &[usize], b: &[usize]| shape(false, false, &[a, b]).is_err();
        assert!(refused(&[1, 2], &[1, 2, 3]));
        assert!(refused(&[1, 2, 3], &[1, 2, 3]));
        assert!(refused(&[1, 2, 3, 4], &[1, 1, 4, 3]));
        assert!(refused(&[2, 2, 3], &[2, 3, 2]));
        assert_eq!(shape(true, true, &[&[1, 5, 4, 2], &[1, 5, 3, 4]]), Ok(vec![1, 5, 2, 3]));
    }
}
