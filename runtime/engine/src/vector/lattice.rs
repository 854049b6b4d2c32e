//! Output pixels and the taps that each of them reads, as strides.
//!
//! Both the convolution and its input gradient are sums over taps of a source whose borders are
//! filled, so that every pixel sees the same taps. What differs is the strides.

/// The taps of one pixel: a grid of runs of neighbouring source values, and the weight rows that
/// belong to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taps {
    /// Rows and columns of the grid.
    pub grid: [usize; 2],
    /// Source elements from one tap to the next, by row and by column; wraps around for a step
    /// backwards.
    pub source: [usize; 2],
    /// Weight rows from one tap to the next.
    pub weight: [usize; 2],
    /// The first tap's weight row.
    pub first: usize,
    /// Source values, and weight rows, of a tap.
    pub run: usize,
}

/// Pixels in raster order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lattice {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Source element of the first pixel's first tap; wraps around.
    pub source: usize,
    /// Source elements from pixel to pixel, by row and by column.
    pub source_step: [usize; 2],
    /// Result element of the first pixel.
    pub target: usize,
    /// Result elements from pixel to pixel, by row and by column.
    pub target_step: [usize; 2],
}

impl Lattice {
    /// Pixels.
    pub fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// A walk over the pixels.
    pub fn walk(&self) -> Walk<'_> {
        Walk { lattice: self, row: 0, column: 0 }
    }
}

/// Pixels one after the other.
pub struct Walk<'a> {
    lattice: &'a Lattice,
    row: usize,
    column: usize,
}

impl Walk<'_> {
    /// Source and target element of the next `P` pixels.
    #[inline(always)]
    pub fn take<const P: usize>(&mut self) -> ([usize; P], [usize; P]) {
        let (mut sources, mut targets) = ([0; P], [0; P]);
        for (source, target) in sources.iter_mut().zip(&mut targets) {
            let l = self.lattice;
            let at = |first: usize, step: [usize; 2]| {
                let row = self.row.wrapping_mul(step[0]);
                first.wrapping_add(row).wrapping_add(self.column.wrapping_mul(step[1]))
            };
            (*source, *target) = (at(l.source, l.source_step), at(l.target, l.target_step));
            self.column += 1;
            if self.column == l.size[1] {
                (self.row, self.column) = (self.row + 1, 0);
            }
        }
        (sources, targets)
    }
}
