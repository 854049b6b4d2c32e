//! The start of an ArduCAM in steps, so that a camera that failed starts anew while others work.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use embedded_hal::spi::SpiDevice;

use super::ov2640::{self, Write};
use super::{ArduCam, FIFO, FIFO_CLEAR, RESET, RESET_ON, REVISION, TEST};
use crate::camera::CameraError;

/// How long controller and sensor take after a reset.
const RESET_MS: u32 = 100;
/// Registers of the sensor that a step sets: at 400 kHz, in about a millisecond.
const STEP_WRITES: usize = 16;
/// Steps before the registers.
const RESETS: usize = 3;

/// What comes after a step.
pub enum Progress {
    /// The next one, after milliseconds.
    Next(u32),
    /// Captures may begin.
    Done,
}

impl<S: SpiDevice, I: I2c, D: DelayNs, const N: usize> ArduCam<S, I, D, N> {
    /// Does one step of the start for the geometry at hand.
    pub(super) fn start(&mut self, step: usize) -> Result<Progress, CameraError> {
        match step {
            0 => self.write(RESET, RESET_ON)?,
            1 => self.write(RESET, 0)?,
            2 => {
                self.identify()?;
                self.write_sensor((ov2640::COM7, ov2640::COM7_RESET))?;
            }
            _ => return self.set_registers(step.saturating_sub(RESETS)),
        }
        Ok(Progress::Next(RESET_MS))
    }

    /// Whether both parts are those that this drives. Leaves the bank of the sensor selected.
    fn identify(&mut self) -> Result<(), CameraError> {
        for value in [0x55, 0xAA] {
            self.write(TEST, value)?;
            if self.read(TEST)? != value {
                return Err(CameraError::Identity);
            }
        }
        self.revision = self.read(REVISION)?;
        self.write_sensor((ov2640::BANK, ov2640::BANK_SENSOR))?;
        for (register, values) in ov2640::IDENTITY {
            if !values.contains(&self.read_sensor(register)?) {
                return Err(CameraError::Identity);
            }
        }
        Ok(())
    }

    fn set_registers(&mut self, step: usize) -> Result<Progress, CameraError> {
        let tables = ov2640::tables(self.geometry).ok_or(CameraError::Geometry)?;
        let writes = tables.into_iter().flatten().skip(step.saturating_mul(STEP_WRITES));
        let mut left = STEP_WRITES;
        for &write in writes.take(STEP_WRITES) {
            self.write_sensor(write)?;
            left = left.saturating_sub(1);
        }
        if left == 0 {
            return Ok(Progress::Next(0));
        }
        self.write(FIFO, FIFO_CLEAR)?;
        Ok(Progress::Done)
    }

    fn write_sensor(&mut self, (register, value): Write) -> Result<(), CameraError> {
        self.i2c.write(ov2640::ADDRESS, &[register, value]).map_err(|_| CameraError::Bus)
    }

    fn read_sensor(&mut self, register: u8) -> Result<u8, CameraError> {
        let mut value = [0];
        self.i2c.write(ov2640::ADDRESS, &[register]).map_err(|_| CameraError::Bus)?;
        self.i2c.read(ov2640::ADDRESS, &mut value).map_err(|_| CameraError::Bus)?;
        let [value] = value;
        Ok(value)
    }
}
