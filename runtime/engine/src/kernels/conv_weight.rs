//! Weight-gradient tiles: what the norm and the gradient itself share.
//!
//! `D[o][ky][kx][c] = sum over output pixels, in raster order, of g[p][o] * x[..][c]`, skipping
//! pixels whose tap lies in the padding. A tile of 4 input channels by 8 (4 on 32-bit Arm) output
//! channels stays in registers while the pixels pass.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::lanes::{add_outer, add_products, each_lanes, is_tiled, run};
use super::window::valid;

/// Output pixels whose tap (ky, kx) lies in the input, row by row.
pub struct TapPixels<'a> {
    s: &'a ConvShape,
    x: &'a [f32],
    g: &'a [f32],
    rows: (usize, usize),
    columns: (usize, usize),
    /// Offset of the tap, in rows and columns of the padded input.
    tap: [usize; 2],
}

impl<'a> TapPixels<'a> {
    /// The pixels of tap (`ky`, `kx`).
    pub fn new(s: &'a ConvShape, x: &'a [f32], g: &'a [f32], ky: usize, kx: usize) -> Self {
        let tap = [ky * s.dilations[0], kx * s.dilations[1]];
        let rows = valid(tap[0], s.strides[0], s.output[0], s.pads[0], s.input[0]);
        let columns = valid(tap[1], s.strides[1], s.output[1], s.pads[1], s.input[1]);
        TapPixels { s, x, g, rows, columns, tap }
    }

    /// Calls `f` with `C` values of x and `L` values of g at every pixel. With 4 by 4 a pixel costs
    /// a Cortex-M4F 8 loads for 16 multiply-adds, and what moves two pointers.
    #[inline(always)]
    fn each<const C: usize, const L: usize>(
        &self,
        input: usize,
        output: usize,
        mut f: impl FnMut(&[f32; C], &[f32; L]),
    ) -> Option<()> {
        let s = self.s;
        let first = self.columns.0;
        let Some(more) = self.columns.1.checked_sub(first + 1) else { return Some(()) };
        if self.rows.0 >= self.rows.1 {
            return Some(());
        }
        let (step, channels) = (s.strides[1] * s.input[2], s.output[2]);
        // Said once here, and not found out again at every pixel.
        if step < C.max(1) || channels < L.max(1) {
            return None;
        }
        let row = self.rows.0 * s.strides[0] + self.tap[0] - s.pads[0];
        let column = first * s.strides[1] + self.tap[1] - s.pads[1];
        let mut x_at = (row * s.input[1] + column) * s.input[2] + input;
        let mut g_at = (self.rows.0 * s.output[1] + first) * channels + output;
        for _ in self.rows.0..self.rows.1 {
            // Steps begin at each pixel's channel; the last pixel's channels end the row.
            let (mut x, last_x) = run(self.x, x_at, more * step + C)?.split_last_chunk::<C>()?;
            let (mut g, last_g) =
                run(self.g, g_at, more * channels + L)?.split_last_chunk::<L>()?;
            // Not `chunks_exact`, whose number may stay a division that can panic.
            while let (Some((first_x, rest_x)), Some((first_g, rest_g))) =
                (x.split_at_checked(step), g.split_at_checked(channels))
            {
                f(first_x.first_chunk()?, first_g.first_chunk()?);
                (x, g) = (rest_x, rest_g);
            }
            f(last_x, last_g);
            x_at += s.strides[0] * s.input[1] * s.input[2];
            g_at += s.output[1] * channels;
        }
        Some(())
    }

    /// `D` for `C` input channels from `input` on by `L` output channels from `output` on.
    #[inline(always)]
    pub fn tile<const C: usize, const L: usize>(
        &self,
        input: usize,
        output: usize,
    ) -> Option<[[f32; L]; C]> {
        let mut acc = [[0.0; L]; C];
        self.each::<C, L>(input, output, |x, g| {
            add_outer(&mut acc, *x, g);
        })?;
        Some(acc)
    }

    /// [`TapPixels::tile`] of one input channel.
    #[inline(never)]
    fn single<const L: usize>(&self, input: usize, output: usize) -> Option<[[f32; L]; 1]> {
        self.tile::<1, L>(input, output)
    }

    /// `D` of a depthwise convolution for `L` channels from `channel` on.
    #[inline(always)]
    pub fn depthwise<const L: usize>(&self, channel: usize) -> Option<[f32; L]> {
        let mut acc = [0.0; L];
        self.each::<L, L>(channel, channel, |x, g| {
            add_products(&mut acc, g, x);
        })?;
        Some(acc)
    }
}

/// Something that takes tiles of D in the order (ky, kx, c) for each output channel.
pub trait Sink {
    /// `D[output + l][ky][kx][input + c]`, channels counted over all groups, for
    /// `tile[c * lanes + l]`.
    fn take(&mut self, place: Place, lanes: usize, tile: &[f32]) -> Option<()>;
}

/// Where a tile lies.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// First output channel, over all groups.
    pub output: usize,
    /// First input channel within the group.
    pub input: usize,
    /// Tap row.
    pub ky: usize,
    /// Tap column.
    pub kx: usize,
}

/// A walk over all of D.
pub struct Walk<'a> {
    /// The convolution.
    pub s: &'a ConvShape,
    /// Its input.
    pub x: &'a [f32],
    /// Cotangent of its output.
    pub g: &'a [f32],
}

impl Walk<'_> {
    /// Hands all of D to the sink, in blocks of the weight's layout, so that no tile crosses a
    /// block or a group.
    pub fn all(&self, sink: &mut dyn Sink) -> Option<()> {
        let s = self.s;
        let (groups, channels) =
            if s.depthwise() { (1, s.output[2]) } else { (s.groups, s.group_output) };
        for group in 0..groups {
            for block in (0..channels).step_by(LANES) {
                let first = group * channels + block;
                each_lanes!(LANES.min(channels - block), |lane| self.outputs(first + lane, sink));
            }
        }
        Some(())
    }

    /// Hands all tiles of `L` output channels from `output` on to the sink.
    fn outputs<const L: usize>(&self, output: usize, sink: &mut dyn Sink) -> Option<()> {
        let s = self.s;
        let group = output.checked_div(s.group_output)?;
        for ky in 0..s.kernel[0] {
            for kx in 0..s.kernel[1] {
                let pixels = TapPixels::new(s, self.x, self.g, ky, kx);
                let mut place = Place { output, input: 0, ky, kx };
                if s.depthwise() {
                    // A single channel's tile is the same sum, and code that is there already.
                    let [one] = match L {
                        1 => pixels.single::<L>(output, output)?,
                        _ => [pixels.depthwise::<L>(output)?],
                    };
                    sink.take(place, L, &one)?;
                    continue;
                }
                let first = group * s.group_input;
                while place.input < s.group_input {
                    let input = first + place.input;
                    if is_tiled(L) && s.group_input - place.input >= 4 {
                        sink.take(place, L, pixels.tile::<4, L>(input, output)?.as_flattened())?;
                        place.input += 4;
                    } else {
                        sink.take(place, L, pixels.single::<L>(input, output)?.as_flattened())?;
                        place.input += 1;
                    }
                }
            }
        }
        Some(())
    }
}
