//! A tensor with its borders filled, channels last.

use gradgate_bundle::op::LANES;

use crate::isa::{Kernel, Simd};

/// Where a tensor lies in a larger one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame {
    /// Rows, columns, channels of the tensor.
    pub inner: [usize; 3],
    /// Rows above and columns before it.
    pub before: [usize; 2],
    /// Rows below and columns after it.
    pub after: [usize; 2],
}

impl Frame {
    /// Columns with the borders.
    pub fn columns(&self) -> usize {
        self.before[1] + self.inner[1] + self.after[1]
    }

    /// Elements of a row with its borders.
    pub fn row(&self) -> usize {
        self.columns() * self.inner[2]
    }

    /// Elements with the borders.
    pub fn elements(&self) -> usize {
        (self.before[0] + self.inner[0] + self.after[0]) * self.row()
    }

    /// Elements of the copy that [`Fill`] makes, 0 where the tensor serves as it is.
    pub fn copied(&self, scaled: bool) -> usize {
        let bare = self.before == [0; 2] && self.after == [0; 2];
        // What lies behind it begins on a cache line again.
        if bare && !scaled { 0 } else { self.elements().next_multiple_of(LANES) }
    }
}

/// Copies a tensor into the middle of a larger one, whose borders become +0.
pub struct Fill<'a> {
    /// Where it lies.
    pub frame: Frame,
    /// The tensor.
    pub x: &'a [f32],
    /// Multiplied in, per channel.
    pub scale: Option<&'a [f32]>,
    /// [`Frame::copied`] elements.
    pub out: &'a mut [f32],
}

impl<'a> Kernel for Fill<'a> {
    type Output = Option<&'a [f32]>;

    /// The copy, or the tensor itself.
    #[inline(always)]
    fn call<S: Simd>(self, _: S) -> Option<&'a [f32]> {
        let Fill { frame, x, scale, out } = self;
        if frame.copied(scale.is_some()) == 0 {
            return Some(x);
        }
        let [rows, columns, channels] = frame.inner;
        let length = columns * channels;
        let (top, left) = (frame.before[0] * frame.row(), frame.before[1] * channels);
        let right = frame.after[1] * channels;
        let (above, rest) = out.get_mut(..frame.elements())?.split_at_mut_checked(top)?;
        let (inner, below) = rest.split_at_mut_checked(rows * frame.row())?;
        above.fill(0.0);
        below.fill(0.0);
        let lines = inner.chunks_exact_mut(frame.row().max(1));
        for (line, x) in lines.zip(x.chunks_exact(length.max(1))) {
            let (start, rest) = line.split_at_mut_checked(left)?;
            let (middle, end) = rest.split_at_mut_checked(length)?;
            start.fill(0.0);
            end.get_mut(..right)?.fill(0.0);
            match scale {
                None => middle.copy_from_slice(x),
                Some(scale) => scaled(x, scale, middle),
            }
        }
        Some(out)
    }
}

#[inline(always)]
fn scaled(x: &[f32], scale: &[f32], out: &mut [f32]) {
    let pixels = x.chunks_exact(scale.len().max(1));
    for (out, x) in out.chunks_exact_mut(scale.len().max(1)).zip(pixels) {
        for ((out, x), scale) in out.iter_mut().zip(x).zip(scale) {
            *out = x * scale;
        }
    }
}
