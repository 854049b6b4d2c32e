//! Product of a frame value by a constant matrix, its input and weight gradients.

use crate::expand::Backward;
use crate::graph::{Node, ValueId};
use crate::ops::{Gradients, Op};

use super::{arity, expect_shape};

/// Rows (inner length K) and columns (outer length N) of the weight.
fn dims(transpose_b: bool, weight: &[usize]) -> Result<[usize; 2], String> {
    match (weight, transpose_b) {
        (&[k, n], false) | (&[n, k], true) => Ok([k, n]),
        _ => Err(format!("weight {weight:?} is not of rank 2")),
    }
}

fn replace_last(shape: &[usize], expected: usize, new: usize) -> Result<Vec<usize>, String> {
    match shape {
        [1, .., last] if *last == expected && shape.len() >= 2 => {
            let mut output = shape.to_vec();
            output[shape.len() - 1] = new;
            Ok(output)
        }
        _ => Err(format!("operand {shape:?} does not end in {expected}")),
    }
}

/// Shape rule: x, w, and optionally b.
pub fn shape(transpose_b: bool, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 3)?;
    let [k, n] = dims(transpose_b, s[1])?;
    if let Some(bias) = s.get(2) {
        expect_shape("bias", bias, &[n])?;
    }
    replace_last(s[0], k, n)
}

/// Shape rule of the input gradient: g, w.
pub fn input_gradient_shape(transpose_b: bool, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    let [k, n] = dims(transpose_b, s[1])?;
    replace_last(s[0], n, k)
}

/// Shape rule of the weight gradient: x, g.
pub fn weight_gradient_shape(transpose_b: bool, s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    let (Some(&k), Some(&n)) = (s[0].last(), s[1].last()) else {
        return Err("operand of rank 0".into());
    };
    expect_shape("cotangent", s[1], &replace_last(s[0], k, n)?)?;
    Ok(if transpose_b { vec![1, n, k] } else { vec![1, k, n] })
}

/// Gradient rule.
pub fn gradient(transpose_b: bool, b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let (x, w) = (node.inputs[0], node.inputs[1]);
    let mut gradients = vec![None; node.inputs.len()];
    if b.needs(x) {
        gradients[0] =
            Some(b.emit("gemm_input", Op::GemmInputGradient { transpose_b }, &[g, w])?);
    }
    if b.needs(w) {
        gradients[1] =
            Some(b.emit("gemm_weight", Op::GemmWeightGradient { transpose_b }, &[x, g])?);
    }
    if let Some(&bias) = node.inputs.get(2).filter(|&&bias| b.needs(bias)) {
        gradients[2] = Some(b.unbroadcast(g, bias)?);
    }
    Ok(gradients)
}

/// Gradient rule of the input gradient with respect to its cotangent: the product itself.
pub fn input_gradient_gradient(
    transpose_b: bool,
    b: &mut Backward,
    node: &Node,
    h: ValueId,
) -> Gradients {
    let forward = b.emit("gemm", Op::Gemm { transpose_b }, &[h, node.inputs[1]])?;
    Ok(vec![Some(forward), None])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    fn random(rng: &mut Rng) -> (bool, Vec<usize>, [usize; 2], usize) {
        let (k, n, transpose_b) = (rng.range(1, 4), rng.range(1, 4), rng.range(0, 1) == 1);
        let x = match rng.range(0, 1) {
            0 => vec![1, k],
            _ => vec![1, rng.range(1, 3), k],
        };
        (transpose_b, x, if transpose_b { [n, k] } else { [k, n] }, n)
    }

    #[test]
    fn gradient_matches_differences() {
        gradients("gemm", |rng| {
            let (transpose_b, x, w, n) = random(rng);
            let mut operands = vec![O::frame(&x), O::parameter(&w)];
            if rng.range(0, 1) == 1 {
                operands.push(O::parameter(&[n]));
            }
            (Op::Gemm { transpose_b }, operands)
        });
    }

    #[test]
    fn gradient_of_input_gradient_matches_differences() {
        gradients("gemm_input_gradient", |rng| {
            let (transpose_b, x, w, n) = random(rng);
            let g = [&x[..x.len() - 1], &[n]].concat();
            let constant = O { checked: false, ..O::parameter(&w) };
            (Op::GemmInputGradient { transpose_b }, vec![O::frame(&g), constant])
        });
    }
}
