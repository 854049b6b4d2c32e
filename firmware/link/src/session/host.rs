//! The host's side: one request at a time, sent again until it is answered.
//!
//! A device takes more before it answers; one at a time is what an upload of a few megabytes needs,
//! and a caller never has to sort answers.

use crate::frame::PACKET_BYTES_MAX;
use crate::mac::Key;
use crate::message::{Hello, Reply, Request, Welcome};
use crate::packet::{Header, Kind, Packet, message, write};
use crate::session::VERSION;
use crate::telemetry::Telemetry;

/// When to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Wait this long for an answer, in milliseconds.
    pub timeout_ms: u64,
    /// Send so often before giving up.
    pub tries: u32,
}

/// What a packet of the device says.
#[derive(Debug, PartialEq)]
pub enum Heard<'p> {
    /// A session is open.
    Open(Welcome),
    /// The device speaks none of our versions.
    Versions,
    /// The device has too much to do; what waits is sent again after the timeout.
    Busy,
    /// What came of the request.
    Reply(Reply<'p>),
    /// Unasked, and not authenticated.
    Telemetry {
        /// A gap tells of losses.
        sequence: u32,
        /// What is told.
        telemetry: Telemetry,
    },
    /// For nobody: an old answer, another session, a wrong tag, or no packet at all.
    Nothing,
}

/// Why nothing can be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// No session is open: say hello.
    Closed,
    /// The request before is not answered yet.
    Waiting,
    /// The request fits in no packet that the device takes.
    Long,
    /// No sequence numbers are left: say hello.
    Exhausted,
}

/// What time asks of the host.
#[derive(Debug, PartialEq, Eq)]
pub enum Poll<'a> {
    /// Nothing waits for an answer.
    Idle,
    /// Nothing to do before this time, in milliseconds.
    Wait(u64),
    /// Send this packet again.
    Send(&'a [u8]),
    /// Sent often enough: the device is not there, or has started anew. Say hello.
    GivenUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Welcome { nonce: u64 },
    Reply,
}

/// The host's state of the link.
#[derive(Debug)]
pub struct Requester {
    key: Key,
    timing: Timing,
    /// 0: none.
    session: u64,
    sequence: u32,
    packet_bytes_max: usize,
    waiting: Waiting,
    due_ms: u64,
    tries: u32,
    packet: [u8; PACKET_BYTES_MAX],
    length: usize,
}

impl Requester {
    /// No session is open.
    pub fn new(key: Key, timing: Timing) -> Requester {
        Requester {
            key,
            timing,
            session: 0,
            sequence: 0,
            packet_bytes_max: PACKET_BYTES_MAX,
            waiting: Waiting::Nothing,
            due_ms: 0,
            tries: 0,
            packet: [0; PACKET_BYTES_MAX],
            length: 0,
        }
    }

    /// Whether requests can be made.
    pub fn is_open(&self) -> bool {
        self.session != 0
    }

    /// Leaves the session and asks for another; the packet to send. `nonce` is drawn at random for
    /// each call.
    pub fn hello(&mut self, nonce: u64, now_ms: u64) -> &[u8] {
        (self.session, self.sequence) = (0, 0);
        let hello = Hello { version_min: VERSION, version_max: VERSION, nonce };
        let header = Header { kind: Kind::Hello, session: 0, sequence: 0 };
        // Always fits.
        self.length = write(header, &hello, &self.key, &mut self.packet).unwrap_or_default();
        self.wait(Waiting::Welcome { nonce }, now_ms)
    }

    /// Makes the packet of a request, to be sent.
    pub fn request(&mut self, request: &Request<'_>, now_ms: u64) -> Result<&[u8], RequestError> {
        if self.waiting != Waiting::Nothing {
            return Err(RequestError::Waiting);
        }
        if self.session == 0 {
            return Err(RequestError::Closed);
        }
        // The last number stays unused, as the device could not count on.
        let sequence = self.sequence.checked_add(1).filter(|next| *next < u32::MAX);
        let sequence = sequence.ok_or(RequestError::Exhausted)?;
        let header = Header { kind: Kind::Command, session: self.session, sequence };
        let length = write(header, request, &self.key, &mut self.packet)
            .filter(|length| *length <= self.packet_bytes_max)
            .ok_or(RequestError::Long)?;
        (self.length, self.sequence) = (length, sequence);
        Ok(self.wait(Waiting::Reply, now_ms))
    }

    fn wait(&mut self, waiting: Waiting, now_ms: u64) -> &[u8] {
        self.waiting = waiting;
        self.tries = 1;
        self.due_ms = now_ms.saturating_add(self.timing.timeout_ms);
        self.packet.get(..self.length).unwrap_or_default()
    }

    /// What is to be done at this time.
    pub fn poll(&mut self, now_ms: u64) -> Poll<'_> {
        if self.waiting == Waiting::Nothing {
            return Poll::Idle;
        }
        if now_ms < self.due_ms {
            return Poll::Wait(self.due_ms);
        }
        if self.tries >= self.timing.tries {
            self.waiting = Waiting::Nothing;
            self.session = 0;
            return Poll::GivenUp;
        }
        self.tries += 1;
        self.due_ms = now_ms.saturating_add(self.timing.timeout_ms);
        Poll::Send(self.packet.get(..self.length).unwrap_or_default())
    }

    /// Takes a packet that a decoder found.
    pub fn receive<'p>(&mut self, packet: &'p [u8], now_ms: u64) -> Heard<'p> {
        self.hear(packet, now_ms).unwrap_or(Heard::Nothing)
    }

    fn hear<'p>(&mut self, packet: &'p [u8], now_ms: u64) -> Option<Heard<'p>> {
        let packet = Packet::parse(packet)?;
        match (packet.kind, self.waiting) {
            (Kind::Telemetry, _) => {
                let (sequence, telemetry) = (packet.sequence, message(packet.body)?);
                Some(Heard::Telemetry { sequence, telemetry })
            }
            (Kind::Welcome, Waiting::Welcome { nonce }) => self.welcome(&packet, nonce),
            (Kind::Reply, Waiting::Reply) => self.reply(&packet, now_ms),
            _ => None,
        }
    }

    fn welcome<'p>(&mut self, packet: &Packet<'_>, nonce: u64) -> Option<Heard<'p>> {
        let authentic = packet.is_authentic(&self.key);
        let welcome: Welcome = authentic.then(|| message(packet.body)).flatten()?;
        if welcome.nonce != nonce || packet.session == 0 {
            return None;
        }
        self.waiting = Waiting::Nothing;
        if welcome.version != VERSION {
            return Some(Heard::Versions);
        }
        (self.session, self.sequence) = (packet.session, 0);
        self.packet_bytes_max = usize::from(welcome.packet_bytes_max);
        Some(Heard::Open(welcome))
    }

    fn reply<'p>(&mut self, packet: &Packet<'p>, now_ms: u64) -> Option<Heard<'p>> {
        let expected = (packet.session, packet.sequence) == (self.session, self.sequence);
        if !expected || !packet.is_authentic(&self.key) {
            return None;
        }
        match message(packet.body)? {
            Reply::Busy => {
                self.tries = 1;
                self.due_ms = now_ms.saturating_add(self.timing.timeout_ms);
                Some(Heard::Busy)
            }
            reply => {
                self.waiting = Waiting::Nothing;
                Some(Heard::Reply(reply))
            }
        }
    }
}
