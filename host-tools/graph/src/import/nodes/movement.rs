//! Operators that rearrange, join, cut or repeat the values of the network.
//!
//! Axis 0 is the frame: nothing may cut, merge or repeat it, nor move it for good.

use super::super::builder::Builder;
use super::super::call::{Binding, Call, axis, natural};
use super::super::constant::Constant;
use super::super::error::{Outcome, invalid, unsupported};
use super::super::shapes;
use super::super::wrapped::{KEEP_BATCH, Moved};
use super::split::neighbours;
use crate::graph::ValueId;
use crate::ops::Op;

pub(super) fn touches_batch<T>(what: &str) -> Outcome<T> {
    unsupported(format!("it {what} the batch axis"), KEEP_BATCH)
}

/// Reshape, Flatten, Squeeze, Unsqueeze.
pub(super) fn reshape(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let input = call.frame(0)?;
    let (old, attached) = (builder.shape(input), builder.offset(input) == 0);
    let shape = match call.proto.op_type.as_str() {
        "Reshape" => reshaped(builder, call, &old)?,
        "Flatten" => {
            let axis = call.int_or("axis", 1)?;
            if attached && (axis == 0 || axis == -(old.len() as i64)) {
                return touches_batch("merges the other axes with");
            }
            shapes::flatten(call, &old)?
        }
        "Squeeze" => {
            let (shape, removed) = shapes::squeeze(call, &old)?;
            if attached && removed.contains(&0) {
                return touches_batch("removes");
            }
            shape
        }
        _ => {
            let (shape, added) = shapes::unsqueeze(call, &old)?;
            if attached && added.contains(&0) {
                return touches_batch("moves");
            }
            shape
        }
    };
    if shape == old {
        return Ok(Binding::Frame(input));
    }
    builder.limits.volume(&shape)?;
    let moved = builder.moved(&[input]).unwrap_or_else(|| {
        let what = format!("turns {old:?} into {shape:?}, which loses");
        Moved::by(call, format!("it {what} the batch axis"))
    });
    builder.push_reshape(call, input, shape, moved)
}

/// A target shape, in which a batch size that the exporter wrote down becomes 1.
fn batch_free(builder: &Builder, target: &[i64]) -> Vec<i64> {
    let mut target = target.to_vec();
    if let Some(first) = target.first_mut()
        && builder.batch > 1
        && *first == builder.batch as i64
    {
        *first = 1;
    }
    target
}

/// Target of a Reshape.
fn reshaped(builder: &Builder, call: &Call, old: &[usize]) -> Outcome<Vec<usize>> {
    call.arity(2, 2)?;
    let target = batch_free(builder, call.required_constant(1)?.ints()?);
    shapes::reshape(&target, old, call.flag("allowzero", false)?)
}

/// Transpose; where it moves the batch axis its result is wrapped.
pub(super) fn transpose(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let input = call.frame(0)?;
    let old = builder.shape(input);
    let permutation = shapes::permutation(call, old.len())?;
    if permutation.is_sorted() {
        return Ok(Binding::Frame(input));
    }
    if builder.offset(input) == 0 && permutation.first() == Some(&0) {
        return builder.push(call, Op::Transpose { permutation }, &[input]);
    }
    let reason = format!("it moves the batch axis of {old:?}");
    let moved = builder.moved(&[input]).unwrap_or_else(|| Moved::by(call, reason));
    if builder.batch > 1 {
        return unsupported(moved.reason, KEEP_BATCH);
    }
    let shape: Vec<usize> = permutation.iter().map(|&axis| old[axis]).collect();
    // Axes of length 1 may go anywhere without an element moving.
    let long: Vec<usize> = permutation.iter().copied().filter(|&axis| old[axis] != 1).collect();
    if long.is_sorted() {
        return builder.push_reshape(call, input, shape, moved);
    }
    let input = builder.wrap(call, input, &moved)?;
    let axes = permutation.iter().map(|axis| axis + 1);
    let permutation = std::iter::once(0).chain(axes).collect();
    builder.push_moved(call, Op::Transpose { permutation }, &[input], &shape, moved)
}

/// Gather along one axis by constant indices: slices, and the indices' axes in place of the axis.
pub(super) fn gather(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 2)?;
    let input = call.frame(0)?;
    let (shape, offset) = (builder.shape(input), builder.offset(input));
    let at = axis(call.int_or("axis", 0)?, shape.len())?;
    let indices = call.required_constant(1)?;
    let wanted: Vec<usize> =
        indices.ints()?.iter().map(|&index| axis(index, shape[at])).collect::<Outcome<_>>()?;
    let result = [&shape[..at], &indices.shape, &shape[at + 1..]].concat();
    if offset == 0 && at == 0 {
        if !indices.shape.is_empty() || builder.batch > 1 {
            return touches_batch("gathers from");
        }
        let moved = Moved::by(call, format!("it takes {shape:?} from the batch axis"));
        return builder.push_reshape(call, input, result, moved);
    }
    builder.limits.volume(&result)?;
    let (op, operands) = taken(builder, call, input, at + offset, &wanted)?;
    if indices.shape.len() == 1 {
        return builder.push(call, op, &operands);
    }
    let list = builder.part(call, "list", op, &operands)?;
    let moved = builder.moved(&[list]).unwrap_or_else(|| Moved::by(call, String::new()));
    builder.push_reshape(call, list, result, moved)
}

/// Slices of an axis at most: each is a step.
const SLICES_MAX: usize = 256;

/// What takes a list of indices along an axis of the graph's value: one slice, or several joined.
fn taken(
    builder: &mut Builder,
    call: &Call,
    input: ValueId,
    axis: usize,
    wanted: &[usize],
) -> Outcome<(Op, Vec<ValueId>)> {
    let shape = builder.graph.shape(input).to_vec();
    // Neighbours in order come in one slice.
    let mut runs: Vec<[usize; 2]> = Vec::new();
    for &index in wanted {
        match runs.last_mut() {
            Some([start, length]) if *start + *length == index => *length += 1,
            _ => runs.push([index, 1]),
        }
        if runs.len() > SLICES_MAX {
            return unsupported(
                format!("it takes the axis apart into more than {SLICES_MAX} slices"),
                "gather neighbours, or choose a value before it as output",
            );
        }
    }
    match runs[..] {
        [] => return invalid("it gathers nothing"),
        [run] => return Ok((neighbours(&shape, axis, run), vec![input])),
        _ => {}
    }
    let mut parts = Vec::with_capacity(runs.len());
    for (place, &run) in runs.iter().enumerate() {
        let op = neighbours(&shape, axis, run);
        parts.push(builder.part(call, &format!("taken{place}"), op, &[input])?);
    }
    Ok((Op::Concat { axis }, parts))
}

/// Concat of values of the network, and of constants with them: a class token is one.
pub(super) fn concat(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let mut operands = Vec::with_capacity(call.inputs.len());
    for index in 0..call.inputs.len() {
        operands.push(match call.input(index) {
            Some(Binding::Constant(constant)) => of_every_frame(builder, call, index, constant)?,
            _ => call.frame(index)?,
        });
    }
    let Some(value) = call.int("axis")? else {
        return invalid("attribute `axis` is missing");
    };
    let axis = axis(value, builder.graph.shape(operands[0]).len())?;
    if axis == 0 {
        return touches_batch("joins values along");
    }
    builder.push(call, Op::Concat { axis }, &operands)
}

/// A constant as a frame value: the same in every frame.
fn of_every_frame(
    builder: &mut Builder,
    call: &Call,
    index: usize,
    constant: &Constant,
) -> Outcome<ValueId> {
    if constant.shape.first() != Some(&1) {
        return touches_batch(&format!("joins a constant of shape {:?} along", constant.shape));
    }
    let shape = constant.shape.clone();
    let constant = builder.constant(constant)?;
    builder.part(call, &format!("constant{index}"), Op::Expand { shape }, &[constant])
}

/// Slice with positive steps.
pub(super) fn slice(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let input = call.frame(0)?;
    let shape = builder.shape(input);
    let cuts = shapes::slice(call, &shape)?;
    let offset = builder.offset(input);
    if offset == 0 && cuts.first().is_none_or(|cut| cut.length != 1) {
        return touches_batch("cuts");
    }
    if let Some(cut) = cuts.iter().find(|cut| cut.step < 0 && cut.length > 1) {
        return unsupported(
            format!("its step {} is negative", cut.step),
            "flip the weights or the image instead",
        );
    }
    let mut lengths: Vec<usize> = cuts.iter().map(|cut| cut.length).collect();
    if lengths == shape {
        return Ok(Binding::Frame(input));
    }
    let mut starts: Vec<usize> = cuts.iter().map(|cut| cut.start).collect();
    // A single element needs no step; huge ones would only overflow the shape rule.
    let step = |cut: &shapes::Cut| if cut.length > 1 { cut.step as usize } else { 1 };
    let mut steps: Vec<usize> = cuts.iter().map(step).collect();
    for (list, frame) in [(&mut starts, 0), (&mut lengths, 1), (&mut steps, 1)] {
        list.splice(0..0, std::iter::repeat_n(frame, offset));
    }
    builder.push(call, Op::Slice { starts, lengths, steps }, &[input])
}

/// Expand: repeats axes of length 1.
pub(super) fn expand(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 2)?;
    let mut x = call.frame(0)?;
    let target = batch_free(builder, call.required_constant(1)?.ints()?);
    let target: Vec<usize> =
        target.iter().map(|&length| natural("a target length", length)).collect::<Outcome<_>>()?;
    let old = builder.shape(x);
    let shape = shapes::broadcast(&old, &target)?;
    if shape.first() != Some(&1) {
        return touches_batch(&format!("repeats {old:?} to {shape:?}, which multiplies"));
    }
    if shape == old {
        return Ok(Binding::Frame(x));
    }
    builder.limits.volume(&shape)?;
    if shape.len() > old.len() {
        let mut same = vec![1; shape.len() - old.len()];
        same.extend(&old);
        if same == shape {
            return builder.push(call, Op::Reshape { shape }, &[x]);
        }
        x = builder.part(call, "ranked", Op::Reshape { shape: same }, &[x])?;
    }
    builder.push(call, Op::Expand { shape }, &[x])
}

/// DepthToSpace and SpaceToDepth: channels become pixels of a block, or the reverse.
pub(super) fn blocks(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 1)?;
    let x = call.frame(0)?;
    let &[_, c, h, w] = builder.graph.shape(x) else {
        return invalid(format!("its input has shape {:?}", builder.graph.shape(x)));
    };
    let side = natural("attribute `blocksize`", call.int_or("blocksize", 0)?)?;
    let to_space = call.proto.op_type == "DepthToSpace";
    let mode = if to_space { call.text_or("mode", "DCR")? } else { "DCR" };
    let square = side.saturating_mul(side);
    let fits = match to_space {
        true => square > 0 && c % square == 0,
        false => side > 0 && h % side == 0 && w % side == 0,
    };
    if !fits {
        return invalid(format!("blocks of {side} do not fit {:?}", builder.graph.shape(x)));
    }
    let (split, permutation, shape) = match (to_space, mode) {
        (true, "DCR") => (
            vec![1, side, side, c / square, h, w],
            vec![0, 3, 4, 1, 5, 2],
            vec![1, c / square, h * side, w * side],
        ),
        (true, "CRD") => (
            vec![1, c / square, side, side, h, w],
            vec![0, 1, 4, 2, 5, 3],
            vec![1, c / square, h * side, w * side],
        ),
        (false, _) => (
            vec![1, c, h / side, side, w / side, side],
            vec![0, 3, 5, 1, 2, 4],
            vec![1, c * square, h / side, w / side],
        ),
        (_, other) => return invalid(format!("attribute `mode` is `{other}`")),
    };
    let x = builder.part(call, "split", Op::Reshape { shape: split }, &[x])?;
    let x = builder.part(call, "moved", Op::Transpose { permutation }, &[x])?;
    builder.push(call, Op::Reshape { shape }, &[x])
}
