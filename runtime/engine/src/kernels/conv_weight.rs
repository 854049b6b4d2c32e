//! Weight-gradient tiles: what the norm and the gradient itself share.
//!
//! `D[o][ky][kx][c] = sum over output pixels, in raster order, of g[p][o] * x[..][c]`, skipping
//! pixels whose tap lies in the padding. A tile of 4 input channels by 8 (4 on 32-bit Arm) output
//! channels stays in registers while the pixels pass.

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::grid::{Grid, step_of};
use super::lanes::{each_lanes, is_tiled};
use super::tile;
use super::window::valid;

/// Output pixels whose tap (ky, kx) lies in the input.
pub struct TapPixels<'a> {
    s: &'a ConvShape,
    rows: (usize, usize),
    columns: (usize, usize),
    /// Offset of the tap, in rows and columns of the padded input.
    tap: [usize; 2],
}

impl<'a> TapPixels<'a> {
    /// The pixels of tap (`ky`, `kx`).
    pub fn new(s: &'a ConvShape, ky: usize, kx: usize) -> Self {
        let tap = [ky * s.dilations[0], kx * s.dilations[1]];
        let rows = valid(tap[0], s.strides[0], s.output[0], s.pads[0], s.input[0]);
        let columns = valid(tap[1], s.strides[1], s.output[1], s.pads[1], s.input[1]);
        TapPixels { s, rows, columns, tap }
    }

    /// What the tap of these pixels reads of the convolution's input, from `channel` on.
    #[inline(always)]
    pub fn of_input<'v>(&self, x: &'v [f32], channel: usize) -> Grid<'v> {
        let s = self.s;
        // A pixel that exists has its tap in the input; without one no place is used.
        let inside = |axis: usize, first: usize| {
            (first * s.strides[axis] + self.tap[axis]).saturating_sub(s.pads[axis])
        };
        let (row, column) = (inside(0, self.rows.0), inside(1, self.columns.0));
        let across = s.input[1] * s.input[2];
        Grid {
            values: x,
            start: row * across + column * s.input[2] + channel,
            rows: self.rows.1.saturating_sub(self.rows.0),
            columns: self.columns.1.saturating_sub(self.columns.0),
            step: step_of(s.strides[1], s.input[2]),
            row_step: step_of(s.strides[0], across),
        }
    }

    /// The same pixels of a map of the output's size with `channels` channels, from `channel` on.
    #[inline(always)]
    pub fn of_output<'v>(&self, g: &'v [f32], channels: usize, channel: usize) -> Grid<'v> {
        let across = self.s.output[1] * channels;
        Grid {
            values: g,
            start: self.rows.0 * across + self.columns.0 * channels + channel,
            rows: self.rows.1.saturating_sub(self.rows.0),
            columns: self.columns.1.saturating_sub(self.columns.0),
            step: step_of(1, channels),
            row_step: step_of(1, across),
        }
    }
}

/// `D` for one input channel by `L` output channels; not copied into every place that asks for it.
#[inline(never)]
fn single<const L: usize>(acc: &mut [[f32; L]; 1], x: Grid<'_>, g: Grid<'_>) -> Option<()> {
    tile::accumulate_pixels(acc, x, g)
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
                let pixels = TapPixels::new(s, ky, kx);
                let g = pixels.of_output(self.g, s.output[2], output);
                let mut place = Place { output, input: 0, ky, kx };
                if s.depthwise() {
                    let x = pixels.of_input(self.x, output);
                    // A single channel's tile is the same sum, and code that is there already.
                    let mut one = [[0.0; L]];
                    match (L, &mut one) {
                        (1, one) => single(one, x, g)?,
                        (_, [one]) => tile::accumulate_lanes(one, g, &[1.0; L], x)?,
                    }
                    sink.take(place, L, one.as_flattened())?;
                    continue;
                }
                let first = group * s.group_input;
                while place.input < s.group_input {
                    let left = s.group_input - place.input;
                    let x = pixels.of_input(self.x, first + place.input);
                    // Of fewer than four channels, the values that follow in x make four, and what
                    // they give is dropped.
                    if is_tiled(L, left) && (left >= 4 || x.holds(4)) {
                        let mut four = [[0.0; L]; 4];
                        tile::accumulate_pixels(&mut four, x, g)?;
                        let kept = left.min(4);
                        sink.take(place, L, four.as_flattened().get(..kept * L)?)?;
                        place.input += kept;
                    } else {
                        let mut one = [[0.0; L]];
                        single(&mut one, x, g)?;
                        sink.take(place, L, one.as_flattened())?;
                        place.input += 1;
                    }
                }
            }
        }
        Some(())
    }
}
