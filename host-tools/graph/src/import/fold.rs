//! Evaluates nodes whose operands are all constants, so that shape arithmetic vanishes.
//!
//! Integers are i64 with checked arithmetic, floats are f32 rounded once per operation as a
//! runtime would. `movement` rearranges elements, `arithmetic` computes with them.

mod arithmetic;
mod movement;

use std::sync::Arc;

pub(super) use movement::part;

use super::call::{Binding, Call, natural};
use super::constant::{Constant, Data, Origin};
use super::error::{Outcome, invalid, unsupported};
use super::files::External;
use super::limits::Limits;
use super::{shapes, tensor};
use crate::proto::data_type;

/// Evaluates one node.
pub(super) fn evaluate(call: &Call, limits: &Limits) -> Outcome<Constant> {
    let first = || call.required_constant(0);
    match call.proto.op_type.as_str() {
        "Constant" => literal(call, limits),
        "ConstantOfShape" => constant_of_shape(call, limits),
        "Range" => range(call, limits),
        "Identity" | "Dropout" => Ok(Constant { transpose_of: None, ..(**first()?).clone() }),
        "Cast" => cast(first()?, call.int_or("to", 0)?),
        "CastLike" => cast_like(call),
        "Shape" => shape_of(call, &first()?.shape),
        "Size" => Ok(scalar_int(first()?.data.len() as i64)),
        "Reshape" => {
            let (input, target) = (first()?, call.required_constant(1)?);
            let shape =
                shapes::reshape(target.ints()?, &input.shape, call.flag("allowzero", false)?)?;
            Ok(input.with_shape(shape))
        }
        "Flatten" => Ok(first()?.with_shape(shapes::flatten(call, &first()?.shape)?)),
        "Squeeze" => Ok(first()?.with_shape(shapes::squeeze(call, &first()?.shape)?.0)),
        "Unsqueeze" => Ok(first()?.with_shape(shapes::unsqueeze(call, &first()?.shape)?.0)),
        "Transpose" => movement::transpose(call, first()?),
        "Slice" => movement::slice(call, first()?),
        "Gather" => movement::gather(call, limits),
        "Concat" => movement::concat(call, limits),
        "Expand" => movement::expand(call, limits),
        "Pad" => movement::pad(call, limits),
        "Where" => arithmetic::select(call, limits),
        "ReduceProd" | "ReduceMin" | "ReduceMax" | "ReduceSum" => arithmetic::reduce(call),
        "Neg" | "Floor" | "Ceil" | "Sqrt" | "Abs" | "Not" => arithmetic::unary(call),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Min" | "Max" | "Equal" | "Greater" | "Less"
        | "And" | "Or" => arithmetic::binary(call, limits),
        _ => unsupported(
            "the operator is not evaluated on constants",
            "simplify the model first, for example with onnxsim",
        ),
    }
}

/// Shape and Size also serve values of the network, whose shape is known.
pub(super) fn shape_of(call: &Call, shape: &[usize]) -> Outcome<Constant> {
    let rank = shape.len() as i64;
    let clamp = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
    let start = clamp(call.int_or("start", 0)?);
    let end = clamp(call.int_or("end", rank)?).max(start);
    Ok(Constant::integers(shape[start..end].iter().map(|&v| v as i64).collect()))
}

/// A rank-0 integer.
pub(super) fn scalar_int(value: i64) -> Constant {
    Constant::computed(vec![], Data::Int(Arc::new([value])))
}

fn literal(call: &Call, limits: &Limits) -> Outcome<Constant> {
    let computed = if let Some(stored) = call.tensor("value")? {
        return tensor::read(stored, Origin::Literal, &External::default(), limits);
    } else if let Some(value) = call.float("value_float")? {
        Constant::computed(vec![], Data::Float(Arc::new([value])))
    } else if let Some(values) = call.float_list("value_floats")? {
        Constant::computed(vec![values.len()], Data::Float(values.into()))
    } else if let Some(value) = call.int("value_int")? {
        scalar_int(value)
    } else if let Some(values) = call.int_list("value_ints")? {
        Constant::integers(values.to_vec())
    } else {
        return unsupported(
            "a constant that is neither a dense tensor nor a number",
            "store it as a dense float or integer tensor",
        );
    };
    limits.volume(&computed.shape)?;
    Ok(Constant { origin: Origin::Literal, ..computed })
}

fn lengths(constant: &Constant, limits: &Limits) -> Outcome<Vec<usize>> {
    let shape: Vec<usize> =
        constant.ints()?.iter().map(|&v| natural("a length", v)).collect::<Outcome<_>>()?;
    limits.volume(&shape)?;
    Ok(shape)
}

fn constant_of_shape(call: &Call, limits: &Limits) -> Outcome<Constant> {
    let shape = lengths(call.required_constant(0)?, limits)?;
    let count = shape.iter().product();
    let value = match call.tensor("value")? {
        Some(stored) => tensor::read(stored, Origin::Computed, &External::default(), limits)?.data,
        None => Data::Float(Arc::new([0.0])),
    };
    if value.len() != 1 {
        return invalid(format!("value has {} elements, expected 1", value.len()));
    }
    Ok(Constant::computed(shape, value.select(std::iter::repeat_n(0, count))))
}

fn range(call: &Call, limits: &Limits) -> Outcome<Constant> {
    let mut bounds = [0; 3];
    for (index, bound) in bounds.iter_mut().enumerate() {
        *bound = match call.required_constant(index)?.ints()? {
            &[value] => value,
            other => return invalid(format!("operand {index} has {} elements", other.len())),
        };
    }
    let [start, limit, delta] = bounds.map(i128::from);
    if delta == 0 {
        return invalid("delta is 0");
    }
    let span = if delta > 0 { limit - start } else { start - limit };
    let count = if span <= 0 { 0 } else { (span - 1) / delta.abs() + 1 };
    let count = limits.volume(&[usize::try_from(count).unwrap_or(usize::MAX)])?;
    let values = (0..count as i128).map(|i| (start + i * delta) as i64).collect();
    Ok(Constant::integers(values))
}

/// Element type after a cast; integer types are not told apart.
fn cast(input: &Constant, to: i64) -> Outcome<Constant> {
    let data = match (to, &input.data) {
        (FLOAT | DOUBLE, Data::Float(_))
        | (INT32 | INT64, Data::Int(_))
        | (BOOL, Data::Bool(_)) => {
            return Ok(Constant { transpose_of: None, ..input.clone() });
        }
        (FLOAT | DOUBLE, Data::Int(data)) => Data::Float(data.iter().map(|&v| v as f32).collect()),
        (FLOAT | DOUBLE, Data::Bool(data)) => {
            Data::Float(data.iter().map(|&v| f32::from(u8::from(v))).collect())
        }
        // Rust truncates towards zero and saturates; ONNX leaves what does not fit undefined.
        (INT32 | INT64, Data::Float(data)) => Data::Int(data.iter().map(|&v| v as i64).collect()),
        (INT32 | INT64, Data::Bool(data)) => {
            Data::Int(data.iter().map(|&v| i64::from(v)).collect())
        }
        (BOOL, Data::Float(data)) => Data::Bool(data.iter().map(|&v| v != 0.0).collect()),
        (BOOL, Data::Int(data)) => Data::Bool(data.iter().map(|&v| v != 0).collect()),
        (other, _) => {
            return unsupported(
                format!("a cast of a constant to element type {other}"),
                "export the model in float32",
            );
        }
    };
    Ok(Constant::computed(input.shape.clone(), data))
}

const FLOAT: i64 = data_type::FLOAT as i64;
const DOUBLE: i64 = data_type::DOUBLE as i64;
const INT32: i64 = data_type::INT32 as i64;
const INT64: i64 = data_type::INT64 as i64;
const BOOL: i64 = data_type::BOOL as i64;

/// CastLike: the second operand gives the type; a value of the network is float.
fn cast_like(call: &Call) -> Outcome<Constant> {
    let to = match call.input(1) {
        Some(Binding::Constant(like)) => match like.data {
            Data::Float(_) => FLOAT,
            Data::Int(_) => INT64,
            Data::Bool(_) => BOOL,
        },
        Some(_) => FLOAT,
        None => return invalid("operand 1 is missing"),
    };
    cast(call.required_constant(0)?, to)
}
