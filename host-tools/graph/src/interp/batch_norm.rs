//! Batch normalisation and its gradients.

use super::Operand;

/// Channel of every element of x, whose axis 1 is the channel.
fn channel_of(shape: &[usize]) -> impl Fn(usize) -> usize {
    let (channels, pixels) = (shape[1], shape[2..].iter().product::<usize>());
    move |index| index / pixels % channels
}

fn sigma(variance: f64, epsilon: f64) -> f64 {
    (variance + epsilon).sqrt()
}

pub fn evaluate(epsilon: f64, o: &[Operand<'_>]) -> Vec<f64> {
    let (scale, shift, mean, variance) = (o[1].data, o[2].data, o[3].data, o[4].data);
    let channel = channel_of(o[0].shape);
    let normalise = |(index, &x): (usize, &f64)| {
        let c = channel(index);
        (x - mean[c]) / sigma(variance[c], epsilon) * scale[c] + shift[c]
    };
    o[0].data.iter().enumerate().map(normalise).collect()
}

pub fn input_gradient(epsilon: f64, o: &[Operand<'_>]) -> Vec<f64> {
    let channel = channel_of(o[0].shape);
    let gradient = |(index, &g): (usize, &f64)| {
        let c = channel(index);
        g * o[1].data[c] / sigma(o[2].data[c], epsilon)
    };
    o[0].data.iter().enumerate().map(gradient).collect()
}

pub fn scale_gradient(epsilon: f64, o: &[Operand<'_>]) -> Vec<f64> {
    let (x, g, mean, variance) = (o[0], o[1], o[2].data, o[3].data);
    let channel = channel_of(x.shape);
    let mut sums = vec![0.0; x.shape[1]];
    for (index, (&x, &g)) in x.data.iter().zip(g.data).enumerate() {
        let c = channel(index);
        sums[c] += g * (x - mean[c]) / sigma(variance[c], epsilon);
    }
    sums
}
