//! Where a client's bytes, times and random numbers come from: a port and the system, or a world
//! of its own that a test turns.

use std::str::FromStr;
use std::time::{Duration, Instant};

use gradgate_link::channel::{Channel, Faults, FaultsError, Tally};
use gradgate_link::frame::DELIMITER;

use crate::address::Address;
use crate::error::Error;
use crate::lock::Lock;
use crate::port::{self, Port};

/// A port that was lost is looked for this often.
const AGAIN: Duration = Duration::from_millis(100);

/// Bytes, times and random numbers. A simulation moves its clock in [`Wire::read`] alone, so
/// everything runs in one thread and no time passes but its own.
pub trait Wire {
    /// Milliseconds since any moment.
    fn now_ms(&mut self) -> u64;
    /// Takes bytes that arrived; waits for the first of them until `until_ms` at most. 0: none.
    fn read(&mut self, buffer: &mut [u8], until_ms: u64) -> usize;
    /// Sends the bytes of one frame. What cannot be sent is lost, as on any wire.
    fn write(&mut self, frame: &[u8]);
    /// A random number that nobody can guess.
    fn nonce(&mut self) -> u64;
    /// Why nothing can arrive at present, where that is known.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// A port, the system's clock and its random numbers. A port that is lost, as USB is when a board
/// restarts, is opened again as soon as it is back.
pub struct Live {
    address: Address,
    baud: u32,
    port: Option<Box<dyn Port>>,
    trouble: Option<String>,
    start: Instant,
    again: Instant,
    _lock: Lock,
}

impl Live {
    /// Opens a port; it is this program's alone until it is dropped.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Open`].
    pub fn open(address: &Address, baud: u32) -> Result<Live, Error> {
        let lock = Lock::take(&std::env::temp_dir(), &port::name(address))?;
        let port = Some(port::open(address, baud)?);
        let start = Instant::now();
        let address = address.clone();
        Ok(Live { address, baud, port, trouble: None, start, again: start, _lock: lock })
    }

    fn lose(&mut self, error: &std::io::Error) {
        self.trouble = Some(error.to_string());
        self.port = None;
    }

    fn find(&mut self) {
        if self.port.is_some() || Instant::now() < self.again {
            return;
        }
        self.again = Instant::now() + AGAIN;
        match port::open(&self.address, self.baud) {
            Ok(port) => (self.port, self.trouble) = (Some(port), None),
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }
}

impl Wire for Live {
    fn now_ms(&mut self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn read(&mut self, buffer: &mut [u8], until_ms: u64) -> usize {
        self.find();
        let left = Duration::from_millis(until_ms.saturating_sub(self.now_ms()).max(1));
        let Some(port) = &mut self.port else {
            std::thread::sleep(left.min(AGAIN));
            return 0;
        };
        match port.read(buffer, left) {
            Ok(length) => length,
            Err(error) => {
                self.lose(&error);
                0
            }
        }
    }

    fn write(&mut self, frame: &[u8]) {
        self.find();
        if let Some(port) = &mut self.port
            && let Err(error) = port.write(frame)
        {
            self.lose(&error);
        }
    }

    fn nonce(&mut self) -> u64 {
        // Without the system's numbers the clock makes at least an old welcome unlikely.
        getrandom::u64().unwrap_or_else(|_| self.start.elapsed().as_nanos() as u64)
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }
}

/// Faults and their seed, as a flag has them: `drop=0.01,flip=1e-5,seed=7`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spoilt {
    /// Same seed, same faults; 1 where none is given.
    pub seed: u64,
    /// How often each.
    pub faults: Faults,
}

impl FromStr for Spoilt {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Spoilt, FaultsError> {
        let mut seed = 1;
        let mut rest = Vec::new();
        for part in text.split(',') {
            match part.strip_prefix("seed=") {
                Some(number) => seed = number.parse().map_err(|_| FaultsError::Number)?,
                None => rest.push(part),
            }
        }
        Ok(Spoilt { seed, faults: rest.join(",").parse()? })
    }
}

/// A wire that fails in both directions as wires do, the same way for the same seed.
pub struct Faulty<W> {
    wire: W,
    out: Channel,
    back: Channel,
    /// Arrived bytes up to a delimiter: faults befall frames.
    open: Vec<u8>,
    ready: Vec<u8>,
}

impl<W: Wire> Faulty<W> {
    /// Spoils `wire`.
    pub fn new(wire: W, seed: u64, faults: Faults) -> Faulty<W> {
        let out = Channel::new(seed, faults);
        let back = Channel::new(!seed, faults);
        Faulty { wire, out, back, open: Vec::new(), ready: Vec::new() }
    }

    /// What happened to frames out and back.
    pub fn tally(&self) -> [Tally; 2] {
        [self.out.tally(), self.back.tally()]
    }

    fn depart(&mut self, now_ms: u64) {
        let due = self.out.receive(now_ms);
        if !due.is_empty() {
            self.wire.write(&due);
        }
    }

    fn arrive(&mut self, bytes: &[u8], now_ms: u64) {
        for &byte in bytes {
            self.open.push(byte);
            if byte == DELIMITER && self.open.len() > 1 {
                self.back.send(now_ms, &std::mem::take(&mut self.open));
            }
        }
    }
}

impl<W: Wire> Wire for Faulty<W> {
    fn now_ms(&mut self) -> u64 {
        self.wire.now_ms()
    }

    fn read(&mut self, buffer: &mut [u8], until_ms: u64) -> usize {
        loop {
            let now_ms = self.wire.now_ms();
            self.depart(now_ms);
            self.ready.extend(self.back.receive(now_ms));
            let length = self.ready.len().min(buffer.len());
            if length > 0 || now_ms >= until_ms {
                buffer[..length].copy_from_slice(&self.ready[..length]);
                self.ready.drain(..length);
                return length;
            }
            let next = [self.out.next_ms(), self.back.next_ms()];
            let next_ms = next.into_iter().flatten().fold(until_ms, u64::min);
            let mut arrived = [0; 1024];
            let length = self.wire.read(&mut arrived, next_ms);
            let now_ms = self.wire.now_ms();
            self.arrive(&arrived[..length], now_ms);
        }
    }

    fn write(&mut self, frame: &[u8]) {
        let now_ms = self.wire.now_ms();
        self.out.send(now_ms, frame);
        self.depart(now_ms);
    }

    fn nonce(&mut self) -> u64 {
        self.wire.nonce()
    }

    fn trouble(&self) -> Option<String> {
        self.wire.trouble()
    }
}

impl Wire for Box<dyn Wire> {
    fn now_ms(&mut self) -> u64 {
        (**self).now_ms()
    }

    fn read(&mut self, buffer: &mut [u8], until_ms: u64) -> usize {
        (**self).read(buffer, until_ms)
    }

    fn write(&mut self, frame: &[u8]) {
        (**self).write(frame);
    }

    fn nonce(&mut self) -> u64 {
        (**self).nonce()
    }

    fn trouble(&self) -> Option<String> {
        (**self).trouble()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_has_faults_and_a_seed() {
        let faults = Faults { drop: 0.01, ..Faults::default() };
        let table = [
            ("drop=0.01,seed=7", Ok(Spoilt { seed: 7, faults })),
            ("seed=7,drop=0.01", Ok(Spoilt { seed: 7, faults })),
            ("drop=0.01", Ok(Spoilt { seed: 1, faults })),
            ("seed=x", Err(FaultsError::Number)),
            ("loss=0.01", Err(FaultsError::Name)),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }
}
