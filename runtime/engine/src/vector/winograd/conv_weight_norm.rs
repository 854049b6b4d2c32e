//! Squared norms of a convolution's parameter gradients: D in the transformed domain, a block of
//! inputs by a block of outputs over all tiles, turned back, squared and dropped.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::{
    POSITIONS, Row, Source, TILE, Tile, as_tiles, as_tiles_mut, gradient_line, is_plain, load,
};
use super::{pays, store, tiles, weight_gradient_line, width};
use crate::isa::{Kernel, Simd};
use crate::kernels::conv_weight_norm::WeightNorm;

/// Least tiles: turning D back costs as much as some ten tiles.
const TILES_MIN: usize = 12;

/// Whether the norm is formed here.
pub fn fits(s: &ConvShape) -> bool {
    is_plain(s) && pays(s.input[2]) && count(s) >= TILES_MIN
}

/// Tiles of the image.
fn count(s: &ConvShape) -> usize {
    let [rows, columns] = tiles([s.output[0], s.output[1]]);
    rows * columns
}

/// Tiles of a chunk, at most, unless a row has more: input and cotangent of a chunk should stay in
/// the second cache, while D is read and written once a chunk.
const CHUNK: usize = 64;

/// Rows of tiles of a chunk.
fn chunk_rows(s: &ConvShape) -> usize {
    let [rows, across] = tiles([s.output[0], s.output[1]]);
    (CHUNK / across.max(1)).clamp(1, rows)
}

/// Chunks of the image.
fn chunks(s: &ConvShape) -> usize {
    tiles([s.output[0], s.output[1]])[0].div_ceil(chunk_rows(s))
}

/// Tiles of a whole chunk.
fn of_chunk(s: &ConvShape) -> usize {
    chunk_rows(s) * tiles([s.output[0], s.output[1]])[1]
}

/// Elements of a chunk of the transformed input.
fn chunk_elements(s: &ConvShape) -> usize {
    s.input[2].div_ceil(LANES) * of_chunk(s) * TILE
}

/// Whether the transformed input is kept for further blocks of outputs.
fn keeps_input(s: &ConvShape) -> bool {
    s.output[2] > LANES
}

/// Elements of D for a block of outputs: of one block of inputs, where the next chunk adds nothing.
fn gradient_elements(s: &ConvShape) -> usize {
    let blocks = if chunks(s) == 1 { 1 } else { s.input[2].div_ceil(LANES) };
    blocks * size_of::<Gradient>() / size_of::<f32>()
}

/// D of a block of inputs and a block of outputs, transformed: `[position][input][output]`.
type Gradient = [[Row; LANES]; POSITIONS];

/// Elements of workspace for each thread: a chunk of the transformed cotangent, D, and the
/// transformed input. Threads do not share that: it costs little, and another core's cache is far.
pub fn thread_elements(s: &ConvShape) -> usize {
    let kept = if keeps_input(s) { chunks(s) } else { 1 };
    of_chunk(s) * TILE + gradient_elements(s) + kept * chunk_elements(s)
}

/// The input, its borders filled.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The convolution.
    pub s: &'a ConvShape,
    /// The values.
    pub source: &'a [f32],
    /// Elements of a row.
    pub row: usize,
}

impl Input<'_> {
    /// First row of tiles and rows of a chunk.
    fn rows(&self, chunk: usize) -> [usize; 2] {
        let [rows, _] = tiles([self.s.output[0], self.s.output[1]]);
        let first = chunk * chunk_rows(self.s);
        [first, chunk_rows(self.s).min(rows - first)]
    }

    /// Transforms a chunk to [`chunk_elements`].
    #[inline(always)]
    fn transform<S: Simd>(&self, simd: S, chunk: usize, out: &mut [f32]) -> Option<()> {
        let [_, across] = tiles([self.s.output[0], self.s.output[1]]);
        let channels = self.s.input[2];
        let source = Source { values: self.source, row: self.row, channels, across };
        let [first, rows] = self.rows(chunk);
        let blocks = as_tiles_mut(out).chunks_exact_mut(rows * across);
        for (block, out) in blocks.take(channels.div_ceil(LANES)).enumerate() {
            source.transform(simd, block, [first, rows], out)?;
        }
        Some(())
    }
}

/// Some blocks of output channels.
pub struct Outputs<'a> {
    /// The norm.
    pub norm: &'a WeightNorm<'a>,
    /// The input.
    pub input: Input<'a>,
    /// First channel.
    pub first: usize,
    /// `|D|^2` of each channel.
    pub r: &'a mut [f32],
    /// `<W, D>` of each channel.
    pub q: &'a mut [f32],
    /// [`thread_elements`] long.
    pub space: &'a mut [f32],
}

impl Kernel for Outputs<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let Outputs { norm, input, first, r, q, space } = self;
        let s = norm.s;
        let (cotangent, rest) = space.split_at_mut_checked(of_chunk(s) * TILE)?;
        let cotangent = as_tiles_mut(cotangent);
        let (gradient, own) = rest.split_at_mut_checked(gradient_elements(s))?;
        let gradient = gradient.as_chunks_mut().0.as_chunks_mut().0.as_chunks_mut().0;
        for (block, (r, q)) in r.chunks_mut(LANES).zip(q.chunks_mut(LANES)).enumerate() {
            let channel = first + block * LANES;
            let weights = norm.w.get(channel * 9 * s.input[2]..)?;
            let zero = [simd.splat(0.0); 3];
            let mut sums = Sums { weights, width: r.len(), r: zero, q: zero };
            for chunk in 0..chunks(s) {
                let kept = if keeps_input(s) { chunk * chunk_elements(s) } else { 0 };
                let v = own.get_mut(kept..)?.get_mut(..chunk_elements(s))?;
                if block == 0 || !keeps_input(s) {
                    input.transform(simd, chunk, v)?;
                }
                let rows = input.rows(chunk);
                let count = transform(simd, norm, [channel, r.len()], rows, cotangent)?;
                let (v, g) = (as_tiles(v).chunks_exact(count), cotangent.get(..count)?);
                let is_last = chunk + 1 == chunks(s);
                for (block, v) in v.take(s.input[2].div_ceil(LANES)).enumerate() {
                    let d = gradient.get_mut(if chunks(s) == 1 { 0 } else { block })?;
                    let wanted = is_last && norm.wants_scale;
                    let weights = if wanted { sums.weights } else { &[] };
                    for position in 0..POSITIONS {
                        prefetch(simd, weights, s.input[2], block * LANES + position);
                        multiply(simd, v, g, [position, chunk], d);
                    }
                    if is_last {
                        sums.add(simd, norm, block, d)?;
                    }
                }
            }
            copy(simd, sums.r, r);
            copy(simd, sums.q, q);
        }
        Some(())
    }
}

#[inline(always)]
fn copy<S: Simd>(simd: S, [a, b, c]: [S::Lanes; 3], to: &mut [f32]) {
    let lanes = simd.add(simd.add(a, b), c);
    let mut all = [0.0; LANES];
    simd.store(lanes, &mut all);
    to.iter_mut().zip(all).for_each(|(to, value)| *to = value);
}

/// `A g A'` of some channels and rows of tiles; returns the tiles.
#[inline(always)]
fn transform<S: Simd>(
    simd: S,
    norm: &WeightNorm<'_>,
    [channel, width]: [usize; 2],
    [first, rows]: [usize; 2],
    out: &mut [Tile],
) -> Option<usize> {
    let [height, columns, channels] = norm.s.output;
    let [_, across] = tiles([height, columns]);
    let zero = simd.splat(0.0);
    for down in 0..rows {
        let row = 2 * (first + down);
        for tile in 0..across {
            let at = (row * columns + 2 * tile) * channels + channel;
            let below = at + columns * channels;
            let (is_below, is_right) = (row + 1 < height, 2 * tile + 1 < columns);
            let mut u = [[load(simd, norm.g, at, width)?, zero], [zero; 2]];
            if is_below {
                u[0][1] = load(simd, norm.g, below, width)?;
            }
            if is_right {
                u[1][0] = load(simd, norm.g, at + channels, width)?;
            }
            if is_below && is_right {
                u[1][1] = load(simd, norm.g, below + channels, width)?;
            }
            let (left, right) = (gradient_line(simd, u[0]), gradient_line(simd, u[1]));
            let mut lines = [[zero; 4]; 4];
            for i in 0..4 {
                lines[i] = gradient_line(simd, [left[i], right[i]]);
            }
            store(simd, lines, out.get_mut(down * across + tile)?);
        }
    }
    Some(rows * across)
}

/// Asks for the weights of an input, which come from memory and are wanted behind the products.
#[inline(always)]
fn prefetch<S: Simd>(simd: S, weights: &[f32], inputs: usize, input: usize) {
    let rows = weights.as_chunks::<LANES>().0;
    for tap in 0..9 {
        if let Some(row) = rows.get(tap * inputs + input) {
            simd.prefetch(row, 0);
        }
    }
}

/// Adds the tiles of a chunk to a position of D of a block of inputs; it begins with the first
/// chunk.
#[inline(always)]
fn multiply<S: Simd>(
    simd: S,
    v: &[Tile],
    g: &[Tile],
    [position, chunk]: [usize; 2],
    d: &mut Gradient,
) {
    if S::ROWS >= 16 {
        sums::<S, 16, 0>(simd, v, g, [position, chunk], d);
    } else {
        sums::<S, 6, 0>(simd, v, g, [position, chunk], d);
        sums::<S, 6, 6>(simd, v, g, [position, chunk], d);
        sums::<S, 4, 12>(simd, v, g, [position, chunk], d);
    }
}

/// `P` inputs from `FIRST` on, summed over the tiles.
#[inline(always)]
fn sums<S: Simd, const P: usize, const FIRST: usize>(
    simd: S,
    v: &[Tile],
    g: &[Tile],
    [position, chunk]: [usize; 2],
    d: &mut Gradient,
) {
    let d = &mut d[position];
    let mut sums = [simd.splat(0.0); P];
    if chunk > 0 {
        for p in 0..P {
            sums[p] = simd.load(&d[FIRST + p]);
        }
    }
    for (v, g) in v.iter().zip(g) {
        let (v, g) = (&v[position], simd.load(&g[position]));
        for p in 0..P {
            sums[p] = simd.multiply_add(sums[p], g, simd.splat(v[FIRST + p]));
        }
    }
    for p in 0..P {
        simd.store(sums[p], &mut d[FIRST + p]);
    }
}

/// Sums over D of a block of outputs.
struct Sums<'a, L> {
    /// Weight rows of the block.
    weights: &'a [f32],
    /// Outputs of the block.
    width: usize,
    /// A sum for each column of the kernel: one alone would wait for itself.
    r: [L; 3],
    q: [L; 3],
}

impl<L: Copy> Sums<'_, L> {
    /// Turns D of a block of inputs back and adds it.
    #[inline(always)]
    fn add<S: Simd<Lanes = L>>(
        &mut self,
        simd: S,
        norm: &WeightNorm<'_>,
        block: usize,
        d: &Gradient,
    ) -> Option<()> {
        let channels = norm.s.input[2];
        for input in 0..width(channels, block) {
            let mut m = [[simd.splat(0.0); 4]; 4];
            for i in 0..4 {
                for j in 0..4 {
                    m[i][j] = simd.load(&d[4 * i + j][input]);
                }
            }
            let mut columns = [[simd.splat(0.0); 3]; 4];
            for j in 0..4 {
                columns[j] = weight_gradient_line(simd, [m[0][j], m[1][j], m[2][j], m[3][j]]);
            }
            for y in 0..3 {
                let [a, b, c, d] = columns;
                let taps = weight_gradient_line(simd, [a[y], b[y], c[y], d[y]]);
                for x in 0..3 {
                    self.r[x] = simd.multiply_add(self.r[x], taps[x], taps[x]);
                    if norm.wants_scale {
                        let row = (3 * y + x) * channels + block * LANES + input;
                        let w = load(simd, self.weights, row * self.width, self.width)?;
                        self.q[x] = simd.multiply_add(self.q[x], w, taps[x]);
                    }
                }
            }
        }
        Some(())
    }
}
