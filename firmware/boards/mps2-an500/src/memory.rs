//! The device's memory: statics that are handed out once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use gradgate_bundle::align::Aligned;
use gradgate_device::device::Memory;

use crate::{Arena, BundleMemory, Evidence, FrameMemory};

struct Once<T>(UnsafeCell<T>);

// SAFETY: `take` below is the only access, and it succeeds once.
unsafe impl<T> Sync for Once<T> {}

static BUNDLE: Once<BundleMemory> = Once(UnsafeCell::new(Aligned([0; _])));
static ARENA: Once<Arena> = Once(UnsafeCell::new([0.0; _]));
static FRAME: Once<FrameMemory> = Once(UnsafeCell::new([0; _]));
static EVIDENCE: Once<Evidence> = Once(UnsafeCell::new([0; _]));
static TAKEN: AtomicBool = AtomicBool::new(false);

/// All of it, once.
pub fn take() -> Option<Memory<'static>> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: nobody else has these addresses, and `TAKEN` lets this line run once.
    let (bundle, arena, frame, evidence) = unsafe {
        (&mut *BUNDLE.0.get(), &mut *ARENA.0.get(), &mut *FRAME.0.get(), &mut *EVIDENCE.0.get())
    };
    Some(Memory { bundle: &mut bundle.0, arena, frame, evidence })
}
