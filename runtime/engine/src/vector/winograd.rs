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
//! Channels are the lanes everywhere. Transformed tensors lie as `[block of 16 channels][tile]`, so
//! that transforms write, and products read, at fixed distances from one address.

pub mod conv;
pub mod conv_weight_norm;

use core::slice::ChunksExact;

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use crate::isa::Simd;
use crate::kernels::lanes::{run, take};

/// Values of a transformed tile.
pub const POSITIONS: usize = 16;

/// Sixteen lanes of every value of a tile.
type Values<L> = [[L; 4]; 4];

/// Sixteen channels.
pub type Row = [f32; LANES];

/// Sixteen channels of a transformed tile: `[position][channel]`, and a row that nobody reads.
/// One position of all tiles would otherwise fall into a sixteenth of the first cache's sets.
pub type Tile = [Row; POSITIONS + 1];

/// Elements of a [`Tile`].
pub const TILE: usize = (POSITIONS + 1) * LANES;

/// The buffer as transformed tiles.
pub fn as_tiles(values: &[f32]) -> &[Tile] {
    values.as_chunks().0.as_chunks().0
}

/// The buffer as transformed tiles.
pub fn as_tiles_mut(values: &mut [f32]) -> &mut [Tile] {
    values.as_chunks_mut().0.as_chunks_mut().0
}

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
pub fn load<S: Simd>(simd: S, from: &[f32], at: usize, width: usize) -> Option<S::Lanes> {
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

/// Writes a tile.
#[inline(always)]
fn store<S: Simd>(simd: S, line: [[S::Lanes; 4]; 4], out: &mut Tile) {
    for i in 0..4 {
        for j in 0..4 {
            simd.store(line[i][j], &mut out[4 * i + j]);
        }
    }
}

/// Reads a tile.
#[inline(always)]
fn values<S: Simd>(simd: S, tile: &Tile) -> Values<S::Lanes> {
    let mut values = [[simd.splat(0.0); 4]; 4];
    for i in 0..4 {
        for j in 0..4 {
            values[i][j] = simd.load(&tile[4 * i + j]);
        }
    }
    values
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
    /// Transforms one block of channels of some rows of tiles.
    #[inline(always)]
    fn transform<S: Simd>(
        &self,
        simd: S,
        block: usize,
        [first, rows]: [usize; 2],
        out: &mut [Tile],
    ) -> Option<()> {
        let channels = [block * LANES, width(self.channels, block)];
        let lines = out.chunks_exact_mut(self.across.max(1)).take(rows);
        for (row, line) in lines.enumerate() {
            let start = 2 * (first + row) * self.row;
            let length = (2 * self.across + 2) * self.channels;
            let mut pixels = [0, 1, 2, 3].map(|i| {
                let line = run(self.values, start + i * self.row, length).unwrap_or_default();
                line.chunks_exact(self.channels.max(1))
            });
            let mut left = column(simd, &mut pixels, channels)?;
            let mut right = column(simd, &mut pixels, channels)?;
            for tile in line {
                let next = column(simd, &mut pixels, channels)?;
                let last = column(simd, &mut pixels, channels)?;
                let mut lines = [[simd.splat(0.0); 4]; 4];
                for i in 0..4 {
                    lines[i] = input_line(simd, [left[i], right[i], next[i], last[i]]);
                }
                store(simd, lines, tile);
                (left, right) = (next, last);
            }
        }
        Some(())
    }
}

/// `B'` times the next column of four lines of pixels: some channels.
#[inline(always)]
fn column<S: Simd>(
    simd: S,
    pixels: &mut [ChunksExact<'_, f32>; 4],
    [first, width]: [usize; 2],
) -> Option<[S::Lanes; 4]> {
    let mut values = [simd.splat(0.0); 4];
    for i in 0..4 {
        values[i] = load(simd, pixels[i].next()?, first, width)?;
    }
    Some(input_line(simd, values))
}
