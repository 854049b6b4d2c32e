//! Cosine between a convolution's weight gradient D and the reference direction of the predicted
//! class, kept as rank-1 factors per channel group: u over output channels, v over inputs.
//!
//! `<D, u v>` is a sum over output pixels of `(u . g) (v . x)`: D itself is never formed. The
//! references have length 1 as a whole, and u carries the normalisation's scale, so that only the
//! length of D is left to divide by.

use gradgate_bundle::shape::ConvShape;

use super::activation::not_finite;
use super::conv_weight::TapPixels;
use super::lanes::{Sum, dot, each_lanes, run, take};
use super::tile;
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
        let pixels = TapPixels::new(self.s, tap.ky, tap.kx);
        let weights = pixels.of_output(self.weights, 1, 0);
        let x = pixels.of_input(self.x, first + lane);
        let mut acc = [[0.0; L]];
        tile::accumulate_pixels(&mut acc, weights, x)?;
        self.add(acc.as_flattened(), tap, lane)
    }

    fn depthwise_block<const L: usize>(
        &mut self,
        tap: Tap<'_>,
        u: &[f32],
        g: &[f32],
        lane: usize,
    ) -> Option<()> {
        let pixels = TapPixels::new(self.s, tap.ky, tap.kx);
        let g = pixels.of_output(g, self.s.output[2], lane);
        let mut acc = [0.0; L];
        tile::accumulate_lanes(&mut acc, g, take(u, lane)?, pixels.of_input(self.x, lane))?;
        self.add(&acc, tap, lane)
    }

    fn add(&mut self, acc: &[f32], tap: Tap<'_>, lane: usize) -> Option<()> {
        for (v, h) in run(tap.v, lane, acc.len())?.iter().zip(acc) {
            self.sum.add(v * h);
        }
        Some(())
    }
}
