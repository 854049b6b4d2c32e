//! Cosine of a weight gradient and the reference direction of the predicted class.

use super::{Operand, conv};
use crate::ops::Conv;

/// The row of a class, `None` where a logit is not finite.
fn class(logits: &[f64]) -> Option<usize> {
    if logits.iter().any(|logit| !logit.is_finite()) {
        return None;
    }
    if let &[single] = logits {
        return Some(usize::from(single > 0.0));
    }
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    Some(best)
}

fn row<'a>(references: Operand<'a>, class: usize) -> &'a [f64] {
    let length = references.data.len() / references.shape[0];
    &references.data[class * length..][..length]
}

/// 0 of a number, NaN of anything else.
#[expect(clippy::eq_op, reason = "the difference of an infinity from itself is NaN")]
fn not_finite(x: f64) -> f64 {
    x - x
}

fn cosine(product: f64, norm: f64) -> Vec<f64> {
    vec![if norm == 0.0 { not_finite(product) } else { product / norm.sqrt() + not_finite(norm) }]
}

/// Operands x, g, u, v, logits, norm.
pub fn convolution(conv: &Conv, o: &[Operand<'_>]) -> Vec<f64> {
    let Some(class) = class(o[4].data) else { return vec![f64::NAN] };
    let (x, g, u) = (o[0], o[1], row(o[2], class));
    let (groups, pixels) = (conv.groups, g.shape[2] * g.shape[3]);
    let kernel = [groups, x.shape[1] / groups, o[3].shape[2], o[3].shape[3]];
    let v = Operand { shape: &kernel, data: row(o[3], class) };
    let seen = conv::evaluate(conv, &[x, v], &[1, groups, g.shape[2], g.shape[3]]);
    let each = g.shape[1] / groups;
    let mut product = 0.0;
    for (channel, (g, u)) in g.data.chunks(pixels).zip(u).enumerate() {
        let seen = &seen[channel / each * pixels..][..pixels];
        product += u * g.iter().zip(seen).map(|(g, seen)| g * seen).sum::<f64>();
    }
    cosine(product, o[5].data[0])
}

/// Operands x, g, u, v, logits, norm.
pub fn gemm(o: &[Operand<'_>]) -> Vec<f64> {
    let Some(class) = class(o[4].data) else { return vec![f64::NAN] };
    let (u, v) = (row(o[2], class), row(o[3], class));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let rows = o[0].data.chunks(v.len()).zip(o[1].data.chunks(u.len()));
    cosine(rows.map(|(x, g)| dot(v, x) * dot(u, g)).sum(), o[5].data[0])
}
