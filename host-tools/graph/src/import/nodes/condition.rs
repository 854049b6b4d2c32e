//! Comparisons of values of the network, and Where over them.
//!
//! What is compared decides by the sign of its difference, which f32 gives exactly, through the
//! gate that is Relu's gradient. The chosen values pass unrounded; a difference that is not finite
//! makes the result so.

use super::super::builder::{Builder, is_shape_data};
use super::super::call::{Binding, Call, Condition};
use super::super::error::{Outcome, invalid, unsupported};
use super::elementwise;
use crate::graph::{Graph, ValueId};
use crate::ops::{Function, Op};

/// From here on `ln(1 + exp(x))` is x in f32: what lies between is under half a unit.
const SOFTPLUS_LINEAR: f32 = 17.0;

/// Greater, Less and with equality.
pub(super) fn comparison(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let [a, b] = elementwise::pair(builder, call)?;
    let (more, less, negated) = match call.proto.op_type.as_str() {
        "Greater" => (a, b, false),
        "Less" => (b, a, false),
        "GreaterOrEqual" => (b, a, true),
        _ => (a, b, true),
    };
    Ok(Binding::Condition(Condition { more, less, negated }))
}

/// Not.
pub(super) fn opposite(call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    match call.input(0) {
        Some(Binding::Condition(c)) => {
            Ok(Binding::Condition(Condition { negated: !c.negated, ..*c }))
        }
        _ => invalid("operand 0 is no truth value"),
    }
}

/// One branch of a Where.
enum Branch {
    Frame(ValueId),
    Zero,
    Number(ValueId),
}

/// Where: condition, then, else.
pub(super) fn select(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(3, 3)?;
    let Some(&Binding::Condition(condition)) = call.input(0) else {
        return unsupported(
            "its condition is no comparison of values of the network",
            "multiply by a mask of 0 and 1 instead",
        );
    };
    let branches = [branch(builder, call, 1)?, branch(builder, call, 2)?];
    if let [Branch::Frame(a), Branch::Frame(b)] = branches
        && is_softplus(&builder.graph, condition, a, b)
    {
        return Ok(Binding::Frame(b));
    }
    let margin = builder.part(call, "margin", Op::Sub, &[condition.more, condition.less])?;
    let mut values = [None; 2];
    for (value, branch) in values.iter_mut().zip(branches) {
        *value = match branch {
            Branch::Zero => None,
            Branch::Frame(id) => Some(id),
            Branch::Number(number) => {
                let zero = builder.part(call, "zero", Op::Sub, &[margin, margin])?;
                Some(builder.part(call, "number", Op::Add, &[zero, number])?)
            }
        };
    }
    let shape = builder.shape(margin);
    if values.iter().flatten().any(|&id| builder.graph.shape(id) != shape) {
        return unsupported(
            "its condition and its values differ in shape",
            "give all operands of Where one shape",
        );
    }
    let [then, other] = if condition.negated { [values[1], values[0]] } else { values };
    let Some(other) = other else {
        return match then {
            Some(then) => builder.push(call, Op::ReluGradient, &[margin, then]),
            None => builder.push(call, Op::Sub, &[margin, margin]),
        };
    };
    let closed = builder.part(call, "closed", Op::ReluGradient, &[margin, other])?;
    let Some(then) = then else {
        return builder.push(call, Op::Sub, &[other, closed]);
    };
    let other = builder.part(call, "else", Op::Sub, &[other, closed])?;
    let then = builder.part(call, "then", Op::ReluGradient, &[margin, then])?;
    builder.push(call, Op::Add, &[then, other])
}

fn branch(builder: &mut Builder, call: &Call, index: usize) -> Outcome<Branch> {
    match call.input(index) {
        Some(Binding::Constant(constant)) if is_shape_data(constant) => {
            invalid(format!("`{}` is not float", constant.name))
        }
        Some(Binding::Constant(constant)) => {
            let zero = constant.floats()?.iter().all(|&value| value == 0.0);
            Ok(if zero { Branch::Zero } else { Branch::Number(builder.constant(constant)?) })
        }
        _ => call.frame(index).map(Branch::Frame),
    }
}

/// PyTorch writes Softplus as `x > threshold ? x : softplus(x)`: above the threshold both are the
/// same number.
fn is_softplus(graph: &Graph, condition: Condition, then: ValueId, other: ValueId) -> bool {
    let linear =
        graph.value(condition.less).constant.as_ref().is_some_and(|threshold| {
            threshold.data.len() == 1 && threshold.data[0] >= SOFTPLUS_LINEAR
        });
    let softplus = graph.nodes.iter().rev().any(|node| {
        node.output == other && node.op == Op::Function(Function::Softplus) && node.inputs == [then]
    });
    linear && softplus && !condition.negated && condition.more == then
}
