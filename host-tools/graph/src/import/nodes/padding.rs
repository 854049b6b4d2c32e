//! Pad: with a constant, or by the value's own borders, which are slices joined to it.
//!
//! Axis 0 is the frame: nothing pads it.

use super::super::builder::Builder;
use super::super::call::{Binding, Call};
use super::super::error::{Outcome, invalid, unsupported};
use super::super::shapes;
use super::movement::touches_batch;
use super::split::cut;
use crate::graph::ValueId;
use crate::ops::Op;

/// More mirrored rows than this on a side are refused: each is a slice of its own.
const MIRRORED_MAX: usize = 64;

/// Pad.
pub(super) fn pad(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let input = call.frame(0)?;
    let (before, after) = shapes::pads(call, builder.graph.shape(input).len())?;
    if before.first() != Some(&0) || after.first() != Some(&0) {
        return touches_batch("pads");
    }
    if before.iter().chain(&after).all(|&pad| pad == 0) {
        return Ok(Binding::Frame(input));
    }
    let mode = call.text_or("mode", "constant")?;
    if mode != "constant" {
        return bordered(builder, call, input, [&before, &after], mode).map(Binding::Frame);
    }
    let value = match call.float("value")? {
        Some(value) => value,
        None => call.constant(2)?.map(|c| c.single_float()).transpose()?.unwrap_or(0.0),
    };
    if value.is_nan() {
        return invalid("the padding value is NaN");
    }
    builder.push(call, Op::Pad { before, after, value }, &[input])
}

/// Padding axis by axis: later ones see the corners that earlier ones made.
fn bordered(
    builder: &mut Builder,
    call: &Call,
    input: ValueId,
    [before, after]: [&[usize]; 2],
    mode: &str,
) -> Outcome<ValueId> {
    let mut x = input;
    for axis in 1..before.len() {
        let (before, after) = (before[axis], after[axis]);
        if before + after == 0 {
            continue;
        }
        let length = builder.graph.shape(x)[axis];
        let near = spans(mode, length, before, false)?;
        let far = spans(mode, length, after, true)?;
        let mut parts = side(builder, call, x, axis, ("before", &near))?;
        parts.push(x);
        parts.extend(side(builder, call, x, axis, ("after", &far))?);
        x = builder.part(call, &format!("axis {axis}"), Op::Concat { axis }, &parts)?;
    }
    Ok(x)
}

/// What stands on one side, in order: start, length, repetitions.
fn spans(mode: &str, length: usize, pad: usize, far: bool) -> Outcome<Vec<[usize; 3]>> {
    let most = match mode {
        "edge" => usize::MAX,
        "reflect" => length - 1,
        _ => length,
    };
    if pad > most {
        return invalid(format!("mode `{mode}` pads an axis of length {length} by {pad}"));
    }
    if mode == "reflect" && pad > MIRRORED_MAX {
        return unsupported(
            format!("it mirrors {pad} rows"),
            format!("pad by at most {MIRRORED_MAX}, or with a constant"),
        );
    }
    Ok(match (mode, far) {
        (_, _) if pad == 0 => vec![],
        ("edge", false) => vec![[0, 1, pad]],
        ("edge", true) => vec![[length - 1, 1, pad]],
        ("reflect", false) => (1..=pad).rev().map(|row| [row, 1, 1]).collect(),
        ("reflect", true) => (1..=pad).map(|row| [length - 1 - row, 1, 1]).collect(),
        ("wrap", false) => vec![[length - pad, pad, 1]],
        ("wrap", true) => vec![[0, pad, 1]],
        _ => return invalid(format!("attribute `mode` is `{mode}`")),
    })
}

fn side(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    axis: usize,
    (place, spans): (&str, &[[usize; 3]]),
) -> Outcome<Vec<ValueId>> {
    let mut parts = Vec::with_capacity(spans.len());
    for &[start, length, repeated] in spans {
        let name = |part: String| format!("{part}/axis {axis} {place} from {start}");
        let mut part =
            cut(builder, [name(call.name()), name(call.output())], x, axis, [start, length])?;
        if repeated > 1 {
            let mut shape = builder.shape(part);
            shape[axis] = repeated;
            builder.limits.volume(&shape)?;
            let name = format!("axis {axis} {place} repeated");
            part = builder.part(call, &name, Op::Expand { shape }, &[part])?;
        }
        parts.push(part);
    }
    Ok(parts)
}
