//! The convolutions' inner loops over register tiles: sums of 4 pixels, or input channels, by `L`
//! channels. Hard-float 32-bit Arm has 4 by 4 written for it (`isa/vfp.rs`).

use super::grid::Grid;
use super::lanes::{add_outer, add_products, column, runs, take};
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
use crate::isa::vfp;

/// `acc[p][l] += x[at[p] + k] * w[k][lane + l]` over `length` values k; rows of `w` are `width`
/// long. Each weight is loaded once for four pixels.
#[inline(always)]
pub fn accumulate<const L: usize>(
    acc: &mut [[f32; L]; 4],
    (x, at, length): (&[f32], [usize; 4], usize),
    w: &[f32],
    width: usize,
    lane: usize,
) -> Option<()> {
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    if let Some(sums) = sixteen(acc) {
        return vfp::accumulate(sums, (x, at), (w.get(lane..)?, width), length);
    }
    let mut sums = *acc;
    let [x0, x1, x2, x3] = runs(x, at, length)?;
    let pixels = x0.iter().zip(x1).zip(x2.iter().zip(x3));
    for (row, ((a, b), (c, d))) in w.chunks_exact(width.max(1)).zip(pixels) {
        add_outer(&mut sums, [*a, *b, *c, *d], take(row, lane)?);
    }
    *acc = sums;
    Some(())
}

/// `acc[p][l] += (g[at[p] + o] * scale[o]) * w[l][o]` over the channels o of `scale`; rows of `w`
/// are as many long.
#[inline(always)]
pub fn accumulate_scaled<const P: usize, const L: usize>(
    acc: &mut [[f32; L]; P],
    (g, at): (&[f32], [usize; P]),
    w: &[f32],
    scale: &[f32],
) -> Option<()> {
    let width = scale.len();
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    if let (Some(sums), Some(at), 0) = (sixteen(acc), at.first_chunk(), width % 2) {
        return vfp::accumulate_scaled(sums, (g, *at), w, scale);
    }
    let g = runs(g, at, width)?;
    let w: [_; L] = runs(w, core::array::from_fn(|l| l * width), width)?;
    let mut sums = *acc;
    for (o, scale) in scale.iter().enumerate() {
        add_outer(&mut sums, column(&g, o, *scale)?, &column(&w, o, 1.0)?);
    }
    *acc = sums;
    Some(())
}

/// `acc[c][l] += x[p][c] * g[p][l]` over the pixels p of both grids, in raster order.
#[inline(always)]
pub fn accumulate_pixels<const C: usize, const L: usize>(
    acc: &mut [[f32; L]; C],
    x: Grid<'_>,
    g: Grid<'_>,
) -> Option<()> {
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    if let Some(sums) = sixteen(acc) {
        return vfp::accumulate_pixels(sums, x, g);
    }
    each_place::<C, L>(x, g, |x, g| add_outer(acc, *x, g))
}

/// `acc[l] += (x[p][l] * scale[l]) * w[p][l]` over the places p of both grids, in raster order.
#[inline(always)]
pub fn accumulate_lanes<const L: usize>(
    acc: &mut [f32; L],
    x: Grid<'_>,
    scale: &[f32; L],
    w: Grid<'_>,
) -> Option<()> {
    #[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
    if let (Some(sums), Some(scale), 4) = (acc.first_chunk_mut(), scale.first_chunk(), L) {
        return vfp::accumulate_lanes(sums, x, scale, w);
    }
    each_place::<L, L>(x, w, |x, w| {
        let mut scaled = *x;
        scaled.iter_mut().zip(scale).for_each(|(x, scale)| *x *= scale);
        add_products(acc, &scaled, w);
    })
}

/// Calls `f` with `A` values of a and `B` values of b at every place of both grids, in raster
/// order.
#[inline(always)]
fn each_place<const A: usize, const B: usize>(
    a: Grid<'_>,
    b: Grid<'_>,
    mut f: impl FnMut(&[f32; A], &[f32; B]),
) -> Option<()> {
    let (mut row_a, mut row_b) = (a.start, b.start);
    for _ in 0..a.rows.min(b.rows) {
        let (mut at_a, mut at_b) = (row_a, row_b);
        for _ in 0..a.columns.min(b.columns) {
            f(take(a.values, at_a)?, take(b.values, at_b)?);
            (at_a, at_b) = (at_a.wrapping_add_signed(a.step), at_b.wrapping_add_signed(b.step));
        }
        row_a = row_a.wrapping_add_signed(a.row_step);
        row_b = row_b.wrapping_add_signed(b.row_step);
    }
    Some(())
}

/// The sums of a tile of 4 by 4; `None` for another.
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
#[inline(always)]
fn sixteen<const L: usize, const P: usize>(acc: &mut [[f32; L]; P]) -> Option<&mut vfp::Tile> {
    acc.as_flattened_mut().first_chunk_mut().filter(|_| L == 4 && P == 4)
}
