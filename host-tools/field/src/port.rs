//! A port that is open: bytes in within a time, bytes out.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serialport::{SerialPort, SerialPortType};

use crate::address::Address;
use crate::error::Error;

/// A connection is made or refused within this time.
const CONNECT: Duration = Duration::from_secs(3);
/// Bytes that nobody takes for so long are lost.
const WRITE: Duration = Duration::from_secs(2);

/// An open port.
pub trait Port {
    /// Takes bytes that arrived; waits for the first of them so long at most. 0: none.
    ///
    /// # Errors
    /// The other end is gone.
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize>;
    /// Sends all bytes.
    ///
    /// # Errors
    /// The other end is gone, or takes nothing.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Opens a port at `baud` bits a second, which is for serial ports alone.
///
/// # Errors
/// [`Error::Absent`] where nothing is plugged in or nobody listens, [`Error::Open`].
pub fn open(address: &Address, baud: u32) -> Result<Box<dyn Port>, Error> {
    match address {
        Address::Tcp { endpoint } => Ok(Box::new(connect(endpoint)?)),
        Address::Serial { name } => {
            let port = serialport::new(name, baud).timeout(WRITE).open().map_err(|error| {
                let advice = "check the name (`gradgate devices`), the cable, and your permissions";
                refused(error.to_string(), is_unplugged(name, error.kind()), advice)
            })?;
            Ok(Box::new(Serial(port)))
        }
    }
}

fn connect(endpoint: &str) -> Result<TcpStream, Error> {
    let advice = "is the emulator or the bridge running there?";
    let failed = |error: io::Error| refused(error.to_string(), is_absent(error.kind()), advice);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in endpoint.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                stream.set_write_timeout(Some(WRITE)).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Whether nobody is there, rather than somebody whom we cannot reach.
fn is_absent(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NotFound
    )
}

/// Whether nothing is plugged in, rather than somebody else being at the port: the library has one
/// kind for both where the system has.
fn is_unplugged(name: &str, kind: serialport::ErrorKind) -> bool {
    use serialport::ErrorKind as Kind;
    match kind {
        Kind::Io(io::ErrorKind::NotFound) => true,
        // A path on Unix is there, or the kind above would be told.
        Kind::NoDevice if cfg!(windows) => serialport::available_ports()
            .is_ok_and(|ports| ports.iter().all(|port| port.port_name != name)),
        Kind::NoDevice | Kind::InvalidInput | Kind::Unknown | Kind::Io(_) => false,
    }
}

fn refused(reason: String, absent: bool, advice: &'static str) -> Error {
    let open = Error::Open { reason, advice };
    if absent { Error::Absent { message: open.to_string() } } else { open }
}

/// One name a port, however it was written.
pub fn name(address: &Address) -> String {
    match address {
        Address::Tcp { endpoint } => {
            let first = endpoint.to_socket_addrs().ok().and_then(|mut found| found.next());
            first.map_or_else(|| endpoint.clone(), |address| address.to_string())
        }
        Address::Serial { name } => std::fs::canonicalize(name)
            .map_or_else(|_| name.clone(), |path| path.display().to_string()),
    }
}

/// A serial port that the system lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its address.
    pub address: Address,
    /// What is plugged in, as it says itself; empty where it says nothing.
    pub product: String,
}

/// The serial ports at which a board may be: those of USB. Others are asked when they are named.
///
/// # Errors
/// [`Error::Open`] where the system lists none at all.
pub fn list() -> Result<Vec<Listed>, Error> {
    // The library panics where Linux lists no terminals at all, as in some containers.
    if cfg!(target_os = "linux") && !std::path::Path::new("/sys/class/tty").is_dir() {
        return Ok(Vec::new());
    }
    let ports = serialport::available_ports().map_err(|error| {
        let advice = "name the port: tcp://HOST:PORT, /dev/ttyACM0 or COM3";
        Error::Open { reason: format!("the system lists no ports: {error}"), advice }
    })?;
    let usb = ports.into_iter().filter_map(|port| match port.port_type {
        SerialPortType::UsbPort(usb) => {
            let product = [usb.manufacturer, usb.product].into_iter().flatten();
            let product = product.collect::<Vec<_>>().join(" ");
            Some(Listed { address: Address::Serial { name: port.port_name }, product })
        }
        _ => None,
    });
    let mut listed: Vec<Listed> = usb.collect();
    listed.sort_by(|one, other| one.address.cmp(&other.address));
    Ok(listed)
}

impl Port for TcpStream {
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(wait))?;
        match Read::read(self, buffer) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other end hung up")),
            other => later(other),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
}

struct Serial(Box<dyn SerialPort>);

impl Port for Serial {
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.0.set_timeout(wait).map_err(io::Error::from)?;
        match self.0.read(buffer) {
            // A pseudo-terminal or a USB port whose other end is gone.
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the port is gone")),
            other => later(other),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.set_timeout(WRITE).map_err(io::Error::from)?;
        self.0.write_all(bytes)
    }
}

/// Nothing yet is no error.
fn later(read: io::Result<usize>) -> io::Result<usize> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match read {
        Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => Ok(0),
        other => other,
    }
}
