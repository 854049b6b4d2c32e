//! Random values, and arithmetic that the naive loops share between f32 and f64.

use std::ops::{Add, Div, Mul, Sub};

/// SplitMix64; the seed is printed by the tests that use it.
pub struct Random(pub u64);

impl Random {
    /// Next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Uniform in -1..1, with an exact zero now and then.
    pub fn value(&mut self) -> f32 {
        if self.below(16) == 0 {
            return 0.0;
        }
        (self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }

    /// Many values.
    pub fn values(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.value()).collect()
    }
}

/// What the naive loops need of f32 and f64.
pub trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// From an f32.
    fn of(value: f32) -> Self;
}

impl Real for f32 {
    fn of(value: f32) -> f32 {
        value
    }
}

impl Real for f64 {
    fn of(value: f32) -> f64 {
        value.into()
    }
}

/// Sum in 16 lanes (index mod 16) folded 8-4-2-1, written out.
pub fn lanes<T: Real>(values: impl IntoIterator<Item = T>) -> T {
    let mut lanes = [T::of(0.0); 16];
    for (i, v) in values.into_iter().enumerate() {
        lanes[i % 16] = lanes[i % 16] + v;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] = lanes[i] + lanes[i + half];
        }
    }
    lanes[0]
}

/// Asserts equal bits with the f32 loop and closeness to the f64 loop, relative to the largest
/// value.
pub fn assert_same(what: &str, found: &[f32], exact: &[f32], wide: &[f64]) {
    assert_eq!(found.len(), exact.len(), "{what}");
    assert_eq!(found.len(), wide.len(), "{what}");
    let largest = wide.iter().fold(1e-30, |m: f64, v| m.max(v.abs()));
    for (i, ((found, exact), wide)) in found.iter().zip(exact).zip(wide).enumerate() {
        assert_eq!(found.to_bits(), exact.to_bits(), "{what}: bits of {i}: {found} {exact}");
        let error = (f64::from(*found) - wide).abs() / largest;
        assert!(error < 2e-5, "{what}: value {i}: {found} {wide}");
    }
}
