//! Numbers of the log's events and of resets: both ends read them here. Frozen and append-only; the
//! field guide has a row for each.

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
    /// A frame was unfit before the network saw it; value: the fault's number.
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
}
