//! Product of two frame values: MatMul, its operands transposed where they have to be.

use super::site::Site;

/// a, b
pub(super) fn emit(transposed: [bool; 2], site: &mut Site<'_>) {
    let operands = [0, 1].map(|index| {
        if !transposed[index] {
            return site.operand(index).to_owned();
        }
        let rank = site.shape(index).len();
        let mut permutation: Vec<usize> = (0..rank).collect();
        permutation.swap(rank - 2, rank - 1);
        site.step("Transpose", &[site.operand(index)], &[("perm", permutation[..].into())])
    });
    site.last("MatMul", &operands.each_ref().map(String::as_str), &[]);
}
