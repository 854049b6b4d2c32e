//! A device in memory that misbehaves as it is told, and holds what a test knows to the byte: dead
//! in the middle, deaf for minutes of a virtual clock, without the answer that it owes. Real device
//! code does none of that; what a good device does is tested against it (`sim::Served`).

use gradgate_bundle::digest::sha256;
use gradgate_bundle::signature::{VerifiedManifest, VerifyingKey, key_id};
use gradgate_field::keys::LinkKey;
use gradgate_link::frame::{FRAME_BYTES_MAX, PACKET_BYTES_MAX, encode};
use gradgate_link::message::{
    Counters, Digest, Event, Evidence, HISTOGRAM_BINS, Identity, Judged, Slot, SlotState, Status,
    Verdict, push_event,
};
use gradgate_link::session::Received;
use gradgate_link::upload::{Announced, Receiver, Sink, SinkError};
use gradgate_link::{Decoder, Refusal, Reply, Request, Responder, Telemetry};

use super::{Board, Script, key};

/// A verdict every so many milliseconds.
const FRAME_MS: u64 = 100;

/// A slot in memory.
#[derive(Clone, Debug)]
pub struct Memory {
    pub state: SlotState,
    pub bytes: Vec<u8>,
    pub digest: Digest,
    erasing: u32,
    begin: Option<Refusal>,
}

impl Memory {
    fn new() -> Memory {
        let (bytes, digest) = (Vec::new(), [0; 32]);
        Memory { state: SlotState::Empty, bytes, digest, erasing: 0, begin: None }
    }

    fn identity(&self) -> Digest {
        self.bytes.get(..320).map_or([0; 32], sha256)
    }

    fn shown(&self) -> Slot {
        match self.state {
            SlotState::Empty => Slot {
                state: SlotState::Empty,
                total_bytes: 0,
                identity: [0; 32],
                security_counter: 0,
            },
            state => Slot {
                state,
                total_bytes: self.bytes.len() as u32,
                identity: self.identity(),
                security_counter: 7,
            },
        }
    }
}

impl Sink for Memory {
    fn begin(&mut self, upload: &Announced<'_>) -> Result<u32, SinkError> {
        if let Some(refusal) = self.begin {
            return Err(SinkError::Refused(refusal));
        }
        let prefix = upload.prefix.try_into().expect("320 bytes");
        if VerifiedManifest::verify(prefix, &key()).is_err() {
            return Err(SinkError::Refused(Refusal::Signature));
        }
        if self.state == SlotState::Staged && self.digest == upload.digest {
            // As the device: what waits cannot be read back.
            return Err(SinkError::Refused(Refusal::Storage));
        }
        if self.erasing > 0 {
            self.erasing -= 1;
            return Err(SinkError::NotNow);
        }
        if self.digest != upload.digest || self.state == SlotState::Rejected {
            self.bytes.clear();
        }
        (self.state, self.digest) = (SlotState::Empty, upload.digest);
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

    fn finish(&mut self, _total_bytes: u32, _digest: &Digest) -> Result<(), SinkError> {
        self.state = SlotState::Staged;
        Ok(())
    }
}

/// The device.
pub struct Fake {
    pub script: Script,
    pub slots: [Memory; 2],
    pub active: Option<u8>,
    /// Requests that were executed, by name.
    pub executed: Vec<String>,
    pub boots: u32,
    pub provisioned: Option<(String, [u8; 32], [u8; 32])>,
    pub stream: u16,
    /// Of whom it takes bundles, as it says; the check is always of the tests' key.
    pub key_id: [u8; 8],
    decoder: Decoder,
    responder: Responder,
    receiver: Receiver,
    chunks: u32,
    trial_since: Option<u64>,
    started_ms: u64,
    streamed_ms: u64,
    events: Vec<Event>,
    now_ms: u64,
    /// What came while it was at work, and until when that is.
    waiting: Vec<u8>,
    deaf_until_ms: u64,
    late: Vec<u8>,
}

impl Fake {
    pub fn new(script: Script) -> Fake {
        let mut slots = [Memory::new(), Memory::new()];
        for slot in &mut slots {
            (slot.erasing, slot.begin) = (script.erasing, script.begin);
        }
        // What runs before: another bundle, confirmed.
        (slots[0].state, slots[0].bytes) = (SlotState::Confirmed, vec![1; 400]);
        Fake {
            responder: responder(&script, 1),
            script,
            slots,
            active: Some(0),
            executed: Vec::new(),
            boots: 1,
            provisioned: None,
            stream: 0,
            key_id: key_id(&key()),
            decoder: Decoder::new(),
            receiver: Receiver::new(),
            chunks: 0,
            trial_since: None,
            started_ms: 0,
            streamed_ms: 0,
            events: vec![Event { time_us: 0, code: 1, value: 1 }],
            now_ms: 0,
            waiting: Vec::new(),
            deaf_until_ms: 0,
            late: Vec::new(),
        }
    }

    /// Starts anew: session, upload and counters are gone, slots stay.
    pub fn restart(&mut self) {
        self.boots += 1;
        if let Some((name, public, link_key)) = self.provisioned.clone() {
            self.key_id = key_id(&VerifyingKey::from_bytes(&public).expect("a key"));
            (self.script.name, self.script.key) = (name, LinkKey::new(link_key));
        }
        self.responder = responder(&self.script, self.boots);
        (self.receiver, self.decoder) = (Receiver::new(), Decoder::new());
        self.started_ms = self.now_ms;
        if !self.script.keeps {
            let slot = self.inactive();
            self.slots[slot].bytes.clear();
        }
    }

    fn inactive(&self) -> usize {
        self.active.map_or(0, |active| 1 - usize::from(active))
    }

    fn active_state(&self) -> Option<SlotState> {
        Some(self.slots[usize::from(self.active?)].state)
    }

    fn fall_back(&mut self) {
        if let Some(active) = self.active {
            self.slots[usize::from(active)].state = SlotState::Rejected;
            self.active = Some(1 - active);
        }
        self.trial_since = None;
    }

    fn verdicts(&self) -> u32 {
        let since = self.trial_since.unwrap_or(0).max(self.started_ms);
        let frames = self.now_ms.saturating_sub(since) / FRAME_MS;
        if self.script.blind { 0 } else { frames as u32 }
    }

    fn answer(&mut self, request: &Request<'_>, text: &mut [u8; 480]) -> Reply<'static> {
        if self.script.always_busy {
            return Reply::Refused(Refusal::NotNow);
        }
        let slot = self.inactive();
        if let Some(reply) = self.receiver.answer(request, &mut self.slots[slot]) {
            return reply;
        }
        if matches!(request, Request::Verify { .. }) {
            self.receiver.abandon();
        }
        match *request {
            Request::Verify { slot } => match self.script.verify {
                Some(refusal) => Reply::Refused(refusal),
                None if self.slots[usize::from(slot)].state == SlotState::Staged => Reply::Done,
                None => Reply::Refused(Refusal::State),
            },
            Request::Activate { slot } => self.activate(slot),
            Request::Confirm if self.active_state() == Some(SlotState::Trial) => {
                let slot = usize::from(self.active.expect("it runs"));
                self.slots[slot].state = SlotState::Confirmed;
                self.slots[1 - slot] = Memory::new();
                self.trial_since = None;
                Reply::Done
            }
            Request::Revert if self.active_state() == Some(SlotState::Trial) => {
                self.fall_back();
                Reply::Done
            }
            Request::Confirm | Request::Revert => Reply::Refused(Refusal::State),
            Request::SetStream { every } => {
                self.stream = every;
                Reply::Done
            }
            Request::Provision { name, public_key, link_key } => {
                // As the device: its name is told at once.
                self.script.name = name.to_owned();
                self.provisioned = Some((name.to_owned(), public_key, link_key));
                self.script.provision.map_or(Reply::Done, Reply::Refused)
            }
            Request::Reboot | Request::EraseInactive | Request::SetHistogram { .. } => Reply::Done,
            Request::ListSlots => Reply::Slots {
                active: self.active,
                slots: [self.slots[0].shown(), self.slots[1].shown()],
            },
            Request::ReadCounters => Reply::Counters(Counters {
                time_us: self.now_ms * 1000,
                passed: self.verdicts(),
                closed: 10,
                ..Counters::default()
            }),
            _ => self.told(request, text),
        }
    }

    /// Answers that borrow from the buffer, which the caller leaks.
    fn told(&mut self, request: &Request<'_>, text: &mut [u8; 480]) -> Reply<'static> {
        match *request {
            Request::Identify => Reply::Identity(Identity {
                board: "fake",
                firmware: "0.1",
                serial: self.script.serial,
                device_class: self.script.device_class,
                container_version: 1,
                arena_bytes: self.script.arena_bytes,
                slot_bytes: self.script.slot_bytes,
                security_counter: self.script.security_counter,
            }),
            Request::ReadStatus => Reply::Status(Status {
                time_us: self.now_ms * 1000,
                name: self.script.name.clone().leak(),
                provisioned: self.script.key != LinkKey::UNPROVISIONED,
                key_id: self.key_id,
                boots: self.boots,
                reset: 1,
                open: true,
                reason: 0,
                enforce: false,
                threshold: 1.5,
                frame_period_us: 100_000,
                verdict_us: 70_000,
                rehashes: 2,
                stack_bytes: 16_384,
                stack_used: 300,
            }),
            Request::ReadLog { from } => {
                let first = from.min(self.events.len() as u32);
                let (mut length, mut next) = (0, first);
                for event in &self.events[first as usize..] {
                    let Some(longer) = push_event(event, text, length) else { break };
                    (length, next) = (longer, next + 1);
                }
                Reply::Log { first, next, events: text[..length].to_vec().leak() }
            }
            Request::ReadHistogram => {
                let mut counts = vec![3; 1];
                counts.extend((0..HISTOGRAM_BINS as u32).map(|bin| bin * 2));
                counts.extend([5, 6]);
                let counts: Vec<u8> = counts.into_iter().flat_map(u32::to_le_bytes).collect();
                Reply::Histogram { low: -1.0, high: 3.0, threshold: 1.5, counts: counts.leak() }
            }
            Request::ReadEvidence { event, offset } => self.evidence(event, offset),
            Request::ReadUpload => match self.script.tells_of {
                Some((identity, offset)) => {
                    Reply::Unfinished { slot: 1, identity, offset, total_bytes: 0 }
                }
                None => Reply::Refused(Refusal::State),
            },
            _ => Reply::Refused(Refusal::Unknown),
        }
    }

    /// Ten events, of which the last eight are kept: three features, a picture of 8 x 8 in colour.
    fn evidence(&self, event: u32, offset: u32) -> Reply<'static> {
        let (first, next) = (2, 10);
        if !(first..next).contains(&event) {
            return Reply::Refused(Refusal::Range);
        }
        let features = [1.5_f32, -2.0, event as f32];
        let mut bytes: Vec<u8> = features.iter().flat_map(|value| value.to_le_bytes()).collect();
        bytes.extend((0..192).map(|at| (at as u32 + event) as u8));
        let end = bytes.len().min(offset as usize + 100);
        let Some(piece) = bytes.get(offset as usize..end) else {
            return Reply::Refused(Refusal::Range);
        };
        Reply::Evidence(Evidence {
            first,
            next,
            event,
            time_us: u64::from(event) * 1_000_000,
            closed: 2,
            frame: event * 10,
            verdict: Verdict::Block,
            reason: 2,
            class: 3,
            score: 2.5,
            features: 3,
            input_bytes: 192,
            offset,
            bytes: piece.to_vec().leak(),
        })
    }

    fn activate(&mut self, slot: u8) -> Reply<'static> {
        self.receiver.abandon();
        let place = usize::from(slot);
        if self.slots[place].state != SlotState::Staged {
            return Reply::Refused(Refusal::State);
        }
        if let Some(refusal) = self.script.activate {
            self.slots[place].state = SlotState::Rejected;
            return Reply::Refused(refusal);
        }
        self.slots[place].state = SlotState::Trial;
        (self.active, self.trial_since) = (Some(slot), Some(self.now_ms));
        Reply::Done
    }

    fn pass_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        let Some(since) = self.trial_since else { return };
        let age = now_ms.saturating_sub(since);
        if let Some((at, code, value)) = self.script.logs
            && age >= at
        {
            self.script.logs = None;
            self.events.push(Event { time_us: now_ms * 1000, code, value });
        }
        if self.script.falls_back_ms.is_some_and(|at| age >= at) {
            self.fall_back();
        }
    }

    fn packet(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut out = [0; PACKET_BYTES_MAX];
        let received = self.responder.receive(packet, &mut out).ok()?;
        let (ticket, request) = match received {
            Received::Send(length) => return Some(out[..length].to_vec()),
            Received::Execute(ticket, request) => (ticket, request),
        };
        let name = format!("{request:?}");
        let name = name.split([' ', '(']).next().unwrap_or_default().to_owned();
        let chunk = matches!(request, Request::UploadChunk { .. });
        let reply = self.answer(&request, &mut [0; 480]);
        self.executed.push(name.clone());
        self.chunks += u32::from(chunk);
        if chunk && self.script.dies_after.is_some_and(|after| self.chunks >= after) {
            self.script.dies_after = None;
            self.restart();
            return None;
        }
        if self.script.loses_answer_to == Some(&name) {
            self.script.loses_answer_to = None;
            self.restart();
            return None;
        }
        if self.script.silent_after == Some(&name) {
            self.script.silent = true;
            return None;
        }
        let length = self.responder.answer(&ticket, &reply, &mut out).expect("it is short");
        if name == "Reboot" {
            match self.script.stays_up {
                0 => self.restart(),
                _ => self.script.stays_up -= 1,
            }
        }
        Some(out[..length].to_vec())
    }
}

fn responder(script: &Script, boot: u32) -> Responder {
    Responder::new(script.key.key(), boot, PACKET_BYTES_MAX as u16).with_serial(script.serial)
}

fn framed(packet: &[u8]) -> Vec<u8> {
    let mut out = [0; FRAME_BYTES_MAX];
    let length = encode(packet, &mut out).expect("packets of tests fit");
    out[..length].to_vec()
}

impl Board for Fake {
    fn take(&mut self, mut bytes: &[u8], now_ms: u64) -> Vec<u8> {
        self.pass_time(now_ms);
        let mut sent = Vec::new();
        if self.script.silent {
            return sent;
        }
        if now_ms < self.deaf_until_ms {
            self.waiting.extend(bytes);
            return sent;
        }
        while let Some(packet) = self.decoder.feed(&mut bytes) {
            let packet = packet.to_vec();
            let Some(answer) = self.packet(&packet) else { continue };
            if self.executed.last().is_some_and(|name| name == "Verify")
                && self.script.verifies_ms > 0
                && self.now_ms >= self.deaf_until_ms
            {
                self.deaf_until_ms = now_ms + self.script.verifies_ms;
                self.late.extend(framed(&answer));
                self.executed.push("(at work)".to_owned());
                self.waiting.extend(std::mem::take(&mut bytes));
            } else {
                sent.extend((0..self.script.garbage).map(|at| (at * 37 % 251) as u8));
                sent.extend(framed(&answer));
            }
        }
        sent
    }

    fn tick(&mut self, now_ms: u64) -> Vec<u8> {
        self.pass_time(now_ms);
        if self.deaf_until_ms > 0 && now_ms >= self.deaf_until_ms {
            self.deaf_until_ms = 0;
            let mut sent = std::mem::take(&mut self.late);
            let waiting = std::mem::take(&mut self.waiting);
            sent.extend(self.take(&waiting, now_ms));
            return sent;
        }
        let every = FRAME_MS * u64::from(self.stream);
        if self.stream == 0 || now_ms < self.streamed_ms + every || !self.responder.is_open() {
            return Vec::new();
        }
        self.streamed_ms = now_ms;
        let telemetry = Telemetry::Judged(Judged {
            frame: (now_ms / FRAME_MS) as u32,
            time_us: now_ms * 1000,
            class: 1,
            verdict: Verdict::Pass,
            reason: 0,
            score: 0.5,
            p_value: 0.5,
        });
        let mut out = [0; PACKET_BYTES_MAX];
        let length = self.responder.telemetry(&telemetry, &mut out).expect("it is short");
        framed(&out[..length])
    }
}
