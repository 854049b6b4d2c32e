//! Faults on command: a debugger writes a word, the firmware fails that way. For tests alone; the
//! feature `provoke` is in no image that is released.

use core::arch::asm;
use core::hint::black_box;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cortex_m::peripheral::FPU;
use cortex_m::register::fpscr::{self, Fpscr};

/// What to do next; numbered in [`act`].
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
static GRADGATE_PROVOKE_NOW: AtomicU32 = AtomicU32::new(0);

/// Bytes that came while the port took none.
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
static GRADGATE_PROVOKE_HEARD: AtomicU32 = AtomicU32::new(0);

/// A float mode for the next start: a mark in the upper half, FPSCR's bits 22 to 25 at 6 to 9, and
/// at bit 0 the moment.
// SAFETY: no other symbol of the image has this name; the section is cortex-m-rt's for what a start
// leaves as it is, and any bits are an atomic.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".uninit.provoke")]
static GRADGATE_PROVOKE_START: AtomicU32 = AtomicU32::new(0);

const MARK: u32 = 0x5052;
const MODE: u32 = 0x3C0;

static MUTE: AtomicBool = AtomicBool::new(false);

/// When a float mode is set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the device sets its own.
    Before,
    /// After that.
    After,
}

/// Sets the mode that is asked for at this moment.
pub fn set_float_mode(fpu: &FPU, moment: Moment) {
    let word = GRADGATE_PROVOKE_START.load(Ordering::Relaxed);
    let wanted = if word & 1 == 0 { Moment::Before } else { Moment::After };
    if word >> 16 != MARK || wanted != moment {
        return;
    }
    let mode = (word & MODE) << 16;
    // SAFETY: as for the device's own mode; results are wrong on purpose.
    unsafe {
        fpu.fpdscr.write(mode);
        fpscr::write(Fpscr::from_bits(mode));
    }
}

/// Whether the port takes nothing.
pub fn is_mute() -> bool {
    MUTE.load(Ordering::Relaxed)
}

/// Counts what the port brings while it takes nothing.
pub fn heard(bytes: usize) {
    if is_mute() {
        GRADGATE_PROVOKE_HEARD.fetch_add(bytes as u32, Ordering::Relaxed);
    }
}

/// Does what was asked for.
pub fn act() {
    match GRADGATE_PROVOKE_NOW.swap(0, Ordering::Relaxed) {
        // Not the hint of a spinning loop, at which QEMU leaves its translated code each time.
        1 => loop {
            cortex_m::asm::nop();
        },
        2 => {
            black_box(deeper(black_box(1)));
        }
        // SAFETY: nothing lies there: the load faults, which is what is wanted.
        3 => unsafe {
            black_box(ptr::read_volatile(ptr::with_exposed_provenance::<u32>(0x9000_0000)));
        },
        4 => panic!("on command"),
        5 => cortex_m::asm::udf(),
        // SAFETY: no code lies there: the jump faults, which is what is wanted.
        6 => unsafe { asm!("bx {}", in(reg) 0x9000_0001_u32, options(noreturn)) },
        7 => {
            // SAFETY: the interrupt has no handler, which is what is wanted; interrupt 0 exists.
            unsafe { cortex_m::peripheral::NVIC::unmask(Interrupt) };
            cortex_m::peripheral::NVIC::pend(Interrupt);
        }
        8 => MUTE.store(true, Ordering::Relaxed),
        9 => MUTE.store(false, Ordering::Relaxed),
        _ => {}
    }
}

/// Interrupt 1: the port's, which nothing here uses.
#[derive(Clone, Copy)]
struct Interrupt;

// SAFETY: one number, below the count of this board's interrupts.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        1
    }
}

/// Without end, as far as any stack reaches; 256 bytes a time.
#[inline(never)]
fn deeper(depth: u32) -> u32 {
    if depth == u32::MAX {
        return 0;
    }
    let room = black_box([depth; 64]);
    let below = deeper(depth.wrapping_add(room[0]));
    black_box(room)[(below % 64) as usize].wrapping_add(below)
}
