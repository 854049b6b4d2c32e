//! Sixteen lanes in plain Rust: what every other instruction set must equal.

use super::Simd;

/// No instructions beyond the target's own.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Simd for Portable {
    type Lanes = [f32; 16];
    const TILE: usize = 4;
    const ROWS: usize = 4;
    const BLOCKS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 16] {
        [value; 16]
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> [f32; 16] {
        *from
    }

    #[inline(always)]
    fn store(self, lanes: [f32; 16], to: &mut [f32; 16]) {
        *to = lanes;
    }

    #[inline(always)]
    fn add(self, a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        core::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn subtract(self, a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        core::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn select(self, a: [f32; 16], b: [f32; 16], yes: [f32; 16], no: [f32; 16]) -> [f32; 16] {
        core::array::from_fn(|i| if a[i] <= b[i] { yes[i] } else { no[i] })
    }

    #[inline(always)]
    fn multiply(self, a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        core::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn multiply_add(self, sum: [f32; 16], a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        core::array::from_fn(|i| sum[i] + a[i] * b[i])
    }
}
