//! Sums of products along one axis: the product of two matrices that both depend on the frame.
//!
//! Strides say which axes belong to which matrix, so that transposed operands, and those with
//! channels last, need no copies.

use super::boxes::{Axes, last, rows};

/// Lengths and strides, as [`gradgate_bundle::op::MatMulParams`] has them.
#[derive(Clone, Copy, Debug)]
pub struct MatMul<'a> {
    /// Lengths of the result, slowest first.
    pub dims: &'a Axes,
    /// Strides of a and of b.
    pub strides: [&'a Axes; 2],
    /// Terms of a sum.
    pub inner: usize,
    /// Elements from term to term, of a and of b.
    pub steps: [usize; 2],
}

/// `y = sum over k of a * b` over the box, k ascending from +0; y is contiguous in box order.
pub fn mat_mul(m: &MatMul<'_>, a: &[f32], b: &[f32], y: &mut [f32]) -> Option<()> {
    let (length, lasts) = last(m.dims, m.strides);
    let mut rest = y;
    rows(m.dims, m.strides, &mut |_, [a_at, b_at]| {
        let (row, tail) = core::mem::take(&mut rest).split_at_mut_checked(length)?;
        rest = tail;
        row.fill(0.0);
        for k in 0..m.inner {
            let (a, b) = (a.get(a_at + k * m.steps[0]..)?, b.get(b_at + k * m.steps[1]..)?);
            add(row, a, b, lasts)?;
        }
        Some(())
    })
}

/// Adds a term to every sum of a row.
fn add(row: &mut [f32], a: &[f32], b: &[f32], [a_step, b_step]: [usize; 2]) -> Option<()> {
    match (a_step, b_step) {
        (0, 1) => scaled(row, *a.first()?, b),
        (1, 0) => scaled(row, *b.first()?, a),
        _ => {
            for (i, sum) in row.iter_mut().enumerate() {
                *sum += a.get(i * a_step)? * b.get(i * b_step)?;
            }
            Some(())
        }
    }
}

fn scaled(row: &mut [f32], factor: f32, values: &[f32]) -> Option<()> {
    let values = values.get(..row.len())?;
    row.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
    Some(())
}
