//! Softmax over the middle axis of `[outer, axis, inner]`, and its gradient.

use super::activation::not_finite;
use super::lanes::sum;
use super::operand::Operand;
use crate::math::exp;

/// Lengths before, of and after the axis.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxBox {
    /// Before.
    pub outer: usize,
    /// The axis.
    pub axis: usize,
    /// After.
    pub inner: usize,
}

impl SoftmaxBox {
    /// First elements of all lines along the axis.
    fn lines(&self) -> impl Iterator<Item = usize> {
        let (axis, inner) = (self.axis, self.inner);
        (0..self.outer).flat_map(move |o| (0..inner).map(move |i| o * axis * inner + i))
    }

    /// A line's elements.
    fn line(&self, first: usize) -> impl Iterator<Item = usize> {
        let inner = self.inner;
        (0..self.axis).map(move |k| first + k * inner)
    }
}

/// `y = exp(x - max) / sum of exp(x - max)`, the sum in 16 lanes. What is not finite makes its
/// whole line NaN.
pub fn softmax(b: SoftmaxBox, x: Operand<'_>, y: &mut [f32]) -> Option<()> {
    x.bring(0, y)?;
    for first in b.lines() {
        let mut max = *y.get(first)?;
        for at in b.line(first) {
            let v = *y.get(at)?;
            max = if v <= max { max } else { v };
        }
        for at in b.line(first) {
            let v = y.get_mut(at)?;
            // exp would turn -inf into a plain 0.
            *v = exp(*v - max) + not_finite(*v);
        }
        let total = sum(b.line(first).map_while(|at| y.get(at).copied()));
        for at in b.line(first) {
            *y.get_mut(at)? /= total;
        }
    }
    Some(())
}

/// `dx = y * (g - <y, g>)` along every line, the inner product in 16 lanes.
pub fn softmax_gradient(
    b: SoftmaxBox,
    y: Operand<'_>,
    g: Operand<'_>,
    dx: &mut [f32],
) -> Option<()> {
    for first in b.lines() {
        let product = |at: usize| Some(y.at(at, dx)? * g.at(at, dx)?);
        let inner = sum(b.line(first).map_while(product));
        for at in b.line(first) {
            let v = y.at(at, dx)? * (g.at(at, dx)? - inner);
            *dx.get_mut(at)? = v;
        }
    }
    Some(())
}
