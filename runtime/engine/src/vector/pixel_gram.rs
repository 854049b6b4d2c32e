//! Weight norm by Gram matrices of pixels, sixteen pixels of a row at a time.
//!
//! Both matrices are products of a pixel's channels with a block of sixteen pixels, transposed so
//! that lanes run along them. Places of pixels are those of the padded input, where a tap shifts a
//! whole row of the matrix alike. Blocks left of the diagonal are never computed.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::{ConvShape, PixelGram};

use super::lattice::{Lattice, Taps};
use super::tile::{Finish, Pass};
use super::{MACS_MIN, Vector, pieces};
use crate::isa::{Kernel, Simd};
use crate::kernels::conv_weight_norm::{Norms, WeightNorm};
use crate::kernels::lanes::{fold, run, take_mut};
use crate::kernels::pixel_gram::{padded, place, shifted_sums, tap};

/// Elements of a row that holds the places of all output pixels, in whole blocks.
fn span(s: &ConvShape, gram: &PixelGram) -> usize {
    ((s.output[0] - 1) * gram.columns + s.output[1]).next_multiple_of(LANES)
}

/// Elements of the workspace: the scaled cotangent, input and cotangent transposed, and the
/// cotangent's Gram matrix.
pub fn workspace(s: &ConvShape) -> usize {
    s.pixel_gram().map_or(0, |gram| lengths(s, &gram).iter().sum())
}

fn lengths(s: &ConvShape, gram: &PixelGram) -> [usize; 4] {
    let (span, pixels) = (span(s, gram), s.output[0] * s.output[1]);
    [pixels * s.output[2], gram.stride * s.input[2], span * s.output[2], pixels * span]
}

/// See [`crate::kernels::pixel_gram::pixel_gram`].
pub fn pixel_gram(
    vector: &Vector<'_>,
    norm: &WeightNorm<'_>,
    scratch: &mut [f32],
    workspace: &mut [f32],
) -> Option<Norms> {
    let s = norm.s;
    let gram = s.pixel_gram()?;
    let (rows, space) = scratch.split_at_mut_checked(3 * s.output[2])?;
    let (sums, matrix) = space.split_at_mut_checked(gram.stride)?;
    let [scaled, columns, cotangents, products] = lengths(s, &gram);
    let (scaled, rest) = workspace.split_at_mut_checked(scaled)?;
    let (columns, rest) = rest.split_at_mut_checked(columns)?;
    let (cotangents, rest) = rest.split_at_mut_checked(cotangents)?;
    let products = rest.get_mut(..products)?;
    scale_rows(norm, scaled);

    let inputs =
        Side { s, gram, place: padded, values: norm.x, channels: s.input[2], stride: gram.stride };
    inputs.gram(vector, gram.pixels, columns, matrix)?;
    let outputs =
        Side { s, gram, place, values: scaled, channels: s.output[2], stride: span(s, &gram) };
    outputs.gram(vector, s.output[0] * s.output[1], cotangents, products)?;
    let weight = vector.run(Total { s, gram, sums, matrix, products })?;
    norm.finish_gram(weight, rows)
}

/// The sum of the products of both matrices.
struct Total<'a> {
    s: &'a ConvShape,
    gram: PixelGram,
    /// A row of sums over taps.
    sums: &'a mut [f32],
    matrix: &'a [f32],
    products: &'a [f32],
}

impl Kernel for Total<'_> {
    type Output = Option<f32>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<f32> {
        let Total { s, gram, sums, matrix, products } = self;
        let span = span(s, &gram);
        let mut total = simd.splat(0.0);
        for (p, products) in products.chunks_exact(span).enumerate() {
            let first = place(s, &gram, p)?;
            if s.strides == [1, 1] {
                add_taps(simd, s, &gram, matrix, p, first, sums.get_mut(..span)?)?;
            } else {
                shifted_sums(s, &gram, matrix, p, sums)?;
            }
            total = add_row(simd, first, sums, products, total);
        }
        let mut lanes = [0.0; LANES];
        simd.store(total, &mut lanes);
        Some(fold(&lanes))
    }
}

#[inline(always)]
fn scale_rows(norm: &WeightNorm<'_>, scaled: &mut [f32]) {
    let channels = norm.s.output[2].max(1);
    let rows = scaled.chunks_exact_mut(channels).zip(norm.g.chunks_exact(channels));
    for (to, g) in rows {
        match norm.scale {
            None => to.copy_from_slice(g),
            Some(scale) => {
                for ((to, g), scale) in to.iter_mut().zip(g).zip(scale) {
                    *to = g * scale;
                }
            }
        }
    }
}

/// Puts a pixel's channels into lane `place` mod 16 of its block's rows.
#[inline(always)]
fn transpose(values: &[f32], place: usize, out: &mut [f32]) -> Option<()> {
    let block =
        out.get_mut(place / LANES * LANES * values.len()..)?.get_mut(..LANES * values.len())?;
    for (row, value) in block.as_chunks_mut::<LANES>().0.iter_mut().zip(values) {
        *row.get_mut(place % LANES)? = *value;
    }
    Some(())
}

/// Where a pixel stands in a row of a matrix.
type Place = fn(&ConvShape, &PixelGram, usize) -> Option<usize>;

/// Pixels that make the rows and, at their places, the columns of a Gram matrix.
#[derive(Clone, Copy)]
struct Side<'a> {
    s: &'a ConvShape,
    gram: PixelGram,
    place: Place,
    values: &'a [f32],
    channels: usize,
    /// Elements of a row of the matrix.
    stride: usize,
}

impl Side<'_> {
    /// The matrix from its diagonal on, +0 elsewhere; `transposed` is space for its columns.
    fn gram(
        &self,
        vector: &Vector<'_>,
        pixels: usize,
        transposed: &mut [f32],
        matrix: &mut [f32],
    ) -> Option<()> {
        transposed.fill(0.0);
        let rows = self.values.chunks_exact(self.channels.max(1));
        for (pixel, values) in rows.take(pixels).enumerate() {
            transpose(values, (self.place)(self.s, &self.gram, pixel)?, transposed)?;
        }
        let macs = (pixels * self.stride * self.channels) as u64;
        let parts = if macs < MACS_MIN { 1 } else { vector.threads() };
        let (side, columns) = (*self, &*transposed);
        vector.all(pieces(matrix, pixels, self.stride, parts).map(|(first, matrix)| Part {
            side,
            columns,
            first,
            matrix,
        }))
    }
}

/// Some rows of a Gram matrix.
struct Part<'a> {
    side: Side<'a>,
    columns: &'a [f32],
    first: usize,
    matrix: &'a mut [f32],
}

impl Kernel for Part<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let Part { side, columns, first, matrix } = self;
        matrix.fill(0.0);
        let pixels = matrix.len() / side.stride.max(1);
        let taps = Taps { grid: [1, 1], run: side.channels, ..Taps::default() };
        let blocks = columns.as_chunks::<LANES>().0.chunks_exact(side.channels.max(1));
        let mut rows = 0;
        for (block, weights) in blocks.enumerate() {
            // Rows whose diagonal lies in this block or before it; places ascend.
            while rows < pixels {
                if (side.place)(side.s, &side.gram, first + rows)? >= (block + 1) * LANES {
                    break;
                }
                rows += 1;
            }
            let lattice = Lattice {
                size: [1, rows],
                source: first * side.channels,
                source_step: [0, side.channels],
                target: block * LANES,
                target_step: [0, side.stride],
            };
            let source = side.values;
            let pass = Pass { taps: &taps, lattice: &lattice, source, weights: [weights] };
            pass.run::<S, false>(simd, matrix, [&Store])?;
        }
        Some(())
    }
}

/// Nothing happens to a product.
struct Store;

impl Finish for Store {
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: S::Lanes, at: usize, y: &mut [f32]) -> Option<()> {
        simd.store(sums, take_mut(y, at)?);
        Some(())
    }
}

/// Row p of X from its own block on: the matrix's rows of the taps, shifted. The lanes before
/// `first`, and those between the rows of pixels, hold what their factor +0 takes away.
#[inline(always)]
fn add_taps<S: Simd>(
    simd: S,
    s: &ConvShape,
    gram: &PixelGram,
    matrix: &[f32],
    p: usize,
    first: usize,
    sums: &mut [f32],
) -> Option<()> {
    sums.fill(0.0);
    let skipped = first / LANES * LANES;
    let sums = sums.get_mut(skipped..)?.as_chunks_mut::<LANES>().0;
    for ky in 0..s.kernel[0] {
        for kx in 0..s.kernel[1] {
            let Some((pixel, column)) = tap(s, gram, p, ky, kx) else { continue };
            let from = pixel * gram.stride + column + skipped;
            let row = run(matrix, from, sums.len() * LANES)?;
            for (sum, products) in sums.iter_mut().zip(row.as_chunks::<LANES>().0) {
                let added = simd.add(simd.load(sum), simd.load(products));
                simd.store(added, sum);
            }
        }
    }
    Some(())
}

/// Adds `X_pq G_pq`: once for q = p, whose place is `first`, twice behind it, not at all before.
#[inline(always)]
fn add_row<S: Simd>(
    simd: S,
    first: usize,
    sums: &[f32],
    products: &[f32],
    mut total: S::Lanes,
) -> S::Lanes {
    let rows = sums.as_chunks::<LANES>().0.iter().zip(products.as_chunks::<LANES>().0);
    for (block, (sums, products)) in rows.enumerate().skip(first / LANES) {
        let mut factor = [2.0; LANES];
        for (lane, factor) in factor.iter_mut().enumerate() {
            let at = block * LANES + lane;
            if at <= first {
                *factor = if at == first { 1.0 } else { 0.0 };
            }
        }
        let term = simd.multiply(simd.load(sums), simd.load(products));
        total = simd.multiply_add(total, term, simd.load(&factor));
    }
    total
}
