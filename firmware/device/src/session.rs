//! What the device does for each request of the link.
//!
//! Requests that end the bundle which runs, or want its memory, are not done here: they are handed
//! to the event loop as a [`Change`], with the gate closed first.

mod inactive;
mod report;

use gradgate_frame::PixelFormat;
use gradgate_gate::{Cause, Reason};
use gradgate_link::Refusal;
use gradgate_link::message::{self, Reply, Request};
use gradgate_link::upload::Receiver;

use crate::board::{Board, Description};
use crate::camera::{Geometry, Stamp};
use crate::copy;
use crate::flash::Flash;
use crate::history::Histogram;
use crate::judge::{Running, judge_frame, judge_unfit, unknown};
use crate::log::Code;
use crate::pipeline::Pipeline;
use crate::record::{Slot, SlotState};
use crate::settings::{Given, Name, Settings, SettingsError};
use crate::slots::Slots;
use crate::watch::Watch;

use inactive::Inactive;
pub use inactive::refusal;
use report::{counters, identity, slots, status, unfinished};

/// A camera is not asked for so long after a frame that came over the link.
const INJECTING_US: u64 = 1_000_000;
/// Bytes of features, evidence or log in one answer.
const PIECE_BYTES: usize = 384;

/// What the event loop does once the bundle that runs is put down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Check a slot with its self-test.
    Verify(Slot),
    /// Put the staged bundle on trial.
    Activate,
    /// Go back to the confirmed bundle.
    Revert,
    /// Start anew.
    Reboot,
}

/// A frame that comes in pieces.
#[derive(Clone, Copy, Debug)]
struct Incoming {
    frame: u32,
    total: u32,
    next: u32,
    /// When a camera's frame began; `None` for one of the model's size.
    began_us: Option<u64>,
}

/// State of the requests that take several.
pub struct Session {
    receiver: Receiver,
    /// Digest of the upload that the slots prepare.
    preparing: Option<message::Digest>,
    incoming: Option<Incoming>,
    /// The camera's frame that was begun last: its pieces are never taken for one of the model's,
    /// also not in another session, where a host sends again what it got no answer to.
    begun: Option<u32>,
    injecting_until_us: u64,
}

/// What a request may touch.
pub struct Context<'c, 'm, 'e, B, F> {
    /// The board.
    pub board: &'c mut B,
    /// Who it is.
    pub description: &'c Description,
    /// Its name and boot number.
    pub settings: &'c mut Settings,
    /// The slots.
    pub slots: &'c mut Slots<F>,
    /// Gate, log, evidence.
    pub watch: &'c mut Watch<'m>,
    /// The bundle that runs, if there is one.
    pub judging: Option<Judging<'c, 'e>>,
    /// The link's share of the counters.
    pub link: LinkCounts,
    /// How often the bundle in use was found whole.
    pub rehashes: u32,
}

/// What judges a frame.
pub struct Judging<'c, 'e> {
    /// The bundle.
    pub running: &'c Running<'e>,
    /// What makes its frames.
    pub pipeline: &'c mut Pipeline<'e>,
    /// Working memory.
    pub arena: &'c mut [f32],
}

/// What came over the link.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkCounts {
    /// Frames taken.
    pub good: u32,
    /// Frames dropped.
    pub bad: u32,
    /// Commands refused.
    pub refused: u32,
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// Nothing under way.
    pub fn new() -> Self {
        Self {
            receiver: Receiver::new(),
            preparing: None,
            incoming: None,
            begun: None,
            injecting_until_us: 0,
        }
    }

    /// Does what is asked and answers, or tells what the event loop must do for it.
    pub fn execute<B: Board, F: Flash>(
        &mut self,
        context: &mut Context<'_, '_, '_, B, F>,
        answer: &mut dyn FnMut(&Reply<'_>),
        request: Request<'_>,
    ) -> Option<Change> {
        let change = match request {
            Request::Verify { slot } => slot_of(slot).map(Change::Verify),
            Request::Activate { slot } => staged(context.slots, slot).map(|_| Change::Activate),
            Request::Revert => on_trial(context.slots).map(|_| Change::Revert),
            Request::Reboot => {
                answer(&Reply::Done);
                return Some(Change::Reboot);
            }
            request => {
                self.answer(context, answer, request);
                return None;
            }
        };
        match change {
            Ok(change) => {
                let now_us = context.board.now_us();
                context.watch.close(now_us, Reason::Update);
                self.forget();
                Some(change)
            }
            Err(refusal) => {
                answer(&Reply::Refused(refusal));
                None
            }
        }
    }

    /// What the slots hold has changed: no upload goes on.
    pub fn forget(&mut self) {
        self.receiver.abandon();
        self.preparing = None;
    }

    /// Whether sectors are to be erased for an upload.
    pub fn is_preparing(&self) -> bool {
        self.preparing.is_some()
    }

    fn answer<B: Board, F: Flash>(
        &mut self,
        context: &mut Context<'_, '_, '_, B, F>,
        answer: &mut dyn FnMut(&Reply<'_>),
        request: Request<'_>,
    ) {
        let done = |result: Result<(), Refusal>| match result {
            Ok(()) => Reply::Done,
            Err(refusal) => Reply::Refused(refusal),
        };
        let reply = match request {
            Request::Identify => identity(context),
            Request::ListSlots => slots(context.slots),
            Request::ReadUpload => unfinished(context.slots),
            Request::UploadBegin { .. } | Request::UploadChunk { .. } | Request::UploadFinish => {
                self.upload(context, &request)
            }
            Request::Confirm => done(confirm(context)),
            Request::Provision { name, public_key, link_key } => {
                done(provision(context, name, public_key, link_key))
            }
            Request::EraseInactive => done(self.erase(context)),
            Request::SendFrame { frame, offset, total_bytes, bytes } => {
                self.frame(context, (frame, offset, total_bytes), bytes)
            }
            Request::StartFrame { frame, age_us, width, height, format } => {
                let (width, height) = (u32::from(width), u32::from(height));
                let format = PixelFormat::ALL.get(usize::from(format)).ok_or(Refusal::Range);
                done(format.and_then(|&format| {
                    let geometry = Geometry { format, width, height };
                    self.start_frame(context, frame, age_us, geometry)
                }))
            }
            Request::SetStream { every } => {
                context.watch.stream(every);
                Reply::Done
            }
            request => return read(context, answer, request),
        };
        answer(&reply);
    }

    fn upload<B: Board, F: Flash>(
        &mut self,
        context: &mut Context<'_, '_, '_, B, F>,
        request: &Request<'_>,
    ) -> Reply<'static> {
        let now_us = context.board.now_us();
        let mut sink = Inactive { slots: context.slots, preparing: &mut self.preparing };
        let reply = self.receiver.answer(request, &mut sink);
        let reply = reply.unwrap_or(Reply::Refused(Refusal::Unknown));
        match (request, &reply) {
            (Request::UploadBegin { total_bytes, .. }, Reply::Upload { .. }) => {
                context.watch.event(now_us, Code::Upload, *total_bytes);
            }
            (Request::UploadFinish, Reply::Done) => {
                context.watch.event(now_us, Code::Staged, 0);
            }
            (_, Reply::Refused(Refusal::NotNow)) => {}
            (_, Reply::Refused(refusal)) => {
                context.watch.event(now_us, Code::Refused, *refusal as u32);
            }
            _ => {}
        }
        reply
    }

    fn erase<B: Board, F: Flash>(
        &mut self,
        context: &mut Context<'_, '_, '_, B, F>,
    ) -> Result<(), Refusal> {
        self.forget();
        let now_us = context.board.now_us();
        // All sectors at once: longer than any lease.
        context.watch.close(now_us, Reason::Update);
        context.board.set_pin(context.watch.level());
        context.slots.erase_inactive().map_err(refusal)?;
        context.watch.event(now_us, Code::Erased, 0);
        Ok(())
    }

    /// Begins a camera's frame.
    fn start_frame<B: Board, F: Flash>(
        &mut self,
        context: &mut Context<'_, '_, '_, B, F>,
        frame: u32,
        age_us: u32,
        geometry: Geometry,
    ) -> Result<(), Refusal> {
        let now_us = context.board.now_us();
        let judging = context.judging.as_mut().ok_or(Refusal::State)?;
        let bytes = geometry.frame_bytes().and_then(|bytes| u32::try_from(bytes).ok());
        let total = bytes.filter(|bytes| *bytes > 0).ok_or(Refusal::Range)?;
        // A frame from before the start of the device's clock keeps its age.
        let seen_us = now_us.max(u64::from(age_us));
        let captured_us = seen_us.saturating_sub(u64::from(age_us));
        // What is wrong with it is told when it is whole, as with a camera's.
        let _ = judging.pipeline.begin(Stamp { number: frame, captured_us }, geometry, seen_us);
        self.incoming = Some(Incoming { frame, total, next: 0, began_us: Some(now_us) });
        self.begun = Some(frame);
        self.injecting_until_us = now_us.saturating_add(INJECTING_US);
        Ok(())
    }

    /// Takes a piece of a frame; judges it when it is whole.
    fn frame<B: Board, F: Flash>(
        &mut self,
        context: &mut Context<'_, '_, '_, B, F>,
        (frame, offset, total): (u32, u32, u32),
        bytes: &[u8],
    ) -> Reply<'static> {
        let now_us = context.board.now_us();
        if !self.is_injecting(now_us) {
            // The camera has used the memory of the pieces before.
            self.incoming = None;
        }
        self.injecting_until_us = now_us.saturating_add(INJECTING_US);
        let Some(judging) = context.judging.as_mut() else {
            return Reply::Refused(Refusal::State);
        };
        let begun = self.incoming.filter(|incoming| incoming.frame == frame);
        let incoming = match begun {
            Some(incoming) if offset > 0 || incoming.began_us.is_some() => incoming,
            // It was judged already, or the camera has used its memory.
            _ if self.begun == Some(frame) => return Reply::Refused(Refusal::Range),
            _ => {
                self.begun = None;
                Incoming { frame, total, next: 0, began_us: None }
            }
        };
        self.incoming = None;
        let length = u32::try_from(bytes.len()).ok();
        let next = length.and_then(|length| offset.checked_add(length));
        let next = next.filter(|next| *next <= total && *next > offset);
        let Some(next) = next.filter(|_| (incoming.total, incoming.next) == (total, offset)) else {
            return Reply::Refused(Refusal::Range);
        };
        match incoming.began_us {
            // A fault is kept until the frame is whole.
            Some(_) => drop(judging.pipeline.push(bytes)),
            None => {
                let wanted = judging.running.engine().frame_length() == total as usize;
                let memory = judging.pipeline.frame_mut();
                let place = memory.get_mut(offset as usize..next as usize).filter(|_| wanted);
                let Some(place) = place else { return Reply::Refused(Refusal::Range) };
                copy(place, bytes);
            }
        }
        if next < total {
            self.incoming = Some(Incoming { next, ..incoming });
            return Reply::Done;
        }
        Reply::Judged(judge(context, &incoming))
    }

    /// Whether a host sends frames in the camera's place.
    pub fn is_injecting(&self, now_us: u64) -> bool {
        now_us < self.injecting_until_us
    }
}

/// Judges the frame that is whole. The way over the link is no part of its age.
fn judge<B: Board, F: Flash>(
    context: &mut Context<'_, '_, '_, B, F>,
    incoming: &Incoming,
) -> message::Judged {
    let (board, watch) = (&mut *context.board, &mut *context.watch);
    let Some(Judging { running, pipeline, arena }) = context.judging.as_mut() else {
        return unknown(incoming.frame, Cause::Judgement).judged;
    };
    let frame = match incoming.began_us {
        Some(began_us) => match pipeline.finish(began_us) {
            Ok(frame) => frame,
            Err(unfit) => return judge_unfit(board, watch, incoming.frame, unfit),
        },
        None => pipeline.frame_mut().get(..incoming.total as usize).unwrap_or_default(),
    };
    judge_frame(board, watch, (running, arena), incoming.frame, frame)
}

/// Answers what only looks.
fn read<B: Board, F: Flash>(
    context: &mut Context<'_, '_, '_, B, F>,
    answer: &mut dyn FnMut(&Reply<'_>),
    request: Request<'_>,
) {
    let mut piece = [0; PIECE_BYTES];
    let reply = match request {
        Request::ReadLog { from } => {
            let (first, next, length) = context.watch.log.read(from, &mut piece);
            Reply::Log { first, next, events: piece.get(..length).unwrap_or_default() }
        }
        Request::ReadCounters => counters(context),
        Request::ReadFeatures { from } => match context.watch.history.features(from, PIECE_BYTES) {
            Some((frame, total, values)) => Reply::Features { frame, first: from, total, values },
            None => Reply::Refused(Refusal::Range),
        },
        Request::ReadEvidence { event, offset } => {
            match context.watch.history.evidence(event, offset, PIECE_BYTES) {
                Some(evidence) => Reply::Evidence(evidence),
                None => Reply::Refused(Refusal::Range),
            }
        }
        Request::ReadHistogram => {
            let counts = context.watch.histogram.bytes();
            let (low, high) = context.watch.histogram.edges();
            let threshold = context.watch.threshold();
            // The answer borrows the counts.
            return answer(&Reply::Histogram { low, high, threshold, counts: &counts });
        }
        Request::SetHistogram { low, high } => match Histogram::new(low, high) {
            Some(histogram) => {
                context.watch.histogram = histogram;
                Reply::Done
            }
            None => Reply::Refused(Refusal::Range),
        },
        Request::ReadStatus => {
            let name = context.settings.given().map(|given| given.name);
            let name = name.as_ref().map_or("", Name::text);
            return answer(&Reply::Status(status(context, name)));
        }
        _ => Reply::Refused(Refusal::Unknown),
    };
    answer(&reply);
}

fn slot_of(number: u8) -> Result<Slot, Refusal> {
    match number {
        0 => Ok(Slot::A),
        1 => Ok(Slot::B),
        _ => Err(Refusal::Range),
    }
}

fn staged<F: Flash>(slots: &Slots<F>, number: u8) -> Result<Slot, Refusal> {
    let slot = slot_of(number)?;
    let staged = slots.state().content(slot).state == SlotState::Staged;
    if staged { Ok(slot) } else { Err(Refusal::State) }
}

fn on_trial<F: Flash>(slots: &Slots<F>) -> Result<Slot, Refusal> {
    slots.state().find(SlotState::Trial).ok_or(Refusal::State)
}

fn confirm<B: Board, F: Flash>(context: &mut Context<'_, '_, '_, B, F>) -> Result<(), Refusal> {
    // On trial in its slot, and yet nothing runs: it could not be loaded, or its frames not made.
    if context.judging.is_none() {
        return Err(Refusal::State);
    }
    context.slots.confirm().map_err(refusal)?;
    let slot = context.slots.active().map_or(0, |active| active.slot as u32);
    let now_us = context.board.now_us();
    context.watch.event(now_us, Code::Confirmed, slot);
    Ok(())
}

/// Takes effect at the next start: this session goes on under the key that it began with.
fn provision<B: Board, F: Flash>(
    context: &mut Context<'_, '_, '_, B, F>,
    name: &str,
    signer: [u8; 32],
    link_key: [u8; 32],
) -> Result<(), Refusal> {
    let name = Name::new(name).filter(|_| !name.is_empty()).ok_or(Refusal::Range)?;
    let given = Given { name, signer, link_key };
    match context.slots.provision(context.settings, given) {
        Ok(()) => {}
        Err(SettingsError::NoPlace) => return Err(Refusal::State),
        Err(SettingsError::Signer | SettingsError::LinkKey) => return Err(Refusal::Range),
        Err(SettingsError::Journal(_)) => return Err(Refusal::Storage),
    }
    let now_us = context.board.now_us();
    context.watch.event(now_us, Code::Provisioned, 0);
    Ok(())
}
