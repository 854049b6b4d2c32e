//! Squared norm of a tensor: sixteen lanes, folded as the scalar kernel does.

use gradgate_bundle::op::LANES;

use crate::isa::{Kernel, Simd};
use crate::kernels::lanes::fold;

/// `sum of x^2`.
pub struct SquaredNorm<'a>(pub &'a [f32]);

impl Kernel for SquaredNorm<'_> {
    type Output = f32;

    #[inline(always)]
    fn call<S: Simd>(self, simd: S) -> f32 {
        let (blocks, rest) = self.0.as_chunks::<LANES>();
        let mut sums = simd.splat(0.0);
        for block in blocks {
            let x = simd.load(block);
            sums = simd.multiply_add(sums, x, x);
        }
        // Squares of +0 change no lane.
        let mut last = [0.0; LANES];
        last.iter_mut().zip(rest).for_each(|(lane, x)| *lane = *x);
        let x = simd.load(&last);
        sums = simd.multiply_add(sums, x, x);
        let mut lanes = [0.0; LANES];
        simd.store(sums, &mut lanes);
        fold(&lanes)
    }
}
