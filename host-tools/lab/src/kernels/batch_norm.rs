//! Normalisation by the statistics of a batch, and its gradient, in few passes.

use super::geometry::LANES;
use super::products::fold;

/// A normalised batch.
#[derive(Clone, Debug)]
pub struct Normalised {
    /// As the input, `[n,C,p]`.
    pub y: Vec<f32>,
    /// Mean of every channel.
    pub mean: Vec<f32>,
    /// Variance of every channel, divided by the count.
    pub variance: Vec<f32>,
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + shift` for `x [n,C,p]`.
///
/// # Panics
/// When a slice has another length than its shape says.
pub fn normalise(
    x: &[f32],
    [channels, pixels]: [usize; 2],
    scale: &[f32],
    shift: &[f32],
    epsilon: f64,
) -> Normalised {
    let count = (x.len() / channels) as f64;
    let mut mean = vec![0.0_f64; channels];
    for (plane, x) in x.chunks_exact(pixels).enumerate() {
        mean[plane % channels] += f64::from(sum(x));
    }
    mean.iter_mut().for_each(|mean| *mean /= count);
    let mut variance = vec![0.0_f64; channels];
    for (plane, x) in x.chunks_exact(pixels).enumerate() {
        let channel = plane % channels;
        variance[channel] += f64::from(squares(x, mean[channel] as f32));
    }
    let mut y = vec![0.0; x.len()];
    variance.iter_mut().for_each(|variance| *variance /= count);
    for (plane, (x, y)) in x.chunks_exact(pixels).zip(y.chunks_exact_mut(pixels)).enumerate() {
        let c = plane % channels;
        let factor = f64::from(scale[c]) / (variance[c] + epsilon).sqrt();
        let (factor, centre, shift) = (factor as f32, mean[c] as f32, shift[c]);
        x.iter().zip(y).for_each(|(x, y)| *y = (x - centre) * factor + shift);
    }
    let narrow = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect();
    Normalised { y, mean: narrow(mean), variance: narrow(variance) }
}

/// Gradients of input `[n,C,p]`, scale `[C]` and shift `[C]` from that of the result.
///
/// # Panics
/// When a slice has another length than its shape says.
pub fn normalise_gradient(
    x: &[f32],
    dy: &[f32],
    [channels, pixels]: [usize; 2],
    scale: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f64,
) -> [Vec<f32>; 3] {
    let count = (x.len() / channels) as f64;
    let (mut dshift, mut dscale) = (vec![0.0_f64; channels], vec![0.0_f64; channels]);
    for (plane, (x, dy)) in x.chunks_exact(pixels).zip(dy.chunks_exact(pixels)).enumerate() {
        let c = plane % channels;
        dshift[c] += f64::from(sum(dy));
        dscale[c] += f64::from(centred_products(x, dy, mean[c]));
    }
    let inverse: Vec<f64> =
        variance.iter().map(|&variance| 1.0 / (f64::from(variance) + epsilon).sqrt()).collect();
    let mut dx = vec![0.0; x.len()];
    let planes = x.chunks_exact(pixels).zip(dy.chunks_exact(pixels));
    for (plane, ((x, dy), dx)) in planes.zip(dx.chunks_exact_mut(pixels)).enumerate() {
        let c = plane % channels;
        // scale / sigma * (dy - mean(dy) - (x - mean) / sigma^2 * mean(dy (x - mean)))
        let factor = (f64::from(scale[c]) * inverse[c]) as f32;
        let level = (dshift[c] / count) as f32;
        let slope = (dscale[c] * inverse[c] * inverse[c] / count) as f32;
        let centre = mean[c];
        for ((x, dy), dx) in x.iter().zip(dy).zip(dx) {
            *dx = factor * (dy - level - (x - centre) * slope);
        }
    }
    let narrow = |values: &[f64]| values.iter().map(|&x| x as f32).collect();
    dscale.iter_mut().zip(&inverse).for_each(|(dscale, inverse)| *dscale *= inverse);
    [dx, narrow(&dscale), narrow(&dshift)]
}

/// Sum, in sixteen lanes.
pub(super) fn sum(x: &[f32]) -> f32 {
    in_lanes(x, x, |x, _| x)
}

fn squares(x: &[f32], centre: f32) -> f32 {
    in_lanes(x, x, |x, _| (x - centre) * (x - centre))
}

fn centred_products(x: &[f32], dy: &[f32], centre: f32) -> f32 {
    in_lanes(x, dy, |x, dy| (x - centre) * dy)
}

fn in_lanes(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            lanes[lane] += term(x[lane], y[lane]);
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| term(*x, *y)).sum();
    fold(lanes) + rest
}
