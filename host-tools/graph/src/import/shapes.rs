//! What the shape operators ask for, the same for constants and for values of the network:
//! Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Slice, Pad in all their operator set versions.

use super::call::{Call, axes, axis, natural};
use super::error::{Outcome, invalid, unsupported};

/// More axes than any limit on the rank allows.
const MOST_AXES: usize = 64;

/// Element count, saturated; only compared, never allocated.
fn count(shape: &[usize]) -> u128 {
    shape.iter().fold(1_u128, |product, &length| product.saturating_mul(length as u128))
}

/// Shape after a Reshape to `target`; 0 copies a length unless `allow_zero`, -1 is inferred.
pub(super) fn reshape(target: &[i64], input: &[usize], allow_zero: bool) -> Outcome<Vec<usize>> {
    let mut shape = Vec::with_capacity(target.len());
    let mut inferred = None;
    for (index, &length) in target.iter().enumerate() {
        shape.push(match length {
            -1 if inferred.is_none() => {
                inferred = Some(index);
                1
            }
            0 if !allow_zero => match input.get(index) {
                Some(&copied) => copied,
                None => return invalid(format!("target {target:?} copies a missing axis")),
            },
            other => natural("a target length", other)?,
        });
    }
    let (have, rest) = (count(input), count(&shape));
    if let Some(index) = inferred {
        if rest == 0 || have % rest != 0 {
            return invalid(format!("shape {input:?} cannot become {target:?}"));
        }
        shape[index] = (have / rest) as usize;
    }
    if count(&shape) != have {
        return invalid(format!("shape {input:?} cannot become {target:?}"));
    }
    Ok(shape)
}

/// Shape after Flatten.
pub(super) fn flatten(call: &Call, input: &[usize]) -> Outcome<Vec<usize>> {
    let value = call.int_or("axis", 1)?;
    let rank = input.len();
    let split = if value == rank as i64 { rank } else { axis(value, rank)? };
    Ok(vec![input[..split].iter().product(), input[split..].iter().product()])
}

/// Shape after Squeeze; without axes every axis of length 1 goes.
pub(super) fn squeeze(call: &Call, input: &[usize]) -> Outcome<(Vec<usize>, Vec<usize>)> {
    let removed = match call.ints_of("axes", 1)? {
        Some(list) => axes(&list, input.len())?,
        None => (0..input.len()).filter(|&i| input[i] == 1).collect(),
    };
    if let Some(&wrong) = removed.iter().find(|&&i| input[i] != 1) {
        return invalid(format!("axis {wrong} of shape {input:?} is not of length 1"));
    }
    let keep = (0..input.len()).filter(|i| !removed.contains(i)).map(|i| input[i]);
    Ok((keep.collect(), removed))
}

/// Shape after Unsqueeze, and the new axes.
pub(super) fn unsqueeze(call: &Call, input: &[usize]) -> Outcome<(Vec<usize>, Vec<usize>)> {
    let Some(list) = call.ints_of("axes", 1)? else {
        return invalid("axes are missing");
    };
    // A list of many axes would take quadratic time below.
    if list.len() > MOST_AXES {
        return invalid(format!("{} axes are added", list.len()));
    }
    let rank = input.len() + list.len();
    let added = axes(&list, rank)?;
    let mut old = input.iter().copied();
    let lengths = (0..rank).map(|i| if added.contains(&i) { Some(1) } else { old.next() });
    match lengths.collect() {
        Some(shape) => Ok((shape, added)),
        None => invalid("axes do not fit the rank"),
    }
}

/// Permutation of a Transpose; reversed by default.
pub(super) fn permutation(call: &Call, rank: usize) -> Outcome<Vec<usize>> {
    let Some(list) = call.int_list("perm")? else {
        return Ok((0..rank).rev().collect());
    };
    let permutation = list.iter().map(|&v| axis(v, rank)).collect::<Outcome<Vec<_>>>()?;
    if permutation.len() != rank || axes(list, rank)?.len() != rank {
        return invalid(format!("perm {list:?} does not permute {rank} axes"));
    }
    Ok(permutation)
}

/// What a Slice takes of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// First index.
    pub start: usize,
    /// Elements taken.
    pub length: usize,
    /// Distance, may be negative.
    pub step: i64,
}

/// Clamps one axis' start and end as the ONNX reference does.
fn cut(start: i64, end: i64, step: i64, length: usize) -> Outcome<Cut> {
    if step == 0 {
        return invalid("a step is 0");
    }
    let length = length as i128;
    let wrap = |v: i64| {
        if v < 0 { i128::from(v) + length } else { i128::from(v) }
    };
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let first = wrap(start).clamp(low.max(0), high.max(0));
    let last = wrap(end).clamp(low, high);
    let step_wide = i128::from(step);
    let span = if step > 0 { last - first } else { first - last };
    let taken = if span <= 0 || length == 0 { 0 } else { (span - 1) / step_wide.abs() + 1 };
    Ok(Cut { start: first as usize, length: taken as usize, step })
}

/// What a Slice takes of every axis: attributes up to operator set 9, operands from 10.
pub(super) fn slice(call: &Call, input: &[usize]) -> Outcome<Vec<Cut>> {
    let (Some(starts), Some(ends)) = (call.ints_of("starts", 1)?, call.ints_of("ends", 2)?) else {
        return invalid("starts or ends are missing");
    };
    let listed = match call.ints_of("axes", 3)? {
        Some(list) => list,
        None => (0..starts.len() as i64).collect(),
    };
    let steps = match call.constant(4)? {
        Some(constant) => constant.ints()?.to_vec(),
        None => vec![1; starts.len()],
    };
    if [ends.len(), listed.len(), steps.len()] != [starts.len(); 3] {
        return invalid("starts, ends, axes and steps differ in length");
    }
    axes(&listed, input.len())?;
    let whole = |&length: &usize| Cut { start: 0, length, step: 1 };
    let mut cuts: Vec<Cut> = input.iter().map(whole).collect();
    for (i, &listed) in listed.iter().enumerate() {
        let axis = axis(listed, input.len())?;
        cuts[axis] = cut(starts[i], ends[i], steps[i], input[axis])?;
    }
    Ok(cuts)
}

/// Elements that a Pad adds before and after every axis.
pub(super) fn pads(call: &Call, rank: usize) -> Outcome<(Vec<usize>, Vec<usize>)> {
    let Some(list) = call.ints_of("pads", 1)? else {
        return invalid("pads are missing");
    };
    let padded = match call.constant(3)? {
        Some(constant) => constant.ints()?.to_vec(),
        None => (0..rank as i64).collect(),
    };
    axes(&padded, rank)?;
    if list.len() != 2 * padded.len() {
        return invalid(format!("{} pads for {} axes", list.len(), padded.len()));
    }
    if list.iter().any(|&pad| pad < 0) {
        return unsupported(format!("negative padding {list:?}"), "crop with a slice instead");
    }
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (i, &listed) in padded.iter().enumerate() {
        let axis = axis(listed, rank)?;
        before[axis] = natural("a pad", list[i])?;
        after[axis] = natural("a pad", list[i + padded.len()])?;
    }
    Ok((before, after))
}

/// Shape of two operands broadcast together as numpy does.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Outcome<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], i: usize| {
        (i + shape.len()).checked_sub(rank).map_or(1, |index| shape[index])
    };
    let lengths = (0..rank).map(|i| match (at(a, i), at(b, i)) {
        (x, y) if x == y => Some(x),
        (1, y) => Some(y),
        (x, 1) => Some(x),
        _ => None,
    });
    match lengths.collect() {
        Some(shape) => Ok(shape),
        None => invalid(format!("shapes {a:?} and {b:?} do not broadcast")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshape_copies_and_infers() {
        for (target, input, allow_zero, expected) in [
            (vec![0, -1], vec![2, 3, 4], false, Some(vec![2, 12])),
            (vec![-1], vec![2, 3], false, Some(vec![6])),
            (vec![-1, -1], vec![2, 3], false, None),
            (vec![-1, 4], vec![2, 3], false, None),
            (vec![0, 0, 0], vec![2, 3], false, None),
            (vec![0, 6], vec![2, 3], true, None),
            (vec![0, 2], vec![2, 0], true, Some(vec![0, 2])),
            (vec![-1, 0], vec![2, 0], false, None),
            (vec![i64::MAX, i64::MAX], vec![2], false, None),
            (vec![-2, 3], vec![2, 3], false, None),
            (vec![], vec![1], false, Some(vec![])),
        ] {
            assert_eq!(reshape(&target, &input, allow_zero).ok(), expected, "{target:?}");
        }
    }

    #[test]
    fn cuts_follow_numpy() {
        // Expected (start, length) from numpy's `range(n)[start:end:step]`.
        for (start, end, step, length, expected) in [
            (0, i64::MAX, 1, 5, (0, 5)),
            (1, 4, 2, 5, (1, 2)),
            (-2, i64::MAX, 1, 5, (3, 2)),
            (0, -1, 1, 5, (0, 4)),
            (-9, 9, 1, 5, (0, 5)),
            (4, 2, 1, 5, (4, 0)),
            (7, 9, 1, 5, (5, 0)),
            (-1, i64::MIN, -1, 5, (4, 5)),
            (-1, -6, -2, 5, (4, 3)),
            (3, 0, -1, 5, (3, 3)),
            (0, i64::MAX, i64::MAX, 5, (0, 1)),
            (i64::MAX, i64::MIN, i64::MIN, 5, (4, 1)),
            (0, 1, 1, 0, (0, 0)),
            (-1, i64::MIN, -1, 0, (0, 0)),
        ] {
            let cut = cut(start, end, step, length).expect("a cut");
            assert_eq!((cut.start, cut.length), expected, "{start}:{end}:{step} of {length}");
        }
        assert!(cut(0, 1, 0, 5).is_err());
    }

    #[test]
    fn broadcasting_follows_numpy() {
        for (a, b, expected) in [
            (vec![2, 3], vec![3], Some(vec![2, 3])),
            (vec![2, 1], vec![1, 4], Some(vec![2, 4])),
            (vec![], vec![5], Some(vec![5])),
            (vec![1], vec![0], Some(vec![0])),
            (vec![2], vec![3], None),
        ] {
            assert_eq!(broadcast(&a, &b).ok(), expected, "{a:?} {b:?}");
        }
    }
}
