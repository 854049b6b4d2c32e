//! What the operator does over the link: errands of the host library, and some that it never would.

use std::cell::Cell;

use gradgate_field::flash::Flash;
use gradgate_field::job::{Job, Next};
use gradgate_field::{Class, Error};
use gradgate_frame::PixelFormat;
use gradgate_link::channel::Random;
use gradgate_link::message::{Slot, SlotState};
use gradgate_link::upload::{Progress, Sender};
use gradgate_link::{Reply, Request};

use super::catalog::{CAMERA, Catalog, FRAME_BYTES};

/// Frame numbers hold the picture's number in their lower bits.
pub const PICTURES: u32 = 64;

/// Which picture a frame shows.
pub fn picture(frame: u32) -> usize {
    (frame % PICTURES) as usize
}

/// How an errand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Done.
    Done,
    /// Somebody refused.
    Refused,
    /// No answer.
    GivenUp,
    /// Back to the confirmed bundle.
    FellBack,
}

impl From<&Error> for End {
    fn from(error: &Error) -> End {
        match error.class() {
            Class::Host | Class::Refused => End::Refused,
            Class::Link | Class::Stopped => End::GivenUp,
            Class::FellBack => End::FellBack,
        }
    }
}

/// An errand.
pub enum Errand {
    /// One request.
    Once(Once),
    /// An upload that nobody checked before.
    Upload(Upload),
    /// Live frames.
    Frames(Frames),
    /// The host's own way to flash, with frames while it watches the trial.
    Flash(Box<Flash<'static>>, Frames, Cell<bool>),
    /// Nothing for a while.
    Pause(u64),
}

impl Job for Errand {
    fn next(&self, now_ms: u64) -> Next<'_> {
        match self {
            Errand::Once(once) => once.next(),
            Errand::Upload(upload) => upload.sender.request().map_or(Next::Done, Next::Ask),
            Errand::Frames(frames) => frames.next(),
            Errand::Flash(flash, frames, camera) => {
                if camera.get() {
                    return frames.next();
                }
                let next = flash.next(now_ms);
                let Next::Pause(until_ms) = next else { return next };
                match frames.next() {
                    Next::Ask(request) => {
                        camera.set(true);
                        Next::Ask(request)
                    }
                    Next::Pause(due_ms) => Next::Pause(until_ms.min(due_ms)),
                    Next::Done => Next::Pause(until_ms),
                }
            }
            Errand::Pause(until_ms) if now_ms < *until_ms => Next::Pause(*until_ms),
            Errand::Pause(_) => Next::Done,
        }
    }

    fn answered(&mut self, reply: &Reply<'_>, again: bool, now_ms: u64) -> Result<(), Error> {
        match self {
            Errand::Once(once) => once.answered(reply),
            Errand::Upload(upload) => upload.answered(reply),
            Errand::Frames(frames) => frames.answered(reply),
            Errand::Flash(_, frames, camera) if camera.get() => {
                camera.set(false);
                // A refused frame is no end of the trial.
                let _ = frames.answered(reply);
                Ok(())
            }
            Errand::Flash(flash, ..) => flash.answered(reply, again, now_ms),
            Errand::Pause(_) => Ok(()),
        }
    }

    fn resume(&mut self, now_ms: u64) -> Result<(), Error> {
        match self {
            Errand::Frames(frames) => frames.resume(now_ms),
            Errand::Flash(flash, frames, _) => {
                if matches!(frames.next(), Next::Pause(due_ms) if due_ms <= now_ms) {
                    frames.resume(now_ms);
                }
                if matches!(flash.next(now_ms), Next::Pause(until_ms) if until_ms <= now_ms) {
                    flash.resume(now_ms)?;
                }
            }
            Errand::Once(_) | Errand::Upload(_) | Errand::Pause(_) => {}
        }
        Ok(())
    }
}

/// One request.
pub struct Once {
    /// What is asked.
    pub request: Request<'static>,
    /// What the slots were said to hold.
    pub slots: Option<(Option<u8>, [Slot; 2])>,
    answered: bool,
}

impl Once {
    /// Not asked yet.
    pub fn new(request: Request<'static>) -> Once {
        Once { request, slots: None, answered: false }
    }

    fn next(&self) -> Next<'_> {
        if self.answered { Next::Done } else { Next::Ask(self.request) }
    }

    fn answered(&mut self, reply: &Reply<'_>) -> Result<(), Error> {
        self.answered = true;
        match reply {
            Reply::Refused(refusal) => Err(Error::Refused { doing: "", refusal: *refusal }),
            Reply::Slots { active, slots } => {
                self.slots = Some((*active, *slots));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The slot in that state, as last heard.
pub fn slot_in(slots: &Option<(Option<u8>, [Slot; 2])>, state: SlotState) -> Option<u8> {
    let (_, slots) = slots.as_ref()?;
    (0..2).zip(slots).find(|(_, slot)| slot.state == state).map(|(number, _)| number)
}

/// An upload of any bytes.
pub struct Upload {
    /// Which item.
    pub item: usize,
    sender: Sender<'static>,
}

impl Upload {
    /// Of an item.
    pub fn new(item: usize, chunk_bytes: usize) -> Upload {
        let image = &Catalog::get().items[item].image;
        Upload { item, sender: Sender::new(image, chunk_bytes).expect("an image") }
    }

    fn answered(&mut self, reply: &Reply<'_>) -> Result<(), Error> {
        self.sender.answered(reply);
        match self.sender.progress() {
            Progress::Refused(refusal) => Err(Error::Refused { doing: "", refusal }),
            _ => Ok(()),
        }
    }
}

/// A camera: a frame a period, in one piece or two.
pub struct Frames {
    random: Random,
    left: u32,
    period_ms: u64,
    /// Pictures that the running bundle lets pass are taken with this probability.
    passing: f64,
    pictures: Vec<u32>,
    serial: u32,
    due_ms: u64,
    frame: u32,
    /// Where the next piece begins and how long it is; none between frames.
    piece: Option<(usize, usize)>,
    split: usize,
    /// How the frame is begun as a camera does; none: it is the model's.
    start: Option<Start>,
    /// It was begun.
    begun: bool,
    bytes: Vec<u8>,
}

/// What a host says of a frame that it begins.
#[derive(Clone, Copy)]
struct Start {
    age_us: u32,
    width: u16,
}

impl Frames {
    /// `count` frames numbered from `serial` on; `item` is thought to run. With `normal` all of
    /// them pass.
    pub fn new(seed: u64, count: u32, serial: u32, item: Option<usize>, normal: bool) -> Frames {
        let mut random = Random::new(seed);
        let catalog = Catalog::get();
        let pass =
            |expected: &super::catalog::Expected| expected.verdict == gradgate_gate::Verdict::Pass;
        let pictures = item.map_or(Vec::new(), |item| {
            let expected = (0..).zip(&catalog.items[item].expected);
            expected.filter(|(_, seen)| pass(seen)).map(|(picture, _)| picture).collect()
        });
        let periods =
            item.map_or(20, |item| u64::from(catalog.items[item].policy.frame_period_us) / 1000);
        let passing = if normal { 1.0 } else { [0.0, 0.9, 1.0][random.below(3) as usize] };
        let share = if normal { 50 } else { [50, 100, 100, 100, 150][random.below(5) as usize] };
        let period_ms = periods * share / 100;
        let mut frames = Frames {
            random,
            left: count,
            period_ms,
            passing,
            pictures,
            serial,
            due_ms: 0,
            frame: 0,
            piece: None,
            split: 0,
            start: None,
            begun: false,
            bytes: Vec::new(),
        };
        frames.begin();
        frames
    }

    /// The number that the next frames begin with.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    fn begin(&mut self) {
        if self.left == 0 {
            self.piece = None;
            return;
        }
        self.left -= 1;
        let all = Catalog::get().frames.len() as u64;
        let picture = match self.random.chance(self.passing) && !self.pictures.is_empty() {
            true => self.pictures[self.random.below(self.pictures.len() as u64) as usize],
            false => self.random.below(all) as u32,
        };
        self.frame = self.serial * PICTURES + picture;
        self.serial += 1;
        self.bytes = Catalog::get().frames[picture as usize].clone();
        self.start = None;
        if self.passing < 1.0 && self.random.below(3) == 0 {
            let (age_us, width) = match self.random.below(6) {
                0 => (200_000 + self.random.below(1 << 20) as u32, CAMERA.width),
                1 => (0, CAMERA.width + 1),
                _ => (self.random.below(1000) as u32, CAMERA.width),
            };
            self.start = Some(Start { age_us, width: width as u16 });
            self.bytes.resize(FRAME_BYTES / CAMERA.width as usize * width as usize, 9);
        }
        self.begun = self.start.is_none();
        let length = self.bytes.len();
        self.split = match self.random.below(3) {
            0 => 1 + self.random.below(length as u64 - 1) as usize,
            _ => length,
        };
        self.piece = Some((0, self.split));
    }

    fn next(&self) -> Next<'_> {
        let Some((offset, length)) = self.piece else {
            return if self.left == 0 { Next::Done } else { Next::Pause(self.due_ms) };
        };
        let frame = self.frame;
        if let (Some(Start { age_us, width }), false) = (self.start, self.begun) {
            let place = PixelFormat::ALL.iter().position(|format| *format == CAMERA.format);
            let (height, format) = (CAMERA.height as u16, place.unwrap_or(0) as u8);
            return Next::Ask(Request::StartFrame { frame, age_us, width, height, format });
        }
        Next::Ask(Request::SendFrame {
            frame,
            offset: offset as u32,
            total_bytes: self.bytes.len() as u32,
            bytes: &self.bytes[offset..offset + length],
        })
    }

    fn answered(&mut self, reply: &Reply<'_>) -> Result<(), Error> {
        let length = self.bytes.len();
        let first = self.piece.is_some_and(|(offset, _)| offset == 0) && self.split < length;
        self.piece = match reply {
            Reply::Done if !std::mem::replace(&mut self.begun, true) => self.piece,
            Reply::Done if first => Some((self.split, length - self.split)),
            _ => None,
        };
        match reply {
            Reply::Refused(refusal) => Err(Error::Refused { doing: "", refusal: *refusal }),
            _ => Ok(()),
        }
    }

    fn resume(&mut self, now_ms: u64) {
        self.begin();
        self.due_ms = now_ms + self.period_ms;
    }
}
