//! The CMSDK watchdog: bites after two of its periods without food, and cannot be stopped.

use crate::registers::Register;

// SAFETY: the watchdog of this board (Arm DAI 0500, memory map).
const LOAD: Register = unsafe { Register::at(0x4000_8000) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_8008) };
// SAFETY: as above.
const CLEAR: Register = unsafe { Register::at(0x4000_800c) };
// SAFETY: as above.
const LOCK: Register = unsafe { Register::at(0x4000_8c00) };

const KEY: u32 = 0x1ACC_E551;
/// Interrupt at the first zero, reset at the second.
const ENABLE: u32 = 3;
/// Two seconds at 25 MHz: above the longest verdict and the longest check of a slot.
const PERIOD_TICKS: u32 = 50_000_000;

/// The watchdog.
pub struct Watchdog(());

/// Starts it.
pub fn start() -> Watchdog {
    LOCK.write(KEY);
    LOAD.write(PERIOD_TICKS);
    CONTROL.write(ENABLE);
    LOCK.write(0);
    Watchdog(())
}

impl gradgate_device::board::Watchdog for Watchdog {
    fn feed(&mut self) {
        LOCK.write(KEY);
        CLEAR.write(1);
        LOCK.write(0);
    }
}
