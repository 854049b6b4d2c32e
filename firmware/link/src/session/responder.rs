//! The device's side: packets in, commands to execute and packets to send out.
//!
//! Holding a [`Ticket`] proves that its command came from the holder of the key, in the open
//! session, and was not handed out before.

use crate::frame::PACKET_BYTES_MAX;
use crate::mac::{Key, TAG_BYTES};
use crate::message::{Hello, Refusal, Reply, Request, Welcome};
use crate::packet::{HEADER_BYTES, Header, Kind, Packet, message, seal, write};
use crate::session::{REPLY_BYTES_MAX, VERSION, WINDOW};
use crate::telemetry::Telemetry;

/// What a packet asks of the device.
#[derive(Debug, PartialEq)]
pub enum Received<'p> {
    /// Do this once, then [`Responder::answer`].
    Execute(Ticket, Request<'p>),
    /// Send the packet in the first bytes of `out`.
    Send(usize),
}

/// The right to answer one command.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    session: u64,
    sequence: u32,
}

/// Why a packet is answered by nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Not a packet, or not one for a device.
    Malformed,
    /// Another session than the open or the offered one.
    Session,
    /// The tag is not the key's.
    Tag,
    /// Its answer is no longer kept.
    Stale,
    /// A command before it is missing.
    Ahead,
    /// It is being executed; the answer will come.
    Pending,
    /// No session or sequence numbers are left; a restart gives new ones.
    Exhausted,
    /// `out` is too short for an answer.
    Room,
}

/// Why an answer was not taken; the command stays unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// Its session is over: nobody waits.
    Session,
    /// Longer than [`REPLY_BYTES_MAX`], or `out` is too short.
    Long,
    /// Busy is said before a command is taken, not after.
    Busy,
}

/// What was ignored and repeated; counts stop at their maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands handed out.
    pub executed: u32,
    /// Stored answers sent again.
    pub repeated: u32,
    /// Commands that must wait.
    pub busy: u32,
    /// Commands of other sessions.
    pub session: u32,
    /// Commands with a wrong tag.
    pub tag: u32,
    /// Commands that were stale, ahead or under way.
    pub order: u32,
}

/// The answer to one command, or that it is still to come.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// Tag of the command: what repeats its numbers without being it gets no answer of it.
    tag: [u8; TAG_BYTES],
    pending: bool,
    length: usize,
    bytes: [u8; REPLY_BYTES_MAX],
}

const NONE: Stored =
    Stored { tag: [0; TAG_BYTES], pending: false, length: 0, bytes: [0; REPLY_BYTES_MAX] };

/// The device's state of the link.
#[derive(Debug)]
pub struct Responder {
    key: Key,
    packet_bytes_max: u16,
    serial: [u8; 16],
    /// The open session; 0: none.
    session: u64,
    /// The next one, offered in every welcome until a command opens it; 0: none is left.
    offered: u64,
    /// Sequence number of the next new command.
    next: u32,
    stored: [Stored; WINDOW],
    telemetry_next: u32,
    counts: Counts,
}

impl Responder {
    /// `boot` must never be used twice with `key`, across restarts: it starts the numbers of
    /// sessions, and with them recorded commands die. A counter in flash will do, no secret is
    /// needed. `packet_bytes_max` is what the device's decoder takes.
    pub fn new(key: Key, boot: u32, packet_bytes_max: u16) -> Responder {
        let offered = (u64::from(boot) << 32) | 1;
        let (session, next, stored) = (0, 1, [NONE; WINDOW]);
        let counts = Counts::default();
        Responder {
            key,
            packet_bytes_max,
            serial: [0; 16],
            session,
            offered,
            next,
            stored,
            telemetry_next: 1,
            counts,
        }
    }

    /// Tells every host the chip's number before any key is agreed on.
    pub fn with_serial(self, serial: [u8; 16]) -> Responder {
        Responder { serial, ..self }
    }

    /// What was ignored and repeated so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether a session is open.
    pub fn is_open(&self) -> bool {
        self.session != 0
    }

    /// Takes a packet that a decoder found; what is to be sent is written to `out`, which holds
    /// [`PACKET_BYTES_MAX`] bytes.
    pub fn receive<'p>(
        &mut self,
        packet: &'p [u8],
        out: &mut [u8],
    ) -> Result<Received<'p>, Ignored> {
        let packet = Packet::parse(packet).ok_or(Ignored::Malformed)?;
        let received = match packet.kind {
            Kind::Hello => self.hello(&packet, out),
            Kind::Command => self.command(&packet, out),
            Kind::Welcome | Kind::Reply | Kind::Telemetry => Err(Ignored::Malformed),
        };
        let count = match &received {
            Err(Ignored::Session) => &mut self.counts.session,
            Err(Ignored::Tag) => &mut self.counts.tag,
            Err(Ignored::Stale | Ignored::Ahead | Ignored::Pending) => &mut self.counts.order,
            Ok(Received::Execute(..)) => &mut self.counts.executed,
            _ => return received,
        };
        *count = count.saturating_add(1);
        received
    }

    /// A hello changes nothing, so that noise or a stranger cannot end a session: it is the first
    /// command with the offered number that does.
    fn hello<'p>(&self, packet: &Packet<'_>, out: &mut [u8]) -> Result<Received<'p>, Ignored> {
        let hello: Hello = message(packet.body).ok_or(Ignored::Malformed)?;
        if self.offered == 0 {
            return Err(Ignored::Exhausted);
        }
        let speaks = (hello.version_min..=hello.version_max).contains(&VERSION);
        let welcome = Welcome {
            version: if speaks { VERSION } else { 0 },
            nonce: hello.nonce,
            window: WINDOW as u8,
            packet_bytes_max: self.packet_bytes_max,
            serial: self.serial,
        };
        let header = Header { kind: Kind::Welcome, session: self.offered, sequence: 0 };
        let length = write(header, &welcome, &self.key, out).ok_or(Ignored::Room)?;
        Ok(Received::Send(length))
    }

    fn command<'p>(
        &mut self,
        packet: &Packet<'p>,
        out: &mut [u8],
    ) -> Result<Received<'p>, Ignored> {
        let opens = packet.session == self.offered;
        if packet.session == 0 || (packet.session != self.session && !opens) {
            return Err(Ignored::Session);
        }
        if !packet.is_authentic(&self.key) {
            return Err(Ignored::Tag);
        }
        if opens {
            if packet.sequence != 1 {
                return Err(Ignored::Ahead);
            }
            self.open();
        }
        let sequence = packet.sequence;
        if sequence == self.next {
            return self.new_command(packet, out);
        }
        let age = self.next.checked_sub(sequence).ok_or(Ignored::Ahead)?;
        if sequence == 0 || age as usize > WINDOW {
            return Err(Ignored::Stale);
        }
        self.repeat(packet, out)
    }

    /// The offered session becomes the open one.
    fn open(&mut self) {
        self.session = self.offered;
        self.next = 1;
        self.stored = [NONE; WINDOW];
        let count = (self.offered as u32).checked_add(1);
        let boot = self.offered & !u64::from(u32::MAX);
        self.offered = count.map_or(0, |count| boot | u64::from(count));
    }

    fn new_command<'p>(
        &mut self,
        packet: &Packet<'p>,
        out: &mut [u8],
    ) -> Result<Received<'p>, Ignored> {
        let sequence = packet.sequence;
        let after = sequence.checked_add(1).ok_or(Ignored::Exhausted)?;
        if self.stored(sequence).ok_or(Ignored::Room)?.pending {
            self.counts.busy = self.counts.busy.saturating_add(1);
            let header = Header { kind: Kind::Reply, session: self.session, sequence };
            let length = write(header, &Reply::Busy, &self.key, out).ok_or(Ignored::Room)?;
            return Ok(Received::Send(length));
        }
        let request = message(packet.body);
        self.next = after;
        if let Some(stored) = self.stored(sequence) {
            let tag = packet.tag().copied().unwrap_or_default();
            *stored = Stored { tag, pending: true, ..NONE };
        }
        let ticket = Ticket { session: self.session, sequence };
        match request {
            Some(request) => Ok(Received::Execute(ticket, request)),
            // Of a newer host, for the tag is right.
            None => {
                let refused = Reply::Refused(Refusal::Unknown);
                let length = self.answer(&ticket, &refused, out).map_err(|_| Ignored::Room)?;
                Ok(Received::Send(length))
            }
        }
    }

    /// Until a command opens it, a session is offered in every welcome, so two hosts, or one that
    /// began anew, may each hold a first command of it. One is executed; the other is not it.
    fn repeat<'p>(&mut self, packet: &Packet<'_>, out: &mut [u8]) -> Result<Received<'p>, Ignored> {
        let sequence = packet.sequence;
        let stored = self.stored(sequence).ok_or(Ignored::Stale)?;
        if packet.tag() != Some(&stored.tag) {
            return Err(Ignored::Stale);
        }
        if stored.pending {
            return Err(Ignored::Pending);
        }
        let length = self.send_stored(sequence, out).ok_or(Ignored::Room)?;
        self.counts.repeated = self.counts.repeated.saturating_add(1);
        Ok(Received::Send(length))
    }

    fn stored(&mut self, sequence: u32) -> Option<&mut Stored> {
        self.stored.get_mut(sequence as usize % WINDOW)
    }

    fn send_stored(&mut self, sequence: u32, out: &mut [u8]) -> Option<usize> {
        let stored = self.stored.get(sequence as usize % WINDOW)?;
        let body = stored.bytes.get(..stored.length)?;
        let place = out.get_mut(HEADER_BYTES..)?.get_mut(..body.len())?;
        // Of one length, which a compiler does not see: `copy_from_slice` would keep its panic.
        place.iter_mut().zip(body).for_each(|(to, from)| *to = *from);
        let header = Header { kind: Kind::Reply, session: self.session, sequence };
        seal(header, body.len(), &self.key, out)
    }

    /// Keeps the answer to a command and writes its packet to `out`; the packet's length.
    pub fn answer(
        &mut self,
        ticket: &Ticket,
        reply: &Reply<'_>,
        out: &mut [u8],
    ) -> Result<usize, AnswerError> {
        if ticket.session != self.session {
            return Err(AnswerError::Session);
        }
        if matches!(reply, Reply::Busy) {
            return Err(AnswerError::Busy);
        }
        let stored = self.stored(ticket.sequence).ok_or(AnswerError::Session)?;
        let length = postcard::to_slice(reply, &mut stored.bytes).map_err(|_| AnswerError::Long)?;
        (stored.length, stored.pending) = (length.len(), false);
        self.send_stored(ticket.sequence, out).ok_or(AnswerError::Long)
    }

    /// Writes a packet of telemetry to `out`; its length, `None` where it does not fit.
    pub fn telemetry(&mut self, telemetry: &Telemetry, out: &mut [u8]) -> Option<usize> {
        let sequence = self.telemetry_next;
        self.telemetry_next = sequence.wrapping_add(1);
        let header = Header { kind: Kind::Telemetry, session: self.session, sequence };
        write(header, telemetry, &self.key, out)
    }
}

// A packet with the longest answer must fit in a frame.
const _: () = assert!(HEADER_BYTES + REPLY_BYTES_MAX + TAG_BYTES <= PACKET_BYTES_MAX);
