//! Split, and the sequences that PyTorch's exporter writes in its place: slices of the whole.

use std::collections::HashSet;
use std::rc::Rc;

use super::super::builder::Builder;
use super::super::call::{Binding, Call, Parts, Sequence, axis, natural};
use super::super::error::{Outcome, invalid};
use super::super::fold;
use super::movement::touches_batch;
use crate::graph::ValueId;
use crate::ops::Op;

/// Split: one binding an output; those that nothing needs are left out.
pub(super) fn split(
    builder: &mut Builder,
    call: &Call,
    needed: &HashSet<&str>,
) -> Outcome<Vec<Binding>> {
    call.arity(1, 2)?;
    let constant = matches!(call.input(0), Some(Binding::Constant(_)));
    let shape = match constant {
        true => call.required_constant(0)?.shape.clone(),
        false => builder.shape(call.frame(0)?),
    };
    let axis = axis(call.int_or("axis", 0)?, shape.len())?;
    let lengths = lengths(call, shape[axis])?;
    if !constant && axis + builder.offset(call.frame(0)?) == 0 {
        return touches_batch("cuts");
    }
    let mut start = 0;
    let mut parts = Vec::with_capacity(lengths.len());
    for (output, length) in call.proto.output.iter().zip(lengths) {
        parts.push(if !needed.contains(output.as_str()) {
            Binding::Unknown
        } else if constant {
            let part = fold::part(call.required_constant(0)?, axis, start, length);
            Binding::Constant(Rc::new(part))
        } else {
            let node = format!("{}/{output}", call.name());
            let x = call.frame(0)?;
            Binding::Frame(cut(builder, [node, output.clone()], x, axis, [start, length])?)
        });
        start += length;
    }
    Ok(parts)
}

/// Lengths of Split's parts: listed, or equal with a shorter last one.
fn lengths(call: &Call, total: usize) -> Outcome<Vec<usize>> {
    let outputs = call.proto.output.len();
    if let Some(list) = call.ints_of("split", 1)? {
        let lengths: Vec<usize> =
            list.iter().map(|&length| natural("a part", length)).collect::<Outcome<_>>()?;
        if lengths.len() != outputs || lengths.iter().sum::<usize>() != total {
            return invalid(format!("parts {list:?} of {total} for {outputs} outputs"));
        }
        return Ok(lengths);
    }
    let named = call.int("num_outputs")?;
    let size = total.div_ceil(outputs.max(1));
    let even = size * outputs == total;
    if named.is_some_and(|count| usize::try_from(count) != Ok(outputs))
        || !even && (named.is_none() || size * (outputs - 1) >= total)
    {
        return invalid(format!("{total} elements do not split into {outputs} outputs"));
    }
    Ok((0..outputs).map(|index| size.min(total - index * size)).collect())
}

/// SplitToSequence: nothing is cut before it is taken.
pub(super) fn sequence(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(1, 2)?;
    let source = call.frame(0)?;
    let shape = builder.graph.shape(source);
    let axis = axis(call.int_or("axis", 0)?, shape.len())?;
    if axis == 0 {
        return touches_batch("cuts");
    }
    let total = shape[axis];
    let sizes = match call.constant(1)? {
        None => vec![1],
        Some(sizes) => {
            sizes.ints()?.iter().map(|&size| natural("a part", size)).collect::<Outcome<_>>()?
        }
    };
    let listed = call.constant(1)?.is_some_and(|sizes| !sizes.shape.is_empty());
    let fits = match listed {
        true => sizes.iter().sum::<usize>() == total,
        false => sizes.len() == 1 && sizes[0] > 0,
    };
    if !fits {
        return invalid(format!("{} parts do not make up {total}", sizes.len()));
    }
    let squeezed = call.constant(1)?.is_none() && !call.flag("keepdims", true)?;
    let parts = match listed {
        true => Parts::Listed { ends: ends(&sizes) },
        false => Parts::Every { size: sizes[0] },
    };
    Ok(Binding::Sequence(Rc::new(Sequence { source, axis, total, parts, squeezed })))
}

/// Where each part ends.
fn ends(sizes: &[usize]) -> Vec<usize> {
    let running = |end: &mut usize, &size: &usize| {
        *end += size;
        Some(*end)
    };
    sizes.iter().scan(0, running).collect()
}

impl Sequence {
    fn count(&self) -> usize {
        match &self.parts {
            Parts::Every { size } => self.total.div_ceil(*size),
            Parts::Listed { ends } => ends.len(),
        }
    }

    /// Start and length of a part, which must exist.
    fn span(&self, index: usize) -> [usize; 2] {
        match &self.parts {
            Parts::Every { size } => [index * size, (*size).min(self.total - index * size)],
            Parts::Listed { ends } => {
                let start = index.checked_sub(1).map_or(0, |before| ends[before]);
                [start, ends[index] - start]
            }
        }
    }
}

/// SequenceAt: a part of what was split.
pub(super) fn element(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    call.arity(2, 2)?;
    let Some(Binding::Sequence(sequence)) = call.input(0) else {
        return invalid("operand 0 is no sequence");
    };
    let &[position] = call.required_constant(1)?.ints()? else {
        return invalid("the position is not one integer");
    };
    let index = index(position, sequence.count())?;
    let (source, axis) = (sequence.source, sequence.axis);
    part(builder, call, source, axis, sequence.span(index), sequence.squeezed)
}

/// An index counted from 0; negative ones count from the end.
fn index(value: i64, length: usize) -> Outcome<usize> {
    let wrapped = if value < 0 { value.saturating_add(length as i64) } else { value };
    match usize::try_from(wrapped) {
        Ok(index) if index < length => Ok(index),
        _ => invalid(format!("index {value} of {length}")),
    }
}

/// The node's result: `[start, length]` of one axis, which goes when `squeezed`.
fn part(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    axis: usize,
    span: [usize; 2],
    squeezed: bool,
) -> Outcome<Binding> {
    let names = [call.name(), call.output()];
    if !squeezed {
        return cut(builder, names, x, axis, span).map(Binding::Frame);
    }
    let cut = cut(builder, names.map(|name| format!("{name}/part")), x, axis, span)?;
    let mut shape = builder.shape(cut);
    shape.remove(axis);
    builder.push(call, Op::Reshape { shape }, &[cut])
}

/// `[start, length]` of one axis, under the names of a node and its output.
pub(super) fn cut(
    builder: &mut Builder,
    [node, output]: [String; 2],
    x: ValueId,
    axis: usize,
    [start, length]: [usize; 2],
) -> Outcome<ValueId> {
    let shape = builder.graph.shape(x);
    let axis = axis + builder.offset(x);
    if shape[axis] == length {
        return Ok(x);
    }
    let op = neighbours(shape, axis, [start, length]);
    builder.push_as(node, output, op, &[x])
}

/// The Slice of `[start, length]` of one axis of the graph's value.
pub(super) fn neighbours(shape: &[usize], axis: usize, [start, length]: [usize; 2]) -> Op {
    let (mut starts, mut lengths) = (vec![0; shape.len()], shape.to_vec());
    (starts[axis], lengths[axis]) = (start, length);
    Op::Slice { starts, steps: vec![1; lengths.len()], lengths }
}
