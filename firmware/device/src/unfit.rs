//! Why a frame is not shown to the network: faults of the picture, of its time, of the camera.

use core::fmt;

use gradgate_frame::FrameFault;
use gradgate_gate::{Cause, Verdict};

/// A fault found before the network runs. Numbers are on the wire: new ones are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Unfit {
    /// Not the bytes of a whole frame: too few, too many, or outside of a frame.
    WrongSize = 0,
    /// Not the geometry that the camera was set to.
    Geometry = 1,
    /// Every pixel is the same.
    Constant = 2,
    /// Nothing to be seen but noise.
    Blank = 3,
    /// The same bytes as the frames before.
    Frozen = 4,
    /// The frame that was already taken: its number, or its capture time, is the last one's.
    Duplicate = 5,
    /// The number or the capture time goes back.
    OutOfOrder = 6,
    /// Too old when it began, or when it was whole.
    Late = 7,
    /// Captured after now.
    Future = 8,
    /// The camera reported an error.
    Camera = 9,
}

impl Unfit {
    /// All of them, by number.
    pub const ALL: [Unfit; 10] = [
        Unfit::WrongSize,
        Unfit::Geometry,
        Unfit::Constant,
        Unfit::Blank,
        Unfit::Frozen,
        Unfit::Duplicate,
        Unfit::OutOfOrder,
        Unfit::Late,
        Unfit::Future,
        Unfit::Camera,
    ];

    /// Its number on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Its name in print.
    pub fn name(self) -> &'static str {
        match self {
            Unfit::WrongSize => "WRONG SIZE",
            Unfit::Geometry => "GEOMETRY",
            Unfit::Constant => "CONSTANT",
            Unfit::Blank => "BLANK",
            Unfit::Frozen => "FROZEN",
            Unfit::Duplicate => "DUPLICATE",
            Unfit::OutOfOrder => "OUT OF ORDER",
            Unfit::Late => "LATE",
            Unfit::Future => "FUTURE",
            Unfit::Camera => "CAMERA",
        }
    }

    /// What the gate learns of it: the picture is unusable.
    pub fn verdict(self) -> Verdict {
        Verdict::Unknown { cause: Cause::Sensor }
    }
}

impl From<Unfit> for Verdict {
    fn from(unfit: Unfit) -> Verdict {
        unfit.verdict()
    }
}

impl From<FrameFault> for Unfit {
    fn from(fault: FrameFault) -> Unfit {
        match fault {
            FrameFault::Constant => Unfit::Constant,
            FrameFault::Blank => Unfit::Blank,
            FrameFault::Frozen => Unfit::Frozen,
            // The enum may grow: a fault without a number here is still one of the frame's bytes.
            _ => Unfit::WrongSize,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_wire_and_all_are_unknown() {
        let names = [
            "WRONG SIZE",
            "GEOMETRY",
            "CONSTANT",
            "BLANK",
            "FROZEN",
            "DUPLICATE",
            "OUT OF ORDER",
            "LATE",
            "FUTURE",
            "CAMERA",
        ];
        for ((number, name), unfit) in (0_u8..).zip(names).zip(Unfit::ALL) {
            assert_eq!((unfit.code(), unfit.name()), (number, name));
            assert_eq!(Verdict::from(unfit), Verdict::Unknown { cause: Cause::Sensor });
        }
    }
}
