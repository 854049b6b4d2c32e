//! Sum or mean over some axes.

use super::boxes::{Axes, last, rows};
use super::lanes::{REDUCE_LANES, fold};

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
        for i in 0..length {
            let sum = one(boxes, x.get(row + i * step..)?)?;
            *results.next()? = if mean { sum / count as f32 } else { sum };
        }
        Some(())
    })
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
