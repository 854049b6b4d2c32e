//! Operators on constants that compute: elementwise with broadcasting, and reductions.

use super::super::call::{Call, axes};
use super::super::constant::{Constant, Data};
use super::super::error::{Outcome, invalid, unsupported};
use super::super::limits::Limits;
use super::super::shapes;
use super::movement::Walk;

/// Pairs of elements of two operands broadcast together.
fn pairs<'a, T: Copy>(
    a: &'a [T],
    b: &'a [T],
    shapes: [&[usize]; 3],
) -> impl Iterator<Item = (T, T)> + use<'a, T> {
    let (left, right) =
        (Walk::broadcast(shapes[0], shapes[2]), Walk::broadcast(shapes[1], shapes[2]));
    left.zip(right).map(|(i, j)| (a[i], b[j]))
}

pub(super) fn binary(call: &Call, limits: &Limits) -> Outcome<Constant> {
    call.arity(2, 2)?;
    let (a, b) = (call.required_constant(0)?, call.required_constant(1)?);
    let shape = shapes::broadcast(&a.shape, &b.shape)?;
    limits.volume(&shape)?;
    let shapes = [a.shape.as_slice(), b.shape.as_slice(), shape.as_slice()];
    let op = call.proto.op_type.as_str();
    if op == "Mod" && call.flag("fmod", false)? {
        return unsupported("fmod is 1", "use the integer remainder");
    }
    let data = match (&a.data, &b.data) {
        (Data::Float(a), Data::Float(b)) => floats(op, pairs(a, b, shapes))?,
        (Data::Int(a), Data::Int(b)) => ints(op, pairs(a, b, shapes))?,
        (Data::Bool(a), Data::Bool(b)) => bools(op, pairs(a, b, shapes))?,
        (a, b) => return invalid(format!("operands are {} and {}", a.kind(), b.kind())),
    };
    Ok(Constant::computed(shape, data))
}

fn floats(op: &str, pairs: impl Iterator<Item = (f32, f32)>) -> Outcome<Data> {
    let number: fn(f32, f32) -> f32 = match op {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Min" => |a, b| if a <= b || a.is_nan() { a } else { b },
        "Max" => |a, b| if a >= b || a.is_nan() { a } else { b },
        _ => {
            let truth: fn(f32, f32) -> bool = match op {
                "Equal" => |a, b| a == b,
                "Greater" => |a, b| a > b,
                "Less" => |a, b| a < b,
                _ => return invalid("operands are float"),
            };
            return Ok(Data::Bool(pairs.map(|(a, b)| truth(a, b)).collect()));
        }
    };
    Ok(Data::Float(pairs.map(|(a, b)| number(a, b)).collect()))
}

fn ints(op: &str, pairs: impl Iterator<Item = (i64, i64)>) -> Outcome<Data> {
    let number: fn(i64, i64) -> Option<i64> = match op {
        "Add" => i64::checked_add,
        "Sub" => i64::checked_sub,
        "Mul" => i64::checked_mul,
        "Div" => i64::checked_div,
        "Mod" => modulo,
        "Min" => |a, b| Some(a.min(b)),
        "Max" => |a, b| Some(a.max(b)),
        _ => {
            let truth: fn(&i64, &i64) -> bool = match op {
                "Equal" => i64::eq,
                "Greater" => i64::gt,
                "Less" => i64::lt,
                _ => return invalid("operands are integer"),
            };
            return Ok(Data::Bool(pairs.map(|(a, b)| truth(&a, &b)).collect()));
        }
    };
    match pairs.map(|(a, b)| number(a, b)).collect() {
        Some(data) => Ok(Data::Int(data)),
        None => invalid("integer overflow or division by zero"),
    }
}

/// The remainder with the divisor's sign, as ONNX has it unless `fmod` is set.
fn modulo(a: i64, b: i64) -> Option<i64> {
    let rest = a.checked_rem(b)?;
    Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
}

fn bools(op: &str, pairs: impl Iterator<Item = (bool, bool)>) -> Outcome<Data> {
    let truth: fn(bool, bool) -> bool = match op {
        "And" => |a, b| a & b,
        "Or" => |a, b| a | b,
        "Equal" => |a, b| a == b,
        _ => return invalid("operands are bool"),
    };
    Ok(Data::Bool(pairs.map(|(a, b)| truth(a, b)).collect()))
}

pub(super) fn unary(call: &Call) -> Outcome<Constant> {
    let input = call.required_constant(0)?;
    let op = call.proto.op_type.as_str();
    let data = match (&input.data, op) {
        (Data::Bool(data), "Not") => Data::Bool(data.iter().map(|&v| !v).collect()),
        (Data::Int(data), "Neg") => Data::Int(data.iter().map(|v| v.wrapping_neg()).collect()),
        (Data::Int(data), "Abs") => Data::Int(data.iter().map(|v| v.wrapping_abs()).collect()),
        (Data::Float(data), _) => {
            let number: fn(f32) -> f32 = match op {
                "Neg" => |v| -v,
                "Floor" => f32::floor,
                "Ceil" => f32::ceil,
                "Sqrt" => f32::sqrt,
                "Abs" => f32::abs,
                _ => return invalid("operand is float"),
            };
            Data::Float(data.iter().map(|&v| number(v)).collect())
        }
        (other, _) => return invalid(format!("operand is {}", other.kind())),
    };
    Ok(Constant::computed(input.shape.clone(), data))
}

/// Where: condition, a, b.
pub(super) fn select(call: &Call, limits: &Limits) -> Outcome<Constant> {
    let (condition, a, b) =
        (call.required_constant(0)?, call.required_constant(1)?, call.required_constant(2)?);
    let shape = shapes::broadcast(&a.shape, &b.shape)?;
    let shape = shapes::broadcast(&condition.shape, &shape)?;
    limits.volume(&shape)?;
    let flags = condition.bools()?;
    let flags = Walk::broadcast(&condition.shape, &shape).map(|i| flags[i]);
    let shapes = [a.shape.as_slice(), b.shape.as_slice(), shape.as_slice()];
    fn pick<T>(flags: impl Iterator<Item = bool>, pairs: impl Iterator<Item = (T, T)>) -> Vec<T> {
        flags.zip(pairs).map(|(flag, (a, b))| if flag { a } else { b }).collect()
    }
    let data = match (&a.data, &b.data) {
        (Data::Float(a), Data::Float(b)) => Data::Float(pick(flags, pairs(a, b, shapes)).into()),
        (Data::Int(a), Data::Int(b)) => Data::Int(pick(flags, pairs(a, b, shapes)).into()),
        (Data::Bool(a), Data::Bool(b)) => Data::Bool(pick(flags, pairs(a, b, shapes)).into()),
        (a, b) => return invalid(format!("operands are {} and {}", a.kind(), b.kind())),
    };
    Ok(Constant::computed(shape, data))
}

/// One step of a reduction; `None` on overflow.
type Step = fn(i64, i64) -> Option<i64>;

/// Reductions of integers: products and sums of lengths.
pub(super) fn reduce(call: &Call) -> Outcome<Constant> {
    let input = call.required_constant(0)?;
    let Data::Int(data) = &input.data else {
        return unsupported(
            "a reduction of a float constant",
            "simplify the model first, for example with onnxsim",
        );
    };
    let listed = call.ints_of("axes", 1)?.unwrap_or_default();
    if listed.is_empty() && call.flag("noop_with_empty_axes", false)? {
        return Ok(Constant { transpose_of: None, ..(**input).clone() });
    }
    let reduced = match listed.as_slice() {
        [] => (0..input.shape.len()).collect(),
        list => axes(list, input.shape.len())?,
    };
    let (start, step): (i64, Step) = match call.proto.op_type.as_str() {
        "ReduceProd" => (1, i64::checked_mul),
        "ReduceSum" => (0, i64::checked_add),
        "ReduceMin" => (i64::MAX, |a, b| Some(a.min(b))),
        _ => (i64::MIN, |a, b| Some(a.max(b))),
    };
    let length = |i: usize| {
        if reduced.contains(&i) { 1 } else { input.shape[i] }
    };
    let kept: Vec<usize> = (0..input.shape.len()).map(length).collect();
    let mut output = vec![start; kept.iter().product()];
    for (target, &value) in Walk::broadcast(&kept, &input.shape).zip(data.iter()) {
        match step(output[target], value) {
            Some(next) => output[target] = next,
            None => return invalid("integer overflow"),
        }
    }
    let shape = match call.flag("keepdims", true)? {
        true => kept,
        false => (0..kept.len()).filter(|i| !reduced.contains(i)).map(|i| kept[i]).collect(),
    };
    Ok(Constant::computed(shape, Data::Int(output.into())))
}
