//! NEON, which every aarch64 processor has.
#![allow(unsafe_code)]

use core::arch::aarch64::{
    float32x4_t, vaddq_f32, vbslq_f32, vcleq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vmulq_f32,
    vst1q_f32, vsubq_f32,
};

use super::{Kernel, Simd};

/// NEON is part of the target: no proof is needed.
#[derive(Clone, Copy)]
struct Neon<const FUSED: bool>;

/// Runs a kernel.
pub(super) fn run<K: Kernel>(fused: bool, kernel: K) -> K::Output {
    if fused { kernel.call(Neon::<true>) } else { kernel.call(Neon::<false>) }
}

#[inline(always)]
fn four(f: impl Fn(usize) -> float32x4_t) -> [float32x4_t; 4] {
    [f(0), f(1), f(2), f(3)]
}

impl<const FUSED: bool> Simd for Neon<FUSED> {
    type Lanes = [float32x4_t; 4];
    /// 24 accumulators, 4 weights and a broadcast: 29 of 32 registers.
    const TILE: usize = 6;
    const ROWS: usize = 6;
    const BLOCKS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        // SAFETY: NEON is part of the target.
        let quarter = unsafe { vdupq_n_f32(value) };
        [quarter; 4]
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::Lanes {
        let (quarters, _) = from.as_chunks::<4>();
        // SAFETY: NEON is part of the target; a quarter holds 4 values.
        four(|i| unsafe { vld1q_f32(quarters[i].as_ptr()) })
    }

    #[inline(always)]
    fn store(self, lanes: Self::Lanes, to: &mut [f32; 16]) {
        let (quarters, _) = to.as_chunks_mut::<4>();
        for (quarter, lanes) in quarters.iter_mut().zip(lanes) {
            // SAFETY: NEON is part of the target; a quarter holds 4 values.
            unsafe { vst1q_f32(quarter.as_mut_ptr(), lanes) }
        }
    }

    #[inline(always)]
    fn add(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: NEON is part of the target.
        four(|i| unsafe { vaddq_f32(a[i], b[i]) })
    }

    #[inline(always)]
    fn subtract(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: NEON is part of the target.
        four(|i| unsafe { vsubq_f32(a[i], b[i]) })
    }

    #[inline(always)]
    fn select(
        self,
        a: Self::Lanes,
        b: Self::Lanes,
        yes: Self::Lanes,
        no: Self::Lanes,
    ) -> Self::Lanes {
        // SAFETY: NEON is part of the target.
        four(|i| unsafe { vbslq_f32(vcleq_f32(a[i], b[i]), yes[i], no[i]) })
    }

    #[inline(always)]
    fn multiply(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: NEON is part of the target.
        four(|i| unsafe { vmulq_f32(a[i], b[i]) })
    }

    #[inline(always)]
    fn multiply_add(self, sum: Self::Lanes, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        if !FUSED {
            return self.add(sum, self.multiply(a, b));
        }
        // SAFETY: NEON is part of the target.
        four(|i| unsafe { vfmaq_f32(sum[i], a[i], b[i]) })
    }
}
