//! Add, Sub, Mul, Div with numpy broadcasting.

use crate::expand::Backward;
use crate::graph::{Node, ShapeError, ValueId};
use crate::ops::{Gradients, Op};

use super::arity;

/// The numpy broadcast of two shapes.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let length = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own])
    };
    (0..rank)
        .map(|axis| match (length(a, axis), length(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

/// Shape rule: a, b.
pub fn shape(s: &[&[usize]]) -> Result<Vec<usize>, String> {
    arity(s, 2, 2)?;
    broadcast(s[0], s[1])
}

/// Gradient rule: the cotangent times the partial derivative, summed over broadcast axes.
pub fn gradient(b: &mut Backward, node: &Node, g: ValueId) -> Gradients {
    let (left, right) = (node.inputs[0], node.inputs[1]);
    let mut gradients = vec![None; 2];
    if b.needs(left) {
        let partial = match node.op {
            Op::Mul => b.emit("mul", Op::Mul, &[g, right])?,
            Op::Div => b.emit("div", Op::Div, &[g, right])?,
            _ => g,
        };
        gradients[0] = Some(b.unbroadcast(partial, left)?);
    }
    if b.needs(right) {
        let partial = right_partial(b, node, g)?;
        gradients[1] = Some(b.unbroadcast(partial, right)?);
    }
    Ok(gradients)
}

fn right_partial(b: &mut Backward, node: &Node, g: ValueId) -> Result<ValueId, ShapeError> {
    let (left, right) = (node.inputs[0], node.inputs[1]);
    match node.op {
        Op::Mul => b.emit("mul", Op::Mul, &[g, left]),
        Op::Sub => negate(b, g),
        Op::Div => {
            let product = b.emit("div", Op::Mul, &[g, node.output])?;
            let quotient = b.emit("div", Op::Div, &[product, right])?;
            negate(b, quotient)
        }
        _ => Ok(g),
    }
}

fn negate(b: &mut Backward, value: ValueId) -> Result<ValueId, ShapeError> {
    let minus_one = b.scalar(-1.0);
    b.emit("negate", Op::Mul, &[value, minus_one])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{CaseOperand as O, Rng, gradients};

    fn operands(rng: &mut Rng, offset: f64) -> Vec<O> {
        let full = [1, rng.range(1, 3), rng.range(1, 3), rng.range(1, 2)];
        let mut narrow = full;
        for length in &mut narrow[1..] {
            if rng.range(0, 2) == 0 {
                *length = 1;
            }
        }
        let other = match rng.range(0, 3) {
            0 => O::frame(&narrow),
            1 => O::parameter(&narrow[1..]),
            2 => O::parameter(&[]),
            _ => O::frame(&full),
        };
        let mut operands = vec![O::frame(&full).around(offset), other.around(offset)];
        if rng.range(0, 1) == 1 {
            operands.swap(0, 1);
        }
        operands
    }

    #[test]
    fn gradients_match_differences() {
        for op in [Op::Add, Op::Sub, Op::Mul] {
            gradients(op.name(), |rng| (op.clone(), operands(rng, 0.0)));
        }
        gradients("Div", |rng| (Op::Div, operands(rng, 2.5)));
    }
}
