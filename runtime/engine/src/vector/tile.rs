//! The register tile: a few pixels by sixteen channels, summed over all taps without touching
//! memory.
//!
//! For every source value of the run, one row of sixteen weights is loaded, each pixel's value is
//! broadcast, multiplied and added. Each accumulator sees its terms in the order of the taps, so
//! the tile's size does not change a bit. Depthwise, a tap has one row, and the pixel's sixteen
//! channels are loaded instead of broadcast.

use gradgate_bundle::op::LANES;

use super::lattice::{Lattice, Taps};
use crate::isa::Simd;
use crate::kernels::lanes::run;

/// Rows of weights that are asked for ahead of their use: large layers read each of them once a
/// frame, from memory.
pub const AHEAD: usize = 32;

/// What happens to the sums of one pixel. A trait and not a closure: closures are functions of
/// their own, which lack the instruction set wherever the compiler does not inline them.
pub trait Finish {
    /// Ends the sums and writes them from element `at` of y on.
    fn finish<S: Simd>(&self, simd: S, sums: S::Lanes, at: usize, y: &mut [f32]) -> Option<()>;
}

/// `B` blocks of sixteen channels of all pixels.
pub struct Pass<'a, const B: usize> {
    /// Taps of a pixel.
    pub taps: &'a Taps,
    /// Pixels.
    pub lattice: &'a Lattice,
    /// What they read.
    pub source: &'a [f32],
    /// Rows of each block.
    pub weights: [&'a [[f32; LANES]]; B],
}

impl<const B: usize> Pass<'_, B> {
    /// All pixels.
    #[inline(always)]
    pub fn run<S: Simd, const DEPTHWISE: bool>(
        &self,
        simd: S,
        y: &mut [f32],
        finish: [&impl Finish; B],
    ) -> Option<()> {
        let accumulators = if B == 1 { S::TILE } else { S::ROWS };
        let mut walk = self.lattice.walk();
        let mut left = self.lattice.pixels();
        macro_rules! tiles {
            ($pixels:literal) => {
                while $pixels * B <= accumulators && left >= $pixels {
                    let (sources, targets) = walk.take::<$pixels>();
                    let mut sums = [[simd.splat(0.0); $pixels]; B];
                    accumulate::<S, $pixels, B, DEPTHWISE>(
                        simd,
                        self.taps,
                        self.source,
                        sources,
                        self.weights,
                        &mut sums,
                    )?;
                    for b in 0..B {
                        for p in 0..$pixels {
                            finish[b].finish(simd, sums[b][p], targets[p] + b * LANES, y)?;
                        }
                    }
                    left -= $pixels;
                }
            };
        }
        tiles!(12);
        tiles!(8);
        tiles!(6);
        tiles!(4);
        tiles!(2);
        tiles!(1);
        Some(())
    }
}

/// Adds to `sums[b][p]` the terms of the pixel whose lowest tap lies at `sources[p]`.
#[inline(always)]
fn accumulate<S: Simd, const P: usize, const B: usize, const DEPTHWISE: bool>(
    simd: S,
    taps: &Taps,
    source: &[f32],
    sources: [usize; P],
    weights: [&[[f32; LANES]]; B],
    sums: &mut [[S::Lanes; P]; B],
) -> Option<()> {
    if taps.is_empty() {
        return Some(());
    }
    let mut totals = *sums;
    // Slices of one length: the bounds of a tap are checked once for all pixels.
    let extent = taps.extent() + if DEPTHWISE { LANES - 1 } else { 0 };
    let mut pixels = [&[][..]; P];
    for (pixel, first) in pixels.iter_mut().zip(sources) {
        *pixel = run(source, first, extent)?;
    }
    for row in 0..taps.grid[0] {
        for column in 0..taps.grid[1] {
            let at = taps.place(row, column);
            let mut rows = [&[][..]; B];
            for b in 0..B {
                rows[b] = weights[b].get(taps.weight_row(row, column)..)?.get(..taps.run)?;
            }
            if DEPTHWISE {
                for b in 0..B {
                    let weight = simd.load(rows[b].first()?);
                    for p in 0..P {
                        let value = simd.load(pixels[p].get(at..at + LANES)?.first_chunk()?);
                        totals[b][p] = simd.multiply_add(totals[b][p], value, weight);
                    }
                }
                continue;
            }
            let mut values = [&[][..]; P];
            for p in 0..P {
                values[p] = pixels[p].get(at..at + taps.run)?;
            }
            for k in 0..taps.run {
                let mut weights = [simd.splat(0.0); B];
                for b in 0..B {
                    simd.prefetch(&rows[b][k], AHEAD);
                    weights[b] = simd.load(&rows[b][k]);
                }
                for p in 0..P {
                    let value = simd.splat(values[p][k]);
                    for b in 0..B {
                        totals[b][p] = simd.multiply_add(totals[b][p], value, weights[b]);
                    }
                }
            }
        }
    }
    *sums = totals;
    Some(())
}
