//! CMSDK UART 0: an interrupt moves what arrives into a buffer, so that the loop may sleep.
//!
//! A full buffer leaves the byte in the UART: QEMU then holds the sender up, a real part overruns,
//! and what is lost is counted.

use core::cell::RefCell;
use core::convert::Infallible;

use cortex_m::interrupt::{self, CriticalSection, Mutex};
use cortex_m::peripheral::NVIC;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

use crate::registers::Register;

// SAFETY: UART 0 of this board (Arm DAI 0500, memory map).
const DATA: Register = unsafe { Register::at(0x4000_4000) };
// SAFETY: as above.
const STATE: Register = unsafe { Register::at(0x4000_4004) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_4008) };
// SAFETY: as above.
const INTERRUPT: Register = unsafe { Register::at(0x4000_400c) };
// SAFETY: as above.
const DIVIDER: Register = unsafe { Register::at(0x4000_4010) };

const SEND_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;
const RECEIVE_OVERRUN: u32 = 8;
/// Send, receive, and an interrupt for each byte received.
const ENABLE: u32 = 0b1011;
/// As written to the interrupt's register: received.
const RECEIVED: u32 = 2;
/// The smallest that the part takes: as fast as it can.
const FASTEST: u32 = 16;

/// Number of the interrupt "UART 0 received".
pub const INTERRUPT_NUMBER: i16 = 0;
/// A frame of the link, whole.
const BUFFER_BYTES: usize = 4608;

#[derive(Clone, Copy)]
struct Number(i16);

// SAFETY: the number is that of an interrupt of this board.
unsafe impl cortex_m::interrupt::InterruptNumber for Number {
    fn number(self) -> u16 {
        self.0 as u16
    }
}

struct Arrived {
    bytes: [u8; BUFFER_BYTES],
    first: usize,
    length: usize,
    lost: u32,
}

static ARRIVED: Mutex<RefCell<Arrived>> =
    Mutex::new(RefCell::new(Arrived { bytes: [0; BUFFER_BYTES], first: 0, length: 0, lost: 0 }));

/// The port.
pub struct Uart(());

/// Switches it on.
pub fn start() -> Uart {
    DIVIDER.write(FASTEST);
    CONTROL.write(ENABLE);
    // SAFETY: no critical section depends on this interrupt being masked.
    unsafe { NVIC::unmask(Number(INTERRUPT_NUMBER)) };
    Uart(())
}

/// The interrupt: takes what is there while there is room.
pub fn received() {
    interrupt::free(|token| {
        // Never taken twice: no interrupt comes in between. Without a panic all the same.
        let Ok(mut arrived) = ARRIVED.borrow(token).try_borrow_mut() else { return };
        arrived.take();
        if arrived.length == BUFFER_BYTES {
            // `read` lets it come again.
            NVIC::mask(Number(INTERRUPT_NUMBER));
        }
    });
}

/// Bytes that the UART lost since the last call.
pub fn lost() -> u32 {
    interrupt::free(|token| {
        let arrived = ARRIVED.borrow(token).try_borrow_mut();
        arrived.map_or(0, |mut arrived| core::mem::take(&mut arrived.lost))
    })
}

/// Bytes that nobody took yet.
fn waiting(token: &CriticalSection) -> usize {
    ARRIVED.borrow(token).try_borrow().map_or(0, |arrived| arrived.length)
}

/// Sleeps until something happens, unless bytes wait.
pub fn sleep() {
    interrupt::free(|token| {
        if waiting(token) == 0 {
            // An interrupt that is pending ends it at once, and is served after this section.
            cortex_m::asm::wfi();
        }
    });
}

impl Arrived {
    fn take(&mut self) {
        let state = STATE.read();
        if state & RECEIVE_OVERRUN != 0 {
            STATE.write(RECEIVE_OVERRUN);
            self.lost = self.lost.saturating_add(1);
        }
        while STATE.read() & RECEIVE_FULL != 0 && self.length < BUFFER_BYTES {
            INTERRUPT.write(RECEIVED);
            let byte = DATA.read() as u8;
            if let Some(place) = self.bytes.get_mut((self.first + self.length) % BUFFER_BYTES) {
                *place = byte;
                self.length += 1;
            }
        }
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(interrupt::free(|token| waiting(token) > 0))
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(STATE.read() & SEND_FULL == 0)
    }
}

impl Read for Uart {
    /// Takes what has arrived; waits for nothing.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let count = interrupt::free(|token| {
            let Ok(mut arrived) = ARRIVED.borrow(token).try_borrow_mut() else { return 0 };
            let count = bytes.len().min(arrived.length);
            for place in bytes.iter_mut().take(count) {
                *place = arrived.bytes.get(arrived.first).copied().unwrap_or(0);
                arrived.first = (arrived.first + 1) % BUFFER_BYTES;
            }
            arrived.length -= count;
            count
        });
        // SAFETY: as in `start`.
        unsafe { NVIC::unmask(Number(INTERRUPT_NUMBER)) };
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        for &byte in bytes {
            if STATE.read() & SEND_FULL != 0 {
                break;
            }
            DATA.write(u32::from(byte));
            count += 1;
        }
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
