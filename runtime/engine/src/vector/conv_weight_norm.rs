//! Squared norms of a convolution's parameter gradients, direct method: D in register tiles of a
//! few inputs by sixteen outputs while the pixels pass, squared and dropped.
//!
//! The input's borders are filled, so that neighbouring taps of a kernel row make one run of
//! inputs. The cotangent's sixteen channels are packed: pixel after pixel they fill whole cache
//! lines. Pixels pass in chunks that stay in the first cache while all tiles read them; D, one
//! block of outputs, waits in the workspace meanwhile.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::conv::{frame, lattice, rows, taps, widen};
use super::lattice::{Lattice, Taps};
use super::tile::AHEAD;
use super::winograd::conv::input_frame;
use super::winograd::conv_weight_norm::{Input, Outputs, fits, thread_elements};
use super::winograd::load;
use super::{Vector, pieces};
use crate::isa::{Kernel, Numerics, Simd};
use crate::kernels::conv_weight_norm::{Norms, WeightNorm};
use crate::kernels::lanes::{run, take, take_mut};

/// Elements of the workspace: the padded input, and for each thread a chunk of the
/// packed cotangent, a block of D and a narrow block's weights; or what Winograd's method needs.
pub fn workspace(s: &ConvShape, vector: &Vector<'_>) -> usize {
    if is_tiled(s, vector) {
        let of_threads = vector.threads() * thread_elements(s);
        return input_frame(s).copied(false) + of_threads;
    }
    frame(s).copied(false) + vector.threads() * of_thread(s)
}

/// Whether Winograd's method takes it.
fn is_tiled(s: &ConvShape, vector: &Vector<'_>) -> bool {
    vector.numerics == Numerics::Fast && fits(s)
}

/// Packed pixels, D, and widened weights.
fn lengths(s: &ConvShape) -> [usize; 3] {
    [chunk(s) * s.output[1] * LANES, rows(s) * LANES, rows(s) * LANES]
}

fn of_thread(s: &ConvShape) -> usize {
    lengths(s).iter().sum()
}

/// Rows of pixels that pass together: with the input that one row of the kernel reads they should
/// stay in a first cache of 32 KiB.
fn chunk(s: &ConvShape) -> usize {
    let row = s.strides[0] * frame(s).row() + s.output[1] * LANES;
    ((24 << 10) / 4 / row.max(1)).clamp(1, s.output[0])
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
    if is_tiled(s, vector) {
        tiled(vector, norm, r, q, workspace)?;
        shift_sums(vector, norm, sums)?;
        return norm.finish_sums(r, q, sums);
    }
    let frame = frame(s);
    let (space, rest) = workspace.split_at_mut_checked(frame.copied(false))?;
    let source = frame.fill(vector, norm.x, None, space)?;
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
        Some(Part { norm, source, first: first * unit, r, q, space: spaces.next()? })
    }))?;
    shift_sums(vector, norm, sums)?;
    norm.finish_sums(r, q, sums)
}

/// The cotangent of each output channel, summed over the pixels in raster order.
fn shift_sums(vector: &Vector<'_>, norm: &WeightNorm<'_>, sums: &mut [f32]) -> Option<()> {
    let (g, channels) = (norm.g, norm.s.output[2]);
    let units = channels.div_ceil(LANES);
    let parts = vector.parts(norm.s, units);
    vector.all(pieces(sums, units, LANES, parts).map(|(first, sums)| ShiftSums {
        g,
        channels,
        first: first * LANES,
        sums,
    }))
}

/// Some channels of it.
struct ShiftSums<'a> {
    g: &'a [f32],
    channels: usize,
    /// First channel.
    first: usize,
    sums: &'a mut [f32],
}

impl Kernel for ShiftSums<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let ShiftSums { g, channels, first, sums } = self;
        for (block, sums) in sums.chunks_mut(LANES).enumerate() {
            let at = first + block * LANES;
            let mut lanes = simd.splat(0.0);
            for g in g.chunks_exact(channels.max(1)) {
                lanes = simd.add(lanes, load(simd, g, at, sums.len())?);
            }
            store(simd, lanes, sums.len(), sums)?;
        }
        Some(())
    }
}

/// By Winograd's method.
fn tiled(
    vector: &Vector<'_>,
    norm: &WeightNorm<'_>,
    r: &mut [f32],
    q: &mut [f32],
    workspace: &mut [f32],
) -> Option<()> {
    let s = norm.s;
    let frame = input_frame(s);
    let (space, rest) = workspace.split_at_mut_checked(frame.copied(false))?;
    let source = frame.fill(vector, norm.x, None, space)?;
    let input = Input { s, source, row: frame.row() };
    let mut spaces = rest.chunks_exact_mut(thread_elements(s));
    let units = s.output[2].div_ceil(LANES);
    let parts = vector.parts(s, units);
    let pieces = pieces(r, units, LANES, parts).zip(pieces(q, units, LANES, parts));
    vector.all(pieces.map_while(|((first, r), (_, q))| {
        let (first, space) = (first * LANES, spaces.next()?);
        Some(Outputs { norm, input, first, r, q, space })
    }))
}

/// Some output channels.
struct Part<'a> {
    norm: &'a WeightNorm<'a>,
    source: &'a [f32],
    /// First of them.
    first: usize,
    r: &'a mut [f32],
    q: &'a mut [f32],
    space: &'a mut [f32],
}

impl Kernel for Part<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> Option<()> {
        let Part { norm, source, first, r, q, space } = self;
        let s = norm.s;
        let [packed, gradient, _] = lengths(s);
        let (packed, rest) = space.split_at_mut_checked(packed)?;
        let (gradient, narrow) = rest.split_at_mut_checked(gradient)?;
        let gradient = gradient.as_chunks_mut().0;
        let group_output = if s.depthwise() { s.output[2] } else { s.group_output };
        let mut done = 0;
        while done < r.len() {
            let channel = first + done;
            let group = channel.checked_div(group_output)?;
            let width = LANES.min((group + 1) * group_output - channel);
            let input = if s.depthwise() { channel } else { group * s.group_input };
            let w = run(norm.w, channel * rows(s), width * rows(s))?;
            let w = if width == LANES {
                w
            } else {
                widen(w, width, narrow);
                &*narrow
            };
            let zero = simd.splat(0.0);
            let w = norm.wants_scale.then_some(w.as_chunks().0);
            let mut of_block = Gradient { rows: gradient, w, r: zero, q: zero };
            form(simd, norm, source, [channel, width, input], packed, &mut of_block)?;
            store(simd, of_block.r, width, r.get_mut(done..)?)?;
            store(simd, of_block.q, width, q.get_mut(done..)?)?;
            done += width;
        }
        Some(())
    }
}

/// D of a block of output channels, and its sums once all pixels have passed.
struct Gradient<'a, L> {
    /// Between chunks of pixels.
    rows: &'a mut [[f32; LANES]],
    /// Weight rows, where `<W, D>` is wanted.
    w: Option<&'a [[f32; LANES]]>,
    /// Sum of D^2.
    r: L,
    /// Sum of W D.
    q: L,
}

/// Forms D and its sums, chunk by chunk of pixels.
#[inline(always)]
fn form<S: Simd>(
    simd: S,
    norm: &WeightNorm<'_>,
    source: &[f32],
    [channel, width, input]: [usize; 3],
    packed: &mut [f32],
    gradient: &mut Gradient<'_, S::Lanes>,
) -> Option<()> {
    let s = norm.s;
    let (taps, whole) = (taps(s), lattice(s, input, 0));
    let row = s.output[1] * s.output[2];
    for first in (0..s.output[0]).step_by(chunk(s)) {
        let rows = chunk(s).min(s.output[0] - first);
        pack(run(norm.g, first * row, rows * row)?, s.output[2], channel, width, packed)?;
        let walk = Walk {
            taps: &taps,
            lattice: &Lattice {
                size: [rows, s.output[1]],
                source: whole.source + first * whole.source_step[0],
                ..whole
            },
            source,
            g: packed.as_chunks().0.get(..rows * s.output[1])?,
            is_first: first == 0,
            is_last: first + rows == s.output[0],
        };
        if s.depthwise() {
            walk.all::<S, true>(simd, gradient)?;
        } else {
            walk.all::<S, false>(simd, gradient)?;
        }
    }
    Some(())
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

/// One block of outputs, one chunk of pixels.
struct Walk<'a> {
    taps: &'a Taps,
    lattice: &'a Lattice,
    source: &'a [f32],
    g: &'a [[f32; LANES]],
    /// Whether D begins here.
    is_first: bool,
    /// Whether D is complete afterwards.
    is_last: bool,
}

impl Walk<'_> {
    /// Adds to all of D.
    #[inline(always)]
    fn all<S: Simd, const DEPTHWISE: bool>(
        &self,
        simd: S,
        gradient: &mut Gradient<'_, S::Lanes>,
    ) -> Option<()> {
        let taps = self.taps;
        for row in 0..taps.grid[0] {
            // Depthwise, the columns of a row are what lies side by side.
            let columns = if DEPTHWISE { 1 } else { taps.grid[1] };
            for column in 0..columns {
                let at = row * taps.source[0] + column * taps.source[1];
                let first = row * taps.weight[0] + column * taps.weight[1];
                let run = if DEPTHWISE { taps.grid[1] } else { taps.run };
                self.run::<S, DEPTHWISE>(simd, at, [first, run], gradient)?;
            }
        }
        Some(())
    }

    /// Adds to a run of D's rows, tile by tile: `count` rows from `first` on.
    #[inline(always)]
    fn run<S: Simd, const DEPTHWISE: bool>(
        &self,
        simd: S,
        at: usize,
        [first, count]: [usize; 2],
        gradient: &mut Gradient<'_, S::Lanes>,
    ) -> Option<()> {
        let step = if DEPTHWISE { self.taps.source[1] } else { 1 };
        let mut done = 0;
        macro_rules! tiles {
            ($inputs:literal) => {
                while $inputs <= S::TILE && count - done >= $inputs {
                    let at = at + done * step;
                    let row = first + done;
                    self.tile::<S, $inputs, DEPTHWISE>(simd, at, step, row, gradient)?;
                    done += $inputs;
                }
            };
        }
        tiles!(12);
        tiles!(9);
        tiles!(6);
        tiles!(4);
        tiles!(3);
        tiles!(2);
        tiles!(1);
        Some(())
    }

    /// Adds to D of `P` inputs from source element `at` on, `step` apart: its rows from `row` on.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const DEPTHWISE: bool>(
        &self,
        simd: S,
        at: usize,
        step: usize,
        row: usize,
        gradient: &mut Gradient<'_, S::Lanes>,
    ) -> Option<()> {
        let rows = gradient.rows.get_mut(row..)?.first_chunk_mut::<P>()?;
        if let (true, Some(w)) = (self.is_last, gradient.w) {
            for w in w.get(row..)?.first_chunk::<P>()? {
                simd.prefetch(w, AHEAD);
            }
        }
        let mut sums = [simd.splat(0.0); P];
        if !self.is_first {
            for p in 0..P {
                sums[p] = simd.load(&rows[p]);
            }
        }
        self.pixels::<S, P, DEPTHWISE>(simd, at, step, &mut sums)?;
        if !self.is_last {
            for p in 0..P {
                simd.store(sums[p], &mut rows[p]);
            }
            return Some(());
        }
        for d in sums {
            gradient.r = simd.multiply_add(gradient.r, d, d);
        }
        if let Some(w) = gradient.w {
            for (d, w) in sums.into_iter().zip(w.get(row..)?.first_chunk::<P>()?) {
                gradient.q = simd.multiply_add(gradient.q, simd.load(w), d);
            }
        }
        Some(())
    }

    /// Adds the terms of all pixels of the chunk.
    #[inline(always)]
    fn pixels<S: Simd, const P: usize, const DEPTHWISE: bool>(
        &self,
        simd: S,
        at: usize,
        step: usize,
        sums: &mut [S::Lanes; P],
    ) -> Option<()> {
        let lattice = self.lattice;
        let [_, columns] = lattice.size;
        let mut totals = *sums;
        for (row, g) in self.g.chunks_exact(columns.max(1)).enumerate() {
            let start = lattice.source + at + row * lattice.source_step[0];
            let values = self.source.get(start..)?;
            for (column, g) in g.iter().enumerate() {
                let g = simd.load(g);
                let pixel = column * lattice.source_step[1];
                if DEPTHWISE {
                    for p in 0..P {
                        let x = simd.load(take(values, pixel + p * step)?);
                        totals[p] = simd.multiply_add(totals[p], g, x);
                    }
                } else {
                    let x = take::<P>(values, pixel)?;
                    for p in 0..P {
                        totals[p] = simd.multiply_add(totals[p], g, simd.splat(x[p]));
                    }
                }
            }
        }
        *sums = totals;
        Some(())
    }
}
