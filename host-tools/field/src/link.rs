//! The pollable core: a session that opens itself, asks, asks again, and finds back after a
//! restart. Bytes and times in, frames out; no clock, no port, no thread.
//!
//! A caller gives what has arrived to [`Link::receive`], then calls [`Link::poll`] with the one
//! request that it has, the same until [`Poll::Answered`]. Sending again, saying hello, choosing
//! the device's key, and waiting while the device is busy are done here.

use std::collections::VecDeque;

use gradgate_link::frame::{FRAME_BYTES_MAX, encode};
use gradgate_link::message::Welcome;
use gradgate_link::packet::{Kind, Packet, message};
use gradgate_link::session::{self, Heard, RequestError, Timing};
use gradgate_link::{Decoder, Refusal, Reply, Request, Requester, Telemetry};

use crate::error::Error;
use crate::keys::{Keyring, LinkKey, Origin};

/// Telemetry that nobody took; the oldest goes first.
const TELEMETRY_MAX: usize = 4096;
/// Pauses while a device is at work, in milliseconds.
const BACKOFF_MS: (u64, u64) = (20, 1000);
/// Welcomes under a strange key until we believe it.
const STRANGERS_MAX: u32 = 2;

/// How long to wait for what, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A packet is sent again after this time.
    pub timeout_ms: u64,
    /// So often, before another hello.
    pub tries: u32,
    /// Without any answer for so long, nobody is there.
    pub silence_ms: u64,
    /// The same while it does what keeps it from answering, such as a self-test.
    pub work_ms: u64,
    /// A device that says so for longer is busy for ever.
    pub busy_ms: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        // A chunk takes 0.1 s at 115,200 baud; a large sector up to 4 s to erase.
        Patience { timeout_ms: 600, tries: 4, silence_ms: 8000, work_ms: 60_000, busy_ms: 120_000 }
    }
}

/// What time asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Send [`Link::frame`].
    Send,
    /// Nothing to do before this time in milliseconds, unless bytes arrive.
    Wait(u64),
    /// [`Link::reply`] is the answer.
    Answered {
        /// The request may have been executed before, in a session that was lost.
        again: bool,
    },
}

/// How hard it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Packets that were sent again.
    pub resent: u32,
    /// Sessions that were opened.
    pub sessions: u32,
    /// Answers that the device is at work.
    pub busy: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Greeting,
    Open,
    Asking,
    Pausing { until_ms: u64 },
    Answered,
}

/// The host's end of the link.
pub struct Link {
    keyring: Keyring,
    patience: Patience,
    origin: Origin,
    key: LinkKey,
    requester: Requester,
    decoder: Decoder,
    state: State,
    welcome: Option<Welcome>,
    frame: Vec<u8>,
    reply: Vec<u8>,
    telemetry: VecDeque<(u32, Telemetry)>,
    /// Since when nothing was heard, while something waits.
    silent_since: Option<u64>,
    busy_since: Option<u64>,
    backoff_ms: u64,
    /// How often the packet was sent.
    tries: u32,
    strangers: u32,
    /// Sessions that were lost with this request.
    lost: u32,
    failed: Option<Error>,
    effort: Effort,
}

impl Link {
    /// Nothing is sent before the first [`Link::poll`].
    pub fn new(keyring: Keyring, patience: Patience) -> Link {
        let (origin, key) = first(&keyring);
        Link {
            requester: requester(&key, &patience),
            keyring,
            patience,
            origin,
            key,
            decoder: Decoder::new(),
            state: State::Closed,
            welcome: None,
            frame: Vec::new(),
            reply: Vec::new(),
            telemetry: VecDeque::new(),
            silent_since: None,
            busy_since: None,
            backoff_ms: BACKOFF_MS.0,
            tries: 0,
            strangers: 0,
            lost: 0,
            failed: None,
            effort: Effort::default(),
        }
    }

    /// What to send after [`Poll::Send`].
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The answer after [`Poll::Answered`].
    pub fn reply(&self) -> Option<Reply<'_>> {
        message(Packet::parse(&self.reply)?.body)
    }

    /// Takes what came unasked, with its sequence number.
    pub fn take_telemetry(&mut self) -> Option<(u32, Telemetry)> {
        self.telemetry.pop_front()
    }

    /// The device's welcome, once there was one.
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// Whose key the device took.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// How hard it was so far.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Leaves the session, as before a restart that was asked for; other keys may be given.
    pub fn leave(&mut self, keyring: Option<Keyring>) {
        if let Some(keyring) = keyring {
            // A key that is not among the new ones must not be taken any more.
            (self.origin, self.key) = first(&keyring);
            self.requester = requester(&self.key, &self.patience);
            self.keyring = keyring;
        }
        self.close();
        (self.lost, self.strangers) = (0, 0);
        (self.silent_since, self.busy_since) = (None, None);
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.welcome = None;
    }

    /// What is to be done now. `nonce` gives random numbers that nobody can guess.
    ///
    /// # Errors
    /// Silence, a strange key, no common version, busy for too long, a request too long.
    pub fn poll(
        &mut self,
        now_ms: u64,
        nonce: &mut dyn FnMut() -> u64,
        request: &Request<'_>,
    ) -> Result<Poll, Error> {
        if let Some(error) = self.failed.take() {
            self.leave(None);
            return Err(error);
        }
        loop {
            match self.state {
                State::Closed => {
                    self.check_silence(now_ms, request)?;
                    self.tries = 1;
                    self.frame = framed(self.requester.hello(nonce(), now_ms));
                    self.state = State::Greeting;
                    return Ok(Poll::Send);
                }
                State::Open => match self.requester.request(request, now_ms) {
                    Ok(packet) => {
                        self.frame = framed(packet);
                        (self.state, self.tries) = (State::Asking, 1);
                        self.silent_since.get_or_insert(now_ms);
                        return Ok(Poll::Send);
                    }
                    Err(RequestError::Long) => {
                        return Err(Error::Long { doing: doing(request) });
                    }
                    Err(RequestError::Closed | RequestError::Waiting | RequestError::Exhausted) => {
                        self.close();
                    }
                },
                State::Pausing { until_ms } if now_ms < until_ms => {
                    return Ok(Poll::Wait(until_ms));
                }
                State::Pausing { .. } => self.state = State::Open,
                State::Greeting | State::Asking => {
                    if let Some(poll) = self.wait(now_ms, request)? {
                        return Ok(poll);
                    }
                }
                State::Answered => {
                    self.state = State::Open;
                    (self.silent_since, self.busy_since) = (None, None);
                    self.backoff_ms = BACKOFF_MS.0;
                    return Ok(Poll::Answered { again: std::mem::take(&mut self.lost) > 0 });
                }
            }
        }
    }

    /// `None`: the session is lost.
    fn wait(&mut self, now_ms: u64, request: &Request<'_>) -> Result<Option<Poll>, Error> {
        self.check_busy(now_ms, request)?;
        self.check_silence(now_ms, request)?;
        let asked = self.state == State::Asking;
        let tries_max = self.tries_max(request);
        match self.requester.poll(now_ms) {
            session::Poll::Wait(until_ms) => {
                let since = self.silent_since.unwrap_or(now_ms);
                let end_ms = since.saturating_add(self.limit_ms(request));
                return Ok(Some(Poll::Wait(until_ms.min(end_ms))));
            }
            session::Poll::Send(packet) if self.tries < tries_max => {
                self.frame = framed(packet);
                self.tries = self.tries.saturating_add(1);
                self.effort.resent = self.effort.resent.saturating_add(1);
                return Ok(Some(Poll::Send));
            }
            session::Poll::Send(_) | session::Poll::GivenUp | session::Poll::Idle => {}
        }
        if asked {
            self.lost = self.lost.saturating_add(1);
        }
        self.close();
        Ok(None)
    }

    /// A device at work hears the next hello no sooner than this packet, and a session that is left
    /// loses the answer: every further one is given twice the time.
    fn tries_max(&self, request: &Request<'_>) -> u32 {
        let tries = self.patience.tries;
        match self.state == State::Asking && works(request) {
            true => tries.saturating_mul(4_u32.saturating_mul(1 << self.lost.min(8))),
            false => tries,
        }
    }

    /// A device that took the request may be at work on it.
    fn limit_ms(&self, request: &Request<'_>) -> u64 {
        let taken = self.state == State::Asking || self.lost > 0;
        let Patience { silence_ms, work_ms, .. } = self.patience;
        if taken && works(request) { work_ms.max(silence_ms) } else { silence_ms }
    }

    fn check_silence(&mut self, now_ms: u64, request: &Request<'_>) -> Result<(), Error> {
        let since = *self.silent_since.get_or_insert(now_ms);
        let waited_ms = now_ms.saturating_sub(since);
        if waited_ms < self.limit_ms(request) {
            return Ok(());
        }
        self.leave(None);
        let counts = self.decoder.counts();
        let bad = counts.crc.saturating_add(counts.cut).saturating_add(counts.long);
        let noise = bad.saturating_add(counts.good);
        Err(Error::Silent { waited_ms, trouble: None, noise })
    }

    fn check_busy(&mut self, now_ms: u64, request: &Request<'_>) -> Result<(), Error> {
        let waited_ms = self.busy_since.map_or(0, |since| now_ms.saturating_sub(since));
        if waited_ms < self.patience.busy_ms {
            return Ok(());
        }
        self.leave(None);
        Err(Error::Busy { doing: doing(request), waited_ms })
    }

    /// Takes what has arrived.
    pub fn receive(&mut self, mut bytes: &[u8], now_ms: u64) {
        while let Some(packet) = self.decoder.feed(&mut bytes) {
            let packet = packet.to_vec();
            self.hear(&packet, now_ms);
        }
    }

    fn hear(&mut self, packet: &[u8], now_ms: u64) {
        match self.requester.receive(packet, now_ms) {
            Heard::Open(welcome) => {
                self.welcome = Some(welcome);
                self.effort.sessions = self.effort.sessions.saturating_add(1);
                (self.state, self.strangers) = (State::Open, 0);
                self.heard(now_ms);
            }
            Heard::Versions => self.failed = Some(Error::Versions),
            Heard::Busy => {
                self.heard(now_ms);
                self.busy(now_ms);
            }
            Heard::Reply(Reply::Refused(Refusal::NotNow)) => {
                self.heard(now_ms);
                self.busy(now_ms);
                let until_ms = now_ms.saturating_add(self.backoff_ms);
                self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MS.1);
                self.state = State::Pausing { until_ms };
            }
            Heard::Reply(_) => {
                self.reply = packet.to_vec();
                self.state = State::Answered;
                self.heard(now_ms);
            }
            Heard::Telemetry { sequence, telemetry } => {
                if self.telemetry.len() == TELEMETRY_MAX {
                    self.telemetry.pop_front();
                }
                self.telemetry.push_back((sequence, telemetry));
            }
            Heard::Nothing => self.stranger(packet),
        }
    }

    fn heard(&mut self, now_ms: u64) {
        self.silent_since = Some(now_ms);
    }

    fn busy(&mut self, now_ms: u64) {
        self.busy_since.get_or_insert(now_ms);
        self.effort.busy = self.effort.busy.saturating_add(1);
    }

    /// A welcome under another key than ours: perhaps under one that its chip's number tells.
    fn stranger(&mut self, bytes: &[u8]) {
        let Some(packet) = Packet::parse(bytes).filter(|packet| packet.kind == Kind::Welcome)
        else {
            return;
        };
        let Some(welcome) = message::<Welcome>(packet.body) else { return };
        if self.state != State::Greeting || packet.is_authentic(&self.key.key()) {
            return;
        }
        let mut keys = self.keyring.keys(&welcome.serial).into_iter();
        if let Some((origin, key)) = keys.find(|(_, key)| packet.is_authentic(&key.key())) {
            (self.origin, self.key) = (origin, key);
            self.requester = requester(&key, &self.patience);
            self.close();
            return;
        }
        self.strangers += 1;
        if self.strangers >= STRANGERS_MAX {
            let unprovisioned = packet.is_authentic(&LinkKey::UNPROVISIONED.key());
            self.failed = Some(Error::Key { serial: welcome.serial, unprovisioned });
        }
        // Another hello: the next welcome may be the device's.
        self.close();
    }
}

/// The key to begin with: a device's number is in its welcome, and without one the keys of a site
/// cannot be told yet.
fn first(keyring: &Keyring) -> (Origin, LinkKey) {
    let keys = keyring.keys(&[0; 16]);
    keys.last().copied().unwrap_or((Origin::Unprovisioned, LinkKey::UNPROVISIONED))
}

fn requester(key: &LinkKey, patience: &Patience) -> Requester {
    // Tries are counted here, as some requests have more of them.
    let timing = Timing { timeout_ms: patience.timeout_ms, tries: u32::MAX };
    Requester::new(key.key(), timing)
}

/// Whether a device may be unable to answer anything until it is done.
fn works(request: &Request<'_>) -> bool {
    matches!(
        request,
        Request::UploadBegin { .. }
            | Request::UploadFinish
            | Request::Verify { .. }
            | Request::Activate { .. }
            | Request::Confirm
            | Request::Revert
            | Request::EraseInactive
    )
}

fn framed(packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; FRAME_BYTES_MAX];
    // A requester's packets always fit; an empty frame would be nothing.
    let length = encode(packet, &mut frame).unwrap_or_default();
    frame.truncate(length);
    frame
}

/// A request in words.
pub fn doing(request: &Request<'_>) -> &'static str {
    match request {
        Request::Identify => "asking who it is",
        Request::ListSlots => "reading its slots",
        Request::UploadBegin { .. } => "announcing the bundle",
        Request::UploadChunk { .. } => "uploading",
        Request::UploadFinish => "comparing what arrived",
        Request::Verify { .. } => "verifying the slot",
        Request::Activate { .. } => "starting the bundle on trial",
        Request::Confirm => "confirming",
        Request::Revert => "reverting",
        Request::EraseInactive => "erasing the inactive slot",
        Request::StartFrame { .. } | Request::SendFrame { .. } => "sending a frame",
        Request::SetStream { .. } => "asking for verdicts",
        Request::ReadLog { .. } => "reading its log",
        Request::ReadCounters => "reading its counters",
        Request::Reboot => "restarting it",
        Request::ReadFeatures { .. } => "reading features",
        Request::ReadEvidence { .. } => "reading evidence",
        Request::ReadHistogram => "reading the histogram",
        Request::SetHistogram { .. } => "beginning the histogram anew",
        Request::ReadStatus => "reading its status",
        Request::Provision { .. } => "provisioning",
        Request::ReadUpload => "asking for an unfinished upload",
    }
}
