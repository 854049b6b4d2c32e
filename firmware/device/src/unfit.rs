//! Frames that are not shown to the network: what the faults of their pictures are called.

use gradgate_frame::FrameFault;

pub use gradgate_link::events::Unfit;

/// What a fault of a picture is called on the wire.
pub fn of(fault: FrameFault) -> Unfit {
    match fault {
        FrameFault::Constant => Unfit::Constant,
        FrameFault::Blank => Unfit::Blank,
        FrameFault::Frozen => Unfit::Frozen,
        // The enum may grow: a fault without a number here is still one of the frame's bytes.
        _ => Unfit::WrongSize,
    }
}
