//! Every way down: the pin closes, the reason is kept over the restart, the device starts anew.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SCB;
use cortex_m_rt::{ExceptionFrame, exception};
use gradgate_device::log::Reset;

use crate::{pin, stack, uart};

/// Says that [`REASON`] was written before the last restart.
const MARK: u32 = 0x4352_4153;

/// Not cleared at the start: what lay there before power is neither.
// SAFETY: the section is cortex-m-rt's for what a start leaves as it is; any bits are atomics.
#[unsafe(link_section = ".uninit.crash")]
static RECORD: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

/// Why the device started, which is then forgotten.
pub fn take_reset() -> Reset {
    let [mark, reason] = &RECORD;
    let marked = mark.swap(0, Ordering::Relaxed) == MARK;
    match marked {
        true => Reset::from_number(reason.load(Ordering::Relaxed) as u8),
        false => Reset::Power,
    }
}

/// Closes the pin and starts anew.
pub fn restart(reason: Reset) -> ! {
    cortex_m::interrupt::disable();
    pin::close();
    let [mark, kept] = &RECORD;
    kept.store(reason as u32, Ordering::Relaxed);
    mark.store(MARK, Ordering::Relaxed);
    SCB::sys_reset()
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    restart(Reset::Panic)
}

/// Bus, memory and usage faults.
// SAFETY: the handler never returns to what it interrupted.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    restart(if stack::is_over() { Reset::Stack } else { Reset::Fault })
}

/// The watchdog's first zero: the loop stands still, and the second would reset without a reason.
// SAFETY: the handler never returns to what it interrupted.
#[exception]
unsafe fn NonMaskableInt() -> ! {
    restart(Reset::Watchdog)
}

/// Every interrupt; the board enables one.
// SAFETY: takes bytes into a buffer behind a critical section, or never returns.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    match number {
        uart::INTERRUPT_NUMBER => uart::received(),
        _ => restart(Reset::Fault),
    }
}
