//! Resize and Upsample by whole factors: repetition, every n-th element, or linear blends of
//! neighbours.

use super::super::builder::Builder;
use super::super::call::{Binding, Call, axis, natural};
use super::super::error::{Outcome, invalid, unsupported};
use super::movement::touches_batch;
use super::split::cut;
use crate::graph::{Tensor, ValueId};
use crate::ops::Op;

/// Factors above this are refused: each is a blend of its own.
const FACTOR_MAX: usize = 64;

/// What happens to one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Factor {
    Up(usize),
    Down(usize),
}

/// How an output's place follows from its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Places {
    /// Index times the factor.
    Corners,
    /// Centres of pixels.
    Centres,
}

/// Resize, Upsample.
pub(super) fn resize(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let mut x = call.frame(0)?;
    let shape = builder.shape(x);
    let old = call.proto.op_type == "Upsample" || call.opset < 11;
    let default = if old { "asymmetric" } else { "half_pixel" };
    let coordinates = call.text_or("coordinate_transformation_mode", default)?;
    let places = match coordinates {
        "asymmetric" => Places::Corners,
        "half_pixel" | "pytorch_half_pixel" => Places::Centres,
        _ => return refused(format!("coordinate_transformation_mode is `{coordinates}`")),
    };
    if call.flag("antialias", false)? {
        return refused("antialias is 1");
    }
    let mode = call.text_or("mode", "nearest")?;
    let rounding =
        call.text_or("nearest_mode", if old { "floor" } else { "round_prefer_floor" })?;
    let factors = factors(call, &shape, old)?;
    if factors.first() != Some(&Factor::Up(1)) {
        return touches_batch("resizes");
    }
    for (axis, factor) in factors.into_iter().enumerate().filter(|&(_, f)| f != Factor::Up(1)) {
        x = match (mode, factor, places, rounding) {
            ("nearest", Factor::Up(factor), Places::Corners, "floor")
            | (
                "nearest",
                Factor::Up(factor),
                Places::Centres,
                "round_prefer_floor" | "round_prefer_ceil",
            ) => {
                let copies = vec![x; factor];
                interleaved(builder, call, axis, &copies)?
            }
            ("nearest", Factor::Down(factor), Places::Corners, _) => {
                every(builder, call, x, axis, [0, factor])?
            }
            ("nearest", Factor::Down(factor), Places::Centres, "round_prefer_floor") => {
                every(builder, call, x, axis, [(factor - 1) / 2, factor])?
            }
            ("nearest", Factor::Down(factor), Places::Centres, "round_prefer_ceil") => {
                every(builder, call, x, axis, [factor / 2, factor])?
            }
            ("linear", Factor::Up(factor), ..) => blended(builder, call, x, axis, factor, places)?,
            _ => return refused(format!("mode `{mode}` with nearest_mode `{rounding}`")),
        };
    }
    Ok(Binding::Frame(x))
}

fn refused<T>(reason: impl Into<String>) -> Outcome<T> {
    unsupported(
        reason,
        "resize by a whole factor (PyTorch: nn.Upsample(scale_factor=2), align_corners=False)",
    )
}

/// The factor of every axis, from scales or from target lengths.
fn factors(call: &Call, shape: &[usize], old: bool) -> Outcome<Vec<Factor>> {
    let listed = match call.int_list("axes")? {
        None => (0..shape.len()).collect(),
        Some(list) => list.iter().map(|&v| axis(v, shape.len())).collect::<Outcome<Vec<_>>>()?,
    };
    let scales = match call.float_list("scales")? {
        Some(list) => list.to_vec(),
        None => match call.constant(if old { 1 } else { 2 })? {
            Some(constant) => constant.floats()?.to_vec(),
            None => vec![],
        },
    };
    let mut factors = vec![Factor::Up(1); shape.len()];
    if !scales.is_empty() {
        if scales.len() != listed.len() {
            return invalid(format!("{} scales for {} axes", scales.len(), listed.len()));
        }
        for (&axis, &scale) in listed.iter().zip(&scales) {
            factors[axis] = by_scale(scale, shape[axis])?;
        }
        return Ok(factors);
    }
    let sizes = call.required_constant(3)?.ints()?;
    if sizes.len() != listed.len() {
        return invalid(format!("{} lengths for {} axes", sizes.len(), listed.len()));
    }
    if call.text_or("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return refused("it keeps the aspect ratio");
    }
    for (&axis, &size) in listed.iter().zip(sizes) {
        let (size, length) = (natural("a target length", size)?, shape[axis]);
        factors[axis] = match size {
            0 => return invalid("a target length is 0"),
            _ if size % length == 0 => up(size / length)?,
            _ if length % size == 0 => Factor::Down(length / size),
            _ => return refused(format!("it resizes {length} to {size}")),
        };
    }
    Ok(factors)
}

fn by_scale(scale: f32, length: usize) -> Outcome<Factor> {
    let inverse = (1.0 / scale).round();
    let is_inverse = (1.0 / scale - inverse).abs() <= 1e-5 * inverse;
    if scale >= 1.0 && scale.fract() == 0.0 && scale <= FACTOR_MAX as f32 {
        return Ok(Factor::Up(scale as usize));
    }
    if (0.0..1.0).contains(&scale) && is_inverse && length.is_multiple_of(inverse as usize) {
        return Ok(Factor::Down(inverse as usize));
    }
    refused(format!("it scales {length} by {scale}"))
}

fn up(factor: usize) -> Outcome<Factor> {
    match factor <= FACTOR_MAX {
        true => Ok(Factor::Up(factor)),
        false => refused(format!("it scales by {factor}")),
    }
}

/// Every `factor`-th element of an axis.
fn every(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    axis: usize,
    [start, factor]: [usize; 2],
) -> Outcome<ValueId> {
    let mut lengths = builder.shape(x);
    lengths[axis] /= factor;
    let (mut starts, mut steps) = (vec![0; lengths.len()], vec![1; lengths.len()]);
    (starts[axis], steps[axis]) = (start, factor);
    builder.part(call, &format!("axis {axis}"), Op::Slice { starts, lengths, steps }, &[x])
}

/// The elements of several values of one shape in turn, along an axis.
fn interleaved(
    builder: &mut Builder,
    call: &Call,
    axis: usize,
    values: &[ValueId],
) -> Outcome<ValueId> {
    let mut shape = builder.shape(values[0]);
    let mut single = shape.clone();
    single.insert(axis + 1, 1);
    shape[axis] *= values.len();
    builder.limits.volume(&shape)?;
    let name = |what: &str| format!("axis {axis} {what}");
    let mut parts = Vec::with_capacity(values.len());
    for (index, &value) in values.iter().enumerate() {
        // The same value again and again is repeated below.
        if index > 0 && value == values[0] {
            continue;
        }
        let op = Op::Reshape { shape: single.clone() };
        parts.push(builder.part(call, &name(&format!("apart {index}")), op, &[value])?);
    }
    let together = match parts.len() {
        1 => {
            single[axis + 1] = values.len();
            builder.part(call, &name("repeated"), Op::Expand { shape: single }, &parts)?
        }
        _ => builder.part(call, &name("joined"), Op::Concat { axis: axis + 1 }, &parts)?,
    };
    builder.part(call, &format!("axis {axis}"), Op::Reshape { shape }, &[together])
}

/// Linear blends of each element with its neighbour; the border's neighbour is itself.
fn blended(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    axis: usize,
    factor: usize,
    places: Places,
) -> Outcome<ValueId> {
    let length = builder.graph.shape(x)[axis];
    let mut values = Vec::with_capacity(factor);
    let mut neighbours = [None; 2];
    for phase in 0..factor {
        // Distance of this output from its element, in elements.
        let away = match places {
            Places::Corners => phase as f64 / factor as f64,
            Places::Centres => (phase as f64 + 0.5) / factor as f64 - 0.5,
        };
        if away == 0.0 || length == 1 {
            values.push(x);
            continue;
        }
        let above = away > 0.0;
        let neighbour = match neighbours[usize::from(above)] {
            Some(neighbour) => neighbour,
            None => shifted(builder, call, x, axis, above)?,
        };
        neighbours[usize::from(above)] = Some(neighbour);
        let name = |what: &str| format!("axis {axis} {what} {phase}");
        let mut weighted = |what: &str, value, weight: f64| {
            let tensor = Tensor::scalar(weight as f32);
            let constant = format!("{}/{}", call.name(), name(&format!("{what} weight")));
            let weight = builder.graph.add_constant(constant, tensor);
            builder.part(call, &name(what), Op::Mul, &[value, weight])
        };
        let own = weighted("own", x, 1.0 - away.abs())?;
        let other = weighted("other", neighbour, away.abs())?;
        values.push(builder.part(call, &name("blend"), Op::Add, &[own, other])?);
    }
    interleaved(builder, call, axis, &values)
}

/// For every element its neighbour above or below; at the border itself.
fn shifted(
    builder: &mut Builder,
    call: &Call,
    x: ValueId,
    axis: usize,
    above: bool,
) -> Outcome<ValueId> {
    let length = builder.graph.shape(x)[axis];
    let spans = match above {
        true => [[1, length - 1], [length - 1, 1]],
        false => [[0, 1], [0, length - 1]],
    };
    let mut parts = Vec::with_capacity(2);
    for (index, span) in spans.into_iter().enumerate() {
        let name = |own: String| format!("{own}/axis {axis} neighbour {above} {index}");
        parts.push(cut(builder, [name(call.name()), name(call.output())], x, axis, span)?);
    }
    builder.part(call, &format!("axis {axis} neighbours {above}"), Op::Concat { axis }, &parts)
}
