//! LED 0 is the gate's pin: lit means OPEN. SysTick closes it at the lease's end by itself.

use core::cell::Cell;

use cortex_m::interrupt::{self, Mutex};
use gradgate_device::board::{GatePin, Level};

use crate::registers::Register;

// SAFETY: the LED register of the FPGA's I/O block of this board (Arm DAI 0500, memory map).
const LED: Register = unsafe { Register::at(0x4002_8000) };

/// When an open pin closes, in microseconds; 0: it is not open by the gate.
static UNTIL_US: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// The pin.
pub struct Led;

impl GatePin for Led {
    fn set(&mut self, level: Level) {
        interrupt::free(|token| {
            let until_us = match level {
                Level::Open { until_us } => until_us,
                Level::Idle | Level::Closed => 0,
            };
            UNTIL_US.borrow(token).set(until_us);
            // Idle is the declared level of this board: lit.
            LED.write(u32::from(level != Level::Closed));
        });
    }
}

/// The fail state.
pub fn close() {
    interrupt::free(|token| {
        UNTIL_US.borrow(token).set(0);
        LED.write(0);
    });
}

/// Closes a pin whose time is over; called by the clock's interrupt.
pub fn expire(now_us: u64) {
    interrupt::free(|token| {
        let until_us = UNTIL_US.borrow(token);
        if until_us.get() != 0 && now_us >= until_us.get() {
            until_us.set(0);
            LED.write(0);
        }
    });
}
