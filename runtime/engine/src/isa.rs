//! Instruction sets: which exist here, and sixteen lanes of arithmetic on each.
//!
//! The engine is *given* its instruction set: an [`Isa`] is a proof that this processor has it, and
//! only [`Isa::available`] hands proofs out. Kernels in `vector` are written once over [`Simd`] and
//! compiled once for each token. Together with the files below this is the only place with unsafe
//! code.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod portable;
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
pub(crate) mod vfp;
#[cfg(target_arch = "x86_64")]
mod x86;

/// How products are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numerics {
    /// Multiply, then add, in the order of NUMERICS.md: the same bits everywhere.
    #[default]
    Exact,
    /// Fused multiply-add, and Winograd's method: within the tolerance of NUMERICS.md.
    Fast,
}

/// An instruction set that this processor has. There is none on a microcontroller: the type has no
/// value there, and the kernels in `vector` are left out; what its scalar kernels take from `vfp`
/// needs no proof, as it is part of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    /// Every instruction set of this processor, the fastest last. The first is `portable`, plain
    /// Rust for tests and comparisons.
    pub fn available() -> impl Iterator<Item = Isa> {
        #[cfg(target_arch = "x86_64")]
        let sets =
            [(Set::Portable, true), (Set::Avx2, x86::has_avx2()), (Set::Avx512, x86::has_avx512())];
        #[cfg(target_arch = "aarch64")]
        let sets = [(Set::Portable, true), (Set::Neon, true)];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let sets: [(Set, bool); 0] = [];
        sets.into_iter().filter(|(_, here)| *here).map(|(set, _)| Isa(set))
    }

    /// The fastest instruction set of this processor; none on a microcontroller.
    pub fn best() -> Option<Isa> {
        Isa::available().last()
    }

    /// Name, as flags and reports spell it.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
        }
    }

    /// Runs a kernel compiled for this instruction set.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub fn run<K: Kernel>(self, numerics: Numerics, kernel: K) -> K::Output {
        let fused = numerics == Numerics::Fast;
        match self.0 {
            Set::Portable => kernel.call(portable::Portable),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => x86::run_avx2(fused, kernel),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => x86::run_avx512(fused, kernel),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => neon::run(fused, kernel),
        }
    }
}

/// Code that is compiled anew for every instruction set: everything below `call` is
/// `#[inline(always)]`, so that it becomes part of the function that enables the instructions.
pub trait Kernel {
    /// Result.
    type Output;
    /// Runs it.
    fn call<S: Simd>(self, simd: S) -> Self::Output;
}

/// Sixteen f32 lanes, the width of a weight block. A value of the implementing type is the proof
/// that the processor has the instructions.
pub trait Simd: Copy {
    /// Sixteen lanes.
    type Lanes: Copy;
    /// Accumulators of a register tile: with a weight and a broadcast beside them they fill the
    /// registers.
    const TILE: usize;
    /// Accumulators where one address, or a few, lead to all values of a tile.
    const ROWS: usize;
    /// Blocks of sixteen weights that one broadcast value serves: where a block is one register,
    /// two of them take half the loads for each multiply-add.
    const BLOCKS: usize;
    /// All lanes alike.
    fn splat(self, value: f32) -> Self::Lanes;
    /// Sixteen neighbours.
    fn load(self, from: &[f32; 16]) -> Self::Lanes;
    /// Asks for the cache line `rows` rows of sixteen behind this one; it need not exist.
    #[inline(always)]
    fn prefetch(self, _row: &[f32; 16], _rows: usize) {}
    /// Writes sixteen neighbours.
    fn store(self, lanes: Self::Lanes, to: &mut [f32; 16]);
    /// `a + b`
    fn add(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// `a - b`
    fn subtract(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// Where `a <= b`, which NaN never is, `yes`, elsewhere `no`.
    fn select(
        self,
        a: Self::Lanes,
        b: Self::Lanes,
        yes: Self::Lanes,
        no: Self::Lanes,
    ) -> Self::Lanes;
    /// `a * b`
    fn multiply(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// `sum + a * b`: rounded twice in exact numerics, once in fast ones.
    fn multiply_add(self, sum: Self::Lanes, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
}
