//! Numbers of the log's events, of resets, of what makes a frame unfit: both ends read them here.
//! Frozen and append-only; the field guide has a row for each.

use core::fmt;

/// What happened on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// The device started; value: [`Reset`].
    Started = 1,
    /// A bundle runs; value: its slot.
    Runs = 2,
    /// No bundle runs: the fail state.
    FailState = 3,
    /// A bundle was refused; value: the number of the [`crate::Refusal`].
    Refused = 4,
    /// The gate opened.
    Opened = 5,
    /// The gate closed; value: why, numbered as in telemetry.
    Closed = 6,
    /// An upload began; value: its length in bytes.
    Upload = 7,
    /// A whole bundle waits.
    Staged = 8,
    /// A bundle is on trial; value: its slot.
    Trial = 9,
    /// A bundle was confirmed; value: its slot.
    Confirmed = 10,
    /// The device went back to the confirmed bundle; value: its slot.
    Reverted = 11,
    /// The slot that does not run was erased.
    Erased = 12,
    /// Flash or journal failed.
    Storage = 13,
    /// A frame was unfit before the network saw it; value: [`Unfit`].
    Unfit = 14,
    /// The numbers of a frame are at fault; value: the frame.
    Fault = 15,
    /// The bundle in memory is no longer the one that was loaded.
    Damaged = 16,
    /// The device was given its name and keys.
    Provisioned = 17,
    /// Bytes of the link were lost, as more came than were taken; value: how many.
    Overflow = 18,
}

impl Code {
    /// All of them, by number.
    pub const ALL: [Code; 18] = [
        Code::Started,
        Code::Runs,
        Code::FailState,
        Code::Refused,
        Code::Opened,
        Code::Closed,
        Code::Upload,
        Code::Staged,
        Code::Trial,
        Code::Confirmed,
        Code::Reverted,
        Code::Erased,
        Code::Storage,
        Code::Unfit,
        Code::Fault,
        Code::Damaged,
        Code::Provisioned,
        Code::Overflow,
    ];

    /// `None` for a number of a newer device.
    pub fn from_number(number: u16) -> Option<Code> {
        Code::ALL.into_iter().find(|code| *code as u16 == number)
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Code::Started => "started",
            Code::Runs => "bundle runs",
            Code::FailState => "fail state: no bundle runs",
            Code::Refused => "bundle refused",
            Code::Opened => "gate opened",
            Code::Closed => "gate closed",
            Code::Upload => "upload began",
            Code::Staged => "bundle staged",
            Code::Trial => "bundle on trial",
            Code::Confirmed => "bundle confirmed",
            Code::Reverted => "back to the confirmed bundle",
            Code::Erased => "slot erased",
            Code::Storage => "flash failed",
            Code::Unfit => "frame unfit",
            Code::Fault => "numbers at fault",
            Code::Damaged => "bundle damaged in memory",
            Code::Provisioned => "provisioned",
            Code::Overflow => "link overflow",
        }
    }
}

/// Why a device started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Reset {
    /// Not known.
    #[default]
    Unknown = 0,
    /// Power.
    Power = 1,
    /// Asked for over the link.
    Request = 2,
    /// The watchdog bit: the event loop stood still.
    Watchdog = 3,
    /// Code panicked.
    Panic = 4,
    /// The processor faulted: bus, memory or usage.
    Fault = 5,
    /// The stack reached its end.
    Stack = 6,
    /// The reset pin.
    Pin = 7,
}

impl Reset {
    /// All of them, by number.
    pub const ALL: [Reset; 8] = [
        Reset::Unknown,
        Reset::Power,
        Reset::Request,
        Reset::Watchdog,
        Reset::Panic,
        Reset::Fault,
        Reset::Stack,
        Reset::Pin,
    ];

    /// Unknown for a number of a newer device.
    pub fn from_number(number: u8) -> Reset {
        Reset::ALL.into_iter().find(|reset| *reset as u8 == number).unwrap_or_default()
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Reset::Unknown => "unknown",
            Reset::Power => "power",
            Reset::Request => "request",
            Reset::Watchdog => "watchdog",
            Reset::Panic => "panic",
            Reset::Fault => "processor fault",
            Reset::Stack => "stack",
            Reset::Pin => "reset pin",
        }
    }
}

/// Why a frame is not shown to the network: faults of the picture, of its time, of the camera.
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

    /// `None` for a number of a newer device.
    pub fn from_number(number: u32) -> Option<Unfit> {
        Unfit::ALL.into_iter().find(|unfit| u32::from(unfit.code()) == number)
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

    /// The fault of this name.
    pub fn from_name(name: &str) -> Option<Unfit> {
        Unfit::ALL.into_iter().find(|unfit| unfit.name() == name)
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
    fn numbers_are_places_and_names_differ() {
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(Code::from_number(place as u16 + 1), Some(code));
            assert!(Code::ALL.iter().all(|other| *other == code || other.name() != code.name()));
        }
        assert_eq!((Code::from_number(0), Code::from_number(19)), (None, None));
        for (place, reset) in Reset::ALL.into_iter().enumerate() {
            assert_eq!(Reset::from_number(place as u8), reset);
        }
        assert_eq!(Reset::from_number(8), Reset::Unknown);
    }

    #[test]
    fn faults_of_frames_have_the_numbers_of_the_wire() {
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
            assert_eq!(Unfit::from_number(number.into()), Some(unfit));
            assert_eq!(Unfit::from_name(name), Some(unfit));
        }
        assert_eq!((Unfit::from_number(10), Unfit::from_number(256)), (None, None));
        assert_eq!(Unfit::from_name("FINE"), None);
    }
}
