//! Normalisations by the frame's own mean and variance, by the operations of their definition.

use std::rc::Rc;

use super::super::builder::Builder;
use super::super::call::{Binding, Call, axis, natural};
use super::super::constant::{Constant, Origin};
use super::super::error::{Outcome, invalid, unsupported};
use crate::graph::{Tensor, ValueId};
use crate::ops::{Function, Op};

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
    let scale = call.required_constant(1)?.clone();
    let shift = call.constant(2)?.cloned();
    let y = normalised(builder, call, x, (first + offset..rank + offset).collect())?;
    applied(builder, call, y, scale, shift)
}

/// InstanceNormalization: over the pixels of each channel.
pub(super) fn instance(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(3, 3)?;
    let x = call.frame(0)?;
    let rank = builder.graph.shape(x).len();
    if rank < 3 {
        return invalid(format!("its input has rank {rank}"));
    }
    let y = normalised(builder, call, x, (2..rank).collect())?;
    let [scale, shift] = [1, 2].map(|index| by_channel(call, index, rank));
    applied(builder, call, y, scale?, Some(shift?))
}

/// GroupNormalization of operator set 21: over the channels of each group and their pixels.
pub(super) fn group(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(3, 3)?;
    let x = call.frame(0)?;
    let shape = builder.shape(x);
    let groups = natural("attribute `num_groups`", call.int_or("num_groups", 0)?)?;
    if shape.len() < 3 || groups == 0 || !shape[1].is_multiple_of(groups) {
        return invalid(format!("{groups} groups of {shape:?}"));
    }
    if call.opset < 21 {
        return unsupported(
            "before operator set 21 its scale is per group",
            "export with opset 21 or newer",
        );
    }
    let inside = shape[1..].iter().product::<usize>() / groups;
    let op = Op::Reshape { shape: vec![1, groups, inside] };
    let apart = builder.part(call, "groups", op, &[x])?;
    let y = normalised(builder, call, apart, vec![2])?;
    let rank = shape.len();
    let y = builder.part(call, "whole", Op::Reshape { shape }, &[y])?;
    let [scale, shift] = [1, 2].map(|index| by_channel(call, index, rank));
    applied(builder, call, y, scale?, Some(shift?))
}

/// A vector over the channels, so that it broadcasts over what follows them.
fn by_channel(call: &Call, index: usize, rank: usize) -> Outcome<Rc<Constant>> {
    let vector = call.required_constant(index)?;
    let mut shape = vector.shape.clone();
    shape.resize(shape.len() + rank - 2, 1);
    Ok(Rc::new(vector.with_shape(shape)))
}

/// What a normalisation adds to the variance.
pub(super) fn epsilon(call: &Call) -> Outcome<f32> {
    let epsilon = call.float_or("epsilon", 1e-5)?;
    if epsilon < 0.0 {
        return invalid(format!("attribute `epsilon` is {epsilon}"));
    }
    Ok(epsilon)
}

/// `(x - mean) / sqrt(variance + epsilon)`
fn normalised(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    axes: Vec<usize>,
) -> Outcome<ValueId> {
    let epsilon = Tensor::scalar(epsilon(call)?);
    let epsilon = builder.graph.add_constant(format!("{}/epsilon", call.name()), epsilon);
    let mean = || Op::ReduceMean { axes: axes.clone(), keep_dims: true };
    let centre = builder.part(call, "mean", mean(), &[x])?;
    let centred = builder.part(call, "centred", Op::Sub, &[x, centre])?;
    let square = builder.part(call, "square", Op::Mul, &[centred, centred])?;
    let variance = builder.part(call, "variance", mean(), &[square])?;
    let sum = builder.part(call, "sum", Op::Add, &[variance, epsilon])?;
    let deviation = builder.part(call, "deviation", Op::Function(Function::Sqrt), &[sum])?;
    builder.part(call, "normalised", Op::Div, &[centred, deviation])
}

/// Scale and shift, unless they are placeholders that do nothing.
fn applied(
    builder: &mut Builder,
    call: &Call,
    y: ValueId,
    scale: Rc<Constant>,
    shift: Option<Rc<Constant>>,
) -> Outcome<Binding> {
    let idle = |constant: &Constant, value: f32| -> Outcome<bool> {
        let stored = constant.origin == Origin::Initializer;
        Ok(!stored && constant.floats()?.iter().all(|&v| v == value))
    };
    let mut y = y;
    let operands = [(Op::Mul, "scaled", Some(scale), 1.0), (Op::Add, "shifted", shift, 0.0)];
    for (op, name, constant, nothing) in operands {
        let Some(constant) = constant else { continue };
        if idle(&constant, nothing)? {
            continue;
        }
        let id = builder.constant(&constant)?;
        let shapes = [y, id].map(|value| builder.shape(value));
        let own = shapes[0].len().checked_sub(shapes[1].len());
        let fits = own.is_some_and(|own| {
            shapes[0][own..].iter().zip(&shapes[1]).all(|(x, c)| x == c || *c == 1)
        });
        if !fits {
            return invalid(format!("scale or shift {:?} of {:?}", shapes[1], shapes[0]));
        }
        // One channel's scale is a parameter, too.
        if builder.trainable.contains(&id) {
            builder.biases.insert(id);
        }
        y = builder.part(call, name, op, &[y, id])?;
    }
    Ok(Binding::Frame(y))
}
