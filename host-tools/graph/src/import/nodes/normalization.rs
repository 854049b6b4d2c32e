//! LayerNormalization, by the operations of its definition.

use super::super::builder::Builder;
use super::super::call::{Binding, Call, axis};
use super::super::error::{Outcome, invalid, unsupported};
use crate::graph::Tensor;
use crate::ops::Op;
use crate::ops::function::Function;

/// LayerNormalization: x, scale, shift; normalises over all axes from `axis` on.
pub(super) fn layer_norm(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 3)?;
    let x = call.frame(0)?;
    let (rank, offset) = (builder.shape(x).len(), builder.offset(x));
    let first = axis(call.int_or("axis", -1)?, rank)?;
    if first + offset == 0 {
        return unsupported(
            "it normalises over the batch axis",
            "keep the batch on axis 0 and normalise the axes after it",
        );
    }
    let epsilon = call.float_or("epsilon", 1e-5)?;
    if epsilon.is_nan() || epsilon < 0.0 {
        return invalid(format!("epsilon is {epsilon}"));
    }
    let mean =
        || Op::ReduceMean { axes: (first + offset..rank + offset).collect(), keep_dims: true };
    let average = builder.part(call, "mean", mean(), &[x])?;
    let centred = builder.part(call, "centred", Op::Sub, &[x, average])?;
    let square = builder.part(call, "square", Op::Mul, &[centred, centred])?;
    let variance = builder.part(call, "variance", mean(), &[square])?;
    let name = format!("{}/epsilon", call.name());
    let epsilon = builder.graph.add_constant(name, Tensor::scalar(epsilon));
    let sum = builder.part(call, "sum", Op::Add, &[variance, epsilon])?;
    let deviation = builder.part(call, "deviation", Op::Function(Function::Sqrt), &[sum])?;
    let scale = builder.constant(call.required_constant(1)?)?;
    let normal = builder.part(call, "normal", Op::Div, &[centred, deviation])?;
    let Some(shift) = call.constant(2)? else {
        return builder.push(call, Op::Mul, &[normal, scale]);
    };
    let scaled = builder.part(call, "scaled", Op::Mul, &[normal, scale])?;
    let shift = builder.constant(shift)?;
    builder.push(call, Op::Add, &[scaled, shift])
}
