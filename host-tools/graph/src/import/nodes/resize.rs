//! Resize and Upsample: by whole factors repetition, every n-th element, or linear blends of
//! neighbours; by others resample.rs.

use super::super::builder::Builder;
use super::super::call::{Binding, Call, axis, natural};
use super::super::error::{Outcome, invalid, unsupported};
use super::movement::touches_batch;
use super::resample::{Blend, Places, Rounding, Target, resampled};
use super::split::cut;
use crate::graph::{Tensor, ValueId};
use crate::ops::Op;

/// Up to this a whole factor is a blend of its own for each of its outputs.
const FACTOR_MAX: usize = 64;

/// What happens to one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Factor {
    Up(usize),
    Down(usize),
    /// By no whole factor.
    Other,
}

/// Resize, Upsample.
pub(super) fn resize(builder: &mut Builder, call: &Call) -> Outcome<Binding> {
    let mut x = call.frame(0)?;
    let shape = builder.shape(x);
    let old = call.proto.op_type == "Upsample" || call.opset < 11;
    let default = if old { "asymmetric" } else { "half_pixel" };
    let coordinates = call.text_or("coordinate_transformation_mode", default)?;
    if call.flag("antialias", false)? {
        return refused("antialias is 1");
    }
    let default = if old { "floor" } else { "round_prefer_floor" };
    let rounding = Rounding::named(call.text_or("nearest_mode", default)?)?;
    let blend = match call.text_or("mode", "nearest")? {
        "nearest" => Blend::Nearest(rounding),
        "linear" => Blend::Linear,
        mode => return refused(format!("mode is `{mode}`")),
    };
    let targets = targets(call, &shape, old)?;
    for (axis, (target, length)) in targets.into_iter().zip(shape).enumerate() {
        let factor = target.factor(length);
        if factor == Factor::Up(1) {
            continue;
        }
        if axis == 0 {
            return touches_batch("resizes");
        }
        x = match (factor, places(coordinates, target)?, blend) {
            (Factor::Up(factor), Places::Corners, Blend::Nearest(Rounding::Floor))
            | (
                Factor::Up(factor),
                Places::Centres,
                Blend::Nearest(Rounding::PreferFloor | Rounding::PreferCeil),
            ) => {
                let copies = vec![x; factor];
                interleaved(builder, call, axis, &copies)?
            }
            (Factor::Down(factor), Places::Corners, Blend::Nearest(_)) => {
                every(builder, call, x, axis, [0, factor])?
            }
            (Factor::Down(factor), Places::Centres, Blend::Nearest(Rounding::PreferFloor)) => {
                every(builder, call, x, axis, [(factor - 1) / 2, factor])?
            }
            (Factor::Down(factor), Places::Centres, Blend::Nearest(Rounding::PreferCeil)) => {
                every(builder, call, x, axis, [factor / 2, factor])?
            }
            (Factor::Up(factor), places @ (Places::Corners | Places::Centres), Blend::Linear) => {
                blended(builder, call, x, axis, factor, places)?
            }
            (_, places, blend) => resampled(builder, call, x, axis, target, places, blend)?,
        };
    }
    Ok(Binding::Frame(x))
}

fn refused<T>(reason: impl Into<String>) -> Outcome<T> {
    unsupported(reason, "resize with mode `nearest` or `linear` (PyTorch: `bilinear`)")
}

/// A single output of `pytorch_half_pixel` lies where the input begins.
fn places(coordinates: &str, target: Target) -> Outcome<Places> {
    match coordinates {
        "asymmetric" => Ok(Places::Corners),
        "pytorch_half_pixel" if target.length == 1 => Ok(Places::Corners),
        "half_pixel" | "pytorch_half_pixel" => Ok(Places::Centres),
        "align_corners" => Ok(Places::Aligned),
        _ => refused(format!("coordinate_transformation_mode is `{coordinates}`")),
    }
}

/// What every axis becomes, from scales or from target lengths.
fn targets(call: &Call, shape: &[usize], old: bool) -> Outcome<Vec<Target>> {
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
    let same = |&length: &usize| Target { length, scale: 1.0 };
    let mut targets: Vec<Target> = shape.iter().map(same).collect();
    if !scales.is_empty() {
        if scales.len() != listed.len() {
            return invalid(format!("{} scales for {} axes", scales.len(), listed.len()));
        }
        for (&axis, &scale) in listed.iter().zip(&scales) {
            targets[axis] = Target { length: scaled(shape[axis], scale)?, scale };
        }
        return Ok(targets);
    }
    let sizes = call.required_constant(3)?.ints()?;
    if sizes.len() != listed.len() {
        return invalid(format!("{} lengths for {} axes", sizes.len(), listed.len()));
    }
    if call.text_or("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return refused("it keeps the aspect ratio");
    }
    for (&axis, &size) in listed.iter().zip(sizes) {
        let length = natural("a target length", size)?;
        if length == 0 {
            return invalid("a target length is 0");
        }
        targets[axis] = Target { length, scale: length as f32 / shape[axis] as f32 };
    }
    Ok(targets)
}

/// The length that a scale makes of another: the product in f32, rounded down.
fn scaled(length: usize, scale: f32) -> Outcome<usize> {
    let product = (length as f32 * scale).floor();
    if !(1.0..=1e9).contains(&product) {
        return invalid(format!("it scales {length} by {scale}"));
    }
    Ok(product as usize)
}

impl Target {
    /// Whole where lengths and scale say the same.
    fn factor(self, length: usize) -> Factor {
        let (scale, inverse) = (self.scale, 1.0 / self.scale);
        let up = self.length / length;
        if up * length == self.length && up as f32 == scale && up <= FACTOR_MAX {
            return Factor::Up(up);
        }
        let down = length / self.length;
        let is_inverse = (inverse - down as f32).abs() <= 1e-5 * inverse;
        match down > 1 && down * self.length == length && is_inverse {
            true => Factor::Down(down),
            false => Factor::Other,
        }
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
            _ => (phase as f64 + 0.5) / factor as f64 - 0.5,
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
