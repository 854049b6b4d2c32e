//! Memory-mapped registers, and the processor's float mode.

use core::ptr;

use cortex_m::peripheral::FPU;
use cortex_m::register::fpscr;

/// A register at a fixed address.
#[derive(Clone, Copy)]
pub struct Register(usize);

impl Register {
    /// # Safety
    /// `address` is that of a device register of this board, four bytes long, whose reads and
    /// writes change no memory.
    pub const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    /// Its value.
    pub fn read(self) -> u32 {
        // SAFETY: `at` was promised a register.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u32>(self.0)) }
    }

    /// Gives it a value.
    pub fn write(self, value: u32) {
        // SAFETY: `at` was promised a register.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut::<u32>(self.0), value) }
    }
}

/// Round to nearest, keep subnormals, propagate NaN as they are: the modes in which bits are equal
/// to the host's. For this context and, by FPDSCR, for every handler. The engine probes them again
/// when it loads a bundle.
pub fn set_float_mode(fpu: &FPU) {
    // SAFETY: FPDSCR holds the mode of new contexts, no memory depends on it.
    unsafe { fpu.fpdscr.write(0) };
    // SAFETY: the mode bits change results of floats alone, and none was computed yet.
    unsafe { fpscr::write(fpscr::Fpscr::from_bits(0)) };
}
