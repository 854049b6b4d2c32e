//! What can be wrong with a camera's frame on purpose, and what the device must call it.

use std::fmt;

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

/// Why a device does not show a frame to its network, numbered as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit(pub u8);

/// By number.
const NAMES: [&str; 10] = [
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

impl Unfit {
    /// See [`How::Geometry`].
    pub const GEOMETRY: Unfit = Unfit(1);
    /// See [`How::Constant`].
    pub const CONSTANT: Unfit = Unfit(2);
    /// Nothing to be seen but noise.
    pub const BLANK: Unfit = Unfit(3);
    /// See [`How::Repeat`].
    pub const FROZEN: Unfit = Unfit(4);
    /// See [`How::Duplicate`].
    pub const DUPLICATE: Unfit = Unfit(5);
    /// See [`How::OutOfOrder`].
    pub const OUT_OF_ORDER: Unfit = Unfit(6);
    /// See [`How::Late`].
    pub const LATE: Unfit = Unfit(7);

    /// The fault of this name.
    pub fn from_name(name: &str) -> Option<Unfit> {
        NAMES.iter().position(|known| *known == name).map(|at| Unfit(at as u8))
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => out.write_str(name),
            None => write!(out, "fault {}", self.0),
        }
    }
}

impl How {
    /// What the device must call it, whatever the picture; `None` where the bytes decide.
    pub fn unfit(self) -> Option<Unfit> {
        Some(match self {
            How::Late => Unfit::LATE,
            How::Duplicate => Unfit::DUPLICATE,
            How::OutOfOrder => Unfit::OUT_OF_ORDER,
            How::Geometry => Unfit::GEOMETRY,
            How::Constant | How::Repeat => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_the_numbers_of_the_wire() {
        let rows = [
            (Unfit::GEOMETRY, "GEOMETRY"),
            (Unfit::CONSTANT, "CONSTANT"),
            (Unfit::BLANK, "BLANK"),
            (Unfit::FROZEN, "FROZEN"),
            (Unfit::DUPLICATE, "DUPLICATE"),
            (Unfit::OUT_OF_ORDER, "OUT OF ORDER"),
            (Unfit::LATE, "LATE"),
        ];
        for (unfit, name) in rows {
            assert_eq!(unfit.to_string(), name);
            assert_eq!(Unfit::from_name(name), Some(unfit));
        }
        assert_eq!(Unfit(77).to_string(), "fault 77");
        assert_eq!(Unfit::from_name("FINE"), None);
    }
}
