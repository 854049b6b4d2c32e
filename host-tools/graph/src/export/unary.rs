//! Relu, LeakyRelu, Clip, Sigmoid; their gradients by comparisons and Where.

use super::site::Site;

/// Relu and Sigmoid: `op` is the ONNX name.
pub(super) fn emit(op: &str, site: &mut Site<'_>) {
    site.last(op, &site.operands(), &[]);
}

/// y, g: g where y > 0, else 0.
pub(super) fn emit_relu_gradient(site: &mut Site<'_>) {
    let zero = site.builder.scalar(0.0);
    let mask = site.step("Greater", &[site.operand(0), &zero], &[]);
    site.last("Where", &[&mask, site.operand(1), &zero], &[]);
}

/// x
pub(super) fn emit_leaky_relu(alpha: f32, site: &mut Site<'_>) {
    site.last("LeakyRelu", &site.operands(), &[("alpha", alpha.into())]);
}

/// x, g: g where x > 0, else alpha * g.
pub(super) fn emit_leaky_relu_gradient(alpha: f32, site: &mut Site<'_>) {
    let (zero, alpha) = (site.builder.scalar(0.0), site.builder.scalar(alpha));
    let mask = site.step("Greater", &[site.operand(0), &zero], &[]);
    let below = site.step("Mul", &[site.operand(1), &alpha], &[]);
    site.last("Where", &[&mask, site.operand(1), &below], &[]);
}

/// x; an infinite bound is left out.
pub(super) fn emit_clip(min: f32, max: f32, site: &mut Site<'_>) {
    let low = bound(min, site);
    let high = bound(max, site);
    let x = site.operand(0);
    match (low.as_str(), high.as_str()) {
        ("", "") => site.last("Clip", &[x], &[]),
        (low, "") => site.last("Clip", &[x, low], &[]),
        (low, high) => site.last("Clip", &[x, low, high], &[]),
    }
}

/// x, g: g where min < x < max, else 0.
pub(super) fn emit_clip_gradient(min: f32, max: f32, site: &mut Site<'_>) {
    let zero = site.builder.scalar(0.0);
    let (low, high) = (site.builder.scalar(min), site.builder.scalar(max));
    let above = site.step("Greater", &[site.operand(0), &low], &[]);
    let below = site.step("Less", &[site.operand(0), &high], &[]);
    let mask = site.step("And", &[&above, &below], &[]);
    site.last("Where", &[&mask, site.operand(1), &zero], &[]);
}

/// y, g: `g * (y * (1 - y))`.
pub(super) fn emit_sigmoid_gradient(site: &mut Site<'_>) {
    let one = site.builder.scalar(1.0);
    let rest = site.step("Sub", &[&one, site.operand(0)], &[]);
    let slope = site.step("Mul", &[site.operand(0), &rest], &[]);
    site.last("Mul", &[site.operand(1), &slope], &[]);
}

fn bound(value: f32, site: &mut Site<'_>) -> String {
    if value.is_infinite() { String::new() } else { site.builder.scalar(value) }
}
