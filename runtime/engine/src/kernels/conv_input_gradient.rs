//! Cotangent of a convolution's input.
//!
//! Tap by tap and 16 output channels at a time, a transposed weight tile is applied to all output
//! pixels; dx holds the accumulators in between. Per element of dx that is the order (ky, kx, co).

use gradgate_bundle::op::LANES;
use gradgate_bundle::shape::ConvShape;

use super::lanes::{accumulate1, accumulate4, each_lanes, run, take, take_mut};
use super::window::valid;

/// `dx = sum over (ky, kx, co) of (g * scale) * w`; dx and g are NHWC, w is blocked.
pub fn conv_input_gradient(
    s: &ConvShape,
    g: &[f32],
    w: &[f32],
    scale: Option<&[f32]>,
    dx: &mut [f32],
) -> Option<()> {
    dx.fill(0.0);
    if s.depthwise() {
        return depthwise(s, g, w, scale, dx);
    }
    for group in 0..s.groups {
        for ky in 0..s.kernel[0] {
            for kx in 0..s.kernel[1] {
                for block in (0..s.group_output).step_by(LANES) {
                    let tap = Tap { s, g, scale, group, ky, kx, block };
                    tap.all_inputs(w, dx)?;
                }
            }
        }
    }
    Some(())
}

/// Up to 16 output channels of one group at one tap.
struct Tap<'a> {
    s: &'a ConvShape,
    g: &'a [f32],
    scale: Option<&'a [f32]>,
    group: usize,
    ky: usize,
    kx: usize,
    /// First output channel within the group.
    block: usize,
}

impl Tap<'_> {
    fn all_inputs(&self, w: &[f32], dx: &mut [f32]) -> Option<()> {
        let s = self.s;
        let width = LANES.min(s.group_output - self.block);
        let per_output = s.kernel[0] * s.kernel[1] * s.group_input;
        let first = self.group * s.group_output + self.block;
        let at = (self.ky * s.kernel[1] + self.kx) * s.group_input * width;
        let w = run(w, first * per_output + at, s.group_input * width)?;
        for input in (0..s.group_input).step_by(LANES) {
            let inputs = LANES.min(s.group_input - input);
            let mut tile = [[0.0; LANES]; LANES];
            let rows = run(w, input * width, inputs * width)?.chunks_exact(width.max(1));
            for (c, row) in rows.take(LANES).enumerate() {
                for (line, v) in tile.iter_mut().zip(row) {
                    *line.get_mut(c)? = *v;
                }
            }
            self.all_pixels(&tile, self.group * s.group_input + input, inputs, width, dx)?;
        }
        Some(())
    }

    /// Applies `tile[co][ci]` to every output pixel whose tap lies in the input.
    fn all_pixels(
        &self,
        tile: &[[f32; LANES]; LANES],
        input: usize,
        inputs: usize,
        width: usize,
        dx: &mut [f32],
    ) -> Option<()> {
        let s = self.s;
        let [rows, columns, channels] = s.output;
        let y = self.ky * s.dilations[0];
        let x = self.kx * s.dilations[1];
        let (oy0, oy1) = valid(y, s.strides[0], rows, s.pads[0], s.input[0]);
        let (ox0, ox1) = valid(x, s.strides[1], columns, s.pads[1], s.input[1]);
        let step = s.strides[1] * s.input[2];
        for oy in oy0..oy1 {
            let row = oy * s.strides[0] + y - s.pads[0];
            let mut ox = ox0;
            while ox < ox1 {
                let column = ox * s.strides[1] + x - s.pads[1];
                let at = (row * s.input[1] + column) * s.input[2] + input;
                let from =
                    (oy * columns + ox) * channels + self.group * s.group_output + self.block;
                if ox1 - ox >= 4 {
                    let g = |p: usize| self.scaled(from + p * channels, width);
                    let four = Pixels { g: [g(0)?, g(1)?, g(2)?, g(3)?], tile, width, at, step };
                    each_lanes!(inputs, |lane| four.four(lane, dx));
                    ox += 4;
                } else {
                    let g = self.scaled(from, width)?;
                    let one = Pixels { g: [g], tile, width, at, step };
                    each_lanes!(inputs, |lane| one.one(lane, dx));
                    ox += 1;
                }
            }
        }
        Some(())
    }

    /// `g * scale` of one pixel's block.
    #[inline(always)]
    fn scaled(&self, from: usize, width: usize) -> Option<[f32; LANES]> {
        let mut scaled = [0.0; LANES];
        let g = run(self.g, from, width)?;
        scaled.iter_mut().zip(g).for_each(|(to, g)| *to = *g);
        if let Some(scale) = self.scale {
            let scale = run(scale, self.group * self.s.group_output + self.block, width)?;
            scaled.iter_mut().zip(scale).for_each(|(to, s)| *to *= s);
        }
        Some(scaled)
    }
}

/// Scaled cotangents of `P` neighbouring output pixels, and where they go.
struct Pixels<'a, const P: usize> {
    g: [[f32; LANES]; P],
    tile: &'a [[f32; LANES]; LANES],
    /// Output channels in `g`.
    width: usize,
    /// Element of dx for the first pixel's first channel.
    at: usize,
    /// Elements of dx between two pixels.
    step: usize,
}

impl Pixels<'_, 4> {
    #[inline(always)]
    fn four<const L: usize>(&self, lane: usize, dx: &mut [f32]) -> Option<()> {
        let mut acc = [[0.0; L]; 4];
        for (p, acc) in acc.iter_mut().enumerate() {
            *acc = *take(dx, self.at + p * self.step + lane)?;
        }
        let [a, b, c, d] = &self.g;
        let width = self.width;
        let g = [a.get(..width)?, b.get(..width)?, c.get(..width)?, d.get(..width)?];
        accumulate4(&mut acc, g, self.tile.as_flattened(), LANES, lane)?;
        for (p, acc) in acc.iter().enumerate() {
            *take_mut(dx, self.at + p * self.step + lane)? = *acc;
        }
        Some(())
    }
}

impl Pixels<'_, 1> {
    #[inline(always)]
    fn one<const L: usize>(&self, lane: usize, dx: &mut [f32]) -> Option<()> {
        let [g] = &self.g;
        let acc = take_mut::<L>(dx, self.at + lane)?;
        accumulate1(acc, g.get(..self.width)?, self.tile.as_flattened(), LANES, lane)
    }
}

/// One output per group: lanes run along the channels.
fn depthwise(
    s: &ConvShape,
    g: &[f32],
    w: &[f32],
    scale: Option<&[f32]>,
    dx: &mut [f32],
) -> Option<()> {
    let channels = s.output[2];
    for ky in 0..s.kernel[0] {
        for kx in 0..s.kernel[1] {
            for first in (0..channels).step_by(LANES) {
                let width = LANES.min(channels - first);
                let tap = ky * s.kernel[1] + kx;
                let w = run(w, first * s.kernel[0] * s.kernel[1] + tap * width, width)?;
                let mut factors = [1.0; LANES];
                if let Some(scale) = scale {
                    let scale = run(scale, first, width)?;
                    factors.iter_mut().zip(scale).for_each(|(to, s)| *to = *s);
                }
                depthwise_pixels(s, g, w, &factors, [ky, kx], first, dx)?;
            }
        }
    }
    Some(())
}

fn depthwise_pixels(
    s: &ConvShape,
    g: &[f32],
    w: &[f32],
    factors: &[f32; LANES],
    [ky, kx]: [usize; 2],
    first: usize,
    dx: &mut [f32],
) -> Option<()> {
    let [rows, columns, channels] = s.output;
    let (y, x) = (ky * s.dilations[0], kx * s.dilations[1]);
    let (oy0, oy1) = valid(y, s.strides[0], rows, s.pads[0], s.input[0]);
    let (ox0, ox1) = valid(x, s.strides[1], columns, s.pads[1], s.input[1]);
    for oy in oy0..oy1 {
        let row = oy * s.strides[0] + y - s.pads[0];
        for ox in ox0..ox1 {
            let column = ox * s.strides[1] + x - s.pads[1];
            let g = run(g, (oy * columns + ox) * channels + first, w.len())?;
            let at = (row * s.input[1] + column) * channels + first;
            let dx = dx.get_mut(at..)?.get_mut(..w.len())?;
            for (((dx, g), f), w) in dx.iter_mut().zip(g).zip(factors).zip(w) {
                *dx += (g * f) * w;
            }
        }
    }
    Some(())
}
