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
    (channels.div_ceil(LANES) + BLOCKS_MAX) * tiles * TILE
}

/// Blocks of results at a time, at most.
const BLOCKS_MAX: usize = 2;

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
        let blocks = channels.div_ceil(LANES);
        let results = Results { rows, columns, channels: outputs };
        for first in (0..down).step_by(chunk(across)) {
            let part = chunk(across).min(down - first);
            let count = part * across;
            let tiles = as_tiles_mut(space).get_mut(..(blocks + BLOCKS_MAX) * count)?;
            for (block, v) in tiles.chunks_exact_mut(count).take(blocks).enumerate() {
                source.transform(simd, block, [self.first + first, part], v)?;
            }
            let mut chunk = Chunk { tiles, count, blocks, first, across };
            chunk.all(simd, self.weights, &results, &end, y)?;
        }
        Some(())
    }
}

/// Rows, columns and channels of the result's part.
struct Results {
    rows: usize,
    columns: usize,
    channels: usize,
}

/// Transformed tiles.
struct Chunk<'a> {
    /// Blocks of source channels, then room for products.
    tiles: &'a mut [Tile],
    /// Tiles of a block.
    count: usize,
    /// Blocks of source channels.
    blocks: usize,
    /// First row of tiles within the result's part.
    first: usize,
    across: usize,
}

impl Chunk<'_> {
    /// All results.
    #[inline(always)]
    fn all<S: Simd>(
        &mut self,
        simd: S,
        weights: &[Row],
        results: &Results,
        end: &impl Epilogues,
        y: &mut [f32],
    ) -> Option<()> {
        let blocks = results.channels.div_ceil(LANES);
        let of_block = POSITIONS * LANES * self.blocks;
        // Where all results come at once, their products take the place of what they came from:
        // with sixteen channels all of it stays in the first cache.
        let in_place = blocks <= S::BLOCKS.min(self.blocks);
        let to = if in_place { 0 } else { self.blocks * self.count };
        let mut done = 0;
        while done < blocks {
            let weights = weights.get(done * of_block..)?;
            let now = if S::BLOCKS >= 2 && blocks - done >= 2 { 2 } else { 1 };
            if now == 2 {
                self.multiply::<S, 2>(simd, weights, to)?;
            } else {
                self.multiply::<S, 1>(simd, weights, to)?;
            }
            for products in self.tiles.get(to..)?.chunks_exact(self.count).take(now) {
                let channel = done * LANES;
                let end = end.block(channel, width(results.channels, done));
                self.finish(simd, products, &end, results, channel, y)?;
                done += 1;
            }
        }
        Some(())
    }

    /// Products of `B` blocks of results, summed over the channels, to the tiles from `to` on.
    #[inline(always)]
    fn multiply<S: Simd, const B: usize>(
        &mut self,
        simd: S,
        weights: &[Row],
        to: usize,
    ) -> Option<()> {
        let rows = self.blocks * LANES;
        for position in 0..POSITIONS {
            let mut of_blocks = [&[][..]; B];
            for b in 0..B {
                of_blocks[b] = weights.get((b * POSITIONS + position) * rows..)?.get(..rows)?;
            }
            let mut done = 0;
            macro_rules! tiles {
                ($tiles:literal) => {
                    while $tiles * B <= S::ROWS && self.count - done >= $tiles {
                        let sums = self.sums::<S, $tiles, B>(simd, position, done, of_blocks)?;
                        for b in 0..B {
                            let first = to + b * self.count + done;
                            let tiles = self.tiles.get_mut(first..)?.first_chunk_mut::<$tiles>()?;
                            for p in 0..$tiles {
                                simd.store(sums[b][p], &mut tiles[p][position]);
                            }
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
        }
        Some(())
    }

    /// One position of `P` tiles from `first` on.
    #[inline(always)]
    fn sums<S: Simd, const P: usize, const B: usize>(
        &self,
        simd: S,
        position: usize,
        first: usize,
        weights: [&[Row]; B],
    ) -> Option<[[S::Lanes; P]; B]> {
        let mut sums = [[simd.splat(0.0); P]; B];
        let blocks = self.tiles.chunks_exact(self.count).take(self.blocks);
        for (block, v) in blocks.enumerate() {
            let v = v.get(first..)?.first_chunk::<P>()?;
            let mut rows = [&[[0.0; LANES]; LANES]; B];
            for b in 0..B {
                rows[b] = take_rows(weights[b], block * LANES)?;
            }
            // Four to a turn: sixteen turns are too many for the branch predictor.
            for turn in 0..LANES / 4 {
                for k in 4 * turn..4 * turn + 4 {
                    let mut weights = [simd.splat(0.0); B];
                    for b in 0..B {
                        simd.prefetch(&rows[b][k], AHEAD);
                        weights[b] = simd.load(&rows[b][k]);
                    }
                    for p in 0..P {
                        let value = simd.splat(v[p][position][k]);
                        for b in 0..B {
                            sums[b][p] = simd.multiply_add(sums[b][p], value, weights[b]);
                        }
                    }
                }
            }
        }
        Some(sums)
    }

    /// Transforms the products back and ends them.
    #[inline(always)]
    fn finish<S: Simd>(
        &self,
        simd: S,
        products: &[Tile],
        end: &impl Finish,
        results: &Results,
        channel: usize,
        y: &mut [f32],
    ) -> Option<()> {
        let Results { rows, columns, channels: right } = *results;
        let below = columns * right;
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

/// Sixteen rows from `first` on.
#[inline(always)]
fn take_rows(rows: &[Row], first: usize) -> Option<&[Row; LANES]> {
    rows.get(first..)?.first_chunk()
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
