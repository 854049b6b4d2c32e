//! Weight norm by Gram matrices of pixels: `|dW|^2 = sum over pixels p, q of X_pq G_pq`, with X the
//! Gram matrix of the im2col columns and G that of the scaled cotangent. Cheaper than the gradient
//! itself where a layer has few pixels and many channels.
//!
//! X is never formed from columns: it is a sum, a term a tap, of the Gram matrix A of the input's
//! pixels, shifted by the tap; a tap in the padding adds nothing.

use gradgate_bundle::shape::{ConvShape, PixelGram};

use super::conv_weight_norm::{Norms, WeightNorm};
use super::lanes::{REDUCE_LANES, fold, run};

/// The norms but for the scale's; `scratch` holds the rows of [`WeightNorm::rows`], then
/// [`PixelGram::elements`].
pub fn pixel_gram(norm: &WeightNorm<'_>, scratch: &mut [f32]) -> Option<Norms> {
    let gram = norm.s.pixel_gram()?;
    let (rows, space) = scratch.split_at_mut_checked(3 * norm.s.output[2])?;
    let (sums, matrix) = space.split_at_mut_checked(gram.stride)?;
    input_gram(norm.s, &gram, norm.x, matrix)?;
    let mut lanes = [0.0; REDUCE_LANES];
    for p in 0..norm.s.output[0] * norm.s.output[1] {
        shifted_sums(norm.s, &gram, matrix, p, sums)?;
        add_products(norm, &gram, p, sums, &mut lanes)?;
    }
    norm.finish_gram(fold(&lanes), rows)
}

/// Column of an input pixel in the matrix.
pub fn padded(s: &ConvShape, gram: &PixelGram, pixel: usize) -> Option<usize> {
    let (row, column) = (pixel.checked_div(s.input[1])?, pixel.checked_rem(s.input[1])?);
    Some((row + s.pads[0]) * gram.columns + column + s.pads[1])
}

/// Place of an output pixel in a row of sums.
pub fn place(s: &ConvShape, gram: &PixelGram, pixel: usize) -> Option<usize> {
    let (row, column) = (pixel.checked_div(s.output[1])?, pixel.checked_rem(s.output[1])?);
    Some(row * gram.columns + column)
}

/// A: products of all pairs of input pixels; +0 in the padding.
fn input_gram(s: &ConvShape, gram: &PixelGram, x: &[f32], matrix: &mut [f32]) -> Option<()> {
    let channels = s.input[2];
    matrix.fill(0.0);
    for a in 0..gram.pixels {
        let first = run(x, a * channels, channels)?;
        for b in a..gram.pixels {
            let second = run(x, b * channels, channels)?;
            let product = first.iter().zip(second).fold(0.0, |sum, (x, y)| sum + x * y);
            *matrix.get_mut(a * gram.stride + padded(s, gram, b)?)? = product;
            *matrix.get_mut(b * gram.stride + padded(s, gram, a)?)? = product;
        }
    }
    Some(())
}

/// Where tap (`ky`, `kx`) of output pixel `p` reads: its input pixel, and the column that the same
/// tap of the first output pixel has in the matrix. `None` in the padding.
#[inline(always)]
pub fn tap(
    s: &ConvShape,
    gram: &PixelGram,
    p: usize,
    ky: usize,
    kx: usize,
) -> Option<(usize, usize)> {
    let (oy, ox) = (p.checked_div(s.output[1])?, p.checked_rem(s.output[1])?);
    let row = (oy * s.strides[0] + ky * s.dilations[0]).checked_sub(s.pads[0])?;
    let column = (ox * s.strides[1] + kx * s.dilations[1]).checked_sub(s.pads[1])?;
    let inside = row < s.input[0] && column < s.input[1];
    let first = ky * s.dilations[0] * gram.columns + kx * s.dilations[1];
    inside.then_some((row * s.input[1] + column, first))
}

/// Row p of X, at the places of the output pixels.
#[inline(always)]
pub fn shifted_sums(
    s: &ConvShape,
    gram: &PixelGram,
    matrix: &[f32],
    p: usize,
    sums: &mut [f32],
) -> Option<()> {
    sums.fill(0.0);
    for ky in 0..s.kernel[0] {
        for kx in 0..s.kernel[1] {
            let Some((pixel, first)) = tap(s, gram, p, ky, kx) else { continue };
            let products = run(matrix, pixel * gram.stride, gram.stride)?;
            for oy in 0..s.output[0] {
                let from = first + oy * s.strides[0] * gram.columns;
                let products = products.get(from..)?.iter().step_by(s.strides[1].max(1));
                let sums = sums.get_mut(oy * gram.columns..)?.get_mut(..s.output[1])?;
                sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
            }
        }
    }
    Some(())
}

/// Adds `X_pq G_pq` over q from p on, twice where q is not p.
fn add_products(
    norm: &WeightNorm<'_>,
    gram: &PixelGram,
    p: usize,
    sums: &[f32],
    lanes: &mut [f32; REDUCE_LANES],
) -> Option<()> {
    let channels = norm.s.output[2];
    let first = run(norm.g, p * channels, channels)?;
    for q in p..norm.s.output[0] * norm.s.output[1] {
        let second = run(norm.g, q * channels, channels)?;
        let pairs = first.iter().zip(second);
        let product = match norm.scale {
            Some(scale) => {
                pairs.zip(scale).fold(0.0, |sum, ((g, h), scale)| sum + (g * scale) * (h * scale))
            }
            None => pairs.fold(0.0, |sum, (g, h)| sum + g * h),
        };
        let at = place(norm.s, gram, q)?;
        let term = *sums.get(at)? * product;
        let lane = lanes.get_mut(at % REDUCE_LANES)?;
        *lane += if q == p { term } else { 2.0 * term };
    }
    Some(())
}
