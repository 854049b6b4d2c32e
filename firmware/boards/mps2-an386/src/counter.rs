//! Counts instructions: under `qemu -icount shift=0` one instruction takes one nanosecond of the
//! board's clock, which SysTick counts at 25 MHz, or 32 MHz on the mps3-an547.
//!
//! These are instructions of the emulator, not cycles of any core.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SYST};
use cortex_m_rt::exception;

/// SysTick counts down from here: its largest value.
const RELOAD: u32 = 0x00FF_FFFF;
/// Instructions in four ticks, at one instruction a nanosecond.
const INSTRUCTIONS_PER_4_TICKS: u64 = if cfg!(mps3_an547) { 125 } else { 160 };

static WRAPS: AtomicU32 = AtomicU32::new(0);

/// Starts the counter; without peripherals it stays at zero.
pub fn start(peripherals: Option<Peripherals>) {
    let Some(mut peripherals) = peripherals else {
        return;
    };
    peripherals.SYST.set_clock_source(SystClkSource::Core);
    peripherals.SYST.set_reload(RELOAD);
    peripherals.SYST.clear_current();
    peripherals.SYST.enable_interrupt();
    peripherals.SYST.enable_counter();
}

/// Instructions since the start, to within 40.
pub fn instructions() -> u64 {
    loop {
        let wraps = WRAPS.load(Ordering::SeqCst);
        let ticks = RELOAD - SYST::get_current();
        // A wrap in between would pair the old count with the new ticks.
        if wraps == WRAPS.load(Ordering::SeqCst) {
            return (u64::from(wraps) * (u64::from(RELOAD) + 1) + u64::from(ticks))
                * INSTRUCTIONS_PER_4_TICKS
                / 4;
        }
    }
}

#[exception]
fn SysTick() {
    WRAPS.fetch_add(1, Ordering::SeqCst);
}
