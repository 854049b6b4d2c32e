//! The device's end of the link: bytes in and out, one packet at a time, nothing waits.
//!
//! What is sent goes into one buffer that the port empties. An answer that finds no room there is
//! kept by the responder, and the host asks again; telemetry goes only when the buffer is empty,
//! and its queue drops the oldest.

use gradgate_link::decoder::Counts;
use gradgate_link::frame::{PACKET_BYTES_MAX, encode, frame_bytes_max};
use gradgate_link::message::Reply;
use gradgate_link::session::{REPLY_BYTES_MAX, Received, Ticket};
use gradgate_link::{Decoder, Key, Request, Responder, Telemetry};

use crate::board::Board;

/// Packets with the longest answer: header, answer, tag.
const PACKET_OUT_BYTES: usize = 13 + REPLY_BYTES_MAX + 16;
/// Two such frames.
const SEND_BYTES: usize = 2 * frame_bytes_max(PACKET_OUT_BYTES);
/// Bytes taken off the port at once.
const READ_BYTES: usize = 256;

/// The device's end.
pub struct Wire {
    decoder: Decoder,
    responder: Responder,
    arrived: [u8; READ_BYTES],
    arrived_first: usize,
    arrived_end: usize,
    packet: [u8; PACKET_OUT_BYTES],
    sending: [u8; SEND_BYTES],
    sending_first: usize,
    sending_end: usize,
}

impl Wire {
    /// `boot` must never be used twice with this key; `serial` is the chip's own number.
    pub fn new(key: Key, boot: u32, serial: [u8; 16]) -> Self {
        Self {
            decoder: Decoder::new(),
            responder: Responder::new(key, boot, PACKET_BYTES_MAX as u16).with_serial(serial),
            arrived: [0; READ_BYTES],
            arrived_first: 0,
            arrived_end: 0,
            packet: [0; PACKET_OUT_BYTES],
            sending: [0; SEND_BYTES],
            sending_first: 0,
            sending_end: 0,
        }
    }

    /// Takes what the port has, up to one command, which `execute` answers at once or not at all:
    /// the ticket is then for [`Wire::answer`], and what `execute` gave comes with it.
    pub fn receive<B: Board, T>(
        &mut self,
        board: &mut B,
        execute: impl FnOnce(&mut B, &mut dyn FnMut(&Reply<'_>), Request<'_>) -> Option<T>,
    ) -> Option<(Ticket, T)> {
        if self.arrived_first == self.arrived_end {
            self.arrived_first = 0;
            self.arrived_end = board.read(&mut self.arrived).min(READ_BYTES);
        }
        let mut bytes = self.arrived.get(self.arrived_first..self.arrived_end).unwrap_or_default();
        let packet = self.decoder.feed(&mut bytes);
        self.arrived_first = self.arrived_end.saturating_sub(bytes.len());
        let received = self.responder.receive(packet?, &mut self.packet).ok()?;
        let (ticket, request) = match received {
            Received::Send(length) => {
                self.send(length);
                return None;
            }
            Received::Execute(ticket, request) => (ticket, request),
        };
        let (responder, packet) = (&mut self.responder, &mut self.packet);
        let mut length = None;
        let mut answer = |reply: &Reply<'_>| {
            length = responder.answer(&ticket, reply, packet).ok();
        };
        let later = execute(board, &mut answer, request);
        if let Some(length) = length {
            self.send(length);
        }
        later.map(|later| (ticket, later))
    }

    /// Answers a command that [`Wire::receive`] left open.
    pub fn answer(&mut self, ticket: &Ticket, reply: &Reply<'_>) {
        // A session that was replaced meanwhile has nobody who waits.
        if let Ok(length) = self.responder.answer(ticket, reply, &mut self.packet) {
            self.send(length);
        }
    }

    /// Gives the port as much as it takes; where nothing waits, the `next` telemetry.
    pub fn flush(&mut self, board: &mut impl Board, next: impl FnOnce() -> Option<Telemetry>) {
        // Nobody listens before a session is open; what waits is then the newest.
        if self.is_idle()
            && self.responder.is_open()
            && let Some(telemetry) = next()
            && let Some(length) = self.responder.telemetry(&telemetry, &mut self.packet)
        {
            self.send(length);
        }
        if let Some(bytes) = self.sending.get(self.sending_first..self.sending_end) {
            let taken = if bytes.is_empty() { 0 } else { board.write(bytes).min(bytes.len()) };
            self.sending_first = self.sending_first.saturating_add(taken);
        }
    }

    /// Whether everything was given to the port.
    pub fn is_idle(&self) -> bool {
        self.sending_first == self.sending_end
    }

    /// Frames that came in.
    pub fn counts(&self) -> Counts {
        self.decoder.counts()
    }

    /// Commands that were refused for their tag or session.
    pub fn refused(&self) -> u32 {
        let counts = self.responder.counts();
        counts.tag.saturating_add(counts.session)
    }

    /// Frames the packet of this length; without room it is dropped, and asked for again.
    fn send(&mut self, length: usize) {
        if self.sending_first == self.sending_end {
            (self.sending_first, self.sending_end) = (0, 0);
        }
        let packet = self.packet.get(..length).unwrap_or_default();
        let room = self.sending.get_mut(self.sending_end..).unwrap_or_default();
        if let Ok(framed) = encode(packet, room) {
            self.sending_end = self.sending_end.saturating_add(framed);
        }
    }
}
