//! Batch normalisation in inference mode; its gradients by elementwise operators.
//!
//! Sigma is formed in the graph from the stored variance, so that each tensor of the model stays
//! in the file once; runtimes fold it when they load the file.

use super::site::Site;

/// BatchNormalization: x, scale, shift, mean, variance.
pub(super) fn emit(epsilon: f64, site: &mut Site<'_>) {
    site.last("BatchNormalization", &site.operands(), &[("epsilon", (epsilon as f32).into())]);
}

/// `g * scale / sigma`, per channel: g, scale, variance.
pub(super) fn emit_input_gradient(epsilon: f64, site: &mut Site<'_>) {
    let sigma = sigma(epsilon, site.operand(2), site);
    let factor = site.step("Div", &[site.operand(1), &sigma], &[]);
    let factor = per_channel(&factor, 0, site);
    site.last("Mul", &[site.operand(0), &factor], &[]);
}

/// `sum over pixels of g * (x - mean) / sigma`: x, g, mean, variance.
pub(super) fn emit_scale_gradient(epsilon: f64, site: &mut Site<'_>) {
    let mean = per_channel(site.operand(2), 0, site);
    let centred = site.step("Sub", &[site.operand(0), &mean], &[]);
    let mut product = site.step("Mul", &[&centred, site.operand(1)], &[]);
    let pixels: Vec<usize> = (2..site.shape(0).len()).collect();
    if !pixels.is_empty() {
        product = site.builder.reduce("ReduceSum", &product, &pixels, false);
    }
    let sigma = sigma(epsilon, site.operand(3), site);
    site.last("Div", &[&product, &sigma], &[]);
}

fn sigma(epsilon: f64, variance: &str, site: &mut Site<'_>) -> String {
    let epsilon = site.builder.scalar(epsilon as f32);
    let sum = site.step("Add", &[variance, &epsilon], &[]);
    site.step("Sqrt", &[&sum], &[])
}

/// A vector `[C]` as `[1,C,1,..]`, of the rank of operand `like`.
fn per_channel(vector: &str, like: usize, site: &mut Site<'_>) -> String {
    let mut shape = vec![1; site.shape(like).len()];
    shape[1] = site.shape(like)[1];
    site.builder.reshape(vector, &shape)
}
