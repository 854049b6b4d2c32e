//! CMSDK UART 0. One byte in each direction: the other side waits, nothing is lost in QEMU; on a
//! real part an interrupt or DMA fills a buffer here.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

use crate::registers::Register;

// SAFETY: UART 0 of this board (Arm DAI 0500, memory map).
const DATA: Register = unsafe { Register::at(0x4000_4000) };
// SAFETY: as above.
const STATE: Register = unsafe { Register::at(0x4000_4004) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_4008) };
// SAFETY: as above.
const DIVIDER: Register = unsafe { Register::at(0x4000_4010) };

const SEND_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;
const ENABLE: u32 = 3;
/// The smallest that the part takes: as fast as it can.
const FASTEST: u32 = 16;

/// The port.
pub struct Uart(());

/// Switches it on.
pub fn start() -> Uart {
    DIVIDER.write(FASTEST);
    CONTROL.write(ENABLE);
    Uart(())
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(STATE.read() & RECEIVE_FULL != 0)
    }
}

impl WriteReady for Uart {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(STATE.read() & SEND_FULL == 0)
    }
}

impl Read for Uart {
    /// Takes what is there; waits for nothing.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        for byte in bytes {
            if STATE.read() & RECEIVE_FULL == 0 {
                break;
            }
            *byte = DATA.read() as u8;
            count += 1;
        }
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
