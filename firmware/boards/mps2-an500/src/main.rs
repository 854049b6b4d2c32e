//! The whole device on an emulated Cortex-M7: wiring only.
//!
//! UART 0 is the link, LED 0 of the FPGA's I/O the gate's pin, PSRAM the flash (a file of the host
//! that survives a power cut), SysTick the clock and the timer that closes the pin, the CMSDK
//! watchdog the watchdog. board.toml says where everything lies.
#![no_std]
#![no_main]

mod budget {
    include!(concat!(env!("OUT_DIR"), "/budget.rs"));
}
mod clock;
mod crash;
mod flash;
mod memory;
mod pin;
#[cfg(feature = "provoke")]
mod provoke;
mod registers;
mod stack;
mod uart;
mod watchdog;

use cortex_m_rt::entry;
use gradgate_bundle::manifest::DeviceClass;
use gradgate_device::board::{Board, Description, Level, Parts};
use gradgate_device::camera::NoCamera;
use gradgate_device::device::{Device, Setup};
use gradgate_device::log::Reset;

/// The board, with the stack's figures.
struct An500(BoardParts);

type BoardParts = Parts<clock::Clock, uart::Uart, pin::Led, watchdog::Watchdog, NoCamera>;

impl Board for An500 {
    type Camera = NoCamera;

    fn camera(&mut self) -> &mut NoCamera {
        self.0.camera()
    }
    fn now_us(&mut self) -> u64 {
        self.0.now_us()
    }
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let count = self.0.read(bytes);
        #[cfg(feature = "provoke")]
        provoke::heard(count);
        count
    }
    fn write(&mut self, bytes: &[u8]) -> usize {
        #[cfg(feature = "provoke")]
        if provoke::is_mute() {
            return 0;
        }
        self.0.write(bytes)
    }
    fn set_pin(&mut self, level: Level) {
        self.0.set_pin(level);
    }
    fn feed_watchdog(&mut self) {
        #[cfg(feature = "provoke")]
        provoke::act();
        self.0.feed_watchdog();
    }
    fn lost(&mut self) -> u32 {
        uart::lost()
    }
    fn stack(&mut self) -> (u32, u32) {
        stack::used()
    }
}

#[entry]
fn main() -> ! {
    // The fail state before anything else.
    pin::close();
    let reset = crash::take_reset();
    stack::run_on_thread_stack(reset)
}

/// Runs on the thread's stack, for ever.
fn run(reset: Reset) -> ! {
    let Some(parts) = start() else { crash::restart(Reset::Fault) };
    let Some(memory) = memory::take() else { crash::restart(Reset::Fault) };
    let setup = setup(reset);
    let mut device = Device::start(An500(parts), flash::Psram, setup, memory);
    device.run(|_, _| {
        // The clock's interrupt, each millisecond, is the longest sleep.
        uart::sleep();
        true
    });
    crash::restart(Reset::Request)
}

fn start() -> Option<BoardParts> {
    let peripherals = cortex_m::Peripherals::take()?;
    #[cfg(feature = "provoke")]
    provoke::set_float_mode(&peripherals.FPU, provoke::Moment::Before);
    registers::set_float_mode(&peripherals.FPU);
    #[cfg(feature = "provoke")]
    provoke::set_float_mode(&peripherals.FPU, provoke::Moment::After);
    Some(Parts {
        clock: clock::start(peripherals.SYST),
        port: uart::start(),
        pin: pin::Led,
        watchdog: watchdog::start(),
        camera: NoCamera,
    })
}

fn setup(reset: Reset) -> Setup {
    let description = Description {
        board: "mps2-an500",
        firmware: env!("CARGO_PKG_VERSION"),
        serial: *b"emulated mps2   ",
        reset,
        erase_us_max: 1000,
        camera: memory::CAMERA,
        age_periods: 2,
    };
    Setup {
        description,
        device_class: DeviceClass::CortexM7,
        counter_floor: 0,
        arena_bytes_max: budget::MEMORY_ARENA_BYTES,
        // QEMU's board has no source of randomness: see the settings' page for what that means.
        seed: 1,
        layout: flash::layout().unwrap_or_else(|_| crash::restart(Reset::Fault)),
    }
}
