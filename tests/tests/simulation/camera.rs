//! A camera that sends pictures of the catalog, and fails as cameras do.

use std::collections::HashMap;

use gradgate_device::camera::{CameraError, Event, FrameSource, Geometry, Stamp};
use gradgate_link::channel::Random;

use super::catalog::{CAMERA, Catalog, FRAME_BYTES, VARIED_FRAMES};
use super::errand::PICTURES;

/// Set in the numbers of all its frames.
pub const CAMERA_BIT: u32 = 1 << 31;
/// Time between frames.
const PERIOD_US: u64 = 9_000;

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The picture of the frame before: so many times by now.
    Frozen(u32),
    /// Every pixel the same.
    Constant,
    /// Bytes are missing.
    Short,
    /// Bytes too many.
    Long,
    /// Another geometry.
    Geometry,
    /// Captured long ago.
    Late,
    /// The number and the time of the frame before.
    Duplicate,
    /// A time before that of the frame before.
    OutOfOrder,
    /// Captured after now.
    Future,
    /// The camera reports an error in the middle.
    Error,
}

const FAULTS: [Fault; 9] = [
    Fault::Constant,
    Fault::Short,
    Fault::Long,
    Fault::Geometry,
    Fault::Late,
    Fault::Duplicate,
    Fault::OutOfOrder,
    Fault::Future,
    Fault::Error,
];

/// The camera.
pub struct SimCamera {
    random: Random,
    on: bool,
    /// Share of faulty frames.
    faulty: f64,
    /// Frames are faulty until then: a series of one fault.
    series: u32,
    fault: Fault,
    due_us: u64,
    serial: u32,
    picture: u32,
    stamp: Stamp,
    /// Bytes of the frame in progress, and how many went out; none between frames.
    sending: Option<usize>,
    bytes: Vec<u8>,
    /// What was wrong with a frame, by its number.
    pub faults: HashMap<u32, Sent>,
    last_us: u64,
    /// It was asked since the simulation looked.
    pub polled: bool,
}

/// What the camera knows of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// What is wrong with it.
    pub fault: Fault,
    /// When the frame began that it is compared with, device time in microseconds.
    pub since_us: u64,
}

impl SimCamera {
    /// Sends nothing where it is not `on`.
    pub fn new(seed: u64, on: bool, faulty: f64) -> SimCamera {
        SimCamera {
            random: Random::new(seed),
            on,
            faulty,
            series: 0,
            fault: Fault::None,
            due_us: PERIOD_US,
            serial: 0,
            picture: 0,
            stamp: Stamp { number: 0, captured_us: 0 },
            sending: None,
            bytes: Vec::new(),
            faults: HashMap::new(),
            last_us: 0,
            polled: false,
        }
    }

    /// Number of the last frame.
    pub fn number(&self) -> u32 {
        self.stamp.number
    }

    /// When it has something to send; `None`: never.
    pub fn next_us(&self, now_us: u64) -> Option<u64> {
        match self.sending {
            _ if !self.on => None,
            Some(_) => Some(now_us),
            None => Some(self.due_us),
        }
    }

    fn begin(&mut self, now_us: u64) -> Event<'static> {
        self.due_us = now_us + PERIOD_US;
        self.draw();
        self.serial += 1;
        let number = CAMERA_BIT | (self.serial * PICTURES + self.picture);
        let last = self.stamp;
        let now = Stamp { number, captured_us: now_us.saturating_sub(50) };
        self.stamp = match self.fault {
            Fault::Late => Stamp { captured_us: now_us.saturating_sub(200_000), ..now },
            Fault::Future => Stamp { captured_us: now_us + 10_000_000, ..now },
            Fault::Duplicate => last,
            Fault::OutOfOrder => Stamp { captured_us: last.captured_us.saturating_sub(1), ..now },
            _ => now,
        };
        let known = self.faults.get(&last.number).map_or(now_us, |sent| sent.since_us);
        let since_us = match self.fault {
            Fault::Frozen(2) => self.last_us,
            Fault::Frozen(_) => known,
            Fault::Duplicate | Fault::OutOfOrder => self.last_us,
            _ => now_us,
        };
        self.faults.insert(self.stamp.number, Sent { fault: self.fault, since_us });
        self.last_us = now_us;
        self.bytes = Catalog::get().frames[self.picture as usize].clone();
        match self.fault {
            Fault::Short => self.bytes.truncate(FRAME_BYTES - 1),
            Fault::Long => self.bytes.push(1),
            _ => {}
        }
        self.sending = Some(0);
        let geometry = match self.fault {
            Fault::Geometry => Geometry { width: CAMERA.width + 1, ..CAMERA },
            _ => CAMERA,
        };
        let stamp = self.stamp;
        match self.fault {
            // It leaves no trace.
            Fault::Future => self.stamp = last,
            Fault::Late => self.stamp.captured_us = last.captured_us.max(stamp.captured_us),
            Fault::OutOfOrder => self.stamp.captured_us = last.captured_us,
            _ => {}
        }
        Event::Begin(geometry, stamp)
    }

    fn draw(&mut self) {
        self.series = self.series.saturating_sub(1);
        if self.series > 0 && matches!(self.fault, Fault::Frozen(_)) {
            let Fault::Frozen(times) = self.fault else { return };
            self.fault = Fault::Frozen(times + 1);
            return;
        }
        if self.series == 0 {
            let whole = self.fault == Fault::None;
            self.fault = Fault::None;
            if self.serial > 1 && self.random.chance(self.faulty) {
                self.series = 1 + self.random.below(6) as u32;
                self.fault = match self.random.below(10) {
                    0 if whole => Fault::Frozen(2),
                    0 => Fault::Short,
                    place => FAULTS[place as usize - 1],
                };
                if self.fault == Fault::Frozen(2) {
                    return;
                }
            }
        }
        let before = self.picture;
        while self.picture == before {
            self.picture = match self.fault {
                Fault::Constant => VARIED_FRAMES as u32 + self.random.below(3) as u32,
                _ => self.random.below(VARIED_FRAMES as u64) as u32,
            };
        }
    }
}

impl FrameSource for SimCamera {
    fn geometries(&self) -> &[Geometry] {
        &[CAMERA]
    }

    fn configure(&mut self, _: Geometry) -> Result<(), CameraError> {
        Ok(())
    }

    fn poll(&mut self, now_us: u64) -> Result<Event<'_>, CameraError> {
        self.polled = true;
        let Some(sent) = self.sending else {
            if !self.on || now_us < self.due_us {
                return Ok(Event::Nothing);
            }
            return Ok(self.begin(now_us));
        };
        if self.fault == Fault::Error && sent > 0 {
            self.sending = None;
            return Err(CameraError::Overrun);
        }
        if sent == self.bytes.len() {
            self.sending = None;
            return Ok(Event::End);
        }
        let rest = self.bytes.len() - sent;
        let length = match self.random.below(3) {
            0 => 1 + self.random.below(rest as u64) as usize,
            _ => rest,
        };
        self.sending = Some(sent + length);
        Ok(Event::Bytes(&self.bytes[sent..sent + length]))
    }
}
