//! A bundle onto a device: checked here, sent, compared, verified there, started on trial, watched,
//! and confirmed or taken back.
//!
//! [`Flash`] is one errand, pollable; it can be broken off at any moment and begun again, for the
//! device keeps what arrived and says how far it is. The trial is judged by answers alone, which
//! are authenticated, never by telemetry.

mod kinds;
mod left;
mod package;
mod timeline;
mod trial;

use gradgate_link::message::{Digest, Slot, SlotState};
use gradgate_link::upload::{Progress as Sent, Sender};
use gradgate_link::{Refusal, Reply, Request};

use crate::device::{Identity, Slots, Status, state_name};
use crate::error::Error;
use crate::job::{Job, Next};
use crate::link::doing;

pub use kinds::{CHUNK_BYTES, Options, Outcome, Phase, Progress};
pub use package::Package;
pub use timeline::{PhaseTime, Timeline};
pub use trial::Confirm;
use trial::{Round, Trial};

/// A bundle runs within this time after it was activated, or never.
const START_MS: u64 = 20_000;
/// Between two questions whether it runs.
const START_EVERY_MS: u64 = 200;
/// Uploads that are begun anew after the device lost one.
const ANEW_MAX: u32 = 3;

enum State {
    Identify,
    Status,
    Slots,
    Unfinished,
    Upload,
    Locate,
    Verify(u8),
    Activate(u8),
    Started { slot: u8, since_ms: Option<u64> },
    Waiting { slot: u8, since_ms: u64, until_ms: u64 },
    Trial,
    Confirm,
    Confirmed,
    Revert { reason: String },
    Reverted { reason: String },
    Done,
}

/// The errand.
pub struct Flash<'p> {
    /// `None`: the bundle is on the device, on trial.
    package: Option<&'p Package>,
    /// Names the bundle; zeros: that on trial, whichever it is.
    bundle: Digest,
    options: Options,
    state: State,
    phase: Phase,
    progress: Progress,
    sender: Option<Sender<'p>>,
    begun: bool,
    anew: u32,
    identity: Option<Identity>,
    status: Option<Status>,
    slots: Option<Slots>,
    trial: Trial,
    outcome: Outcome,
}

impl<'p> Flash<'p> {
    /// # Errors
    /// [`Error::File`] for a package that cannot be sent.
    pub fn new(package: &'p Package, options: Options) -> Result<Flash<'p>, Error> {
        let sender = Sender::new(package.bytes(), options.chunk_bytes).ok_or_else(|| {
            Error::File { message: "the bundle is empty, or chunks of nothing are wanted".into() }
        })?;
        let errand = Flash::empty(Some(package), *package.identity(), options);
        Ok(Flash { sender: Some(sender), ..errand })
    }

    /// Watches the bundle that is on trial already, and confirms it.
    pub fn of_trial(confirm: Confirm) -> Flash<'static> {
        let options = Options { confirm: Some(confirm), ..Options::default() };
        Flash::empty(None, [0; 32], options)
    }

    fn empty(package: Option<&'p Package>, bundle: Digest, options: Options) -> Flash<'p> {
        let total = package.map_or(0, Package::total_bytes);
        let wanted = options.confirm.map_or(0, |confirm| confirm.after_frames);
        Flash {
            package,
            bundle,
            options,
            state: State::Identify,
            phase: Phase::Check,
            progress: Progress { total, wanted, ..Progress::default() },
            sender: None,
            begun: false,
            anew: 0,
            identity: None,
            status: None,
            slots: None,
            trial: Trial::default(),
            outcome: Outcome::Suits,
        }
    }

    /// Names the bundle; zeros: not known yet.
    pub fn bundle(&self) -> &Digest {
        &self.bundle
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Who the device is, once it said so.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// How the device was at the beginning.
    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// What was last heard of the slots.
    pub fn slots(&self) -> Option<&Slots> {
        self.slots.as_ref()
    }

    fn enter(&mut self, phase: Phase, state: State) {
        (self.phase, self.state) = (phase, state);
    }

    fn done(&mut self, outcome: Outcome) {
        self.outcome = outcome;
        self.enter(Phase::Done, State::Done);
    }

    fn request(&self) -> Option<Request<'_>> {
        Some(match &self.state {
            State::Identify => Request::Identify,
            State::Status => Request::ReadStatus,
            State::Slots
            | State::Locate
            | State::Started { .. }
            | State::Confirmed
            | State::Reverted { .. } => Request::ListSlots,
            State::Unfinished => Request::ReadUpload,
            State::Upload => self.sender.as_ref()?.request()?,
            State::Verify(slot) => Request::Verify { slot: *slot },
            State::Activate(slot) => Request::Activate { slot: *slot },
            State::Trial => return self.trial.request(),
            State::Confirm => Request::Confirm,
            State::Revert { .. } => Request::Revert,
            State::Waiting { .. } | State::Done => return None,
        })
    }

    /// What the slots say at the beginning.
    fn plan(&mut self, slots: Slots) -> Result<(), Error> {
        self.slots = Some(slots);
        let Some(package) = self.package else { return self.plan_trial(slots) };
        let bundle = self.bundle;
        let ours = |slot: &&Slot| slot.identity == bundle;
        let mut reasons = match (&self.identity, &self.status) {
            (Some(identity), Some(status)) => package.problems(identity, status),
            _ => Vec::new(),
        };
        let on_trial = slots.with(SlotState::Trial).and_then(|number| slots.slot(number));
        if on_trial.is_some_and(|slot| !ours(&slot)) {
            reasons.push(
                "another bundle is on trial: `gradgate confirm` or `gradgate revert` first".into(),
            );
        }
        let rejected = slots.slots.iter().find(ours).map(|slot| slot.state);
        if rejected == Some(SlotState::Rejected) && !self.options.retry_rejected {
            reasons.push(
                "the device has rejected this very bundle: flash another, or --retry-rejected"
                    .into(),
            );
        }
        if !reasons.is_empty() {
            return Err(Error::Unsuitable { reasons });
        }
        let total = self.progress.total;
        let running = slots.running().filter(ours).map(|slot| slot.state);
        match (running, self.options) {
            (Some(SlotState::Confirmed), _) => self.done(Outcome::Already),
            (_, Options { dry_run: true, .. }) => self.done(Outcome::Suits),
            (Some(SlotState::Trial), _) => self.begin_trial(),
            _ => match self.staged(&slots) {
                // It is all there; verifying compares every byte again.
                Some(slot) => {
                    (self.progress.sent, self.progress.resumed_at) = (total, total);
                    self.enter(Phase::Verify, State::Verify(slot));
                }
                None => self.state = State::Unfinished,
            },
        }
        Ok(())
    }

    /// Whether this very upload goes on, or a slot is emptied first, as is said of firmware that
    /// cannot tell.
    fn resume_or_erase(&mut self, reply: &Reply<'_>) {
        match *reply {
            Reply::Unfinished { identity, offset, .. } if identity == self.bundle && offset > 0 => {
                // Shown only: where the upload goes on, the device says when it is announced.
                let offset = offset.min(self.progress.total);
                (self.progress.sent, self.progress.resumed_at) = (offset, offset);
                self.enter(Phase::Upload, State::Upload);
            }
            _ => self.enter(Phase::Erase, State::Upload),
        }
    }

    /// Without a bundle of ours, that on trial is meant.
    fn plan_trial(&mut self, slots: Slots) -> Result<(), Error> {
        let running = slots.running().filter(|slot| slot.state == SlotState::Trial);
        let Some(slot) = running else {
            return Err(Error::Refused { doing: "confirming", refusal: Refusal::State });
        };
        self.bundle = slot.identity;
        self.begin_trial();
        Ok(())
    }

    fn begin_trial(&mut self) {
        let period_us = self.status.as_ref().map_or(0, |status| status.frame_period_us);
        match self.options.confirm {
            Some(confirm) => {
                self.trial = Trial::new(confirm, self.bundle, period_us);
                self.enter(Phase::Trial, State::Trial);
            }
            None => self.done(Outcome::OnTrial),
        }
    }

    fn uploaded(&mut self, reply: &Reply<'_>) -> Result<(), Error> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let request = sender.request();
        sender.answered(reply);
        match sender.progress() {
            Sent::Sending(offset) => self.sent(offset),
            Sent::Finishing => {
                self.sent(self.progress.total);
                self.phase = Phase::Verify;
            }
            Sent::Done => self.enter(Phase::Verify, State::Locate),
            Sent::Asking => {}
            // The device has started anew and lost its place, or what it kept is torn.
            Sent::Refused(Refusal::State | Refusal::Digest)
                if self.begun && self.anew < ANEW_MAX =>
            {
                self.anew += 1;
                sender.ask();
                // What waits there may be whole.
                self.state = State::Slots;
            }
            Sent::Refused(refusal) => {
                let doing = request.as_ref().map_or("uploading", doing);
                return Err(Error::Refused { doing, refusal });
            }
        }
        Ok(())
    }

    fn sent(&mut self, offset: u32) {
        if !self.begun {
            self.begun = true;
            self.progress.resumed_at = offset;
        }
        // The device may have lost some of what it told of.
        self.progress.resumed_at = self.progress.resumed_at.min(offset);
        (self.phase, self.progress.sent) = (Phase::Upload, offset);
    }

    /// The slot where the bundle waits.
    fn staged(&self, slots: &Slots) -> Option<u8> {
        let number = slots.find(&self.bundle)?;
        (slots.slot(number)?.state == SlotState::Staged).then_some(number)
    }

    fn locate(&mut self, slots: Slots) -> Result<(), Error> {
        self.slots = Some(slots);
        let refused =
            Error::Refused { doing: "looking for it in the slots", refusal: Refusal::Digest };
        self.state = State::Verify(self.staged(&slots).ok_or(refused)?);
        Ok(())
    }

    fn started(&mut self, slot: u8, since_ms: u64, slots: Slots, now_ms: u64) -> Result<(), Error> {
        self.slots = Some(slots);
        let state = slots.slot(slot).map_or(SlotState::Empty, |slot| slot.state);
        match state {
            SlotState::Trial | SlotState::Confirmed if slots.active == Some(slot) => {
                self.begin_trial();
                Ok(())
            }
            SlotState::Staged | SlotState::Trial if now_ms < since_ms + START_MS => {
                let until_ms = now_ms + START_EVERY_MS;
                self.state = State::Waiting { slot, since_ms, until_ms };
                Ok(())
            }
            state => Err(Error::FellBack {
                reason: format!("it did not start ({})", state_name(state)),
                now: now_text(&slots),
            }),
        }
    }

    fn trial(&mut self, reply: &Reply<'_>, now_ms: u64) -> Result<(), Error> {
        match self.trial.answered(reply, now_ms)? {
            Round::Goes => {}
            Round::Stood => self.enter(Phase::Confirm, State::Confirm),
            Round::Failed(reason) => self.enter(Phase::Revert, State::Revert { reason }),
            Round::Gone(reason, slots) => {
                return Err(Error::FellBack { reason, now: now_text(&slots) });
            }
        }
        (self.progress.judged, self.progress.unknown) = self.trial.counts();
        Ok(())
    }

    fn confirmed(&mut self, slots: Slots) -> Result<(), Error> {
        self.slots = Some(slots);
        let running = slots.running().filter(|slot| slot.state == SlotState::Confirmed);
        if running.is_none_or(|slot| slot.identity != self.bundle) {
            let reason = "it was gone when it should have been confirmed".to_owned();
            return Err(Error::FellBack { reason, now: now_text(&slots) });
        }
        self.done(Outcome::Confirmed);
        Ok(())
    }
}

/// What runs, in words.
fn now_text(slots: &Slots) -> String {
    match (slots.active, slots.running()) {
        (Some(number), Some(slot)) => {
            let name = crate::device::hex(slot.identity.get(..4).unwrap_or_default());
            format!("slot {number} runs ({}, {name})", state_name(slot.state))
        }
        _ => "no bundle runs: the gate is closed".to_owned(),
    }
}

impl Job for Flash<'_> {
    fn next(&self, _now_ms: u64) -> Next<'_> {
        match &self.state {
            State::Waiting { until_ms, .. } => Next::Pause(*until_ms),
            State::Done => Next::Done,
            _ => match self.request() {
                Some(request) => Next::Ask(request),
                None => Next::Pause(self.trial.pause_ms()),
            },
        }
    }

    fn resume(&mut self, _now_ms: u64) -> Result<(), Error> {
        match self.state {
            State::Waiting { slot, since_ms, .. } => {
                self.state = State::Started { slot, since_ms: Some(since_ms) };
            }
            _ => self.trial.resume(),
        }
        Ok(())
    }

    fn answered(&mut self, reply: &Reply<'_>, again: bool, now_ms: u64) -> Result<(), Error> {
        let doing = self.request().as_ref().map_or("flashing", doing);
        if matches!(self.state, State::Upload) {
            return self.uploaded(reply);
        }
        if matches!(self.state, State::Unfinished) {
            self.resume_or_erase(reply);
            return Ok(());
        }
        if let Reply::Refused(refusal) = *reply {
            // What was asked twice may have been done the first time: the slots tell.
            let done = again && refusal == Refusal::State;
            match (&self.state, done) {
                (State::Activate(_) | State::Confirm | State::Revert { .. }, true) => {}
                _ => return Err(Error::Refused { doing, refusal }),
            }
        }
        let state = std::mem::replace(&mut self.state, State::Done);
        match (state, *reply) {
            (State::Identify, Reply::Identity(identity)) => {
                self.identity = Some(identity.into());
                self.state = State::Status;
            }
            (State::Status, Reply::Status(status)) => {
                self.status = Some(status.into());
                self.state = State::Slots;
            }
            (State::Slots, Reply::Slots { active, slots }) => self.plan(Slots { active, slots })?,
            (State::Locate, Reply::Slots { active, slots }) => {
                self.locate(Slots { active, slots })?;
            }
            (State::Verify(slot), Reply::Done) => match self.options.stage_only {
                true => self.done(Outcome::Staged),
                false => self.enter(Phase::Activate, State::Activate(slot)),
            },
            (State::Activate(slot), Reply::Done | Reply::Refused(_)) => {
                self.state = State::Started { slot, since_ms: None };
            }
            (State::Started { slot, since_ms }, Reply::Slots { active, slots }) => {
                let since_ms = since_ms.unwrap_or(now_ms);
                self.started(slot, since_ms, Slots { active, slots }, now_ms)?;
            }
            (State::Trial, _) => {
                self.state = State::Trial;
                self.trial(reply, now_ms)?;
            }
            (State::Confirm, Reply::Done | Reply::Refused(_)) => self.state = State::Confirmed,
            (State::Confirmed, Reply::Slots { active, slots }) => {
                self.confirmed(Slots { active, slots })?;
            }
            (State::Revert { reason }, Reply::Done | Reply::Refused(_)) => {
                self.state = State::Reverted { reason };
            }
            (State::Reverted { reason }, Reply::Slots { active, slots }) => {
                let now = now_text(&Slots { active, slots });
                return Err(Error::FellBack { reason, now });
            }
            _ => return Err(Error::Answer { doing }),
        }
        Ok(())
    }
}
