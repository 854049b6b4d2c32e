//! Squared norms of the gradients of a convolution's weight and bias, and of its normalisation's
//! scale and shift. D is formed tile by tile, squared, summed and dropped.

use gradgate_bundle::shape::ConvShape;

use super::conv_weight::{Place, Sink, Walk};
use super::lanes::{add_products, run, squared_norm, sum};

/// Operands of the norm.
#[derive(Clone, Copy)]
pub struct WeightNorm<'a> {
    /// The convolution.
    pub s: &'a ConvShape,
    /// Its input, NHWC.
    pub x: &'a [f32],
    /// Cotangent behind the normalisation, NHWC.
    pub g: &'a [f32],
    /// Blocked weight.
    pub w: &'a [f32],
    /// gamma / sigma per output channel; 1 when absent.
    pub scale: Option<&'a [f32]>,
    /// 1 / sigma per output channel.
    pub inverse_sigma: Option<&'a [f32]>,
    /// The convolution's own bias minus the running mean; 0 when absent.
    pub bias_minus_mean: Option<&'a [f32]>,
    /// Whether the scale's norm is wanted, which needs `<W, D>`.
    pub wants_scale: bool,
}

/// The four squared norms; `scale` is 0 when not wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Norms {
    /// Of the weight.
    pub weight: f32,
    /// Of the convolution's own bias.
    pub bias: f32,
    /// Of the normalisation's scale (gamma).
    pub scale: f32,
    /// Of the normalisation's shift (beta).
    pub shift: f32,
}

impl WeightNorm<'_> {
    /// Direct method. `scratch` holds, per output channel, `r = |D|^2`, `q = <W, D>` and `s`, the
    /// sum of g: three rows of `co` values.
    pub fn direct(&self, scratch: &mut [f32]) -> Option<Norms> {
        let [r, q, s] = self.rows(scratch)?;
        self.direct_sums(r, q)?;
        self.finish(r, q, s)
    }

    /// `r = |D|^2` and `q = <W, D>` (+0 where no norm wants it) per output channel.
    pub fn direct_sums(&self, r: &mut [f32], q: &mut [f32]) -> Option<()> {
        r.fill(0.0);
        q.fill(0.0);
        Walk { s: self.s, x: self.x, g: self.g }.all(&mut Sums { norm: self, r, q })
    }

    /// The norms from the rows r and q; s is filled here.
    pub fn finish(&self, r: &[f32], q: &[f32], s: &mut [f32]) -> Option<Norms> {
        self.shift_sums(s)?;
        self.finish_sums(r, q, s)
    }

    /// The norms from all three rows.
    pub fn finish_sums(&self, r: &[f32], q: &[f32], s: &[f32]) -> Option<Norms> {
        let weight = self.with_scale(r, |r, scale| (scale * scale) * r);
        let scale = if self.wants_scale { self.scale_norm(q, s)? } else { 0.0 };
        Some(Norms { weight, scale, ..self.bias_norms(s) })
    }

    /// Gram method for one output pixel that sees one input pixel: `|x|^2 * sum of (scale * g)^2`.
    pub fn gram(&self, scratch: &mut [f32]) -> Option<Norms> {
        let norms = self.finish_gram(0.0, scratch)?;
        let x = squared_norm(self.x.get(..self.s.input[2])?);
        Some(Norms { weight: x * norms.bias, ..norms })
    }

    /// The norms from the weight's; the row s is filled here.
    pub fn finish_gram(&self, weight: f32, scratch: &mut [f32]) -> Option<Norms> {
        let [_, _, s] = self.rows(scratch)?;
        self.shift_sums(s)?;
        Some(Norms { weight, ..self.bias_norms(s) })
    }

    /// The rows r, q and s of the scratch.
    pub fn rows<'m>(&self, scratch: &'m mut [f32]) -> Option<[&'m mut [f32]; 3]> {
        let channels = self.s.output[2];
        let (r, rest) = scratch.split_at_mut_checked(channels)?;
        let (q, rest) = rest.split_at_mut_checked(channels)?;
        Some([r, q, rest.get_mut(..channels)?])
    }

    /// `s_o`: g summed over the pixels in raster order.
    fn shift_sums(&self, s: &mut [f32]) -> Option<()> {
        s.fill(0.0);
        for g in self.g.chunks_exact(self.s.output[2].max(1)) {
            s.iter_mut().zip(g).for_each(|(s, g)| *s += g);
        }
        Some(())
    }

    /// Sum over output channels of `f(value, scale)`.
    fn with_scale(&self, values: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
        match self.scale {
            Some(scale) => sum(values.iter().zip(scale).map(|(v, scale)| f(*v, *scale))),
            None => sum(values.iter().map(|v| f(*v, 1.0))),
        }
    }

    fn bias_norms(&self, s: &[f32]) -> Norms {
        let bias = self.with_scale(s, |s, scale| {
            let gradient = scale * s;
            gradient * gradient
        });
        Norms { weight: 0.0, bias, scale: 0.0, shift: squared_norm(s) }
    }

    /// `sum of ((q + bias_minus_mean * s) * inverse_sigma)^2`.
    fn scale_norm(&self, q: &[f32], s: &[f32]) -> Option<f32> {
        let gradients = q.iter().zip(s).zip(self.inverse_sigma?);
        let square = |q: f32, inverse: f32| {
            let gradient = q * inverse;
            gradient * gradient
        };
        Some(match self.bias_minus_mean {
            Some(mean) => sum(gradients.zip(mean).map(|(((q, s), i), m)| square(*q + m * s, *i))),
            None => sum(gradients.map(|((q, _), i)| square(*q, *i))),
        })
    }
}

/// Running `r` and `q` of all output channels.
struct Sums<'a, 'm> {
    norm: &'a WeightNorm<'a>,
    r: &'m mut [f32],
    q: &'m mut [f32],
}

impl Sink for Sums<'_, '_> {
    fn take(&mut self, place: Place, lanes: usize, tile: &[f32]) -> Option<()> {
        let s = self.norm.s;
        let r = self.r.get_mut(place.output..)?.get_mut(..lanes)?;
        let q = self.q.get_mut(place.output..)?.get_mut(..lanes)?;
        for (c, d) in tile.chunks_exact(lanes.max(1)).enumerate() {
            add_products(r, d, d);
            if self.norm.wants_scale {
                let at = s.blocked_index(place.output, place.ky, place.kx, place.input + c);
                let w = run(self.norm.w, at, lanes)?;
                add_products(q, w, d);
            }
        }
        Some(())
    }
}
