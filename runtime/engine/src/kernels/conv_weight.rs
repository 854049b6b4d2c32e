//! Weight-gradient tiles: what the norm and the gradient itself share.
//!
//! `D[o][ky][kx][c] = sum over output pixels, in raster order, of g[p][o] * x[..][c]`, skipping
//! pixels whose tap lies in the padding. A tile of 4 input channels by 8 (4 on 32-bit Arm) output
//! channels stays in registers while the pixels pass.

use gradgate_bundle::shape::ConvShape;

use super::lanes::{add_scaled, run};
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

    /// Rows of x from `input` channel on and of g from `output` channel on, cut so that chunks of
    /// the pixel strides begin at each pixel's channel, and end with the last pixel's channels.
    #[inline(always)]
    fn row(
        &self,
        oy: usize,
        input: (usize, usize),
        output: (usize, usize),
    ) -> Option<[&'a [f32]; 2]> {
        let s = self.s;
        let first = self.columns.0;
        let more = (self.columns.1 - first).checked_sub(1)?;
        let row = oy * s.strides[0] + self.tap[0] - s.pads[0];
        let column = first * s.strides[1] + self.tap[1] - s.pads[1];
        let x = (row * s.input[1] + column) * s.input[2] + input.0;
        let g = (oy * s.output[1] + first) * s.output[2] + output.0;
        Some([
            run(self.x, x, more * s.strides[1] * s.input[2] + input.1)?,
            run(self.g, g, more * s.output[2] + output.1)?,
        ])
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
        if self.columns.0 >= self.columns.1 {
            return Some(());
        }
        let step = self.s.strides[1] * self.s.input[2];
        let channels = self.s.output[2];
        // Said once here, and not found out again at every pixel.
        if step < C.max(1) || channels < L.max(1) {
            return None;
        }
        for oy in self.rows.0..self.rows.1 {
            let [x, g] = self.row(oy, (input, C), (output, L))?;
            let (x, last_x) = x.split_last_chunk::<C>()?;
            let (g, last_g) = g.split_last_chunk::<L>()?;
            for (x, g) in x.chunks_exact(step).zip(g.chunks_exact(channels)) {
                f(x.first_chunk()?, g.first_chunk()?);
            }
            f(last_x, last_g);
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
            acc.iter_mut().zip(x).for_each(|(acc, x)| add_scaled(acc, *x, g));
        })?;
        Some(acc)
    }

    /// `D` of a depthwise convolution for `L` channels from `channel` on.
    #[inline(always)]
    pub fn depthwise<const L: usize>(&self, channel: usize) -> Option<[f32; L]> {
        let mut acc = [0.0; L];
        self.each::<L, L>(channel, channel, |x, g| {
            acc.iter_mut().zip(x.iter().zip(g)).for_each(|(acc, (x, g))| *acc += g * x);
        })?;
        Some(acc)
    }
}

/// Something that takes tiles of D in the order (ky, kx, c) for each output channel.
pub trait Sink {
    /// `D[output + l][ky][kx][input + c]`, channels counted over all groups, for `tile[c][l]`.
    fn take<const L: usize>(&mut self, place: Place, tile: &[[f32; L]]) -> Option<()>;
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
    /// Hands all tiles of `L` output channels from `output` on to the sink.
    pub fn outputs<const L: usize>(&self, output: usize, sink: &mut impl Sink) -> Option<()> {
        let s = self.s;
        let group = output.checked_div(s.group_output)?;
        for ky in 0..s.kernel[0] {
            for kx in 0..s.kernel[1] {
                let pixels = TapPixels::new(s, self.x, self.g, ky, kx);
                let mut place = Place { output, input: 0, ky, kx };
                if s.depthwise() {
                    sink.take(place, &[pixels.depthwise::<L>(output)?])?;
                    continue;
                }
                let first = group * s.group_input;
                while place.input < s.group_input {
                    let input = first + place.input;
                    if s.group_input - place.input >= 4 {
                        sink.take(place, &pixels.tile::<4, L>(input, output)?)?;
                        place.input += 4;
                    } else {
                        sink.take(place, &pixels.tile::<1, L>(input, output)?)?;
                        place.input += 1;
                    }
                }
            }
        }
        Some(())
    }
}
