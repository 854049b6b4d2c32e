//! The emulated Cortex-M4F board: a bundle and a frame from the host, the engine's bits back.
//!
//! Wiring only. `board BUNDLE [FRAME]` on the semihosting command line loads the bundle, runs its
//! self-test, then the frame (u8: rows, columns, channels), and prints every result as f32 bits.
//! Lines that open with `#` are remarks. Ends with a failure unless all of it went well, also when
//! something panics.
#![no_std]
#![no_main]

mod counter;
mod host;
mod judge;
mod print;

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use gradgate_bundle::align::Aligned;
use semihosting::process;

use judge::Memory;

/// Longest bundle: ResNet-20 takes 1.1 MB.
const BUNDLE_BYTES_MAX: usize = 1536 * 1024;
/// Longest frame: 128 x 128 pixels of three bytes.
const FRAME_BYTES_MAX: usize = 48 * 1024;
/// Longest arena, 2 MiB. With the two buffers above, over 400 KiB of the 4 MiB are left as stack.
const ARENA_ELEMENTS_MAX: usize = 512 * 1024;

#[entry]
fn main() -> ! {
    static mut BUNDLE: Aligned<[u8; BUNDLE_BYTES_MAX]> = Aligned([0; BUNDLE_BYTES_MAX]);
    static mut FRAME: [u8; FRAME_BYTES_MAX] = [0; FRAME_BYTES_MAX];
    static mut ARENA: [f32; ARENA_ELEMENTS_MAX] = [0.0; ARENA_ELEMENTS_MAX];
    counter::start(cortex_m::Peripherals::take());
    let memory = Memory { bundle: &mut BUNDLE.0, frame: FRAME, arena: ARENA };
    match judge::run(memory) {
        Ok(()) => process::exit(0),
        Err(error) => {
            error.print();
            process::exit(1)
        }
    }
}

/// Fails closed: whatever went wrong, the host sees a failure.
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    print::line(&[print::Piece::Text("FAILED: panic")]);
    process::exit(101)
}
