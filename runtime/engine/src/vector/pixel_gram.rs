//! Weight norm by Gram matrices of pixels, sixteen pixels of a row at a time.
//!
//! Both matrices are products of a pixel's channels with a block of sixteen pixels, transposed so
//! that lanes run along them. Places of pixels are those of the padded input, where a tap shifts a
//! whole row of the matrix alike. Blocks left of the diagonal are never computed.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::{ConvShape, PixelGram};

use super::Vector;
use super::lattice::{Lattice, Taps};
use super::tile::{Finish, Pass};
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
    let gram = norm.s.pixel_gram()?;
    let (rows, space) = scratch.split_at_mut_checked(3 * norm.s.output[2])?;
    let (sums, matrix) = space.split_at_mut_checked(gram.stride)?;
    let weight = vector.run(Weight { norm, gram, sums, matrix, workspace })?;
    norm.finish_gram(weight, rows)
}

/// The weight's norm.
struct Weight<'a> {
    norm: &'a WeightNorm<'a>,
    gram: PixelGram,
    /// A row of sums over taps.
    sums: &'a mut [f32],
    /// The input's Gram matrix.
    matrix: &'a mut [f32],
    workspace: &'a mut [f32],
}

impl Kernel for Weight<'_> {
    type Output = Option<f32>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<f32> {
        let Weight { norm, gram, sums, matrix, workspace } = self;
        let s = norm.s;
        let [scaled, columns, cotangents, _] = lengths(s, &gram);
        let (scaled, rest) = workspace.split_at_mut_checked(scaled)?;
        let (columns, rest) = rest.split_at_mut_checked(columns)?;
        let (cotangents, products) = rest.split_at_mut_checked(cotangents)?;
        let pixels = s.output[0] * s.output[1];
        scale_rows(norm, scaled);

        columns.fill(0.0);
        for pixel in 0..gram.pixels {
            let x = run(norm.x, pixel * s.input[2], s.input[2])?;
            transpose(x, padded(s, &gram, pixel)?, columns)?;
        }
        matrix.fill(0.0);
        let side = Side { values: norm.x, channels: s.input[2], stride: gram.stride };
        for (block, weights) in blocks(columns, s.input[2]).enumerate() {
            let end = (block + 1) * LANES;
            let mut rows = 0;
            while rows < gram.pixels && padded(s, &gram, rows)? < end {
                rows += 1;
            }
            side.products(simd, weights, block, rows, matrix)?;
        }

        cotangents.fill(0.0);
        for (pixel, g) in scaled.chunks_exact(s.output[2].max(1)).enumerate() {
            transpose(g, place(s, &gram, pixel)?, cotangents)?;
        }
        let span = span(s, &gram);
        let products = products.get_mut(..pixels * span)?;
        products.fill(0.0);
        let side = Side { values: scaled, channels: s.output[2], stride: span };
        for (block, weights) in blocks(cotangents, s.output[2]).enumerate() {
            let end = (block + 1) * LANES;
            let mut rows = 0;
            while rows < pixels && place(s, &gram, rows)? < end {
                rows += 1;
            }
            side.products(simd, weights, block, rows, products)?;
        }

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

#[inline(always)]
fn blocks(values: &[f32], channels: usize) -> impl Iterator<Item = &[[f32; LANES]]> {
    values.as_chunks::<LANES>().0.chunks_exact(channels.max(1))
}

/// Pixels that make the rows of a Gram matrix.
struct Side<'a> {
    values: &'a [f32],
    channels: usize,
    /// Elements of a row of the matrix.
    stride: usize,
}

impl Side<'_> {
    /// Sixteen columns of the first `rows` rows.
    #[inline(always)]
    fn products<S: Simd>(
        &self,
        simd: S,
        weights: &[[f32; LANES]],
        block: usize,
        rows: usize,
        matrix: &mut [f32],
    ) -> Option<()> {
        let taps = Taps { grid: [1, 1], run: self.channels, ..Taps::default() };
        let lattice = Lattice {
            size: [1, rows],
            source_step: [0, self.channels],
            target: block * LANES,
            target_step: [0, self.stride],
            ..Lattice::default()
        };
        let pass = Pass { taps: &taps, lattice: &lattice, source: self.values, weights };
        pass.run::<S, false>(simd, matrix, &Store)
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
