//! The board on its bench: frames in, verdicts out, its log beside, its power in our hands.

use gradgate_link::message::{Event, Judged};
use gradgate_link::{Refusal, Reply, Request};

use super::hook;
use super::{Given, Hooks, How, Sent, Start};
use crate::client::Client;
use crate::device::Status;
use crate::error::Error;
use crate::wire::Wire;

/// Bytes of a frame in a packet: 0.1 s at 115,200 baud.
const PIECE_BYTES: usize = 1024;
/// Header, tag and fields of a piece.
const AROUND_BYTES: usize = 64;
/// A frame that fell into the end of a session, or was cut by a pause of ours, is sent so often.
const TRIES: u32 = 3;
/// A frame is sent so long after its age allows it: host and device have two clocks.
const SPARE_MS: u64 = 20;

/// A device with what works its bench.
pub struct Rig<W> {
    client: Client<W>,
    /// Its port, for hooks.
    device: String,
    hooks: Hooks,
    /// The largest number that a frame had.
    number: u32,
    /// That of the last frame.
    sent: u32,
    /// Next entry of its log.
    log_next: u32,
    /// Latest host time at which a frame is said to have been captured.
    captured_ms: u64,
    piece_bytes: usize,
    /// A piece behind the first was refused: the device gave the frame up, as it does where the
    /// next piece comes a second too late.
    cut: bool,
}

impl<W: Wire> Rig<W> {
    /// Asks the device how it is, so that its answers are known to be its.
    ///
    /// # Errors
    /// Those of the link.
    pub fn new(client: Client<W>, device: &str, hooks: Hooks) -> Result<Rig<W>, Error> {
        let mut rig = Rig {
            client,
            device: device.to_owned(),
            hooks,
            number: 0,
            sent: 0,
            log_next: 0,
            captured_ms: 0,
            piece_bytes: PIECE_BYTES,
            cut: false,
        };
        rig.meet()?;
        Ok(rig)
    }

    /// Its port.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The client below.
    pub fn client(&mut self) -> &mut Client<W> {
        &mut self.client
    }

    /// Milliseconds of the host.
    pub fn now_ms(&mut self) -> u64 {
        self.client.wire().now_ms()
    }

    /// Begins a case.
    ///
    /// # Errors
    /// Those of the link; [`Error::File`] for a hook that fails, or restarts nothing.
    pub fn start(&mut self, start: Start) -> Result<(), Error> {
        let command = match start {
            Start::Keep => return self.meet(),
            Start::Reboot => None,
            Start::Reset => Some(("reset", self.hooks.reset.clone())),
            Start::Power => Some(("power", self.hooks.power.clone())),
        };
        let before = self.client.status()?;
        match command {
            Some((what, command)) => {
                let command = command.unwrap_or_default();
                hook::run(what, &command, &self.device).map_err(file)?;
                self.client.leave(None);
            }
            // The answer may be lost with the session.
            None => match self.client.reboot() {
                Ok(()) | Err(Error::Silent { .. }) => {}
                Err(error) => return Err(error),
            },
        }
        self.wait_for_restart(&before)
    }

    /// Runs a command that takes the power away and gives it back.
    ///
    /// # Errors
    /// As [`Rig::start`].
    pub fn power_cycle(&mut self, command: &str) -> Result<(), Error> {
        let before = self.client.status()?;
        hook::run("power", command, &self.device).map_err(file)?;
        self.client.leave(None);
        self.wait_for_restart(&before)
    }

    /// Keeps the bundle that is on trial.
    ///
    /// # Errors
    /// Those of the link.
    pub fn confirm(&mut self) -> Result<(), Error> {
        self.client.order(&Request::Confirm)
    }

    fn wait_for_restart(&mut self, before: &Status) -> Result<(), Error> {
        let end_ms = self.now_ms() + (self.hooks.boot_s * 1000.0) as u64;
        loop {
            match self.client.status() {
                Ok(status) if restarted(before, &status) => break,
                Ok(_) if self.now_ms() >= end_ms => {
                    return Err(file(
                        "the device was not restarted: does the command reach this board?".into(),
                    ));
                }
                Ok(_) => self.client.listen(50),
                Err(error) if self.now_ms() >= end_ms => return Err(error),
                Err(_) => {}
            }
        }
        (self.number, self.log_next) = (0, 0);
        self.meet()
    }

    /// Where its log and its time are now.
    fn meet(&mut self) -> Result<(), Error> {
        let status = self.client.status()?;
        let (_, next, _) = self.client.log(u32::MAX)?;
        self.log_next = next;
        // Numbers of frames never go back while it runs, whoever sent frames before.
        self.number = self.number.max((status.time_us / 1000) as u32);
        if let Some(welcome) = self.client.link().welcome() {
            let room = usize::from(welcome.packet_bytes_max).saturating_sub(AROUND_BYTES);
            self.piece_bytes = room.clamp(1, PIECE_BYTES);
        }
        Ok(())
    }

    /// What it logged since it was asked last.
    ///
    /// # Errors
    /// Those of the link.
    pub fn log(&mut self) -> Result<Vec<Event>, Error> {
        let mut all = Vec::new();
        loop {
            let (_, next, events) = self.client.log(self.log_next)?;
            self.log_next = next;
            if events.is_empty() {
                return Ok(all);
            }
            all.extend(events);
        }
    }

    /// Sends a frame; its number and what the device says of it.
    ///
    /// # Errors
    /// Those of the link.
    pub fn send(&mut self, given: &Given) -> Result<Judged, Error> {
        let mut tries = 0;
        loop {
            let sessions = self.client.effort().sessions;
            (tries, self.cut) = (tries + 1, false);
            match self.send_once(given) {
                Err(Error::Refused { refusal: Refusal::Range | Refusal::State, .. })
                    if (self.cut || self.client.effort().sessions != sessions) && tries < TRIES => {
                }
                other => return other,
            }
        }
    }

    fn send_once(&mut self, given: &Given) -> Result<Judged, Error> {
        self.number = self.number.saturating_add(1);
        let mut frame = self.number;
        if let Sent::Camera { camera, mut age_us, how } = given.sent {
            let [mut width, height] = [camera.width, camera.height];
            match how {
                Some(How::Duplicate) => frame = self.sent,
                Some(How::OutOfOrder) => frame = self.sent.saturating_sub(1),
                Some(How::Geometry) => width = width.saturating_sub(2),
                Some(How::Late) => age_us = camera.late_ms.unwrap_or(0).saturating_mul(1000),
                Some(How::Constant | How::Repeat) | None => {}
            }
            self.wait_for_age(age_us);
            let format = camera.format as u8;
            self.client.order(&Request::StartFrame { frame, age_us, width, height, format })?;
        }
        self.sent = frame;
        self.send_pieces(frame, &given.bytes)
    }

    /// Waits until a frame of this age would have been captured after the one before.
    fn wait_for_age(&mut self, age_us: u32) {
        let age_ms = u64::from(age_us.div_ceil(1000));
        let earliest_ms = match age_ms {
            0 => self.captured_ms,
            _ => self.captured_ms + age_ms + SPARE_MS,
        };
        let wait_ms = earliest_ms.saturating_sub(self.now_ms());
        if wait_ms > 0 {
            self.client.listen(wait_ms);
        }
        self.captured_ms = self.now_ms().saturating_sub(age_ms);
    }

    fn send_pieces(&mut self, frame: u32, bytes: &[u8]) -> Result<Judged, Error> {
        let total_bytes = bytes.len() as u32;
        let mut offset = 0;
        for bytes in bytes.chunks(self.piece_bytes) {
            let request = Request::SendFrame { frame, offset, total_bytes, bytes };
            let answer = self.client.send_piece(&request);
            self.cut = offset > 0 && matches!(answer, Err(Error::Refused { .. }));
            if let Some(judged) = answer? {
                return Ok(judged);
            }
            offset += bytes.len() as u32;
        }
        Err(Error::Answer { doing: "sending a frame" })
    }

    /// What the detector saw of the last frame.
    ///
    /// # Errors
    /// Those of the link.
    pub fn values(&mut self) -> Result<Vec<f32>, Error> {
        let mut all = Vec::new();
        loop {
            let request = Request::ReadFeatures { from: all.len() as u16 };
            let Reply::Features { total, values, .. } = self.client.ask(&request)? else {
                return Err(Error::Answer { doing: "reading features" });
            };
            let values = values.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            let before = all.len();
            all.extend(values);
            if all.len() >= usize::from(total) || all.len() == before {
                return Ok(all);
            }
        }
    }
}

/// Whether it started anew in between: its time began again, or it counted another start.
fn restarted(before: &Status, after: &Status) -> bool {
    after.boots != before.boots || after.time_us < before.time_us
}

fn file(message: String) -> Error {
    Error::File { message }
}
