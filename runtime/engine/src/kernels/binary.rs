//! Element-wise operations with broadcasting by strides.

use gradgate_bundle::op::BinaryKind;

use super::activation::not_finite;
use super::boxes::{Axes, last, rows};

/// `y = a op b` over the box; y is contiguous in box order.
pub fn binary(
    kind: BinaryKind,
    dims: &Axes,
    [a_strides, b_strides]: [&Axes; 2],
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
) -> Option<()> {
    let walk = Walk { dims, strides: [a_strides, b_strides], a, b };
    match kind {
        BinaryKind::Add => walk.each(y, |a, b| a + b),
        BinaryKind::Sub => walk.each(y, |a, b| a - b),
        BinaryKind::Mul => walk.each(y, |a, b| a * b),
        // A division by infinity would come out as a plain 0.
        BinaryKind::Div => walk.each(y, |a, b| if b.is_finite() { a / b } else { not_finite(b) }),
    }
}

struct Walk<'a> {
    dims: &'a Axes,
    strides: [&'a Axes; 2],
    a: &'a [f32],
    b: &'a [f32],
}

impl Walk<'_> {
    #[inline(always)]
    fn each(&self, y: &mut [f32], op: impl Fn(f32, f32) -> f32) -> Option<()> {
        let (length, [a_step, b_step]) = last(self.dims, self.strides);
        let mut rest = y;
        rows(self.dims, self.strides, |_, [a, b]| {
            let (row, tail) = core::mem::take(&mut rest).split_at_mut_checked(length)?;
            rest = tail;
            let (a, b) = (self.a.get(a..)?, self.b.get(b..)?);
            match (a_step, b_step) {
                (1, 1) => {
                    row.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = op(*a, *b));
                }
                (1, 0) => {
                    let b = *b.first()?;
                    row.iter_mut().zip(a).for_each(|(y, a)| *y = op(*a, b));
                }
                _ => {
                    for (i, y) in row.iter_mut().enumerate() {
                        *y = op(*a.get(i * a_step)?, *b.get(i * b_step)?);
                    }
                }
            }
            Some(())
        })
    }
}
