//! AVX2 with FMA, and AVX-512F.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __cpuid, __cpuid_count, __m256, __m512, _CMP_LE_OQ, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps,
    _mm256_blendv_ps, _mm256_cmp_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps,
    _mm256_set1_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm512_add_ps, _mm512_cmp_ps_mask,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_mul_ps, _mm512_set1_ps,
    _mm512_storeu_ps, _mm512_sub_ps, _xgetbv,
};

use super::{Kernel, Simd};

/// Bits of XCR0 that say the operating system saves the registers: xmm and ymm.
const YMM_STATE: u64 = 0b110;
/// Mask registers, upper halves, and registers 16 to 31 besides.
const ZMM_STATE: u64 = 0b1110_0110;

/// Whether processor and operating system have AVX2 and FMA.
pub(super) fn has_avx2() -> bool {
    let (leaf1, leaf7) = leaves();
    let (fma, avx2) = (leaf1 >> 12 & 1 == 1, leaf7 >> 5 & 1 == 1);
    fma && avx2 && saves(leaf1, YMM_STATE)
}

/// Whether processor and operating system have AVX-512F.
pub(super) fn has_avx512() -> bool {
    let (leaf1, leaf7) = leaves();
    has_avx2() && leaf7 >> 16 & 1 == 1 && saves(leaf1, ZMM_STATE)
}

/// ECX of leaf 1 and EBX of leaf 7 (0 where there is no leaf 7).
fn leaves() -> (u32, u32) {
    let highest = __cpuid(0).eax;
    let leaf7 = if highest >= 7 { __cpuid_count(7, 0).ebx } else { 0 };
    (__cpuid(1).ecx, leaf7)
}

/// Whether the operating system saves these registers (Intel SDM volume 1, section 14.3).
fn saves(leaf1: u32, state: u64) -> bool {
    let (xsave, avx) = (leaf1 >> 27 & 1 == 1, leaf1 >> 28 & 1 == 1);
    // SAFETY: OSXSAVE says that the operating system has enabled XGETBV.
    xsave && avx && unsafe { xcr0() } & state == state
}

/// # Safety
/// OSXSAVE must be set.
#[target_feature(enable = "xsave")]
unsafe fn xcr0() -> u64 {
    // SAFETY: the caller's promise.
    unsafe { _xgetbv(0) }
}

/// Proof of AVX2 and FMA.
#[derive(Clone, Copy)]
struct Avx2<const FUSED: bool>(());

/// Proof of AVX-512F.
#[derive(Clone, Copy)]
struct Avx512<const FUSED: bool>(());

/// Runs a kernel with AVX2; [`has_avx2`] has said yes.
pub(super) fn run_avx2<K: Kernel>(fused: bool, kernel: K) -> K::Output {
    // SAFETY: `Isa` holds the set only after detection.
    unsafe { if fused { avx2(kernel, Avx2::<true>(())) } else { avx2(kernel, Avx2::<false>(())) } }
}

/// Runs a kernel with AVX-512; [`has_avx512`] has said yes.
pub(super) fn run_avx512<K: Kernel>(fused: bool, kernel: K) -> K::Output {
    // SAFETY: `Isa` holds the set only after detection.
    unsafe {
        if fused { avx512(kernel, Avx512::<true>(())) } else { avx512(kernel, Avx512::<false>(())) }
    }
}

#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel, const F: bool>(kernel: K, token: Avx2<F>) -> K::Output {
    kernel.call(token)
}

#[target_feature(enable = "avx2,fma,avx512f")]
fn avx512<K: Kernel, const F: bool>(kernel: K, token: Avx512<F>) -> K::Output {
    kernel.call(token)
}

impl<const FUSED: bool> Simd for Avx2<FUSED> {
    type Lanes = [__m256; 2];
    /// 12 accumulators, 2 weights and a broadcast: 15 of 16 registers.
    const TILE: usize = 6;
    const ROWS: usize = 6;
    const BLOCKS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        // SAFETY: the token proves AVX2.
        let half = unsafe { _mm256_set1_ps(value) };
        [half, half]
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::Lanes {
        let (low, high) = from.split_at(8);
        // SAFETY: the token proves AVX2; each half holds 8 values.
        unsafe { [_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())] }
    }

    #[inline(always)]
    fn prefetch(self, row: &[f32; 16], rows: usize) {
        let address = row.as_ptr().wrapping_add(16 * rows);
        // SAFETY: SSE is part of x86-64; a prefetch reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn store(self, [a, b]: Self::Lanes, to: &mut [f32; 16]) {
        let (low, high) = to.split_at_mut(8);
        // SAFETY: the token proves AVX2; each half holds 8 values.
        unsafe {
            _mm256_storeu_ps(low.as_mut_ptr(), a);
            _mm256_storeu_ps(high.as_mut_ptr(), b);
        }
    }

    #[inline(always)]
    fn add(self, [a0, a1]: Self::Lanes, [b0, b1]: Self::Lanes) -> Self::Lanes {
        // SAFETY: the token proves AVX2.
        unsafe { [_mm256_add_ps(a0, b0), _mm256_add_ps(a1, b1)] }
    }

    #[inline(always)]
    fn subtract(self, [a0, a1]: Self::Lanes, [b0, b1]: Self::Lanes) -> Self::Lanes {
        // SAFETY: the token proves AVX2.
        unsafe { [_mm256_sub_ps(a0, b0), _mm256_sub_ps(a1, b1)] }
    }

    #[inline(always)]
    fn select(
        self,
        a: Self::Lanes,
        b: Self::Lanes,
        yes: Self::Lanes,
        no: Self::Lanes,
    ) -> Self::Lanes {
        // SAFETY: the token proves AVX2.
        unsafe {
            let low = _mm256_cmp_ps::<_CMP_LE_OQ>(a[0], b[0]);
            let high = _mm256_cmp_ps::<_CMP_LE_OQ>(a[1], b[1]);
            [_mm256_blendv_ps(no[0], yes[0], low), _mm256_blendv_ps(no[1], yes[1], high)]
        }
    }

    #[inline(always)]
    fn multiply(self, [a0, a1]: Self::Lanes, [b0, b1]: Self::Lanes) -> Self::Lanes {
        // SAFETY: the token proves AVX2.
        unsafe { [_mm256_mul_ps(a0, b0), _mm256_mul_ps(a1, b1)] }
    }

    #[inline(always)]
    fn multiply_add(self, sum: Self::Lanes, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        if !FUSED {
            return self.add(sum, self.multiply(a, b));
        }
        // SAFETY: the token proves FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], sum[0]), _mm256_fmadd_ps(a[1], b[1], sum[1])] }
    }
}

impl<const FUSED: bool> Simd for Avx512<FUSED> {
    type Lanes = __m512;
    /// Two multiply-adds a cycle of four cycles each want 8 accumulators; 12 also share each load
    /// of weights among more pixels.
    const TILE: usize = 12;
    const ROWS: usize = 16;
    const BLOCKS: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> __m512 {
        // SAFETY: the token proves AVX-512F; there are 16 values.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn prefetch(self, row: &[f32; 16], rows: usize) {
        let address = row.as_ptr().wrapping_add(16 * rows);
        // SAFETY: SSE is part of x86-64; a prefetch reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }

    #[inline(always)]
    fn store(self, lanes: __m512, to: &mut [f32; 16]) {
        // SAFETY: the token proves AVX-512F; there are 16 values.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), lanes) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn subtract(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn select(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b), no, yes) }
    }

    #[inline(always)]
    fn multiply(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn multiply_add(self, sum: __m512, a: __m512, b: __m512) -> __m512 {
        if !FUSED {
            return self.add(sum, self.multiply(a, b));
        }
        // SAFETY: the token proves AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, sum) }
    }
}
