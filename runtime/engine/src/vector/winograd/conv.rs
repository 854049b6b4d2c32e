//! Convolution, and its input gradient, which is one of the scaled cotangent with turned weights.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::{POSITIONS, Row, Source, TILE, Tile, is_plain, load, output_line, pays};
use super::{as_tiles_mut, tiles, values, weight_line, width};
use crate::isa::{Kernel, Simd};
use crate::vector::source::Frame;
use crate::vector::tile::{AHEAD, Finish};

/// Tiles of a chunk, about: their transformed values should stay in the first two caches, and a
/// register tile takes up to sixteen.
const CHUNK: usize = 16;

/// Least tiles of an image: with fewer the larger weights are read for too few products.
const TILES_MIN: usize = 8;

/// Whether the convolution is done here.
pub fn fits(s: &ConvShape) -> bool {
    let [rows, columns] = tiles([s.output[0], s.output[1]]);
    is_plain(s) && pays(s.input[2]) && rows * columns >= TILES_MIN
}

/// Whether its input gradient is done here.
pub fn fits_input_gradient(s: &ConvShape) -> bool {
    let [rows, columns] = tiles([s.input[0], s.input[1]]);
    let reach = s.pads.iter().all(|pad| *pad <= 2);
    is_plain(s) && reach && pays(s.output[2]) && rows * columns >= TILES_MIN
}

/// The tensor `inner` with its borders, so that all tiles of `target` find what they read.
fn frame(inner: [usize; 3], before: [usize; 2], target: [usize; 2]) -> Frame {
    let needed = tiles(target).map(|tiles| 2 * tiles + 2);
    let after = [0, 1].map(|axis| needed[axis].saturating_sub(before[axis] + inner[axis]));
    Frame { inner, before, after }
}

/// The input with its borders.
pub fn input_frame(s: &ConvShape) -> Frame {
    frame(s.input, [s.pads[0], s.pads[1]], [s.output[0], s.output[1]])
}

/// The cotangent with its borders.
pub fn cotangent_frame(s: &ConvShape) -> Frame {
    frame(s.output, [2 - s.pads[0], 2 - s.pads[1]], [s.input[0], s.input[1]])
}

/// Rows of the transformed weights, `[block of results][position][channel]`, for a sum over
/// `channels`, with so many results.
pub fn weight_rows(channels: usize, outputs: usize) -> usize {
    outputs.div_ceil(LANES) * of_block(channels)
}

/// Of one block of results.
fn of_block(channels: usize) -> usize {
    POSITIONS * channels.next_multiple_of(LANES)
}

/// Rows of tiles of a chunk.
fn chunk(across: usize) -> usize {
    (CHUNK / across.max(1)).max(1)
}

/// Elements of workspace for each thread: a chunk transformed, and its products.
pub fn thread_elements(channels: usize, target: [usize; 2]) -> usize {
    let [rows, across] = tiles(target);
    let tiles = chunk(across).min(rows) * across;
    (channels.div_ceil(LANES) + 1) * tiles * TILE
}

/// Transforms a block of weights.
pub struct Weights<'a> {
    /// The convolution.
    pub s: &'a ConvShape,
    /// Its blocked weights.
    pub w: &'a [f32],
    /// Block of results.
    pub block: usize,
    /// Whether results are the convolution's inputs: sums over its outputs, the kernel turned by
    /// half a turn.
    pub turned: bool,
    /// [`weight_rows`] of one block.
    pub out: &'a mut [Row],
}

impl Kernel for Weights<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let s = self.s;
        let channels = if self.turned { s.output[2] } else { s.input[2] };
        let rows = channels.next_multiple_of(LANES);
        for channel in 0..channels {
            let mut lines = [[simd.splat(0.0); 4]; 3];
            for x in 0..3 {
                let mut column = [simd.splat(0.0); 3];
                for y in 0..3 {
                    column[y] = self.tap(simd, 3 * y + x, channel)?;
                }
                lines[x] = weight_line(simd, column);
            }
            for i in 0..4 {
                let values = weight_line(simd, [lines[0][i], lines[1][i], lines[2][i]]);
                for j in 0..4 {
                    let row = (4 * i + j) * rows + channel;
                    simd.store(values[j], self.out.get_mut(row)?);
                }
            }
        }
        for position in self.out.chunks_exact_mut(rows) {
            position.get_mut(channels..)?.fill([0.0; LANES]);
        }
        Some(())
    }
}

impl Weights<'_> {
    /// Of one tap and one channel of the sum, the block's results.
    #[inline(always)]
    fn tap<S: Simd>(&self, simd: S, tap: usize, channel: usize) -> Option<S::Lanes> {
        let [inputs, outputs] = [self.s.input[2], self.s.output[2]];
        // Blocks of the weights are blocks of outputs.
        let block = if self.turned { channel / LANES } else { self.block };
        let width = width(outputs, block);
        let start = block * LANES * 9 * inputs;
        if !self.turned {
            return load(simd, self.w, start + (tap * inputs + channel) * width, width);
        }
        let first = (8 - tap) * inputs + self.block * LANES;
        let column = self.w.get(start + first * width + channel % LANES..)?;
        let mut lanes = [0.0; LANES];
        let inputs = self::width(inputs, self.block);
        for (lane, value) in lanes.iter_mut().zip(column.iter().step_by(width)).take(inputs) {
            *lane = *value;
        }
        Some(simd.load(&lanes))
    }
}

/// Epilogues of all blocks of results.
pub trait Epilogues {
    /// Of one block.
    type Block<'a>: Finish
    where
        Self: 'a;
    /// Of the block of `width` channels from `channel` on.
    fn block(&self, channel: usize, width: usize) -> Self::Block<'_>;
}

/// Some rows of tiles, all results of them.
pub struct Part<'a, E> {
    /// What is filtered, borders filled.
    pub source: &'a [f32],
    /// Its frame.
    pub frame: &'a Frame,
    /// Transformed weights.
    pub weights: &'a [Row],
    /// First row of tiles.
    pub first: usize,
    /// Columns and channels of the result.
    pub target: [usize; 2],
    /// What follows the sums.
    pub end: E,
    /// The result's rows.
    pub y: &'a mut [f32],
    /// [`thread_elements`] long.
    pub space: &'a mut [f32],
}

impl<E: Epilogues> Kernel for Part<'_, E> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let Part { end, y, space, .. } = self;
        let channels = self.frame.inner[2];
        let [columns, outputs] = self.target;
        let rows = y.len() / (columns * outputs).max(1);
        let [down, across] = tiles([rows, columns]);
        let source = Source { values: self.source, row: self.frame.row(), channels, across };
        for first in (0..down).step_by(chunk(across)) {
            let part = chunk(across).min(down - first);
            let count = part * across;
            let blocks = channels.div_ceil(LANES);
            let (v, rest) = as_tiles_mut(space).split_at_mut_checked(blocks * count)?;
            for (block, v) in v.chunks_exact_mut(count).enumerate() {
                source.transform(simd, block, [self.first + first, part], v)?;
            }
            let v = Chunk { v, count, first, across };
            let products = rest.get_mut(..count)?;
            let blocks = self.weights.chunks_exact(of_block(channels));
            for (block, weights) in blocks.take(outputs.div_ceil(LANES)).enumerate() {
                v.multiply(simd, weights, products)?;
                let channel = block * LANES;
                let end = end.block(channel, width(outputs, block));
                v.finish(simd, products, &end, [rows, columns, outputs], channel, y)?;
            }
        }
        Some(())
    }
}

/// Transformed tiles.
struct Chunk<'a> {
    v: &'a [Tile],
    count: usize,
    /// First row of tiles within the result's part.
    first: usize,
    across: usize,
}

impl Chunk<'_> {
    /// Products of a block of results, summed over the channels.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, weights: &[Row], products: &mut [Tile]) -> Option<()> {
        let rows = weights.len() / POSITIONS;
        let mut done = 0;
        macro_rules! tiles {
            ($tiles:literal) => {
                while $tiles <= S::ROWS && self.count - done >= $tiles {
                    for position in 0..POSITIONS {
                        let weights = weights.get(position * rows..)?.get(..rows)?;
                        self.sums::<S, $tiles>(simd, position, done, weights, products)?;
                    }
                    done += $tiles;
                }
            };
        }
        tiles!(16);
        tiles!(8);
        tiles!(6);
        tiles!(4);
        tiles!(2);
        tiles!(1);
        Some(())
    }

    /// One position of `P` tiles from `first` on.
    #[inline(always)]
    fn sums<S: Simd, const P: usize>(
        &self,
        simd: S,
        position: usize,
        first: usize,
        weights: &[Row],
        products: &mut [Tile],
    ) -> Option<()> {
        let mut sums = [simd.splat(0.0); P];
        let blocks = self.v.chunks_exact(self.count);
        for (v, weights) in blocks.zip(weights.as_chunks::<LANES>().0) {
            let v = v.get(first..)?.first_chunk::<P>()?;
            // Four to a turn: sixteen turns are too many for the branch predictor.
            for turn in 0..LANES / 4 {
                for k in 4 * turn..4 * turn + 4 {
                    simd.prefetch(&weights[k], AHEAD);
                    let weight = simd.load(&weights[k]);
                    for p in 0..P {
                        let value = simd.splat(v[p][position][k]);
                        sums[p] = simd.multiply_add(sums[p], value, weight);
                    }
                }
            }
        }
        let products = products.get_mut(first..)?.first_chunk_mut::<P>()?;
        for p in 0..P {
            simd.store(sums[p], &mut products[p][position]);
        }
        Some(())
    }

    /// Transforms the products back and ends them.
    #[inline(always)]
    fn finish<S: Simd>(
        &self,
        simd: S,
        products: &[Tile],
        end: &impl Finish,
        [rows, columns, channels]: [usize; 3],
        channel: usize,
        y: &mut [f32],
    ) -> Option<()> {
        let right = channels;
        let below = columns * channels;
        for (down, line) in products.chunks_exact(self.across.max(1)).enumerate() {
            let row = 2 * (self.first + down);
            let is_below = row + 1 < rows;
            for (across, tile) in line.iter().enumerate() {
                let [[a, b], [c, d]] = back(simd, tile);
                let is_right = 2 * across + 1 < columns;
                let at = row * below + 2 * across * right + channel;
                end.finish(simd, a, at, y)?;
                if is_right {
                    end.finish(simd, b, at + right, y)?;
                }
                if is_below {
                    end.finish(simd, c, at + below, y)?;
                }
                if is_below && is_right {
                    end.finish(simd, d, at + below + right, y)?;
                }
            }
        }
        Some(())
    }
}

/// `A' m A`
#[inline(always)]
fn back<S: Simd>(simd: S, tile: &Tile) -> [[S::Lanes; 2]; 2] {
    let [m0, m1, m2, m3] = values(simd, tile);
    let a = output_line(simd, [m0[0], m1[0], m2[0], m3[0]]);
    let b = output_line(simd, [m0[1], m1[1], m2[1], m3[1]]);
    let c = output_line(simd, [m0[2], m1[2], m2[2], m3[2]]);
    let d = output_line(simd, [m0[3], m1[3], m2[3], m3[3]]);
    [output_line(simd, [a[0], b[0], c[0], d[0]]), output_line(simd, [a[1], b[1], c[1], d[1]])]
}
