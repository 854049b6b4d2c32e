//! Cosine of a weight gradient and the reference direction of the predicted class: the class's
//! factors are gathered, then used as kernels over x and over g.

use super::builder::Attribute;
use super::site::Site;
use crate::ops::Conv;

/// x, g, u, v, logits, norm of a convolution.
pub(super) fn emit_conv(conv: &Conv, site: &mut Site<'_>) {
    let (x, g, v) = (site.shape(0), site.shape(1), site.shape(3));
    let (groups, kernel) = (conv.groups, [v[2], v[3]]);
    let class = class(site);
    let v = gathered(3, &class, &[groups, x[1] / groups, kernel[0], kernel[1]], site);
    let attributes = [
        ("dilations", conv.dilations.into()),
        ("group", groups.into()),
        ("kernel_shape", kernel.into()),
        ("pads", conv.pads.into()),
        ("strides", conv.strides.into()),
    ];
    let seen = site.step("Conv", &[site.operand(0), &v], &attributes);
    let u = gathered(2, &class, &[groups, g[1] / groups, 1, 1], site);
    let attributes = [("group", groups.into()), ("kernel_shape", [1, 1].into())];
    let wanted = site.step("Conv", &[site.operand(1), &u], &attributes);
    finish(&seen, &wanted, 4, site);
}

/// x, g, u, v, logits, norm of a product.
pub(super) fn emit_gemm(site: &mut Site<'_>) {
    let class = class(site);
    let mut factors = Vec::new();
    for (operand, references) in [(0, 3), (1, 2)] {
        let shape = site.shape(operand);
        let width = shape[shape.len() - 1];
        let height = shape.iter().product::<usize>() / width.max(1);
        let rows = site.builder.reshape(site.operand(operand), &[height, width]);
        let column = gathered(references, &class, &[width, 1], site);
        factors.push(site.step("MatMul", &[&rows, &column], &[]));
    }
    finish(&factors[0], &factors[1], 2, site);
}

/// Index of the predicted class, i64 `[1]`.
fn class(site: &mut Site<'_>) -> String {
    if site.shape(4)[1] == 1 {
        let zero = site.builder.scalar(0.0);
        let above = site.step("Greater", &[site.operand(4), &zero], &[]);
        // 7: INT64
        let number = site.step("Cast", &[&above], &[("to", Attribute::Int(7))]);
        return site.builder.reshape(&number, &[1]);
    }
    let attributes = [("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))];
    site.step("ArgMax", &[site.operand(4)], &attributes)
}

/// The class's row of an operand, in another shape.
fn gathered(operand: usize, class: &str, shape: &[usize], site: &mut Site<'_>) -> String {
    let axis = [("axis", 0_usize.into())];
    let row = site.step("Gather", &[site.operand(operand), class], &axis);
    site.builder.reshape(&row, shape)
}

/// The sum of products, divided by the gradient's length: 0 where that is 0, NaN where anything is
/// not finite.
fn finish(seen: &str, wanted: &str, rank: usize, site: &mut Site<'_>) {
    let products = site.step("Mul", &[seen, wanted], &[]);
    let axes: Vec<usize> = (0..rank).collect();
    let sum = site.builder.reduce("ReduceSum", &products, &axes, false);
    let sum = site.builder.reshape(&sum, &[1]);
    let norm = site.operand(5);
    let length = site.step("Sqrt", &[norm], &[]);
    let quotient = site.step("Div", &[&sum, &length], &[]);
    let none = site.step("Sub", &[&sum, &sum], &[]);
    let zero = site.builder.scalar(0.0);
    let dead = site.step("Equal", &[norm, &zero], &[]);
    let cosine = site.step("Where", &[&dead, &none, &quotient], &[]);
    let unfit = site.step("Sub", &[norm, norm], &[]);
    let cosine = site.step("Add", &[&cosine, &unfit], &[]);
    let unfit = site.step("Sub", &[site.operand(4), site.operand(4)], &[]);
    let unfit = site.builder.reduce("ReduceSum", &unfit, &[0, 1], false);
    let unfit = site.builder.reshape(&unfit, &[1]);
    site.last("Add", &[&cosine, &unfit], &[]);
}
