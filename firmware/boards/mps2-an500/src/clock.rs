//! SysTick at 25 MHz, a tick interrupt each millisecond: the clock, and the pin's timer.

use core::cell::Cell;

use cortex_m::interrupt::{self, Mutex};
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

use crate::pin;

const TICKS_PER_US: u32 = 25;
/// Microseconds between two interrupts.
const PERIOD_US: u32 = 1000;
const RELOAD: u32 = TICKS_PER_US * PERIOD_US - 1;

static PERIODS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));
static LATEST_US: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// The clock.
pub struct Clock(());

/// Starts it at zero.
pub fn start(mut systick: SYST) -> Clock {
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(RELOAD);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
    Clock(())
}

impl gradgate_device::board::Clock for Clock {
    fn now_us(&mut self) -> u64 {
        interrupt::free(|token| {
            let elapsed = (RELOAD - SYST::get_current()) / TICKS_PER_US;
            let periods = PERIODS.borrow(token).get();
            let latest = LATEST_US.borrow(token);
            // A wrap whose interrupt still waits would let time go back for a moment.
            let now = (periods * u64::from(PERIOD_US) + u64::from(elapsed)).max(latest.get());
            latest.set(now);
            now
        })
    }
}

#[exception]
fn SysTick() {
    let now_us = interrupt::free(|token| {
        let periods = PERIODS.borrow(token);
        periods.set(periods.get() + 1);
        periods.get() * u64::from(PERIOD_US)
    });
    pin::expire(now_us);
}
