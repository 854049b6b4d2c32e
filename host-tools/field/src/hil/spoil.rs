//! What can be wrong with a camera's frame on purpose, and what the device must call it.

use gradgate_link::events::Unfit;
use serde::Deserialize;

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Older than the board allows.
    Late,
    /// The number of the frame before.
    Duplicate,
    /// A number before that of the frame before.
    OutOfOrder,
    /// A size that is not the camera's.
    Geometry,
    /// Every pixel is the same.
    Constant,
    /// The bytes of the frame before; frozen once the policy's number of equal frames is reached.
    Repeat,
}

/// A fault's name; a number that is newer than this code is shown as one.
pub fn fault(number: u32) -> String {
    match Unfit::from_number(number) {
        Some(unfit) => unfit.name().to_owned(),
        None => format!("fault {number}"),
    }
}

impl How {
    /// What the device must call it, whatever the picture; `None` where the bytes decide.
    pub fn unfit(self) -> Option<Unfit> {
        Some(match self {
            How::Late => Unfit::Late,
            How::Duplicate => Unfit::Duplicate,
            How::OutOfOrder => Unfit::OutOfOrder,
            How::Geometry => Unfit::Geometry,
            How::Constant | How::Repeat => return None,
        })
    }
}
