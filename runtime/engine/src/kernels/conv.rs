//! Convolution with its epilogue.
//!
//! Four output pixels of a row by 8 (4 on 32-bit Arm) output channels stay in registers while the
//! taps pass in the order (ky, kx, ci). At the borders a tap counts for those pixels alone that it
//! meets, so every output sees its taps in the one order.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::activation::Act;
use super::grid::{Grid, step_of};
use super::lanes::{add_scaled, each_lanes, is_tiled, run, take};
use super::operand::Operand;
use super::tile;
use super::window::valid;

/// What happens to an accumulator: `* scale + shift + skip`, as far as present, then the
/// activation.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    /// Per output channel.
    pub scale: Option<&'a [f32]>,
    /// Per output channel.
    pub shift: Option<&'a [f32]>,
    /// As y.
    pub skip: Operand<'a>,
    /// Last.
    pub act: Act,
}

impl Epilogue<'_> {
    /// Nothing.
    pub const NONE: Epilogue<'static> =
        Epilogue { scale: None, shift: None, skip: Operand::Absent, act: Act::IDENTITY };

    /// Finishes the sums of the channels from `channel` on and writes them at `at`. One function
    /// for every width where code is dear, else a copy for each.
    #[cfg_attr(not(target_arch = "arm"), inline(always))]
    #[cfg_attr(target_arch = "arm", inline(never))]
    pub fn finish(&self, acc: &mut [f32], channel: usize, at: usize, y: &mut [f32]) -> Option<()> {
        let length = acc.len();
        if let Some(scale) = self.scale {
            acc.iter_mut().zip(run(scale, channel, length)?).for_each(|(v, s)| *v *= s);
        }
        if let Some(shift) = self.shift {
            acc.iter_mut().zip(run(shift, channel, length)?).for_each(|(v, s)| *v += s);
        }
        if !matches!(self.skip, Operand::Absent) {
            acc.iter_mut().zip(self.skip.run(at, length, y)?).for_each(|(v, s)| *v += s);
        }
        self.act.apply(acc);
        y.get_mut(at..)?.get_mut(..length)?.iter_mut().zip(acc).for_each(|(y, v)| *y = *v);
        Some(())
    }
}

/// `y = act(conv(x, w) * scale + shift + skip)`; x and y are NHWC, w is blocked.
pub fn conv(s: &ConvShape, x: &[f32], w: &[f32], end: &Epilogue<'_>, y: &mut [f32]) -> Option<()> {
    if s.depthwise() {
        return depthwise(s, x, w, end, y);
    }
    let per_output = s.kernel[0] * s.kernel[1] * s.group_input;
    for group in 0..s.groups {
        for block in (0..s.group_output).step_by(LANES) {
            let first = group * s.group_output + block;
            let width = LANES.min(s.group_output - block);
            let w = run(w, first * per_output, width * per_output)?;
            let (input, interior) = (group * s.group_input, interior(s));
            let block = Block { s, x, w, end, input, first, width, interior };
            each_lanes!(width, |lane| block.pass(lane, y));
        }
    }
    Some(())
}

/// Up to 16 output channels of one group.
struct Block<'a> {
    s: &'a ConvShape,
    x: &'a [f32],
    /// The block's weights, `[ky][kx][ci][width]`.
    w: &'a [f32],
    end: &'a Epilogue<'a>,
    /// First input channel.
    input: usize,
    /// First output channel.
    first: usize,
    width: usize,
    /// Output columns all of whose taps meet the input.
    interior: (usize, usize),
}

/// Output columns all of whose taps meet the input: those of the first tap and of the last.
fn interior(s: &ConvShape) -> (usize, usize) {
    let outputs =
        |kx: usize| valid(kx * s.dilations[1], s.strides[1], s.output[1], s.pads[1], s.input[1]);
    let (first, last) = (outputs(0), outputs(s.kernel[1] - 1));
    (first.0.max(last.0), first.1.min(last.1))
}

impl Block<'_> {
    /// All pixels, `L` output channels from `lane` of the block on.
    fn pass<const L: usize>(&self, lane: usize, y: &mut [f32]) -> Option<()> {
        let s = self.s;
        let [rows, columns, channels] = s.output;
        for oy in 0..rows {
            let taps = valid(oy * s.strides[0], s.dilations[0], s.kernel[0], s.pads[0], s.input[0]);
            let mut ox = 0;
            while ox < columns {
                let at = (oy * columns + ox) * channels + self.first + lane;
                let channel = self.first + lane;
                if is_tiled(L, columns - ox) {
                    let mut acc = [[0.0; L]; 4];
                    self.four(&mut acc, [oy, ox], taps, lane)?;
                    for (p, acc) in acc.iter_mut().take(columns - ox).enumerate() {
                        self.end.finish(acc, channel, at + p * channels, y)?;
                    }
                    ox += 4;
                } else {
                    let mut acc = self.one::<L>(oy, ox, taps, lane)?;
                    self.end.finish(&mut acc, channel, at, y)?;
                    ox += 1;
                }
            }
        }
        Some(())
    }

    /// Taps of a row that meet the input at output column `ox`.
    fn columns(&self, ox: usize) -> (usize, usize) {
        let s = self.s;
        if self.interior.0 <= ox && ox < self.interior.1 {
            return (0, s.kernel[1]);
        }
        valid(ox * s.strides[1], s.dilations[1], s.kernel[1], s.pads[1], s.input[1])
    }

    /// The output column, or the last.
    fn within(&self, ox: usize) -> usize {
        ox.min(self.s.output[1].saturating_sub(1))
    }

    /// Input row that tap `ky` of output row `oy` reads.
    fn input_row(&self, oy: usize, ky: usize) -> usize {
        oy * self.s.strides[0] + ky * self.s.dilations[0] - self.s.pads[0]
    }

    /// Accumulators of one pixel.
    #[inline(always)]
    fn one<const L: usize>(
        &self,
        oy: usize,
        ox: usize,
        (ky0, ky1): (usize, usize),
        lane: usize,
    ) -> Option<[f32; L]> {
        let mut acc = [0.0; L];
        let (kx0, kx1) = self.columns(ox);
        for ky in ky0..ky1 {
            let row = self.input_row(oy, ky);
            self.single(&mut acc, row, ox, ky, kx0, kx1, lane)?;
        }
        Some(acc)
    }

    /// Adds all taps to the sums of four pixels; those behind the row's last are as the last.
    #[inline(always)]
    fn four<const L: usize>(
        &self,
        acc: &mut [[f32; L]; 4],
        [oy, ox]: [usize; 2],
        (ky0, ky1): (usize, usize),
        lane: usize,
    ) -> Option<()> {
        let s = self.s;
        // Spans move down as the pixel moves right.
        let first = self.columns(ox);
        let last = self.columns(self.within(ox + 3));
        for ky in ky0..ky1 {
            let row = self.input_row(oy, ky);
            let mut kx = last.0;
            while kx < first.1 {
                // All four meet the taps from the first one's first to the last one's last.
                let together = first.0 <= kx && kx < last.1;
                // Neighbouring taps read neighbouring channels: one run instead of one per tap.
                let joined = together && s.dilations[1] == 1 && s.groups == 1;
                let taps = if joined { last.1 - kx } else { 1 };
                self.taps(acc, [row, ox], [ky, kx, taps], lane, together)?;
                kx += taps;
            }
        }
        Some(())
    }

    /// Taps `kx0..kx1` of one row for one pixel; none when `kx0 >= kx1`. Of the border, so it is
    /// not copied into every place that asks for it.
    #[inline(never)]
    fn single<const L: usize>(
        &self,
        acc: &mut [f32; L],
        row: usize,
        ox: usize,
        ky: usize,
        kx0: usize,
        kx1: usize,
        lane: usize,
    ) -> Option<()> {
        for kx in kx0..kx1 {
            let (start, w) = self.tap(row, ox, ky, kx)?;
            let x = run(self.x, start, self.s.group_input)?;
            let mut sums = *acc;
            for (row, x) in w.chunks_exact(self.width.max(1)).zip(x) {
                add_scaled(&mut sums, *x, take(row, lane)?);
            }
            *acc = sums;
        }
        Some(())
    }

    /// `taps` taps from (`ky`, `kx`) on for four neighbouring pixels. Unless all of them meet the
    /// taps (there is one then), those outside read at the border, and their sums are put back,
    /// which costs less than the others alone.
    #[inline(always)]
    fn taps<const L: usize>(
        &self,
        acc: &mut [[f32; L]; 4],
        [row, ox]: [usize; 2],
        [ky, kx, taps]: [usize; 3],
        lane: usize,
        together: bool,
    ) -> Option<()> {
        let s = self.s;
        let [_, columns, channels] = s.input;
        // Columns of the padded input.
        let padded = |p| self.within(ox + p) * s.strides[1] + kx * s.dilations[1];
        let padded = [padded(0), padded(1), padded(2), padded(3)];
        let start = row * columns * channels + self.input;
        let at = |padded: usize| {
            let column = padded.saturating_sub(s.pads[1]).min(columns.saturating_sub(1));
            start + column * channels
        };
        let at = [at(padded[0]), at(padded[1]), at(padded[2]), at(padded[3])];
        let size = s.group_input * self.width;
        let w = run(self.w, (ky * s.kernel[1] + kx) * size, taps * size)?;
        let x = (self.x, at, taps * s.group_input);
        let kept = (!together).then_some(*acc);
        tile::accumulate(acc, x, w, self.width, lane)?;
        for ((acc, kept), column) in acc.iter_mut().zip(kept.iter().flatten()).zip(&padded) {
            if !(s.pads[1]..s.pads[1] + columns).contains(column) {
                // Not the array at once, which becomes a call of `memmove`, 1.6 KB.
                acc.iter_mut().zip(kept).for_each(|(acc, kept)| *acc = *kept);
            }
        }
        Some(())
    }

    /// First element of x and the weights of tap (`ky`, `kx`).
    #[inline(always)]
    fn tap(&self, row: usize, ox: usize, ky: usize, kx: usize) -> Option<(usize, &[f32])> {
        let s = self.s;
        let column = ox * s.strides[1] + kx * s.dilations[1] - s.pads[1];
        let start = (row * s.input[1] + column) * s.input[2] + self.input;
        let size = s.group_input * self.width;
        Some((start, run(self.w, (ky * s.kernel[1] + kx) * size, size)?))
    }
}

/// One output per group: lanes run along the channels.
fn depthwise(s: &ConvShape, x: &[f32], w: &[f32], end: &Epilogue<'_>, y: &mut [f32]) -> Option<()> {
    let pass = Depthwise { s, x, w, end };
    let channels = s.output[2];
    for first in (0..channels).step_by(LANES) {
        let width = LANES.min(channels - first);
        each_lanes!(width, |lane| pass.pass(first, width, lane, y));
    }
    Some(())
}

struct Depthwise<'a> {
    s: &'a ConvShape,
    x: &'a [f32],
    w: &'a [f32],
    end: &'a Epilogue<'a>,
}

impl Depthwise<'_> {
    /// All pixels of `L` channels, `lane` within the block that begins at `first`.
    fn pass<const L: usize>(
        &self,
        first: usize,
        width: usize,
        lane: usize,
        y: &mut [f32],
    ) -> Option<()> {
        let s = self.s;
        let [rows, columns, channels] = s.output;
        let base = first * s.kernel[0] * s.kernel[1] + lane;
        for oy in 0..rows {
            let (ky0, ky1) =
                valid(oy * s.strides[0], s.dilations[0], s.kernel[0], s.pads[0], s.input[0]);
            for ox in 0..columns {
                let (kx0, kx1) =
                    valid(ox * s.strides[1], s.dilations[1], s.kernel[1], s.pads[1], s.input[1]);
                // Where no tap meets the input, no place is used.
                let row = (oy * s.strides[0] + ky0 * s.dilations[0]).saturating_sub(s.pads[0]);
                let column = (ox * s.strides[1] + kx0 * s.dilations[1]).saturating_sub(s.pads[1]);
                let x = Grid {
                    values: self.x,
                    start: (row * s.input[1] + column) * channels + first + lane,
                    rows: ky1 - ky0,
                    columns: kx1 - kx0,
                    step: step_of(s.dilations[1], channels),
                    row_step: step_of(s.dilations[0], s.input[1] * channels),
                };
                let w = Grid {
                    values: self.w,
                    start: base + (ky0 * s.kernel[1] + kx0) * width,
                    rows: ky1 - ky0,
                    columns: kx1 - kx0,
                    step: step_of(1, width),
                    row_step: step_of(1, s.kernel[1] * width),
                };
                let mut acc = [0.0; L];
                tile::accumulate_lanes(&mut acc, x, &[1.0; L], w)?;
                let at = (oy * columns + ox) * channels + first + lane;
                self.end.finish(&mut acc, first + lane, at, y)?;
            }
        }
        Some(())
    }
}
