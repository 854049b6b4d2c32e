//! Products of matrices.

use burn_backend::Backend;
use burn_backend::tensor::FloatTensor;

use super::tensor::{dims, reshape};

/// `x [n,..,K], w, [b]` -> `[n,..,N]`
pub fn evaluate<B: Backend>(transpose_b: bool, o: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let mut operands = o.into_iter();
    let (Some(x), Some(w)) = (operands.next(), operands.next()) else {
        unreachable!("a product has two operands");
    };
    let mut shape = dims::<B>(&x);
    let inner = shape.pop().unwrap_or(1);
    let rows = shape.iter().product();
    let w = if transpose_b { B::float_transpose(w) } else { w };
    let columns = dims::<B>(&w)[1];
    let product = B::float_matmul(reshape::<B>(x, &[rows, inner]), w);
    let product = match operands.next() {
        Some(bias) => B::float_add(product, reshape::<B>(bias, &[1, columns])),
        None => product,
    };
    shape.push(columns);
    reshape::<B>(product, &shape)
}

/// `a [n,..,M,K], b [n,..,K,N]` -> `[n,..,M,N]`
pub fn mat_mul<B: Backend>(
    transpose_a: bool,
    transpose_b: bool,
    o: Vec<FloatTensor<B>>,
) -> FloatTensor<B> {
    let mut turned = o
        .into_iter()
        .zip([transpose_a, transpose_b])
        .map(|(tensor, transpose)| if transpose { B::float_transpose(tensor) } else { tensor });
    match (turned.next(), turned.next()) {
        (Some(a), Some(b)) => B::float_matmul(a, b),
        _ => unreachable!("a product has two operands"),
    }
}
