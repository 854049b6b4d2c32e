//! Squared norms of a convolution's parameter gradients, direct method: D in register tiles of a
//! few inputs by sixteen outputs while the pixels pass, squared and dropped.
//!
//! The input's borders are filled, so that neighbouring taps of a kernel row make one run of
//! inputs. The cotangent's sixteen channels are packed: pixel after pixel they fill whole cache
//! lines.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::conv::{frame, lattice, rows, taps, widen};
use super::lattice::{Lattice, Taps};
use super::source::Fill;
use super::{Vector, pieces};
use crate::isa::{Kernel, Simd};
use crate::kernels::conv_weight_norm::{Norms, WeightNorm};
use crate::kernels::lanes::{run, take, take_mut};

/// Elements of the workspace: the padded input, and for each thread a block's cotangent and a
/// narrow block's weights.
pub fn workspace(s: &ConvShape, threads: usize) -> usize {
    frame(s).copied(false) + threads * of_thread(s)
}

fn of_thread(s: &ConvShape) -> usize {
    (s.output[0] * s.output[1] + rows(s)) * LANES
}

/// The direct method; `scratch` as [`WeightNorm::direct`] has it.
pub fn conv_weight_norm(
    vector: &Vector<'_>,
    norm: &WeightNorm<'_>,
    scratch: &mut [f32],
    workspace: &mut [f32],
) -> Option<Norms> {
    let s = norm.s;
    let [r, q, sums] = norm.rows(scratch)?;
    if s.depthwise() && !s.output[2].is_multiple_of(LANES) {
        norm.direct_sums(r, q)?;
        return norm.finish(r, q, sums);
    }
    let frame = frame(s);
    let (space, rest) = workspace.split_at_mut_checked(frame.copied(false))?;
    let source = vector.run(Fill { frame, x: norm.x, scale: None, out: space })?;
    // Blocks never cross groups; with many groups a part is a group or more.
    let (units, unit) = match s.groups {
        1 => (s.output[2].div_ceil(LANES), LANES),
        _ if s.depthwise() => (s.output[2] / LANES, LANES),
        groups => (groups, s.group_output),
    };
    let parts = vector.parts(s, units);
    let mut spaces = rest.chunks_exact_mut(of_thread(s));
    let pieces = pieces(r, units, unit, parts).zip(pieces(q, units, unit, parts));
    vector.all(pieces.map_while(|((first, r), (_, q))| {
        let (packed, narrow) =
            spaces.next()?.split_at_mut_checked(of_thread(s) - rows(s) * LANES)?;
        Some(Part { norm, source, first: first * unit, r, q, packed, narrow })
    }))?;
    norm.finish(r, q, sums)
}

/// Some output channels.
struct Part<'a> {
    norm: &'a WeightNorm<'a>,
    source: &'a [f32],
    /// First of them.
    first: usize,
    r: &'a mut [f32],
    q: &'a mut [f32],
    packed: &'a mut [f32],
    narrow: &'a mut [f32],
}

impl Kernel for Part<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let Part { norm, source, first, r, q, packed, narrow } = self;
        let s = norm.s;
        let taps = taps(s);
        let group_output = if s.depthwise() { s.output[2] } else { s.group_output };
        let mut done = 0;
        while done < r.len() {
            let channel = first + done;
            let group = channel.checked_div(group_output)?;
            let width = LANES.min((group + 1) * group_output - channel);
            pack(norm.g, s.output[2], channel, width, packed)?;
            let w = run(norm.w, channel * rows(s), width * rows(s))?;
            let w = if width == LANES {
                w
            } else {
                widen(w, width, narrow);
                &*narrow
            };
            let input = if s.depthwise() { channel } else { group * s.group_input };
            let walk = Walk {
                taps: &taps,
                lattice: &lattice(s, input, 0),
                source,
                g: packed.as_chunks().0,
                w: w.as_chunks().0,
                wants_scale: norm.wants_scale,
            };
            let zero = simd.splat(0.0);
            let mut sums = Sums { r: zero, q: zero };
            if s.depthwise() {
                walk.all::<S, true>(simd, &mut sums)?;
            } else {
                walk.all::<S, false>(simd, &mut sums)?;
            }
            store(simd, sums.r, width, r.get_mut(done..)?)?;
            store(simd, sums.q, width, q.get_mut(done..)?)?;
            done += width;
        }
        Some(())
    }
}

/// Sixteen channels from `first` on of every pixel, side by side; lanes past `width` are +0.
#[inline(always)]
fn pack(g: &[f32], channels: usize, first: usize, width: usize, out: &mut [f32]) -> Option<()> {
    let pixels = g.chunks_exact(channels.max(1));
    for (out, g) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(pixels) {
        if width == LANES {
            *out = *take(g, first)?;
        } else {
            *out = [0.0; LANES];
            out.iter_mut().zip(run(g, first, width)?).for_each(|(out, g)| *out = *g);
        }
    }
    Some(())
}

#[inline(always)]
fn store<S: Simd>(simd: S, lanes: S::Lanes, width: usize, to: &mut [f32]) -> Option<()> {
    if width == LANES {
        simd.store(lanes, take_mut(to, 0)?);
        return Some(());
    }
    let mut all = [0.0; LANES];
    simd.store(lanes, &mut all);
    to.get_mut(..width)?.copy_from_slice(all.get(..width)?);
    Some(())
}

/// Running sums of sixteen output channels: of D^2, and of W D.
struct Sums<L> {
    r: L,
    q: L,
}

/// One block of outputs.
struct Walk<'a> {
    taps: &'a Taps,
    lattice: &'a Lattice,
    source: &'a [f32],
    g: &'a [[f32; LANES]],
    w: &'a [[f32; LANES]],
    wants_scale: bool,
}

impl Walk<'_> {
    /// All of D in the order of the weight's rows.
    #[inline(always)]
    fn all<S: Simd, const DEPTHWISE: bool>(
        &self,
        simd: S,
        sums: &mut Sums<S::Lanes>,
    ) -> Option<()> {
        let taps = self.taps;
        for row in 0..taps.grid[0] {
            // Depthwise, the columns of a row are what lies side by side.
            let columns = if DEPTHWISE { 1 } else { taps.grid[1] };
            for column in 0..columns {
                let at = row * taps.source[0] + column * taps.source[1];
                let first = row * taps.weight[0] + column * taps.weight[1];
                let run = if DEPTHWISE { taps.grid[1] } else { taps.run };
                self.row::<S, DEPTHWISE>(simd, at, first, run, sums)?;
            }
        }
        Some(())
    }

    /// A run of D's rows, tile by tile.
    #[inline(always)]
    fn row<S: Simd, const DEPTHWISE: bool>(
        &self,
        simd: S,
        at: usize,
        first: usize,
        run: usize,
        sums: &mut Sums<S::Lanes>,
    ) -> Option<()> {
        let mut done = 0;
        macro_rules! tiles {
            ($inputs:literal) => {
                while $inputs <= S::TILE && run - done >= $inputs {
                    let step = if DEPTHWISE { self.taps.source[1] } else { 1 };
                    let start = at + done * step;
                    let tile = self.tile::<S, $inputs, DEPTHWISE>(simd, start, step)?;
                    self.take(simd, first + done, tile, sums)?;
                    done += $inputs;
                }
            };
        }
        tiles!(12);
        tiles!(6);
        tiles!(4);
        tiles!(3);
        tiles!(2);
        tiles!(1);
        Some(())
    }

    /// D of `P` inputs from source element `at` on, `step` apart.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const DEPTHWISE: bool>(
        &self,
        simd: S,
        at: usize,
        step: usize,
    ) -> Option<[S::Lanes; P]> {
        let lattice = self.lattice;
        let [_, columns] = lattice.size;
        let mut sums = [simd.splat(0.0); P];
        for (row, g) in self.g.chunks_exact(columns.max(1)).enumerate() {
            let start = lattice.source + at + row * lattice.source_step[0];
            let values = self.source.get(start..)?;
            for (column, g) in g.iter().enumerate() {
                let g = simd.load(g);
                let pixel = column * lattice.source_step[1];
                if DEPTHWISE {
                    for p in 0..P {
                        let x = simd.load(take(values, pixel + p * step)?);
                        sums[p] = simd.multiply_add(sums[p], g, x);
                    }
                } else {
                    let x = take::<P>(values, pixel)?;
                    for p in 0..P {
                        sums[p] = simd.multiply_add(sums[p], g, simd.splat(x[p]));
                    }
                }
            }
        }
        Some(sums)
    }

    /// Adds a tile to the sums; its first input belongs to weight row `row`.
    #[inline(always)]
    fn take<S: Simd, const P: usize>(
        &self,
        simd: S,
        row: usize,
        tile: [S::Lanes; P],
        sums: &mut Sums<S::Lanes>,
    ) -> Option<()> {
        for d in tile {
            sums.r = simd.multiply_add(sums.r, d, d);
        }
        if self.wants_scale {
            for (d, w) in tile.into_iter().zip(self.w.get(row..)?.first_chunk::<P>()?) {
                sums.q = simd.multiply_add(sums.q, simd.load(w), d);
            }
        }
        Some(())
    }
}
