//! Element-wise operations with broadcasting by strides.

use gradgate_bundle::op::BinaryKind;

use super::activation::not_finite;
use super::boxes::{Axes, last, rows};
use super::lanes::COMPACT;
use super::operand::Operand;

/// `y = a op b` over the box; y is contiguous in box order, and so is an operand in place.
pub fn binary(
    kind: BinaryKind,
    dims: &Axes,
    strides: [&Axes; 2],
    a: Operand<'_>,
    b: Operand<'_>,
    y: &mut [f32],
) -> Option<()> {
    let walk = Walk { dims, strides, a, b };
    if COMPACT {
        // One loop for all of them.
        let op: fn(f32, f32) -> f32 = match kind {
            BinaryKind::Add => add,
            BinaryKind::Sub => sub,
            BinaryKind::Mul => mul,
            BinaryKind::Div => div,
        };
        return walk.each(y, op);
    }
    match kind {
        BinaryKind::Add => walk.each(y, add),
        BinaryKind::Sub => walk.each(y, sub),
        BinaryKind::Mul => walk.each(y, mul),
        BinaryKind::Div => walk.each(y, div),
    }
}

fn add(a: f32, b: f32) -> f32 {
    a + b
}

fn sub(a: f32, b: f32) -> f32 {
    a - b
}

fn mul(a: f32, b: f32) -> f32 {
    a * b
}

/// A division by infinity would come out as a plain 0.
fn div(a: f32, b: f32) -> f32 {
    if b.is_finite() { a / b } else { not_finite(b) }
}

struct Walk<'a> {
    dims: &'a Axes,
    strides: [&'a Axes; 2],
    a: Operand<'a>,
    b: Operand<'a>,
}

impl Walk<'_> {
    #[inline(always)]
    fn each(&self, y: &mut [f32], op: impl Fn(f32, f32) -> f32) -> Option<()> {
        let (length, [a_step, b_step]) = last(self.dims, self.strides);
        let mut rest = y;
        rows(self.dims, self.strides, &mut |_, [a_at, b_at]| {
            let (row, tail) = core::mem::take(&mut rest).split_at_mut_checked(length)?;
            rest = tail;
            match (self.a, self.b) {
                (Operand::Slice(a), Operand::Slice(b)) => {
                    let (a, b) = (a.get(a_at..)?, b.get(b_at..)?);
                    apart(row, (a, a_step), (b, b_step), &op)
                }
                (Operand::InPlace, Operand::Slice(b)) => onto(row, b.get(b_at..)?, b_step, &op),
                (Operand::Slice(a), Operand::InPlace) => {
                    onto(row, a.get(a_at..)?, a_step, |y, a| op(a, y))
                }
                (Operand::InPlace, Operand::InPlace) => {
                    row.iter_mut().for_each(|y| *y = op(*y, *y));
                    Some(())
                }
                _ => None,
            }
        })
    }
}

#[inline(always)]
fn apart(
    row: &mut [f32],
    (a, a_step): (&[f32], usize),
    (b, b_step): (&[f32], usize),
    op: impl Fn(f32, f32) -> f32,
) -> Option<()> {
    match (a_step, b_step) {
        // The general loop does for all where code is dear.
        (1, 1) if !COMPACT => {
            let (a, b) = (a.get(..row.len())?, b.get(..row.len())?);
            row.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = op(*a, *b));
        }
        (1, 0) if !COMPACT => {
            let (a, b) = (a.get(..row.len())?, *b.first()?);
            row.iter_mut().zip(a).for_each(|(y, a)| *y = op(*a, b));
        }
        _ => {
            for (i, y) in row.iter_mut().enumerate() {
                *y = op(*a.get(i * a_step)?, *b.get(i * b_step)?);
            }
        }
    }
    Some(())
}

/// `y = op(y, v)`.
#[inline(always)]
fn onto(row: &mut [f32], v: &[f32], step: usize, op: impl Fn(f32, f32) -> f32) -> Option<()> {
    if step == 1 && !COMPACT {
        let v = v.get(..row.len())?;
        row.iter_mut().zip(v).for_each(|(y, v)| *y = op(*y, *v));
        return Some(());
    }
    for (i, y) in row.iter_mut().enumerate() {
        *y = op(*y, *v.get(i * step)?);
    }
    Some(())
}
