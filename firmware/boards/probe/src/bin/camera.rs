//! What a device does with the bytes of a camera, linked and never run.
//!
//! An image of its own, beside that of loading and judging, whose size is a figure of its own: a
//! pipeline is made; it is fed.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use gradgate_device::camera::{Geometry, Stamp};
use gradgate_device::pipeline::{Buffers, Pipeline, Settings};
use gradgate_device::unfit::Unfit;

/// Memory to a camera's pipeline; `None` where they do not go together.
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
pub fn gradgate_probe_pipeline<'m>(
    settings: &Settings,
    buffers: Buffers<'m>,
) -> Option<Pipeline<'m>> {
    Pipeline::new(settings, buffers).ok()
}

/// Bytes of a camera to a frame.
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
pub fn gradgate_probe_camera<'f>(
    pipeline: &'f mut Pipeline<'_>,
    (stamp, geometry): (Stamp, Geometry),
    pieces: &[&[u8]],
    now_us: u64,
) -> Result<&'f [u8], Unfit> {
    pipeline.begin(stamp, geometry, now_us)?;
    pieces.iter().try_for_each(|piece| pipeline.push(piece))?;
    pipeline.finish(now_us)
}

/// Stands for every panic: not inlined, so that its symbol tells.
// SAFETY: no other symbol of the image has this name.
#[unsafe(no_mangle)]
#[inline(never)]
pub fn gradgate_panicked() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    gradgate_panicked()
}
