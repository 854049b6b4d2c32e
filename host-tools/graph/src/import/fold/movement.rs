//! Operators on constants that only move elements: every result is a list of source indices.

use std::rc::Rc;

use super::super::call::{Call, axis};
use super::super::constant::{Constant, Data, Origin};
use super::super::error::{Outcome, invalid, unsupported};
use super::super::limits::Limits;
use super::super::shapes;

/// Row-major distances between neighbours along every axis.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Visits the indices `offset + sum(position * step)` of all positions in `shape`, row-major.
pub(super) struct Walk {
    shape: Vec<usize>,
    steps: Vec<isize>,
    position: Vec<usize>,
    index: isize,
    left: usize,
}

impl Walk {
    fn new(shape: &[usize], steps: Vec<isize>, offset: usize) -> Self {
        Self {
            shape: shape.to_vec(),
            steps,
            position: vec![0; shape.len()],
            index: offset as isize,
            left: shape.iter().product(),
        }
    }

    /// Source indices of an operand of shape `from` broadcast to `to`.
    pub fn broadcast(from: &[usize], to: &[usize]) -> Self {
        let own = strides(from);
        let missing = to.len() - from.len();
        let step = |i: usize| match i.checked_sub(missing) {
            Some(axis) if from[axis] != 1 => own[axis] as isize,
            _ => 0,
        };
        Self::new(to, (0..to.len()).map(step).collect(), 0)
    }
}

impl Iterator for Walk {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let current = self.index as usize;
        for axis in (0..self.shape.len()).rev() {
            self.position[axis] += 1;
            self.index += self.steps[axis];
            if self.position[axis] < self.shape[axis] {
                break;
            }
            self.index -= self.steps[axis] * self.shape[axis] as isize;
            self.position[axis] = 0;
        }
        Some(current)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// The elements that a walk visits, as a constant.
fn walked(input: &Constant, shape: Vec<usize>, walk: Walk) -> Constant {
    Constant { data: input.data.select(walk), transpose_of: None, shape, ..input.clone() }
}

pub(super) fn transpose(call: &Call, input: &Rc<Constant>) -> Outcome<Constant> {
    let permutation = shapes::permutation(call, input.shape.len())?;
    let shape: Vec<usize> = permutation.iter().map(|&i| input.shape[i]).collect();
    let own = strides(&input.shape);
    let steps = permutation.iter().map(|&i| own[i] as isize).collect();
    let walk = Walk::new(&shape, steps, 0);
    let mut output = walked(input, shape, walk);
    if permutation == [1, 0] && input.origin == Origin::Initializer {
        output.transpose_of = Some(Rc::clone(input));
    }
    Ok(output)
}

pub(super) fn slice(call: &Call, input: &Constant) -> Outcome<Constant> {
    let cuts = shapes::slice(call, &input.shape)?;
    let own = strides(&input.shape);
    let shape: Vec<usize> = cuts.iter().map(|cut| cut.length).collect();
    if shape.contains(&0) {
        return Ok(Constant::computed(shape, input.data.select(std::iter::empty())));
    }
    let offset = cuts.iter().zip(&own).map(|(cut, stride)| cut.start * stride).sum();
    // A step beyond the axis is never taken: the axis then has length 1.
    let step = |(cut, &stride): (&shapes::Cut, &usize)| match cut.length {
        1 => 0,
        _ => cut.step as isize * stride as isize,
    };
    let steps = cuts.iter().zip(&own).map(step).collect();
    let walk = Walk::new(&shape, steps, offset);
    Ok(Constant { origin: Origin::Computed, ..walked(input, shape, walk) })
}

/// Some elements of one axis, which has them.
pub(in super::super) fn part(
    input: &Constant,
    axis: usize,
    start: usize,
    length: usize,
) -> Constant {
    let own = strides(&input.shape);
    let mut shape = input.shape.clone();
    shape[axis] = length;
    if shape.contains(&0) {
        return Constant::computed(shape, input.data.select(std::iter::empty()));
    }
    let steps = own.iter().map(|&stride| stride as isize).collect();
    let walk = Walk::new(&shape, steps, start * own[axis]);
    Constant { origin: Origin::Computed, ..walked(input, shape, walk) }
}

pub(super) fn gather(call: &Call, limits: &Limits) -> Outcome<Constant> {
    let (data, indices) = (call.required_constant(0)?, call.required_constant(1)?);
    let axis = axis(call.int_or("axis", 0)?, data.shape.len())?;
    let length = data.shape[axis];
    let wrap = |&v: &i64| {
        let wrapped = if v < 0 { v.checked_add(length as i64)? } else { v };
        usize::try_from(wrapped).ok().filter(|&index| index < length)
    };
    let Some(rows) = indices.ints()?.iter().map(wrap).collect::<Option<Vec<_>>>() else {
        return invalid(format!("an index lies outside axis {axis} of length {length}"));
    };
    let shape = [&data.shape[..axis], &indices.shape, &data.shape[axis + 1..]].concat();
    limits.volume(&shape)?;
    let outer: usize = data.shape[..axis].iter().product();
    let inner: usize = data.shape[axis + 1..].iter().product();
    let rows = rows.as_slice();
    let source = (0..outer).flat_map(|o| {
        rows.iter().flat_map(move |&row| (0..inner).map(move |i| (o * length + row) * inner + i))
    });
    Ok(Constant::computed(shape, data.data.select(source)))
}

pub(super) fn expand(call: &Call, limits: &Limits) -> Outcome<Constant> {
    let (input, target) = (call.required_constant(0)?, call.required_constant(1)?);
    let shape = shapes::broadcast(&input.shape, &super::lengths(target, limits)?)?;
    if limits.volume(&shape)? == input.data.len() {
        return Ok(input.with_shape(shape));
    }
    let data = input.data.select(Walk::broadcast(&input.shape, &shape));
    Ok(Constant::computed(shape, data))
}

pub(super) fn concat(call: &Call, limits: &Limits) -> Outcome<Constant> {
    call.arity(1, usize::MAX)?;
    let parts: Vec<_> =
        (0..call.inputs.len()).map(|i| call.required_constant(i)).collect::<Outcome<_>>()?;
    let Some(axis_value) = call.int("axis")? else {
        return invalid("axis is missing");
    };
    let axis = axis(axis_value, parts[0].shape.len())?;
    let mut shape = parts[0].shape.clone();
    shape[axis] = 0;
    for part in &parts {
        let mut other = part.shape.clone();
        let length = other.get_mut(axis).map(std::mem::take).unwrap_or(0);
        if other != [&shape[..axis], &[0], &shape[axis + 1..]].concat() {
            return invalid(format!("shapes {:?} and {other:?} differ", parts[0].shape));
        }
        shape[axis] += length;
    }
    // Nothing to join must cost nothing: a long axis of empty blocks would be walked for each part.
    let outer = match limits.volume(&shape)? {
        0 => 0,
        _ => shape[..axis].iter().product(),
    };
    Ok(Constant::computed(shape, join(&parts, outer)?))
}

/// Interleaves `outer` blocks of every part.
fn join(parts: &[&Rc<Constant>], outer: usize) -> Outcome<Data> {
    fn blocks<T: Copy>(parts: &[&[T]], outer: usize) -> Vec<T> {
        let block = |o: usize| {
            parts.iter().flat_map(move |p| {
                let width = p.len().checked_div(outer).unwrap_or(0);
                p[o * width..(o + 1) * width].iter().copied()
            })
        };
        (0..outer).flat_map(block).collect()
    }
    Ok(match parts[0].data {
        Data::Float(_) => {
            let lists: Vec<&[f32]> =
                parts.iter().map(|p| p.floats().map(|d| &**d)).collect::<Outcome<_>>()?;
            Data::Float(blocks(&lists, outer).into())
        }
        Data::Int(_) => {
            let lists: Vec<&[i64]> = parts.iter().map(|p| p.ints()).collect::<Outcome<_>>()?;
            Data::Int(blocks(&lists, outer).into())
        }
        Data::Bool(_) => {
            let lists: Vec<&[bool]> = parts.iter().map(|p| p.bools()).collect::<Outcome<_>>()?;
            Data::Bool(blocks(&lists, outer).into())
        }
    })
}

pub(super) fn pad(call: &Call, limits: &Limits) -> Outcome<Constant> {
    let input = call.required_constant(0)?;
    let mode = call.text_or("mode", "constant")?;
    if mode != "constant" {
        return unsupported(
            format!("padding a constant in mode `{mode}`"),
            "simplify the model first",
        );
    }
    let (before, after) = shapes::pads(call, input.shape.len())?;
    let shape: Vec<usize> =
        (0..before.len()).map(|i| before[i] + input.shape[i] + after[i]).collect();
    let count = limits.volume(&shape)?;
    let own = strides(&shape);
    let offset: usize = before.iter().zip(&own).map(|(b, stride)| b * stride).sum();
    let steps = own.iter().map(|&stride| stride as isize).collect();
    let targets = Walk::new(&input.shape, steps, offset);
    let fill = call.constant(2)?;
    let data = match &input.data {
        Data::Float(data) => {
            let value = match fill {
                Some(fill) => fill.single_float()?,
                None => call.float("value")?.unwrap_or(0.0),
            };
            Data::Float(placed(data, targets, count, value))
        }
        Data::Int(data) => {
            let value = match fill.map(|fill| fill.ints()).transpose()? {
                Some(&[value]) => value,
                Some(other) => return invalid(format!("{} fill values", other.len())),
                None => 0,
            };
            Data::Int(placed(data, targets, count, value))
        }
        Data::Bool(_) => return invalid("a bool tensor cannot be padded"),
    };
    Ok(Constant::computed(shape, data))
}

fn placed<T: Copy>(data: &[T], targets: Walk, count: usize, fill: T) -> std::sync::Arc<[T]> {
    let mut output = vec![fill; count];
    for (target, &value) in targets.zip(data) {
        output[target] = value;
    }
    output.into()
}
