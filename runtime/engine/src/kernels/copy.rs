//! Strided copy between boxes.

use super::boxes::{Axes, last, rows};

/// One side of a copy.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// First element.
    pub offset: usize,
    /// Strides.
    pub strides: &'a Axes,
}

/// `y[to] = x[from]` over the box, after filling all of y when `fill` is given.
pub fn copy(
    dims: &Axes,
    fill: Option<f32>,
    x: &[f32],
    from: Side<'_>,
    y: &mut [f32],
    to: Side<'_>,
) -> Option<()> {
    if let Some(value) = fill {
        y.fill(value);
    }
    let strides = [from.strides, to.strides];
    let (length, [x_step, y_step]) = last(dims, strides);
    let (x, y) = (x.get(from.offset..)?, y.get_mut(to.offset..)?);
    rows(dims, strides, &mut |_, [x_at, y_at]| {
        let (x, y) = (x.get(x_at..)?, y.get_mut(y_at..)?);
        if x_step == 1 && y_step == 1 {
            let (x, y) = (x.get(..length)?, y.get_mut(..length)?);
            y.iter_mut().zip(x).for_each(|(y, x)| *y = *x);
        } else {
            for i in 0..length {
                *y.get_mut(i * y_step)? = *x.get(i * x_step)?;
            }
        }
        Some(())
    })
}
