//! Functions of one variable, and operators that are compositions of them.

use super::super::builder::{Builder, is_shape_data};
use super::super::call::{Binding, Call, axis};
use super::super::error::{Outcome, invalid, unsupported};
use super::reduction;
use crate::graph::{Tensor, ValueId};
use crate::ops::{Function, Op};

/// Whole exponents up to this are products in the engine, for operands below zero as well.
const EXPONENT_MAX: f32 = 64.0;

/// Operators of one operand that are one function.
pub(super) fn function(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let function = match call.proto.op_type.as_str() {
        "Exp" => Function::Exp,
        "Log" => Function::Log,
        "Sqrt" => Function::Sqrt,
        "Tanh" => Function::Tanh,
        "Erf" => Function::Erf,
        "Elu" => Function::Elu { alpha: call.float_or("alpha", 1.0)?, gamma: 1.0 },
        "Selu" => Function::Elu {
            alpha: call.float_or("alpha", 1.673_263_2)?,
            gamma: call.float_or("gamma", 1.050_701)?,
        },
        "Softplus" => Function::Softplus,
        "HardSigmoid" => Function::HardSigmoid {
            alpha: call.float_or("alpha", 0.2)?,
            beta: call.float_or("beta", 0.5)?,
        },
        "HardSwish" => Function::HardSwish,
        _ => match call.text_or("approximate", "none")? {
            "none" => Function::Gelu,
            "tanh" => Function::GeluTanh,
            other => return invalid(format!("attribute `approximate` is `{other}`")),
        },
    };
    builder.push(call, Op::Function(function), &[call.frame(0)?])
}

/// Neg: a product with -1.
pub(super) fn negation(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let minus_one = minus_one(builder, call);
    builder.push(call, Op::Mul, &[call.frame(0)?, minus_one])
}

fn minus_one(builder: &mut Builder, call: &Call) -> ValueId {
    builder.graph.add_constant(format!("{}/-1", call.name()), Tensor::scalar(-1.0))
}

/// A value times -1.
pub(super) fn negated(
    builder: &mut Builder,
    call: &Call,
    name: &str,
    x: ValueId,
) -> Outcome<ValueId> {
    let minus_one = minus_one(builder, call);
    builder.part(call, name, Op::Mul, &[x, minus_one])
}

/// Abs.
pub(super) fn magnitude(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    absolute(builder, call, call.frame(0)?).map(Binding::Frame)
}

/// Absolute value: `relu(x) + relu(-x)`, whose gradient at 0 is 0, as everywhere.
pub(super) fn absolute(builder: &mut Builder, call: &Call, x: ValueId) -> Outcome<ValueId> {
    let above = builder.part(call, "above", Op::Relu, &[x])?;
    let minus = negated(builder, call, "minus", x)?;
    let below = builder.part(call, "below", Op::Relu, &[minus])?;
    builder.part(call, "absolute", Op::Add, &[above, below])
}

/// Celu: Elu over `x / alpha`, times alpha.
pub(super) fn celu(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let (x, alpha) = (call.frame(0)?, call.float_or("alpha", 1.0)?);
    if alpha <= 0.0 {
        return unsupported(format!("alpha is {alpha}"), "use an alpha above 0");
    }
    let elu = Op::Function(Function::Elu { alpha: 1.0, gamma: alpha });
    if alpha == 1.0 {
        return builder.push(call, elu, &[x]);
    }
    let name = format!("{}/alpha", call.name());
    let alpha = builder.graph.add_constant(name, Tensor::scalar(alpha));
    let scaled = builder.part(call, "scaled", Op::Div, &[x, alpha])?;
    builder.push(call, elu, &[scaled])
}

/// Pow by one constant: 1, 2 and 1/2 by what they are.
pub(super) fn power(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 2)?;
    let x = call.frame(0)?;
    let Some(Binding::Constant(exponent)) = call.input(1) else {
        return unsupported(
            "the exponent depends on the image",
            "raise to a constant power, or write the product out",
        );
    };
    let count = exponent.data.len();
    if count != 1 {
        let reason = format!("the exponent has {count} elements");
        return unsupported(reason, "raise to one constant power");
    }
    let exponent = match is_shape_data(exponent) {
        true => exponent.ints()?[0] as f32,
        false => exponent.floats()?[0],
    };
    let whole_and_far = exponent.fract() == 0.0 && exponent.abs() > EXPONENT_MAX;
    if exponent == 0.0 || !exponent.is_finite() || whole_and_far {
        return unsupported(
            format!("the exponent is {exponent}"),
            "raise to a power between -64 and 64 other than 0",
        );
    }
    match exponent {
        1.0 => Ok(Binding::Frame(x)),
        2.0 => builder.push(call, Op::Mul, &[x, x]),
        0.5 => builder.push(call, Op::Function(Function::Sqrt), &[x]),
        _ => builder.push(call, Op::Function(Function::Pow { exponent }), &[x]),
    }
}

/// Mish: `x * tanh(softplus(x))`.
pub(super) fn mish(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let x = call.frame(0)?;
    let inner = builder.part(call, "softplus", Op::Function(Function::Softplus), &[x])?;
    let factor = builder.part(call, "tanh", Op::Function(Function::Tanh), &[inner])?;
    builder.push(call, Op::Mul, &[x, factor])
}

/// PRelu: `relu(x) + slope * min(x, 0)`, so that the slope is a parameter as any factor.
pub(super) fn prelu(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 2)?;
    let x = call.frame(0)?;
    let slope = call.required_constant(1)?;
    // Exporters add axes before it that broadcasting implies: one shape, however it is applied.
    let leading = slope.shape.iter().take_while(|&&length| length == 1).count();
    let own = slope.shape[leading.min(slope.shape.len().saturating_sub(1))..].to_vec();
    let slope = builder.constant(&slope.with_shape(own))?;
    let [rank, slope_rank] = [x, slope].map(|id| builder.graph.shape(id).len());
    if slope_rank > rank {
        return invalid(format!("the slope has {slope_rank} axes, its operand {rank}"));
    }
    if builder.trainable.contains(&slope) {
        builder.biases.insert(slope);
    }
    let above = builder.part(call, "above", Op::Relu, &[x])?;
    let clip = Op::Clip { min: f32::NEG_INFINITY, max: 0.0 };
    let below = builder.part(call, "below", clip, &[x])?;
    let scaled = builder.part(call, "scaled", Op::Mul, &[below, slope])?;
    builder.push(call, Op::Add, &[above, scaled])
}

/// LogSoftmax: x less its maximum, less the logarithm of the sum of the exponentials of that;
/// finite wherever x is.
pub(super) fn log_softmax(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let x = call.frame(0)?;
    let shape = builder.shape(x);
    let flattened = call.opset < 13;
    let axis = axis(call.int_or("axis", if flattened { 1 } else { -1 })?, shape.len())?;
    if axis == 0 {
        return unsupported("it runs over the batch axis", "let it run over the classes (axis 1)");
    }
    if flattened && shape[axis + 1..].iter().any(|&length| length != 1) {
        return unsupported(
            format!("before opset 13 it runs over all axes from {axis} of {shape:?} together"),
            "export with opset 13 or newer",
        );
    }
    let top = reduction::maximum(builder, call, x, &[axis], true)?;
    let less = builder.part(call, "less", Op::Sub, &[x, top])?;
    let e = builder.part(call, "exp", Op::Function(Function::Exp), &[less])?;
    let sum = Op::ReduceSum { axes: vec![axis], keep_dims: true };
    let sum = builder.part(call, "sum", sum, &[e])?;
    let log = builder.part(call, "log", Op::Function(Function::Log), &[sum])?;
    builder.push(call, Op::Sub, &[less, log])
}
