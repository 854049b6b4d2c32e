//! The host's end of the link over the emulated board's serial port.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gradgate_device::log::Code;
use gradgate_link::frame::{FRAME_BYTES_MAX, PACKET_BYTES_MAX, encode};
use gradgate_link::message::{Event, Judged, Reply, events};
use gradgate_link::packet::{Header, Kind, Packet, write};
use gradgate_link::session::{Heard, Poll, Timing};
use gradgate_link::upload::{Progress, Sender};
use gradgate_link::{Decoder, Key, Refusal, Request, Requester, Telemetry};

use crate::flash::LINK_KEY;

/// Bytes of an upload or a frame in one request.
const CHUNK_BYTES: usize = 2048;
/// A device that is silent for so long is not there any more.
const TIMING: Timing = Timing { timeout_ms: 3000, tries: 20 };

/// A frame is sent so often before a refusal counts.
const FRAME_TRIES: u32 = 5;

/// The device does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent;

/// What a status says, without its borrowed name.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Why the device started last.
    pub reset: u8,
    /// The gate.
    pub open: bool,
    /// Starts so far.
    pub boots: u32,
    /// Room for the stack, and the most that was used.
    pub stack: (u32, u32),
}

/// A link.
pub struct Client {
    port: TcpStream,
    requester: Requester,
    decoder: Decoder,
    begin: Instant,
    /// What the device told unasked.
    pub told: Vec<Telemetry>,
}

impl Client {
    /// Opens a session.
    pub fn open(port: TcpStream) -> Result<Self, Silent> {
        port.set_read_timeout(Some(Duration::from_millis(2))).expect("a socket");
        let mut client = Self {
            port,
            requester: Requester::new(Key::new(&LINK_KEY), TIMING),
            decoder: Decoder::new(),
            begin: Instant::now(),
            told: Vec::new(),
        };
        client.hello()?;
        Ok(client)
    }

    /// Opens another session, as after a restart.
    pub fn hello(&mut self) -> Result<(), Silent> {
        let nonce =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
        let now_ms = self.now_ms();
        let packet = self.requester.hello(nonce, now_ms).to_vec();
        self.send(&packet);
        self.wait(|heard| matches!(heard, Heard::Open(_)).then_some(()))
    }

    /// Bytes as they are, which may be no packet.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.port.write_all(bytes).expect("the serial port");
    }

    fn now_ms(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    fn send(&mut self, packet: &[u8]) -> usize {
        let mut framed = [0; FRAME_BYTES_MAX];
        let length = encode(packet, &mut framed).expect("a packet");
        self.raw(&framed[..length]);
        length
    }

    /// Reads until `each` has what it wants.
    fn wait<T>(&mut self, mut each: impl FnMut(&Heard<'_>) -> Option<T>) -> Result<T, Silent> {
        let mut arrived = [0; 4096];
        loop {
            let now_ms = self.now_ms();
            let again = match self.requester.poll(now_ms) {
                Poll::Send(packet) => Some(packet.to_vec()),
                Poll::GivenUp => return Err(Silent),
                Poll::Idle | Poll::Wait(_) => None,
            };
            if let Some(packet) = again {
                self.send(&packet);
            }
            let length = match self.port.read(&mut arrived) {
                Ok(0) => return Err(Silent),
                Ok(length) => length,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => continue,
                    _ => panic!("the serial port: {error}"),
                },
            };
            let mut bytes = &arrived[..length];
            let mut found = None;
            while let Some(packet) = self.decoder.feed(&mut bytes) {
                let heard = self.requester.receive(packet, now_ms);
                if let Heard::Telemetry { telemetry, .. } = &heard {
                    self.told.push(*telemetry);
                }
                found = found.or_else(|| each(&heard));
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// Asks once without waiting for the answer.
    pub fn ask_only(&mut self, request: &Request<'_>) {
        let now_ms = self.now_ms();
        let packet = self.requester.request(request, now_ms).expect("an open session").to_vec();
        self.send(&packet);
    }

    /// Asks, and makes something of the answer.
    pub fn ask<T>(
        &mut self,
        request: &Request<'_>,
        mut each: impl FnMut(&Reply<'_>) -> T,
    ) -> Result<T, Silent> {
        self.ask_only(request);
        self.wait(|heard| match heard {
            Heard::Reply(reply) => Some(each(reply)),
            _ => None,
        })
    }

    /// Asks for something that is done or refused.
    pub fn done(&mut self, request: &Request<'_>) -> Result<(), Refusal> {
        let answer = self.ask(request, |reply| match reply {
            Reply::Done => Ok(()),
            Reply::Refused(refusal) => Err(*refusal),
            other => panic!("{request:?}: {other:?}"),
        });
        answer.expect("a device that answers")
    }

    /// Uploads a bundle.
    pub fn upload(&mut self, bundle: &[u8]) -> Progress {
        let mut sender = Sender::new(bundle, CHUNK_BYTES).expect("a bundle");
        while let Some(request) = sender.request() {
            self.ask(&request, |reply| sender.answered(reply)).expect("a device that answers");
        }
        sender.progress()
    }

    /// Sends a frame; its verdict, if there is one. Between two pieces the host may pause longer
    /// than the device waits: it refuses the next one, and the frame begins anew.
    pub fn send_frame(&mut self, number: u32, pixels: &[u8]) -> Result<Option<Judged>, Silent> {
        for _ in 0..FRAME_TRIES {
            if let Some(judged) = self.send_once(number, pixels)? {
                return Ok(judged);
            }
        }
        panic!("frame {number}: refused {FRAME_TRIES} times");
    }

    /// `None` where a piece behind the first was refused.
    fn send_once(&mut self, frame: u32, pixels: &[u8]) -> Result<Option<Option<Judged>>, Silent> {
        let total_bytes = pixels.len() as u32;
        let mut judged = None;
        for (index, bytes) in pixels.chunks(CHUNK_BYTES).enumerate() {
            let offset = (index * CHUNK_BYTES) as u32;
            let request = Request::SendFrame { frame, offset, total_bytes, bytes };
            let answer = self.ask(&request, |reply| match reply {
                Reply::Judged(judged) => Some(Some(*judged)),
                Reply::Done => Some(None),
                Reply::Refused(Refusal::Range) if offset > 0 => None,
                other => panic!("{other:?}"),
            })?;
            match answer {
                Some(answer) => judged = answer,
                None => return Ok(None),
            }
        }
        Ok(Some(judged))
    }

    /// The verdict on a frame.
    pub fn judge(&mut self, number: u32, pixels: &[u8]) -> Judged {
        self.send_frame(number, pixels).expect("a device that answers").expect("a whole frame")
    }

    /// How the device is.
    pub fn health(&mut self) -> Health {
        let health = self.ask(&Request::ReadStatus, |reply| match reply {
            Reply::Status(status) => Health {
                reset: status.reset,
                open: status.open,
                boots: status.boots,
                stack: (status.stack_bytes, status.stack_used),
            },
            other => panic!("{other:?}"),
        });
        health.expect("a device that answers")
    }

    /// All of the log.
    pub fn log(&mut self) -> Vec<Event> {
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let request = Request::ReadLog { from };
            let next = self.ask(&request, |reply| match reply {
                Reply::Log { next, events: bytes, .. } => {
                    seen.extend(events(bytes));
                    *next
                }
                other => panic!("{other:?}"),
            });
            let next = next.expect("a device that answers");
            if next == from {
                return seen;
            }
            from = next;
        }
    }

    /// The values that the log has for a code.
    pub fn logged(&mut self, code: Code) -> Vec<u32> {
        let all = self.log().into_iter();
        all.filter(|event| event.code == code as u16).map(|event| event.value).collect()
    }
}

/// What breaks the link's manners on purpose.
impl Client {
    /// Sends a frame in one piece again and again without listening for answers; how many bytes.
    pub fn pour_frames(&mut self, count: u32, pixels: &[u8]) -> usize {
        let total_bytes = pixels.len() as u32;
        let request = |frame| Request::SendFrame { frame, offset: 0, total_bytes, bytes: pixels };
        let now_ms = self.now_ms();
        let first = self.requester.request(&request(1), now_ms).expect("an open session").to_vec();
        let first = Packet::parse(&first).expect("own packet");
        let (session, sequence) = (first.session, first.sequence);
        let mut bytes = 0;
        for number in 0..count {
            let header =
                Header { kind: Kind::Command, session, sequence: sequence.wrapping_add(number) };
            let mut packet = [0; PACKET_BYTES_MAX];
            let length = write(header, &request(number), &Key::new(&LINK_KEY), &mut packet);
            bytes += self.send(&packet[..length.expect("a frame that fits in a packet")]);
        }
        bytes
    }

    /// Telemetry that the device says it lost.
    pub fn dropped(&self) -> u32 {
        let counts = self.told.iter().filter_map(|told| match told {
            Telemetry::Dropped { count } => Some(*count),
            _ => None,
        });
        counts.max().unwrap_or(0)
    }
}
