//! A device and a host on two wires, for tests and examples.
#![allow(dead_code)]

use gradgate_link::channel::{Channel, Faults, Random, Tally};
use gradgate_link::frame::{FRAME_BYTES_MAX, PACKET_BYTES_MAX, encode};
use gradgate_link::message::{Digest, Reply};
use gradgate_link::session::{Heard, Poll, Received, RequestError, Timing};
use gradgate_link::upload::{Announced, Progress, Receiver, Sender, Sink, SinkError};
use gradgate_link::{Decoder, Key, Request, Requester, Responder};

/// The key of all tests.
pub fn key() -> Key {
    Key::new(&[0x5A; 32])
}

/// The frame of a packet.
pub fn framed(packet: &[u8]) -> Vec<u8> {
    let mut out = [0; FRAME_BYTES_MAX];
    let length = encode(packet, &mut out).expect("packets of tests fit");
    out[..length].to_vec()
}

/// A slot in memory, which checks that pieces come in order.
#[derive(Default)]
pub struct Slot {
    pub bytes: Vec<u8>,
    pub digest: Digest,
    pub finished: Option<Digest>,
    pub begun: u32,
}

impl Sink for Slot {
    fn begin(&mut self, upload: &Announced<'_>) -> Result<u32, SinkError> {
        (self.begun, self.finished) = (self.begun + 1, None);
        if self.digest != upload.digest {
            self.bytes.clear();
        }
        self.digest = upload.digest;
        Ok(self.bytes.len() as u32)
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> bool {
        let offset = offset as usize;
        bytes.copy_from_slice(&self.bytes[offset..offset + bytes.len()]);
        true
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SinkError> {
        assert_eq!(offset as usize, self.bytes.len(), "pieces come in order");
        self.bytes.extend(bytes);
        Ok(())
    }

    fn finish(&mut self, _total_bytes: u32, digest: &Digest) -> Result<(), SinkError> {
        self.finished = Some(*digest);
        Ok(())
    }
}

/// Device and slot behind a decoder; counts what it does.
pub struct Device {
    pub decoder: Decoder,
    pub responder: Responder,
    pub receiver: Receiver,
    pub slot: Slot,
    pub executed: u32,
    out: [u8; PACKET_BYTES_MAX],
}

impl Device {
    pub fn new(boot: u32) -> Device {
        Device {
            decoder: Decoder::new(),
            responder: Responder::new(key(), boot, PACKET_BYTES_MAX as u16),
            receiver: Receiver::new(),
            slot: Slot::default(),
            executed: 0,
            out: [0; PACKET_BYTES_MAX],
        }
    }

    /// Takes bytes; the frames it sends for them.
    pub fn take(&mut self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(packet) = self.decoder.feed(&mut bytes) {
            let length = match self.responder.receive(packet, &mut self.out) {
                Ok(Received::Send(length)) => length,
                Ok(Received::Execute(ticket, request)) => {
                    self.executed += 1;
                    let reply = self.receiver.answer(&request, &mut self.slot);
                    let reply = reply.unwrap_or(Reply::Done);
                    let answered = self.responder.answer(&ticket, &reply, &mut self.out);
                    answered.expect("answers of tests are short")
                }
                Err(_) => continue,
            };
            sent.push(framed(&self.out[..length]));
        }
        sent
    }
}

/// What an upload over bad wires came to.
pub struct Outcome {
    pub device: Device,
    pub done: bool,
    pub to_device: Tally,
    /// Every frame that the host sent.
    pub recorded: Vec<Vec<u8>>,
    pub sessions: u32,
}

/// An upload over two wires with `faults`; a plug is pulled every `cut_every` requests, 0: never.
pub fn upload(seed: u64, image: &[u8], chunk: usize, faults: Faults, cut_every: u32) -> Outcome {
    let mut random = Random::new(seed);
    let mut wires = [0; 2].map(|_| Channel::new(random.bits(), faults));
    let mut device = Device::new(seed as u32);
    let mut host = Requester::new(key(), Timing { timeout_ms: 40, tries: 5 });
    let mut heard_decoder: Decoder = Decoder::new();
    let mut sender = Sender::new(image, chunk).expect("images of tests are not empty");
    let (mut recorded, mut sessions, mut requests) = (Vec::new(), 0, 0);
    let mut now = 0;
    let mut connected = false;
    while sender.request().is_some() && now < 10_000_000 {
        let mut outgoing = match host.poll(now) {
            Poll::Send(packet) => Some(framed(packet)),
            Poll::Wait(_) => None,
            Poll::Idle | Poll::GivenUp => None,
        };
        if outgoing.is_none() && host.is_open() {
            let request = sender.request().expect("asked above");
            match host.request(&request, now) {
                Ok(packet) => {
                    requests += 1;
                    outgoing = Some(framed(packet));
                }
                Err(RequestError::Waiting) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        if cut_every > 0 && requests >= cut_every {
            (requests, connected) = (0, false);
            wires.iter_mut().for_each(Channel::cut);
        }
        let closed = !host.is_open() && matches!(host.poll(now), Poll::Idle);
        if !connected || closed {
            connected = true;
            sessions += 1;
            sender.ask();
            outgoing = Some(framed(host.hello(random.bits(), now)));
        }
        if let Some(frame) = outgoing {
            wires[0].send(now, &frame);
            recorded.push(frame);
        }
        for frame in device.take(&wires[0].receive(now)) {
            wires[1].send(now, &frame);
        }
        let arrived = wires[1].receive(now);
        let mut arrived = &arrived[..];
        while let Some(packet) = heard_decoder.feed(&mut arrived) {
            if let Heard::Reply(reply) = host.receive(packet, now) {
                sender.answered(&reply);
            }
        }
        now += 1;
    }
    let done = sender.progress() == Progress::Done;
    Outcome { device, done, to_device: wires[0].tally(), recorded, sessions }
}

/// Bytes that differ by seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..length).map(|_| random.bits() as u8).collect()
}

/// Frames of commands with requests of many lengths, in the device's next session.
pub fn commands(device: &mut Device, count: usize) -> Vec<Vec<u8>> {
    let mut host = Requester::new(key(), Timing { timeout_ms: 1, tries: 1 });
    let mut decoder: Decoder = Decoder::new();
    let mut hear = |host: &mut Requester, frames: Vec<Vec<u8>>| {
        for frame in frames {
            let mut bytes = &frame[..];
            while let Some(packet) = decoder.feed(&mut bytes) {
                assert_ne!(host.receive(packet, 0), Heard::Nothing, "the device answers");
            }
        }
    };
    let hello = framed(host.hello(count as u64, 0));
    hear(&mut host, device.take(&hello));
    let mut frames = vec![hello];
    for number in 0..count {
        let bytes = noise(number as u64, number * 7 % 300);
        let request = match number % 4 {
            0 => Request::Activate { slot: 1 },
            1 => Request::SendFrame { frame: 1, offset: 0, total_bytes: 9, bytes: &bytes },
            2 => Request::UploadChunk { offset: 0, bytes: &bytes },
            _ => Request::Reboot,
        };
        let frame = framed(host.request(&request, 0).expect("a session is open"));
        hear(&mut host, device.take(&frame));
        frames.push(frame);
    }
    frames
}
