//! Product by a matrix: Gemm for rows, MatMul for more axes; gradients likewise.

use super::site::Site;

/// x, w, optional bias.
pub(super) fn emit(transpose_b: bool, site: &mut Site<'_>) {
    if site.shape(0).len() == 2 {
        return site.last("Gemm", &site.operands(), &[("transB", transpose_b.into())]);
    }
    let weight = plain(transpose_b, site);
    if site.node.inputs.len() == 2 {
        return site.last("MatMul", &[site.operand(0), &weight], &[]);
    }
    let product = site.step("MatMul", &[site.operand(0), &weight], &[]);
    site.last("Add", &[&product, site.operand(2)], &[]);
}

/// g, w: the product by the transposed weight.
pub(super) fn emit_input_gradient(transpose_b: bool, site: &mut Site<'_>) {
    if site.shape(0).len() == 2 {
        return site.last("Gemm", &site.operands(), &[("transB", (!transpose_b).into())]);
    }
    let weight = plain(!transpose_b, site);
    site.last("MatMul", &[site.operand(0), &weight], &[]);
}

/// x, g: the sum of outer products over all rows.
pub(super) fn emit_weight_gradient(transpose_b: bool, site: &mut Site<'_>) {
    let x = rows(0, site);
    let g = rows(1, site);
    let (left, right) = if transpose_b { (&g, &x) } else { (&x, &g) };
    let gradient = site.step("Gemm", &[left, right], &[("transA", true.into())]);
    site.last_reshape(&gradient);
}

/// The weight as `[inner, outer]`.
fn plain(transposed: bool, site: &mut Site<'_>) -> String {
    if transposed {
        return site.step("Transpose", &[site.operand(1)], &[("perm", [1, 0].into())]);
    }
    site.operand(1).to_owned()
}

/// Operand `index` with all axes but the last merged.
fn rows(index: usize, site: &mut Site<'_>) -> String {
    let shape = site.shape(index);
    let (Some(&width), true) = (shape.last(), shape.len() != 2) else {
        return site.operand(index).to_owned();
    };
    let height = shape[..shape.len() - 1].iter().product();
    site.builder.reshape(site.operand(index), &[height, width])
}
