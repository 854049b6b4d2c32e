//! Sum or mean over some axes.

use super::boxes::{Axes, last, rows};
use super::lanes::{COMPACT, REDUCE_LANES, fold, take};

/// Boxes of a reduction.
#[derive(Clone, Copy, Debug)]
pub struct ReduceBoxes<'a> {
    /// Lengths of the kept axes.
    pub kept: &'a Axes,
    /// Their strides in x.
    pub kept_strides: &'a Axes,
    /// Lengths of the reduced axes.
    pub reduced: &'a Axes,
    /// Their strides in x.
    pub reduced_strides: &'a Axes,
}

/// For every index of the kept box the sum, in 16 lanes over the reduced box in row-major order,
/// divided by the number of summands when `mean`.
pub fn reduce(boxes: &ReduceBoxes<'_>, mean: bool, x: &[f32], y: &mut [f32]) -> Option<()> {
    let count: usize = boxes.reduced.iter().product();
    let (length, [step]) = last(boxes.kept, [boxes.kept_strides]);
    let mut results = y.iter_mut();
    rows(boxes.kept, [boxes.kept_strides], &mut |_, [row]| {
        let mut start = 0;
        // Sixteen neighbours at a time where they lie side by side: each sums as if alone.
        while step == 1 && !COMPACT && length - start >= SIDE {
            let sums = side_by_side(boxes, x.get(row + start..)?)?;
            for sum in sums {
                *results.next()? = if mean { sum / count as f32 } else { sum };
            }
            start += SIDE;
        }
        for i in start..length {
            let sum = one(boxes, x.get(row + i * step..)?)?;
            *results.next()? = if mean { sum / count as f32 } else { sum };
        }
        Some(())
    })
}

/// Results that are summed together.
const SIDE: usize = 16;

/// The sums over the reduced box from each of the first elements of `x` on.
fn side_by_side(boxes: &ReduceBoxes<'_>, x: &[f32]) -> Option<[f32; SIDE]> {
    let (length, [step]) = last(boxes.reduced, [boxes.reduced_strides]);
    let mut lanes = [[0.0; SIDE]; REDUCE_LANES];
    let mut index = 0;
    rows(boxes.reduced, [boxes.reduced_strides], &mut |_, [row]| {
        for i in 0..length {
            let x = take::<SIDE>(x, row + i * step)?;
            lanes[index % REDUCE_LANES].iter_mut().zip(x).for_each(|(lane, x)| *lane += x);
            index += 1;
        }
        Some(())
    })?;
    let mut sums = [0.0; SIDE];
    for (i, sum) in sums.iter_mut().enumerate() {
        let mut own = [0.0; REDUCE_LANES];
        own.iter_mut().zip(&lanes).for_each(|(own, lanes)| *own = lanes[i]);
        *sum = fold(&own);
    }
    Some(sums)
}

/// The sum over the reduced box from the beginning of `x` on.
fn one(boxes: &ReduceBoxes<'_>, x: &[f32]) -> Option<f32> {
    let (length, [step]) = last(boxes.reduced, [boxes.reduced_strides]);
    let mut lanes = [0.0; REDUCE_LANES];
    let mut index = 0;
    rows(boxes.reduced, [boxes.reduced_strides], &mut |_, [row]| {
        let x = x.get(row..)?;
        for i in 0..length {
            lanes[index % REDUCE_LANES] += *x.get(i * step)?;
            index += 1;
        }
        Some(())
    })?;
    Some(fold(&lanes))
}
