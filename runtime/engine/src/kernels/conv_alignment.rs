//! Cosine between a convolution's weight gradient D and the reference direction of the predicted
//! class, kept as rank-1 factors per channel group: u over output channels, v over inputs.
//!
//! `<D, u v>` is a sum over output pixels of `(u . g) (v . x)`: D itself is never formed. The
//! references have length 1 as a whole, and u carries the normalisation's scale, so that only the
//! length of D is left to divide by.

use gradgate_bundle::shape::ConvShape;

use super::activation::not_finite;
use super::lanes::{Sum, add_scaled, dot, each_lanes, run, take};
use super::window::valid;
use crate::detector::predicted;
use crate::math::sqrt;

/// Operands of the alignment.
#[derive(Clone, Copy)]
pub struct Alignment<'a> {
    /// The convolution.
    pub s: &'a ConvShape,
    /// Its input, NHWC.
    pub x: &'a [f32],
    /// Cotangent behind the normalisation, NHWC.
    pub g: &'a [f32],
    /// A row of output channels per class.
    pub u: &'a [f32],
    /// A row of inputs per class, in the order of `ConvShape::reference_index`.
    pub v: &'a [f32],
    /// They choose the row.
    pub logits: &'a [f32],
}

impl Alignment<'_> {
    /// The cosine; `norm` is the squared length of D, `scratch` holds one value per output pixel.
    ///
    /// 0 for a gradient of length 0, which has no direction; NaN where anything is not finite.
    pub fn cosine(&self, norm: f32, scratch: &mut [f32]) -> Option<f32> {
        if self.logits.iter().any(|logit| !logit.is_finite()) {
            return Some(f32::NAN);
        }
        let product = self.product(predicted(self.logits) as usize, scratch)?;
        if norm == 0.0 {
            return Some(not_finite(product));
        }
        // An infinite length would turn any product into 0.
        Some(product / sqrt(norm) + not_finite(norm))
    }

    /// `<D, u v>`
    fn product(&self, class: usize, scratch: &mut [f32]) -> Option<f32> {
        let s = self.s;
        let (channels, length) = (s.output[2], s.reference_elements());
        let u = run(self.u, class * channels, channels)?;
        let v = run(self.v, class * length, length)?;
        if s.depthwise() {
            let mut walk = Walk { s, x: self.x, weights: &[], sum: Sum::new() };
            walk.depthwise(u, self.g, v)?;
            return Some(walk.sum.total());
        }
        let mut sum = Sum::new();
        let each = s.kernel[0] * s.kernel[1] * s.group_input;
        for group in 0..s.groups {
            let first = group * s.group_output;
            let u = run(u, first, s.group_output)?;
            for (weight, g) in scratch.iter_mut().zip(self.g.chunks_exact(channels.max(1))) {
                *weight = dot(u, run(g, first, s.group_output)?);
            }
            let v = run(v, group * each, each)?;
            let mut walk = Walk { s, x: self.x, weights: scratch, sum };
            walk.group(group * s.group_input, v)?;
            sum = walk.sum;
        }
        Some(sum.total())
    }
}

/// Output pixels in a row whose tap lies in the input.
struct Row {
    /// Pixel of x that the first one sees.
    input: usize,
    /// The first one.
    output: usize,
    /// How many.
    count: usize,
}

/// The sum over v's elements, in their order, of each times its `sum over pixels of weight * x`.
struct Walk<'a> {
    s: &'a ConvShape,
    x: &'a [f32],
    /// `u . g` of the group, by output pixel.
    weights: &'a [f32],
    sum: Sum,
}

/// A tap with its elements of v.
#[derive(Clone, Copy)]
struct Tap<'a> {
    ky: usize,
    kx: usize,
    v: &'a [f32],
}

impl Walk<'_> {
    fn group(&mut self, first: usize, v: &[f32]) -> Option<()> {
        let channels = self.s.group_input;
        self.taps(v, channels, |walk, tap| {
            each_lanes!(channels, |lane| walk.block(tap, first, lane));
            Some(())
        })
    }

    fn depthwise(&mut self, u: &[f32], g: &[f32], v: &[f32]) -> Option<()> {
        let channels = self.s.input[2];
        self.taps(v, channels, |walk, tap| {
            each_lanes!(channels, |lane| walk.depthwise_block(tap, u, g, lane));
            Some(())
        })
    }

    fn taps(
        &mut self,
        v: &[f32],
        channels: usize,
        mut f: impl FnMut(&mut Self, Tap<'_>) -> Option<()>,
    ) -> Option<()> {
        let mut rows = v.chunks_exact(channels.max(1));
        for ky in 0..self.s.kernel[0] {
            for kx in 0..self.s.kernel[1] {
                let v = rows.next()?;
                f(self, Tap { ky, kx, v })?;
            }
        }
        Some(())
    }

    fn block<const L: usize>(&mut self, tap: Tap<'_>, first: usize, lane: usize) -> Option<()> {
        let (x, weights) = (self.x, self.weights);
        let channels = self.s.input[2];
        let step = self.s.strides[1] * channels;
        let mut acc = [0.0; L];
        each_row(self.s, tap, &mut |row| {
            let mut sums = acc;
            let x = x.get(row.input * channels + first + lane..)?;
            for (x, weight) in x.chunks(step.max(1)).zip(run(weights, row.output, row.count)?) {
                add_scaled(&mut sums, *weight, x.first_chunk::<L>()?);
            }
            acc = sums;
            Some(())
        })?;
        self.add(&acc, tap, lane)
    }

    fn depthwise_block<const L: usize>(
        &mut self,
        tap: Tap<'_>,
        u: &[f32],
        g: &[f32],
        lane: usize,
    ) -> Option<()> {
        let x = self.x;
        let channels = self.s.input[2].max(1);
        let u = take::<L>(u, lane)?;
        let mut acc = [0.0; L];
        each_row(self.s, tap, &mut |row| {
            let x =
                x.get(row.input * channels + lane..)?.chunks((self.s.strides[1] * channels).max(1));
            let g = g.get(row.output * channels + lane..)?.chunks(channels.max(1));
            for (x, g) in x.zip(g).take(row.count) {
                let (x, g) = (x.first_chunk::<L>()?, g.first_chunk::<L>()?);
                for (acc, (u, (g, x))) in acc.iter_mut().zip(u.iter().zip(g.iter().zip(x))) {
                    *acc += (u * g) * x;
                }
            }
            Some(())
        })?;
        self.add(&acc, tap, lane)
    }

    fn add<const L: usize>(&mut self, acc: &[f32; L], tap: Tap<'_>, lane: usize) -> Option<()> {
        for (v, h) in take::<L>(tap.v, lane)?.iter().zip(acc) {
            self.sum.add(v * h);
        }
        Some(())
    }
}

/// Calls `f` for every output row with pixels whose tap lies in the input, in order.
fn each_row(s: &ConvShape, tap: Tap<'_>, f: &mut dyn FnMut(Row) -> Option<()>) -> Option<()> {
    let offset = [tap.ky * s.dilations[0], tap.kx * s.dilations[1]];
    let rows = valid(offset[0], s.strides[0], s.output[0], s.pads[0], s.input[0]);
    let columns = valid(offset[1], s.strides[1], s.output[1], s.pads[1], s.input[1]);
    let count = columns.1.checked_sub(columns.0)?;
    if count == 0 {
        return Some(());
    }
    for oy in rows.0..rows.1 {
        let row = (oy * s.strides[0] + offset[0]).checked_sub(s.pads[0])?;
        let column = (columns.0 * s.strides[1] + offset[1]).checked_sub(s.pads[1])?;
        f(Row { input: row * s.input[1] + column, output: oy * s.output[1] + columns.0, count })?;
    }
    Some(())
}
