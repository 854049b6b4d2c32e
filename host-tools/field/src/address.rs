//! Where a device is plugged in: `tcp://HOST:PORT`, or the name of a serial port.

use std::fmt;
use std::str::FromStr;

/// Bits a second of a serial port where nobody says otherwise.
pub const BAUD: u32 = 115_200;

/// Where a device is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A TCP server, such as QEMU's UART.
    Tcp {
        /// Name or number of the host, and the port.
        endpoint: String,
    },
    /// A serial port by the system's name, such as `/dev/ttyACM0` or `COM3`.
    Serial {
        /// The name.
        name: String,
    },
}

/// A text that names no port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
}

impl fmt::Display for AddressError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        write!(out, "{text:?} names no port: write tcp://HOST:PORT, /dev/ttyACM0 or COM3")
    }
}

impl std::error::Error for AddressError {}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { endpoint } => write!(out, "tcp://{endpoint}"),
            Address::Serial { name } => out.write_str(name),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let error = || AddressError { text: text.to_owned() };
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(error());
        }
        let Some(endpoint) = text.strip_prefix("tcp://") else {
            // Another scheme would be taken for a file.
            if text.contains("://") {
                return Err(error());
            }
            return Ok(Address::Serial { name: text.to_owned() });
        };
        let (host, port) = endpoint.rsplit_once(':').ok_or_else(error)?;
        let port: u16 = port.parse().map_err(|_| error())?;
        if host.is_empty() || port == 0 {
            return Err(error());
        }
        Ok(Address::Tcp { endpoint: endpoint.to_owned() })
    }
}

impl Address {
    /// Whether a text looks like an address rather than a device's name.
    pub fn is_address(text: &str) -> bool {
        text.starts_with("tcp://") || text.starts_with('/') || text.starts_with("COM")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let good =
            ["tcp://127.0.0.1:4444", "tcp://[::1]:9", "tcp://board.local:1", "/dev/ttyS0", "COM3"];
        for text in good {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(text.to_owned()));
        }
        let bad =
            ["", "tcp://", "tcp://host", "tcp://:80", "tcp://h:0", "tcp://h:70000", "udp://h:1"];
        for text in bad {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
