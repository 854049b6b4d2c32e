//! Elementwise arithmetic, activations, and operators that do nothing in inference.

use super::super::builder::{Builder, folded, is_shape_data};
use super::super::call::{Binding, Call, axis};
use super::super::constant::Data;
use super::super::error::{Outcome, invalid, unsupported};
use super::super::fold;
use crate::graph::ValueId;
use crate::ops::Op;
use crate::proto::data_type;

/// Add, Sub, Mul, Div with numpy broadcasting that leaves the frame axis where it is.
pub(super) fn binary(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let op = match call.proto.op_type.as_str() {
        "Add" => Op::Add,
        "Sub" => Op::Sub,
        "Mul" => Op::Mul,
        _ => Op::Div,
    };
    if let Some(same) = unscaled(call, &op)? {
        return Ok(same);
    }
    let mut operands = pair(builder, call)?;
    builder.alike(call, &mut operands)?;
    builder.push(call, op, &operands)
}

/// Factors and divisors of 1 that exporters leave behind (a scale that is an option of the layer).
fn unscaled(call: &Call, op: &Op) -> Outcome<Option<Binding>> {
    let is_one = |index: usize| match call.input(index) {
        Some(Binding::Constant(c)) => {
            c.shape.is_empty() && matches!(&c.data, Data::Float(data) if data[..] == [1.0])
        }
        _ => false,
    };
    let value = match op {
        Op::Mul | Op::Div if is_one(1) => 0,
        Op::Mul if is_one(0) => 1,
        _ => return Ok(None),
    };
    call.arity(2, 2)?;
    call.frame(value).map(Binding::Frame).map(Some)
}

/// Two operands that broadcast, one of them a value of the network at least.
pub(super) fn pair(builder: &mut Builder, call: &Call) -> Outcome<[ValueId; 2]> {
    call.arity(2, 2)?;
    let mut operand = |index: usize| match call.input(index) {
        Some(Binding::Constant(constant)) if is_shape_data(constant) => {
            invalid(format!("`{}` is not float", constant.name))
        }
        Some(Binding::Constant(constant)) => builder.constant(constant),
        _ => call.frame(index),
    };
    let operands = [operand(0)?, operand(1)?];
    let [a, b] = operands.map(|id| builder.graph.value(id));
    let ranks = operands.map(|id| builder.shape(id).len());
    let frames = [a.is_frame(), b.is_frame()];
    let moved = (ranks[0] != ranks[1] && frames == [true, true])
        || (frames == [true, false] && ranks[0] < ranks[1])
        || (frames == [false, true] && ranks[1] < ranks[0]);
    if moved {
        return unsupported(
            format!("broadcasting {:?} with {:?} moves the batch axis", a.shape, b.shape),
            "give both operands the same rank",
        );
    }
    Ok(operands)
}

/// Relu, LeakyRelu, Sigmoid.
pub(super) fn activation(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let op = match call.proto.op_type.as_str() {
        "Relu" => Op::Relu,
        "LeakyRelu" => Op::LeakyRelu { alpha: call.float_or("alpha", 0.01)? },
        _ => Op::Sigmoid,
    };
    builder.push(call, op, &[call.frame(0)?])
}

/// Clip: bounds are attributes up to operator set 10, operands from 11.
pub(super) fn clip(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 3)?;
    let bound = |name: &str, index: usize, default: f32| -> Outcome<f32> {
        let given = match call.float(name)? {
            Some(value) => Some(value),
            None => call.constant(index)?.map(|c| c.single_float()).transpose()?,
        };
        Ok(given.unwrap_or(default))
    };
    let min = bound("min", 1, f32::NEG_INFINITY)?;
    let max = bound("max", 2, f32::INFINITY)?;
    if min.is_nan() || max.is_nan() || min > max {
        return invalid(format!("bounds are {min} and {max}"));
    }
    builder.push(call, Op::Clip { min, max }, &[call.frame(0)?])
}

/// Softmax; up to operator set 12 all axes from `axis` on are taken together.
pub(super) fn softmax(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let input = call.frame(0)?;
    let shape = builder.shape(input);
    let flattened = call.opset < 13;
    let axis = axis(call.int_or("axis", if flattened { 1 } else { -1 })?, shape.len())?;
    let offset = builder.offset(input);
    if axis + offset == 0 {
        return unsupported("it runs over the batch axis", "let it run over the classes (axis 1)");
    }
    if flattened && shape[axis + 1..].iter().any(|&length| length != 1) {
        return unsupported(
            format!("before opset 13 it runs over all axes from {axis} of {shape:?} together"),
            "export with opset 13 or newer",
        );
    }
    builder.push(call, Op::Softmax { axis: axis + offset }, &[input])
}

/// Dropout in inference mode passes its input on.
pub(super) fn dropout(call: &Call) -> Outcome<Binding> {
    call.arity(1, 3)?;
    if let Some(training) = call.constant(2)?
        && training.bools()?.contains(&true)
    {
        return unsupported(
            "it is in training mode, where results are random",
            "call model.eval() and export with training=torch.onnx.TrainingMode.PRESERVE",
        );
    }
    call.frame(0).map(Binding::Frame)
}

/// Cast of a value of the network: only float to float, or a truth value to itself.
pub(super) fn cast(call: &Call) -> Outcome<Binding> {
    let to = call.int_or("to", 0)?;
    if let Some(&Binding::Condition(condition)) = call.input(0)
        && to == i64::from(data_type::BOOL)
    {
        return Ok(Binding::Condition(condition));
    }
    if to != i64::from(data_type::FLOAT) {
        return unsupported(
            format!("values of the network are cast to element type {to}"),
            "export the model in float32 (PyTorch: model.float())",
        );
    }
    call.frame(0).map(Binding::Frame)
}

/// CastLike: a constant takes the type of a value of the network, or a value stays float.
pub(super) fn cast_like(builder: &Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 2)?;
    match (call.input(0), call.input(1)) {
        (Some(Binding::Constant(_)), _) => folded(fold::evaluate(call, &builder.constant_limits)?),
        (_, Some(Binding::Constant(like))) if is_shape_data(like) => unsupported(
            "values of the network are cast to integers",
            "export the model in float32 (PyTorch: model.float())",
        ),
        _ => call.frame(0).map(Binding::Frame),
    }
}
