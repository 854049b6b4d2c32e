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
    /// Source elements between neighbouring taps, by row and by column.
    pub source: [usize; 2],
    /// Whether the taps' order goes backwards through the source.
    pub backward: bool,
    /// Weight rows from one tap to the next.
    pub weight: [usize; 2],
    /// The first tap's weight row.
    pub first: usize,
    /// Source values, and weight rows, of a tap.
    pub run: usize,
}

impl Taps {
    /// Whether there is none: a stride may leave out an input.
    pub fn is_empty(&self) -> bool {
        self.grid.contains(&0)
    }

    /// Source elements from the beginning of a pixel's lowest tap to the end of its highest.
    pub fn extent(&self) -> usize {
        let last = |axis: usize| self.grid[axis].saturating_sub(1) * self.source[axis];
        last(0) + last(1) + self.run
    }

    /// Where a tap begins within the extent.
    #[inline(always)]
    pub fn place(&self, row: usize, column: usize) -> usize {
        let [rows, columns] = self.grid;
        let (row, column) =
            if self.backward { (rows - 1 - row, columns - 1 - column) } else { (row, column) };
        row * self.source[0] + column * self.source[1]
    }

    /// A tap's first weight row.
    #[inline(always)]
    pub fn weight_row(&self, row: usize, column: usize) -> usize {
        self.first + row * self.weight[0] + column * self.weight[1]
    }
}

/// Pixels in raster order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lattice {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Source element of the first pixel's lowest tap.
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
        let at = [self.source, self.target];
        Walk { lattice: self, row: at, at, left: self.size[1] }
    }
}

/// Pixels one after the other.
pub struct Walk<'a> {
    lattice: &'a Lattice,
    /// Source and target element of the row's first pixel.
    row: [usize; 2],
    /// Of the next pixel.
    at: [usize; 2],
    /// Pixels left in the row.
    left: usize,
}

impl Walk<'_> {
    /// Source and target element of the next `P` pixels.
    #[inline(always)]
    pub fn take<const P: usize>(&mut self) -> ([usize; P], [usize; P]) {
        let l = self.lattice;
        let (mut sources, mut targets) = ([0; P], [0; P]);
        for (source, target) in sources.iter_mut().zip(&mut targets) {
            [*source, *target] = self.at;
            self.left -= 1;
            if self.left == 0 {
                self.row = add(self.row, [l.source_step[0], l.target_step[0]]);
                (self.at, self.left) = (self.row, l.size[1]);
            } else {
                self.at = add(self.at, [l.source_step[1], l.target_step[1]]);
            }
        }
        (sources, targets)
    }
}

#[inline(always)]
fn add(a: [usize; 2], b: [usize; 2]) -> [usize; 2] {
    [a[0].wrapping_add(b[0]), a[1].wrapping_add(b[1])]
}
