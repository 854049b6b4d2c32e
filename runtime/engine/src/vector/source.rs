//! A tensor with its borders filled, channels last.

use gradgate_bundle::op::LANES;

use super::{Vector, pieces};
use crate::isa::{Kernel, Simd};
use crate::kernels::lanes::run;

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

    /// Elements of the copy that [`Frame::fill`] makes, 0 where the tensor serves as it is.
    pub fn copied(&self, scaled: bool) -> usize {
        let bare = self.before == [0; 2] && self.after == [0; 2];
        // What lies behind it begins on a cache line again.
        if bare && !scaled { 0 } else { self.elements().next_multiple_of(LANES) }
    }
}

impl Frame {
    /// The tensor in the middle of `out`, [`Frame::copied`] long, the borders +0, each channel
    /// times its scale; the tensor itself where there is nothing to do.
    pub fn fill<'a>(
        &self,
        vector: &Vector<'_>,
        x: &'a [f32],
        scale: Option<&[f32]>,
        out: &'a mut [f32],
    ) -> Option<&'a [f32]> {
        if self.copied(scale.is_some()) == 0 {
            return Some(x);
        }
        let out = out.get_mut(..self.elements())?;
        let rows = self.before[0] + self.inner[0] + self.after[0];
        let parts = if self.elements() < COPY_MIN { 1 } else { vector.threads() };
        let lines = pieces(&mut *out, rows, self.row(), parts);
        vector.all(lines.map(|(first, out)| Lines { frame: *self, x, scale, first, out }))?;
        Some(out)
    }
}

/// Elements under which a copy is not worth waking threads for: some five microseconds.
const COPY_MIN: usize = 16 << 10;

/// Some rows of the copy.
struct Lines<'a> {
    frame: Frame,
    x: &'a [f32],
    scale: Option<&'a [f32]>,
    /// First row.
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for Lines<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, _: S) -> Option<()> {
        let Lines { frame, x, scale, first, out } = self;
        let [rows, columns, channels] = frame.inner;
        let length = columns * channels;
        let left = frame.before[1] * channels;
        for (row, line) in out.chunks_exact_mut(frame.row().max(1)).enumerate() {
            let row = (first + row).checked_sub(frame.before[0]).filter(|row| *row < rows);
            let Some(row) = row else {
                line.fill(0.0);
                continue;
            };
            let x = run(x, row * length, length)?;
            let (start, rest) = line.split_at_mut_checked(left)?;
            let (middle, end) = rest.split_at_mut_checked(length)?;
            start.fill(0.0);
            end.fill(0.0);
            match scale {
                None => middle.copy_from_slice(x),
                Some(scale) => scaled(x, scale, middle),
            }
        }
        Some(())
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
