//! The dual timer's free-running counter at 25 MHz is the clock; SysTick interrupts each
//! millisecond and is the pin's timer.
//!
//! Counting interrupts instead would lose time whenever one comes late by more than its period.

use core::cell::Cell;

use cortex_m::interrupt::{self, CriticalSection, Mutex};
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

use crate::pin;
use crate::registers::Register;

// SAFETY: timer 1 of the dual timer of this board (Arm DAI 0500, memory map).
const LOAD: Register = unsafe { Register::at(0x4000_2000) };
// SAFETY: as above.
const VALUE: Register = unsafe { Register::at(0x4000_2004) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_2008) };

/// Enabled, 32 bits, free-running, without interrupt and prescaler.
const FREE_RUNNING: u32 = 0x82;
const TICKS_PER_US: u32 = 25;
/// Microseconds between two interrupts: far below the counter's 171 seconds.
const PERIOD_US: u32 = 1000;

/// Ticks since the start, and the counter's value then.
static TICKS: Mutex<Cell<(u64, u32)>> = Mutex::new(Cell::new((0, u32::MAX)));

/// The clock.
pub struct Clock(());

/// Starts it at zero.
pub fn start(mut systick: SYST) -> Clock {
    LOAD.write(u32::MAX);
    CONTROL.write(FREE_RUNNING);
    interrupt::free(|token| TICKS.borrow(token).set((0, VALUE.read())));
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(TICKS_PER_US * PERIOD_US - 1);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
    Clock(())
}

/// Microseconds since the start.
fn now_us(token: &CriticalSection) -> u64 {
    let cell = TICKS.borrow(token);
    let (ticks, before) = cell.get();
    let value = VALUE.read();
    // It counts down, and wraps.
    let ticks = ticks + u64::from(before.wrapping_sub(value));
    cell.set((ticks, value));
    ticks / u64::from(TICKS_PER_US)
}

impl gradgate_device::board::Clock for Clock {
    fn now_us(&mut self) -> u64 {
        interrupt::free(now_us)
    }
}

#[exception]
fn SysTick() {
    pin::expire(interrupt::free(now_us));
}
