//! Reductions over axes, and the global pools; maxima are window pools.

use super::super::builder::Builder;
use super::super::call::{Binding, Call, axes};
use super::super::error::{Outcome, invalid, unsupported};
use super::function::{absolute, negated};
use super::movement::touches_batch;
use crate::graph::ValueId;
use crate::ops::{Function, Op, Pool};

/// What is reduced, and how.
struct Reduction {
    axes: Vec<usize>,
    keep_dims: bool,
}

impl Reduction {
    fn sum(self) -> Op {
        Op::ReduceSum { axes: self.axes, keep_dims: self.keep_dims }
    }
}

/// ReduceMean, ReduceSum, ReduceMax and their like: axes are an attribute up to operator set 17 (12
/// for sums), an operand from there on.
pub(super) fn reduce(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 2)?;
    let x = call.frame(0)?;
    let listed = call.ints_of("axes", 1)?.unwrap_or_default();
    let op = call.proto.op_type.as_str();
    let nothing = listed.is_empty() && call.flag("noop_with_empty_axes", false)?;
    if nothing {
        return match op {
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" => Ok(Binding::Frame(x)),
            _ => unsupported("it reduces no axis", "leave it out"),
        };
    }
    let offset = builder.offset(x);
    let mut axes = axes(&listed, builder.shape(x).len())?;
    axes.iter_mut().for_each(|axis| *axis += offset);
    if axes.is_empty() || axes[0] == 0 {
        return touches_batch("reduces");
    }
    let over = Reduction { axes, keep_dims: call.flag("keepdims", true)? };
    match op {
        "ReduceMean" => {
            let op = Op::ReduceMean { axes: over.axes, keep_dims: over.keep_dims };
            builder.push(call, op, &[x])
        }
        "ReduceSum" => builder.push(call, over.sum(), &[x]),
        "ReduceMax" => maximum(builder, call, x, &over.axes, over.keep_dims).map(Binding::Frame),
        "ReduceMin" => {
            let minus = negated(builder, call, "minus", x)?;
            let top = maximum(builder, call, minus, &over.axes, over.keep_dims)?;
            negated(builder, call, "minimum", top).map(Binding::Frame)
        }
        "ReduceL1" => {
            let absolute = absolute(builder, call, x)?;
            builder.push(call, over.sum(), &[absolute])
        }
        "ReduceSumSquare" => {
            let square = builder.part(call, "square", Op::Mul, &[x, x])?;
            builder.push(call, over.sum(), &[square])
        }
        _ => {
            let square = builder.part(call, "square", Op::Mul, &[x, x])?;
            let sum = builder.part(call, "sum", over.sum(), &[square])?;
            builder.push(call, Op::Function(Function::Sqrt), &[sum])
        }
    }
}

/// GlobalAveragePool and GlobalMaxPool: everything after the channels.
pub(super) fn global_pool(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let x = call.frame(0)?;
    let rank = builder.graph.shape(x).len();
    if rank < 3 {
        return invalid(format!("its input has rank {rank}"));
    }
    let axes: Vec<usize> = (2..rank).collect();
    match call.proto.op_type.as_str() {
        "GlobalMaxPool" => maximum(builder, call, x, &axes, true).map(Binding::Frame),
        _ => builder.push(call, Op::ReduceMean { axes, keep_dims: true }, &[x]),
    }
}

/// Largest values over sorted axes, none of them the frame's.
pub(super) fn maximum(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    axes: &[usize],
    keep_dims: bool,
) -> Outcome<ValueId> {
    let mut shape = builder.shape(x);
    let mut top = x;
    if shape.len() == 4 && axes[0] >= 2 {
        let kernel = [2, 3].map(|axis| if axes.contains(&axis) { shape[axis] } else { 1 });
        top = builder.part(call, "pooled", Op::MaxPool(window(kernel)), &[top])?;
        axes.iter().for_each(|&axis| shape[axis] = 1);
    } else {
        for run in axes.chunk_by(|a, b| a + 1 == *b) {
            top = along(builder, call, top, &mut shape, run)?;
        }
    }
    if !keep_dims {
        let kept = (0..shape.len()).filter(|axis| !axes.contains(axis));
        shape = kept.map(|axis| shape[axis]).collect();
    }
    shaped(builder, call, "maximum", top, shape)
}

/// Largest values over neighbouring axes: a pool over a box `[1, before, axes, after]`.
fn along(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    shape: &mut [usize],
    run: &[usize],
) -> Outcome<ValueId> {
    let (first, last) = (run[0], run[run.len() - 1]);
    let length = shape[first..=last].iter().product();
    let before = shape[1..first].iter().product();
    let after = shape[last + 1..].iter().product();
    let flat = shaped(builder, call, "box", x, vec![1, before, length, after])?;
    let top = builder.part(call, "pooled", Op::MaxPool(window([length, 1])), &[flat])?;
    shape[first..=last].fill(1);
    shaped(builder, call, "unboxed", top, shape.to_vec())
}

/// A value in another shape, or itself.
fn shaped(
    builder: &mut Builder,
    call: &Call,
    name: &str,
    x: ValueId,
    shape: Vec<usize>,
) -> Outcome<ValueId> {
    if builder.graph.shape(x) == shape {
        return Ok(x);
    }
    builder.part(call, name, Op::Reshape { shape }, &[x])
}

fn window(kernel: [usize; 2]) -> Pool {
    Pool {
        kernel,
        strides: [1, 1],
        pads: [0; 4],
        dilations: [1, 1],
        ceil_mode: false,
        count_include_pad: false,
    }
}
