//! Winograd's minimal filtering for 3 x 3 kernels of stride 1, fast numerics only: two by two
//! results come from 16 products of transformed values instead of 36 of plain ones.
//!
//! F(2x2, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016):
//!
//! ```text
//! y = A' [(G w G') . (B' x B)] A        x: 4 x 4, w: 3 x 3, y: 2 x 2
//!
//!      1  0 -1  0         1   0   0          1  0
//! B' = 0  1  1  0    G = 1/2 1/2 1/2    A =  1  1
//!      0 -1  1  0        1/2-1/2 1/2         1 -1
//!      0 -1  0  1         0   0   1          0  1
//! ```
//!
//! The gradient of w is the chain rule through the same line: `G' [sum of (A g A') . (B' x B)] G`,
//! the sum over all tiles. The last rows of B' and A have the other sign than in the paper, which
//! saves negations and cancels in the product. Larger tiles would save more multiplications, but
//! lose digits.
//!
//! Channels are the lanes everywhere. Transformed tensors lie as `[block of 16 channels][position
//! of 16][tile][16]`, so that a register tile of the products reads from one address on.

pub mod conv;
pub mod conv_weight_norm;

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use crate::isa::Simd;
use crate::kernels::lanes::{run, take};

/// Values of a transformed tile.
pub const POSITIONS: usize = 16;

/// Sixteen lanes of every value of a tile.
type Tile<L> = [[L; 4]; 4];

/// Rows of sixteen channels.
pub type Rows = [[f32; LANES]];

/// Whether the transforms pay for a sum over so many channels: lanes past the last channel are
/// multiplied like the others, and the transforms cost about a third of the products.
fn pays(channels: usize) -> bool {
    22 * channels.next_multiple_of(LANES) <= 36 * channels
}

/// Whether the kernels here take this convolution.
fn is_plain(s: &ConvShape) -> bool {
    s.kernel == [3, 3] && s.strides == [1, 1] && s.dilations == [1, 1] && s.groups == 1
}

/// Rows and columns of tiles that cover an image.
pub fn tiles([rows, columns]: [usize; 2]) -> [usize; 2] {
    [rows.div_ceil(2), columns.div_ceil(2)]
}

/// From one position of a transformed tensor to the next: an odd number of cache lines, as the
/// sixteen positions of a tile would otherwise fall into a few sets of the cache.
fn stride(tiles: usize) -> usize {
    tiles | 1
}

/// Rows of a transformed tensor.
fn transformed(channels: usize, tiles: usize) -> usize {
    channels.div_ceil(LANES) * POSITIONS * stride(tiles)
}

/// `B' d` or, without B, one line of `d B`.
#[inline(always)]
fn input_line<S: Simd>(simd: S, [a, b, c, d]: [S::Lanes; 4]) -> [S::Lanes; 4] {
    [simd.subtract(a, c), simd.add(b, c), simd.subtract(c, b), simd.subtract(d, b)]
}

/// `A' m`: one line of four values to two.
#[inline(always)]
fn output_line<S: Simd>(simd: S, [a, b, c, d]: [S::Lanes; 4]) -> [S::Lanes; 2] {
    [simd.add(simd.add(a, b), c), simd.add(simd.subtract(b, c), d)]
}

/// `A u`: one line of two values to four.
#[inline(always)]
fn gradient_line<S: Simd>(simd: S, [a, b]: [S::Lanes; 2]) -> [S::Lanes; 4] {
    [a, simd.add(a, b), simd.subtract(a, b), b]
}

/// `G w`: one line of three values to four.
#[inline(always)]
fn weight_line<S: Simd>(simd: S, [a, b, c]: [S::Lanes; 3]) -> [S::Lanes; 4] {
    let half = simd.splat(0.5);
    let outer = simd.add(a, c);
    let (plus, minus) = (simd.add(outer, b), simd.subtract(outer, b));
    [a, simd.multiply(plus, half), simd.multiply(minus, half), c]
}

/// `G' s`: one line of four values to three.
#[inline(always)]
fn weight_gradient_line<S: Simd>(simd: S, [a, b, c, d]: [S::Lanes; 4]) -> [S::Lanes; 3] {
    let half = simd.splat(0.5);
    let both = simd.multiply(simd.add(b, c), half);
    [simd.add(a, both), simd.multiply(simd.subtract(b, c), half), simd.add(both, d)]
}

/// Up to sixteen values from element `at` on, the lanes past `width` +0.
#[inline(always)]
fn load<S: Simd>(simd: S, from: &[f32], at: usize, width: usize) -> Option<S::Lanes> {
    if width == LANES {
        return Some(simd.load(take(from, at)?));
    }
    let mut lanes = [0.0; LANES];
    lanes.iter_mut().zip(run(from, at, width)?).for_each(|(lane, value)| *lane = *value);
    Some(simd.load(&lanes))
}

/// Channels of block `block`.
fn width(channels: usize, block: usize) -> usize {
    LANES.min(channels - block * LANES)
}

/// A source with its borders filled: two rows and columns beyond the last tile's first pixel.
#[derive(Clone, Copy)]
struct Source<'a> {
    values: &'a [f32],
    /// Elements of a row.
    row: usize,
    channels: usize,
    /// Tiles of a row.
    across: usize,
}

impl Source<'_> {
    /// Transforms one block of channels of some rows of tiles; `out` is [`POSITIONS`] strides long.
    #[inline(always)]
    fn transform<S: Simd>(
        &self,
        simd: S,
        block: usize,
        [first, rows]: [usize; 2],
        out: &mut Rows,
    ) -> Option<()> {
        let stride = stride(rows * self.across);
        let mut positions = out.chunks_exact_mut(stride.max(1));
        let mut places: [&mut Rows; POSITIONS] = core::array::from_fn(|_| &mut [][..]);
        for place in &mut places {
            *place = positions.next()?.get_mut(..rows * self.across)?;
        }
        let width = width(self.channels, block);
        for row in 0..rows {
            let start = 2 * (first + row) * self.row + block * LANES;
            let [a, b] = [self.column(simd, start, 0, width)?, self.column(simd, start, 1, width)?];
            let mut columns = [a, b, b, b];
            for tile in 0..self.across {
                columns[2] = self.column(simd, start, 2 * tile + 2, width)?;
                columns[3] = self.column(simd, start, 2 * tile + 3, width)?;
                let at = row * self.across + tile;
                for i in 0..4 {
                    let [a, b, c, d] = columns;
                    let line = input_line(simd, [a[i], b[i], c[i], d[i]]);
                    for j in 0..4 {
                        simd.store(line[j], places[4 * i + j].get_mut(at)?);
                    }
                }
                columns[0] = columns[2];
                columns[1] = columns[3];
            }
        }
        Some(())
    }

    /// `B'` times four values of a column.
    #[inline(always)]
    fn column<S: Simd>(
        &self,
        simd: S,
        start: usize,
        column: usize,
        width: usize,
    ) -> Option<[S::Lanes; 4]> {
        let at = start + column * self.channels;
        let mut values = [simd.splat(0.0); 4];
        for i in 0..4 {
            values[i] = load(simd, self.values, at + i * self.row, width)?;
        }
        Some(input_line(simd, values))
    }
}
