//! The thread's stack: below all other memory, painted, and apart from the handlers' stack.
//!
//! What overflows it leaves the memory and faults; the fault's handler runs on the other stack.

use core::arch::asm;
use core::ptr;

use cortex_m::register::psp;
use gradgate_device::log::Reset;

use crate::budget::{RAM_ORIGIN, RAM_STACK_BYTES};

const PAINT: u32 = 0x5041_494E;
/// The top, which `run` starts at.
const TOP: u32 = RAM_ORIGIN + RAM_STACK_BYTES;

/// Paints the thread's stack, goes there, and runs for ever.
pub fn run_on_thread_stack(reset: Reset) -> ! {
    for address in (RAM_ORIGIN..TOP).step_by(4) {
        // SAFETY: nothing but the thread's stack lies here (board.toml, the linker's map), and it
        // is not in use: this code runs on the handlers' stack.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(address as usize), PAINT) };
    }
    extern "C" fn begin(reset: u32) -> ! {
        crate::run(Reset::from_number(reset as u8))
    }
    // SAFETY: PSP becomes the top of the painted stack, bit 1 of CONTROL selects it, `isb` lets the
    // next instruction use it; `begin` never returns to the stack that is left.
    unsafe {
        asm!(
            "msr psp, {top}",
            "mrs r1, control",
            "orr r1, r1, #2",
            "msr control, r1",
            "isb",
            "bx {begin}",
            top = in(reg) TOP,
            in("r1") 0,
            begin = in(reg) begin as extern "C" fn(u32) -> !,
            in("r0") reset as u32,
            options(noreturn)
        )
    }
}

/// The stack's length and the most of it that was ever used.
pub fn used() -> (u32, u32) {
    let painted = |address: &u32| {
        // SAFETY: inside the thread's stack; a word that is written meanwhile reads as either.
        unsafe {
            ptr::read_volatile(ptr::with_exposed_provenance::<u32>(*address as usize)) == PAINT
        }
    };
    let free = (RAM_ORIGIN..TOP).step_by(4).take_while(painted).count() as u32 * 4;
    (RAM_STACK_BYTES, RAM_STACK_BYTES - free)
}

/// Whether the thread's stack has left its memory.
pub fn is_over() -> bool {
    psp::read() < RAM_ORIGIN + 256
}
