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
    let names = [call.name(), call.output()];
    chosen(builder, names, condition, branches).map(Binding::Frame)
}

/// Max and Min of values of the network and numbers.
pub(super) fn extreme(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, usize::MAX)?;
    let largest = call.proto.op_type == "Max";
    let mut values = Vec::with_capacity(call.inputs.len());
    let mut bound = None;
    for index in 0..call.inputs.len() {
        match call.input(index) {
            Some(Binding::Constant(constant)) => {
                let number = constant.single_float()?;
                let replaces = |bound: f32| (number > bound) == largest;
                bound = Some(bound.filter(|&bound| !replaces(bound)).unwrap_or(number));
            }
            _ => values.push(call.frame(index)?),
        }
    }
    let mut best = values[0];
    for (index, &other) in values.iter().enumerate().skip(1) {
        let [more, less] = if largest { [best, other] } else { [other, best] };
        let condition = Condition { more, less, negated: false };
        let names = [call.name(), call.output()].map(|name| format!("{name}/{index}"));
        best = chosen(builder, names, condition, [best, other].map(Branch::Frame))?;
    }
    match bound {
        None => Ok(Binding::Frame(best)),
        Some(bound) if bound.is_nan() => invalid("a bound is NaN"),
        Some(min) if largest => builder.push(call, Op::Clip { min, max: f32::INFINITY }, &[best]),
        Some(max) => builder.push(call, Op::Clip { min: f32::NEG_INFINITY, max }, &[best]),
    }
}

/// The first branch where the condition holds, else the second, under the given names of node and
/// output.
fn chosen(
    builder: &mut Builder,
    names: [String; 2],
    condition: Condition,
    branches: [Branch; 2],
) -> Outcome<ValueId> {
    let mut site = Site { builder, names };
    let margin = site.part("margin", Op::Sub, [condition.more, condition.less])?;
    let mut values = [None; 2];
    for (value, branch) in values.iter_mut().zip(branches) {
        *value = match branch {
            Branch::Zero => None,
            Branch::Frame(id) => Some(id),
            Branch::Number(number) => {
                let zero = site.part("zero", Op::Sub, [margin, margin])?;
                Some(site.part("number", Op::Add, [zero, number])?)
            }
        };
    }
    let shape = site.builder.graph.shape(margin);
    if values.iter().flatten().any(|&id| site.builder.graph.shape(id) != shape) {
        return unsupported(
            "its condition and its values differ in shape",
            "give all operands of Where one shape",
        );
    }
    let [then, other] = if condition.negated { [values[1], values[0]] } else { values };
    let Some(other) = other else {
        return match then {
            Some(then) => site.result(Op::ReluGradient, [margin, then]),
            None => site.result(Op::Sub, [margin, margin]),
        };
    };
    let closed = site.part("closed", Op::ReluGradient, [margin, other])?;
    let Some(then) = then else {
        return site.result(Op::Sub, [other, closed]);
    };
    let other = site.part("else", Op::Sub, [other, closed])?;
    let then = site.part("then", Op::ReluGradient, [margin, then])?;
    site.result(Op::Add, [then, other])
}

/// Where the nodes of one choice go.
struct Site<'b, 'a> {
    builder: &'b mut Builder<'a>,
    /// Of the node and its output.
    names: [String; 2],
}

impl Site<'_, '_> {
    fn part(&mut self, name: &str, op: Op, inputs: [ValueId; 2]) -> Outcome<ValueId> {
        let [node, output] = self.names.each_ref().map(|own| format!("{own}/{name}"));
        self.builder.push_as(node, output, op, &inputs)
    }

    fn result(self, op: Op, inputs: [ValueId; 2]) -> Outcome<ValueId> {
        let [node, output] = self.names;
        self.builder.push_as(node, output, op, &inputs)
    }
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
