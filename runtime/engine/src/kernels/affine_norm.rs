//! Squared norms of a stand-alone normalisation's scale and shift.

use super::lanes::{squared_norm, sum};

/// Returns the squared norms of scale and shift.
///
/// Per channel `t = sum of g * (x - mean)` and `s = sum of g` over the pixels in raster order; the
/// norms are the sums of `(t * inverse_sigma)^2` and of `s^2`. `scratch` holds all t, then all s.
pub fn affine_norm(
    x: &[f32],
    g: &[f32],
    inverse_sigma: &[f32],
    mean: &[f32],
    scratch: &mut [f32],
) -> Option<(f32, f32)> {
    let channels = inverse_sigma.len();
    scratch.fill(0.0);
    let (t, s) = scratch.split_at_mut_checked(channels)?;
    for (x, g) in x.chunks_exact(channels.max(1)).zip(g.chunks_exact(channels.max(1))) {
        for (t, ((x, g), mean)) in t.iter_mut().zip(x.iter().zip(g).zip(mean)) {
            *t += g * (x - mean);
        }
        s.iter_mut().zip(g).for_each(|(s, g)| *s += g);
    }
    let scale = sum(t.iter().zip(inverse_sigma).map(|(t, inverse)| {
        let gradient = t * inverse;
        gradient * gradient
    }));
    Some((scale, squared_norm(s)))
}
