//! Cotangent of a convolution's input, gathered: every element of dx sees its taps in the order
//! (ky, kx, co), stays in a register meanwhile, is finished and written once.
//!
//! Four input pixels of a row that meet the same taps (they lie a stride apart) by 8 (4 on 32-bit
//! Arm) input channels are taken together. Nothing is transposed: the weights of neighbouring input
//! channels lie a block's width apart.

use gradgate_bundle::op::{Activation, LANES, MASK_BITS};
use gradgate_bundle::shape::ConvShape;

use super::grid::{Grid, step_of};
use super::lanes::{each_lanes, is_tiled, run, take};
use super::operand::Operand;
use super::tile;
use super::unary::Gate;
use super::window::{Reached, reached};

/// What happens to an element of dx: `+ addend`, then through the gate.
#[derive(Clone, Copy, Debug)]
pub struct GradientEnd<'a> {
    /// As dx.
    pub addend: Operand<'a>,
    /// The derivative of the activation whose cotangent comes out.
    pub gate: Gate<'a>,
}

impl<'a> GradientEnd<'a> {
    /// For a part of the result, `length` elements from `at` on; a mask is cut between its words.
    pub fn part(&self, at: usize, length: usize) -> Option<GradientEnd<'a>> {
        let gate = match self.gate.act.kind {
            Activation::Mask => self.gate.at.part(at / MASK_BITS, length.div_ceil(MASK_BITS))?,
            _ => self.gate.at.part(at, length)?,
        };
        let gate = Gate { at: gate, ..self.gate };
        Some(GradientEnd { addend: self.addend.part(at, length)?, gate })
    }
}

impl GradientEnd<'_> {
    /// Nothing.
    pub const NONE: GradientEnd<'static> =
        GradientEnd { addend: Operand::Absent, gate: Gate::NONE };

    /// Finishes the elements from `at` on and writes them. One function for every width where code
    /// is dear, else a copy for each.
    #[cfg_attr(not(target_arch = "arm"), inline(always))]
    #[cfg_attr(target_arch = "arm", inline(never))]
    pub fn finish(&self, acc: &mut [f32], at: usize, dx: &mut [f32]) -> Option<()> {
        let length = acc.len();
        if !matches!(self.addend, Operand::Absent) {
            acc.iter_mut().zip(self.addend.run(at, length, dx)?).for_each(|(v, a)| *v += a);
        }
        self.gate.through(at, acc, dx)?;
        dx.get_mut(at..)?.get_mut(..length)?.iter_mut().zip(acc).for_each(|(dx, v)| *dx = *v);
        Some(())
    }
}

/// `dx = gate(sum over (ky, kx, co) of (g * scale) * w + addend)`; dx and g are NHWC, w is blocked.
pub fn conv_input_gradient(
    s: &ConvShape,
    g: &[f32],
    w: &[f32],
    scale: Option<&[f32]>,
    end: &GradientEnd<'_>,
    dx: &mut [f32],
) -> Option<()> {
    if s.depthwise() {
        let channels = s.output[2];
        for first in (0..channels).step_by(LANES) {
            let width = LANES.min(channels - first);
            let pass = Depthwise { s, g, w, scale, end, first, width };
            each_lanes!(width, |lane| pass.pass(lane, dx));
        }
        return Some(());
    }
    for group in 0..s.groups {
        let pass = Group { s, g, w, scale, end, group };
        each_lanes!(s.group_input, |lane| pass.pass(lane, dx));
    }
    Some(())
}

/// The taps of an axis that bring an input index to outputs.
fn taps_of(s: &ConvShape, axis: usize, i: usize) -> Reached {
    reached(i, s.strides[axis], s.dilations[axis], s.pads[axis], s.kernel[axis])
}

/// One group of channels.
struct Group<'a> {
    s: &'a ConvShape,
    g: &'a [f32],
    w: &'a [f32],
    scale: Option<&'a [f32]>,
    end: &'a GradientEnd<'a>,
    group: usize,
}

impl Group<'_> {
    /// All pixels, `L` input channels from `lane` of the group on.
    fn pass<const L: usize>(&self, lane: usize, dx: &mut [f32]) -> Option<()> {
        let s = self.s;
        let [rows, columns, channels] = s.input;
        let stride = s.strides[1];
        for iy in 0..rows {
            let taps = taps_of(s, 0, iy).inside(s.output[0]);
            for phase in 0..stride.min(columns) {
                let mut ix = phase;
                while ix < columns {
                    let at = (iy * columns + ix) * channels + self.group * s.group_input + lane;
                    let left = (columns - ix).div_ceil(stride);
                    if is_tiled(L, left) {
                        let mut acc = [[0.0; L]; 4];
                        self.pixels(&mut acc, taps, ix, lane)?;
                        for (p, acc) in acc.iter_mut().take(left).enumerate() {
                            self.end.finish(acc, at + p * stride * channels, dx)?;
                        }
                        ix += 4 * stride;
                    } else {
                        let mut acc = [[0.0; L]; 1];
                        self.pixels(&mut acc, taps, ix, lane)?;
                        self.end.finish(acc.as_flattened_mut(), at, dx)?;
                        ix += stride;
                    }
                }
            }
        }
        Some(())
    }

    /// Adds all taps to the sums of `P` pixels of a row, a stride apart from column `ix` on; `rows`
    /// are the taps that bring the row to rows of the output.
    #[inline(always)]
    fn pixels<const P: usize, const L: usize>(
        &self,
        acc: &mut [[f32; L]; P],
        rows: Reached,
        ix: usize,
        lane: usize,
    ) -> Option<()> {
        let s = self.s;
        let columns = taps_of(s, 1, ix);
        for (ky, oy) in rows.each() {
            for (kx, first) in columns.each() {
                let tap = (ky * s.kernel[1] + kx) * s.group_input + lane;
                self.taps(acc, oy as usize * s.output[1], first, tap)?;
            }
        }
        Some(())
    }

    /// One tap of the `P` output pixels from `first` on of the row that begins at pixel `row`. If
    /// some of them are inside only, those outside read at the border, and their sums are left
    /// as they were: that costs less than the others alone.
    #[inline(always)]
    fn taps<const P: usize, const L: usize>(
        &self,
        acc: &mut [[f32; L]; P],
        row: usize,
        first: isize,
        tap: usize,
    ) -> Option<()> {
        let columns = self.s.output[1] as isize;
        let end = first + P as isize;
        if end <= 0 || first >= columns {
            return Some(());
        }
        let mut at = [0; P];
        for (p, at) in at.iter_mut().enumerate() {
            *at = row + (first + p as isize).max(0).min(columns - 1) as usize;
        }
        if first >= 0 && end <= columns {
            return self.tap(acc, at, tap);
        }
        let mut sums = *acc;
        self.tap(&mut sums, at, tap)?;
        for (p, (acc, sums)) in acc.iter_mut().zip(&sums).enumerate() {
            if (0..columns).contains(&(first + p as isize)) {
                *acc = *sums;
            }
        }
        Some(())
    }

    /// One tap of `P` output pixels; `tap` counts input channels.
    #[inline(never)]
    fn tap<const P: usize, const L: usize>(
        &self,
        acc: &mut [[f32; L]; P],
        pixels: [usize; P],
        tap: usize,
    ) -> Option<()> {
        let s = self.s;
        let per_output = s.kernel[0] * s.kernel[1] * s.group_input;
        for block in (0..s.group_output).step_by(LANES) {
            let first = self.group * s.group_output + block;
            let width = LANES.min(s.group_output - block);
            let rows = run(self.w, first * per_output + tap * width, L * width)?;
            let at = pixels.map(|pixel| pixel * s.output[2] + first);
            let scale = match self.scale {
                Some(scale) => run(scale, first, width)?,
                None => [1.0; LANES].get(..width)?,
            };
            tile::accumulate_scaled(acc, (self.g, at), rows, scale)?;
        }
        Some(())
    }
}

/// Up to 16 channels with one output per group: lanes run along the channels.
struct Depthwise<'a> {
    s: &'a ConvShape,
    g: &'a [f32],
    w: &'a [f32],
    scale: Option<&'a [f32]>,
    end: &'a GradientEnd<'a>,
    /// First channel.
    first: usize,
    width: usize,
}

impl Depthwise<'_> {
    /// All pixels of `L` channels, `lane` within the block.
    fn pass<const L: usize>(&self, lane: usize, dx: &mut [f32]) -> Option<()> {
        let s = self.s;
        let channel = self.first + lane;
        let scale = match self.scale {
            Some(scale) => *take::<L>(scale, channel)?,
            None => [1.0; L],
        };
        for iy in 0..s.input[0] {
            let rows = taps_of(s, 0, iy).inside(s.output[0]);
            for ix in 0..s.input[1] {
                let columns = taps_of(s, 1, ix).inside(s.output[1]);
                let mut acc = [0.0; L];
                let [g, w] = self.grids(rows, columns, lane);
                tile::accumulate_lanes(&mut acc, g, &scale, w)?;
                let at = (iy * s.input[1] + ix) * s.input[2] + channel;
                self.end.finish(&mut acc, at, dx)?;
            }
        }
        Some(())
    }

    /// Cotangents and weights of the same taps.
    #[inline(always)]
    fn grids(&self, rows: Reached, columns: Reached, lane: usize) -> [Grid<'_>; 2] {
        let s = self.s;
        let channels = s.output[2];
        // Below zero where there is no tap, and no place of a grid is used.
        let first = |taps: Reached| taps.output.max(0) as usize;
        let pixel = first(rows) * s.output[1] + first(columns);
        let g = Grid {
            values: self.g,
            start: pixel * channels + self.first + lane,
            rows: rows.count,
            columns: columns.count,
            step: step_of(columns.output_step, channels).wrapping_neg(),
            row_step: step_of(rows.output_step, s.output[1] * channels).wrapping_neg(),
        };
        let tap = rows.tap * s.kernel[1] + columns.tap;
        let w = Grid {
            values: self.w,
            start: self.first * s.kernel[0] * s.kernel[1] + tap * self.width + lane,
            rows: rows.count,
            columns: columns.count,
            step: step_of(columns.tap_step, self.width),
            row_step: step_of(rows.tap_step, s.kernel[1] * self.width),
        };
        [g, w]
    }
}
