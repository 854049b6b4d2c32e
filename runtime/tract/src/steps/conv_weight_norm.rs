//! Squared norms of a convolution's parameters, in the engine's kernels: D in register tiles, or
//! the pixels' Gram matrices.
//!
//! As EinSum, tap by tap, D would cost a copy of the input and two packed operands for each tap,
//! and some fifty nodes a layer; so it is one node that keeps a few values a channel.

use gradgate_bundle::op::{ConvWeightNormParams, NONE};
use gradgate_bundle::shape::{ConvShape, METHOD_GRAM, METHOD_PIXEL_GRAM, Parameters};
use gradgate_engine::kernels::conv_weight_norm::{Norms, WeightNorm};
use gradgate_engine::kernels::pixel_gram::pixel_gram;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Place of the scratch in the record.
const SCRATCH: usize = 6;

/// Adds the norms.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &ConvWeightNormParams) -> Result<(), TractError> {
    let s = ConvShape::new(&p.conv).map_err(|_| site.unsupported("this geometry"))?;
    let elements = Parameters::ConvWeightNorm(p).elements();
    let scratch = elements.ok().and_then(|elements| elements.get(SCRATCH).copied());
    let scratch = scratch.ok_or_else(|| site.unsupported("this geometry"))?;
    let inputs = [site.value(0)?, site.value(1)?];
    let w = site.constant(2)?;
    let [scale, inverse_sigma, mean] = [site.optional(3)?, site.optional(4)?, site.optional(5)?];
    let p = *p;
    let op = SliceOp::new("ConvWeightNorm", &[4], move |inputs, norms| {
        let [x, g] = inputs else { return None };
        let norm = WeightNorm {
            s: &s,
            x,
            g,
            w: &w,
            scale: scale.as_deref(),
            inverse_sigma: inverse_sigma.as_deref(),
            bias_minus_mean: mean.as_deref(),
            wants_scale: p.scale.get() != NONE,
        };
        let found = found(&norm, &p, &mut vec![0.0; scratch])?;
        norms.copy_from_slice(&[found.weight, found.bias, found.scale, found.shift]);
        Some(())
    });
    let features = [p.weight, p.bias, p.scale, p.shift].map(|feature| feature.get());
    site.features(features, op, &inputs)
}

/// With this machine's vector kernels where there are any.
fn found(norm: &WeightNorm<'_>, p: &ConvWeightNormParams, scratch: &mut [f32]) -> Option<Norms> {
    if p.method.get() == METHOD_GRAM {
        return norm.gram(scratch);
    }
    let by_pixels = p.method.get() == METHOD_PIXEL_GRAM;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        use gradgate_engine::compute::Compute;
        use gradgate_engine::isa::{Isa, Numerics};
        use gradgate_engine::vector::{Vector, conv_weight_norm, pixel_gram};
        let fast = Compute { isa: Isa::best(), numerics: Numerics::Fast, ..Compute::default() };
        if let Some(vector) = Vector::new(&fast) {
            let mut space = vec![0.0; vector.workspace(&Parameters::ConvWeightNorm(p))];
            return match by_pixels {
                true => pixel_gram::pixel_gram(&vector, norm, scratch, &mut space),
                false => conv_weight_norm::conv_weight_norm(&vector, norm, scratch, &mut space),
            };
        }
    }
    if by_pixels { pixel_gram(norm, scratch) } else { norm.direct(scratch) }
}
