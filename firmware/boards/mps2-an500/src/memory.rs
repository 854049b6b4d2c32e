//! The device's memory: statics that are handed out once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use gradgate_bundle::align::Aligned;
use gradgate_device::camera::Geometry;
use gradgate_device::device::{CameraMemory, Memory};
use gradgate_frame::PixelFormat;

use crate::budget::{
    CAMERA_HEIGHT, CAMERA_WIDTH, MEMORY_ARENA_BYTES, MEMORY_BUNDLE_BYTES, MEMORY_EVIDENCE_BYTES,
    MEMORY_FRAME_BYTES, MEMORY_FRAME_COLUMNS,
};

/// What a host sends in the place of a camera, which QEMU has not.
pub const CAMERA: Geometry =
    Geometry { format: PixelFormat::Yuyv, width: CAMERA_WIDTH, height: CAMERA_HEIGHT };

/// Samples of a pixel at most.
const CHANNELS: usize = 3;
const LINE_BYTES: usize = match CAMERA.row_bytes() {
    Some(bytes) => bytes,
    None => 0,
};
const ROW_BYTES: usize = CAMERA_WIDTH as usize * CHANNELS;
const SUMS: usize = gradgate_frame::scratch_len(MEMORY_FRAME_COLUMNS, CHANNELS);

struct Once<T>(UnsafeCell<T>);

// SAFETY: `take` below is the only access, and it succeeds once.
unsafe impl<T> Sync for Once<T> {}

/// In this order, so that a debugger finds the bundle at its beginning.
#[repr(C)]
struct All {
    bundle: Aligned<[u8; MEMORY_BUNDLE_BYTES as usize]>,
    arena: [f32; MEMORY_ARENA_BYTES as usize / 4],
    line: [u8; LINE_BYTES],
    row: [u8; ROW_BYTES],
    sums: [u64; SUMS],
    frame: [u8; MEMORY_FRAME_BYTES as usize],
    evidence: [u8; MEMORY_EVIDENCE_BYTES as usize],
}

static ALL: Once<All> = Once(UnsafeCell::new(All {
    bundle: Aligned([0; _]),
    arena: [0.0; _],
    line: [0; _],
    row: [0; _],
    sums: [0; _],
    frame: [0; _],
    evidence: [0; _],
}));
static TAKEN: AtomicBool = AtomicBool::new(false);

/// All of it, once.
pub fn take() -> Option<Memory<'static>> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: nobody else has this address, and `TAKEN` lets this line run once.
    let All { bundle, arena, line, row, sums, frame, evidence } = unsafe { &mut *ALL.0.get() };
    let camera = CameraMemory { line, row, sums, frame };
    Some(Memory { bundle: &mut bundle.0, arena, camera, evidence })
}
