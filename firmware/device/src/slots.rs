//! The life of two bundle slots: empty, filling, staged, trial, confirmed or rejected.
//!
//! [`Slots::boot`] decides what runs; nothing runs that did not pass every check at this start.
//! A bundle on trial runs until [`Slots::confirm`]; when it fails a check, is reverted, or was
//! started [`TRIAL_BOOTS_MAX`] times without being confirmed, the confirmed one runs again. The
//! smallest security counter rises only with the confirmation. Neither the slot that runs nor the
//! confirmed one is ever written: `Slots::writable` is the only way to a slot's region.
//!
//! Every change is one record of the journal, and it is written before the flash that it speaks of
//! is touched (emptied, started) or after it was read back whole (filling, staged, confirmed).

use crate::flash::{Flash, FlashError, Layout, Region};
use crate::journal::{Health, Journal, JournalError};
use crate::record::{Content, Identity, RECORD_BYTES, Slot, SlotState, Snapshot};
use crate::settings::{Given, Settings, SettingsError};
use crate::upload::Upload;
use crate::verify::{Admitted, Refusal, SelfTest, SlotBundle, Trust, check_region, read_known};

/// How often a bundle on trial is started before it counts as failed.
pub const TRIAL_BOOTS_MAX: u8 = 3;

/// How often the confirmed bundle is checked at one start: nothing else could run instead.
const CONFIRMED_CHECKS_MAX: usize = 3;

/// Why an operation was refused or did not succeed. After any of them another start is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotError {
    /// The bundle does not pass.
    Refused(Refusal),
    /// The journal did not take the new state.
    Journal(JournalError),
    /// Flash failed.
    Flash(FlashError),
    /// A bundle is on trial: confirm or revert it first.
    OnTrial,
    /// No bundle is on trial, or it is not the one that runs.
    NotOnTrial,
    /// There is no upload, or sectors are still to be erased.
    NotReady,
    /// Bytes that do not follow those before.
    Offset {
        /// Where the next bytes begin.
        expected: u32,
    },
    /// No whole bundle waits, or lies in that slot.
    NotStaged,
}

impl From<Refusal> for SlotError {
    fn from(error: Refusal) -> Self {
        Self::Refused(error)
    }
}

impl From<JournalError> for SlotError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<FlashError> for SlotError {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

/// The bundle that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Where it lies.
    pub slot: Slot,
    /// Not confirmed yet.
    pub trial: bool,
    /// What it says of itself.
    pub admitted: Admitted,
}

/// A whole bundle in a slot, as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its length.
    pub total_bytes: u32,
    /// Its security counter.
    pub security_counter: u64,
    /// What the journal calls it.
    pub identity: Identity,
}

/// Two slots and their journal.
pub struct Slots<F> {
    pub(crate) flash: F,
    pub(crate) layout: Layout,
    pub(crate) trust: Trust,
    pub(crate) state: Snapshot,
    pub(crate) upload: Option<Upload>,
    journal: Journal<RECORD_BYTES>,
    health: Health,
    journal_error: Option<JournalError>,
    active: Option<Active>,
    refusal: Option<Refusal>,
}

impl<F: Flash> Slots<F> {
    /// Decides what runs. Without a bundle that passes, nothing does: the fail state.
    pub fn boot(mut flash: F, layout: Layout, trust: Trust, test: &mut impl SelfTest) -> Self {
        let (journal, found) = Journal::open(&mut flash, *layout.journal(), layout.erased());
        let mut slots = Self {
            flash,
            layout,
            trust,
            state: found.state,
            upload: None,
            journal,
            health: found.health,
            journal_error: None,
            active: None,
            refusal: None,
        };
        // A state that could fall back is trusted for this start all the same: whatever runs has
        // passed every check.
        if !found.settled {
            let _ = slots.record(found.state);
            slots.health = found.health;
        }
        slots.choose(test);
        slots
    }

    /// What runs; `None` is the fail state.
    pub fn active(&self) -> Option<&Active> {
        self.active.as_ref()
    }

    /// Why the last bundle that was tried did not run.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// What the journal says.
    pub fn state(&self) -> &Snapshot {
        &self.state
    }

    /// How the journal was found at the start; whole once it took another state.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Why the last state could not be remembered; `None` once one was.
    pub fn journal_error(&self) -> Option<JournalError> {
        self.journal_error
    }

    /// Smallest security counter that is taken.
    pub fn counter_floor(&self) -> u64 {
        self.state.floor.max(self.trust.counter_floor)
    }

    /// The bundle that runs, for loading.
    pub fn bundle(&mut self) -> Option<SlotBundle<'_, F>> {
        let Active { slot, admitted, .. } = self.active?;
        Some(SlotBundle { flash: &mut self.flash, layout: &self.layout, slot, admitted })
    }

    /// What lies in a slot that is staged, on trial, confirmed or rejected; `None` for another, and
    /// where it cannot be read or is not what the journal names. The bytes behind the first 320 are
    /// not looked at: only [`Slots::verify`] tells whether they are right.
    pub fn describe(&mut self, slot: Slot) -> Option<Described> {
        let identity = self.whole(slot)?;
        let manifest = read_known(&mut self.flash, &self.layout.slot(slot), identity)?;
        Some(Described {
            total_bytes: manifest.total_bytes.get(),
            security_counter: manifest.security_counter.get(),
            identity,
        })
    }

    /// Makes every check of a start, the self-test too, on a slot that is staged, on trial,
    /// confirmed or rejected. Nothing changes, whatever comes out.
    ///
    /// # Errors
    /// [`SlotError::NotStaged`] for another slot; [`SlotError::Refused`].
    pub fn verify(&mut self, slot: Slot, test: &mut impl SelfTest) -> Result<Admitted, SlotError> {
        self.whole(slot).ok_or(SlotError::NotStaged)?;
        Ok(self.check(slot, test)?)
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Keeps what the device is given, see [`Settings::provision`]; slots and journal are not
    /// touched.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn provision(
        &mut self,
        settings: &mut Settings,
        given: Given,
    ) -> Result<(), SettingsError> {
        settings.provision(&mut self.flash, given)
    }

    /// What it takes.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The flash.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Puts the staged bundle on trial and runs it from now on.
    ///
    /// # Errors
    /// [`SlotError::NotStaged`]; [`SlotError::Refused`] when it failed a check: it is rejected,
    /// and what was confirmed runs.
    pub fn activate(&mut self, test: &mut impl SelfTest) -> Result<Slot, SlotError> {
        self.not_on_trial()?;
        let slot = self.state.find(SlotState::Staged).ok_or(SlotError::NotStaged)?;
        let Content { identity, .. } = self.state.content(slot);
        let next = Snapshot { boots: 0, ..self.state };
        self.record(next.with(slot, SlotState::Trial, identity))?;
        self.upload = None;
        self.choose(test);
        match (self.active, self.refusal) {
            (Some(active), _) if active.trial => Ok(active.slot),
            (_, Some(refusal)) => Err(refusal.into()),
            (_, None) => Err(JournalError::Program.into()),
        }
    }

    /// Keeps the bundle on trial: its counter is the smallest from now on, the other slot empty.
    ///
    /// # Errors
    /// [`SlotError::NotOnTrial`]; [`SlotError::Refused`] when its bytes are no longer right, to
    /// be reverted then.
    pub fn confirm(&mut self) -> Result<(), SlotError> {
        let active = self.active.filter(|active| active.trial).ok_or(SlotError::NotOnTrial)?;
        let region = self.layout.slot(active.slot);
        active.admitted.check_bytes(&mut self.flash, &self.layout, &region)?;
        let floor = self.state.floor.max(active.admitted.counter());
        let next = Snapshot { boots: 0, floor, ..self.state }
            .with(active.slot, SlotState::Confirmed, active.admitted.identity())
            .with(active.slot.other(), SlotState::Empty, [0; 32]);
        self.record(next)?;
        self.active = Some(Active { trial: false, ..active });
        Ok(())
    }

    /// Rejects the bundle on trial; what was confirmed runs again.
    ///
    /// # Errors
    /// [`SlotError::NotOnTrial`]; [`SlotError::Journal`] when it could not be remembered: the
    /// bundle no longer runs, but may be tried at the next start.
    pub fn revert(&mut self, test: &mut impl SelfTest) -> Result<(), SlotError> {
        let slot = self.state.find(SlotState::Trial).ok_or(SlotError::NotOnTrial)?;
        let outcome = self.reject(slot);
        self.active = self.confirmed(test);
        outcome
    }

    /// Erases the slot that neither runs nor is confirmed, and ends any upload.
    ///
    /// # Errors
    /// On trial, journal, flash.
    pub fn erase_inactive(&mut self) -> Result<(), SlotError> {
        self.not_on_trial()?;
        self.upload = None;
        let slot = self.state.find(SlotState::Confirmed).map_or(Slot::A, Slot::other);
        self.empty(slot)?;
        let region = self.writable(slot)?;
        for sector in 0..region.sectors {
            self.erase_sector(&region, sector)?;
        }
        Ok(())
    }

    /// The whole bundle that the journal names in a slot.
    fn whole(&self, slot: Slot) -> Option<Identity> {
        let Content { state, identity } = self.state.content(slot);
        match state {
            SlotState::Staged | SlotState::Trial | SlotState::Confirmed | SlotState::Rejected => {
                Some(identity)
            }
            SlotState::Empty | SlotState::Filling => None,
        }
    }

    pub(crate) fn not_on_trial(&self) -> Result<(), SlotError> {
        match self.state.find(SlotState::Trial) {
            Some(_) => Err(SlotError::OnTrial),
            None => Ok(()),
        }
    }

    /// The region of a slot that may be erased and programmed now.
    pub(crate) fn writable(&self, slot: Slot) -> Result<Region, SlotError> {
        let runs = self.active.is_some_and(|active| active.slot == slot);
        match self.state.content(slot).state {
            SlotState::Empty | SlotState::Filling if !runs => Ok(self.layout.slot(slot)),
            SlotState::Trial => Err(SlotError::OnTrial),
            SlotState::Empty
            | SlotState::Filling
            | SlotState::Staged
            | SlotState::Confirmed
            | SlotState::Rejected => Err(SlotError::NotReady),
        }
    }

    pub(crate) fn erase_sector(&mut self, region: &Region, sector: u32) -> Result<(), SlotError> {
        let offset = sector.saturating_mul(region.sector_bytes);
        Ok(self.flash.erase(region.at(offset), region.sector_bytes)?)
    }

    /// Forgets what a slot holds, before its flash is touched.
    pub(crate) fn empty(&mut self, slot: Slot) -> Result<(), SlotError> {
        match self.state.content(slot).state {
            SlotState::Empty => Ok(()),
            _ => self.record(self.state.with(slot, SlotState::Empty, [0; 32])),
        }
    }

    pub(crate) fn record(&mut self, next: Snapshot) -> Result<(), SlotError> {
        let outcome = self.journal.append(&mut self.flash, next);
        self.journal_error = outcome.err();
        outcome?;
        self.state = next;
        self.health = Health::Whole;
        Ok(())
    }

    fn choose(&mut self, test: &mut impl SelfTest) {
        self.refusal = None;
        self.active = self.trial(test);
        if self.active.is_none() {
            let refusal = self.refusal;
            self.active = self.confirmed(test);
            self.refusal = refusal.or(self.refusal);
        }
    }

    /// The start is counted before it is made: a bundle that brings the device down still ends.
    fn trial(&mut self, test: &mut impl SelfTest) -> Option<Active> {
        let slot = self.state.find(SlotState::Trial)?;
        if self.state.boots >= TRIAL_BOOTS_MAX {
            let _ = self.reject(slot);
            return None;
        }
        let boots = self.state.boots.saturating_add(1);
        self.record(Snapshot { boots, ..self.state }).ok()?;
        match self.check(slot, test) {
            Ok(admitted) => Some(Active { slot, trial: true, admitted }),
            Err(refusal) => {
                self.refusal = Some(refusal);
                let _ = self.reject(slot);
                None
            }
        }
    }

    fn confirmed(&mut self, test: &mut impl SelfTest) -> Option<Active> {
        let slot = self.state.find(SlotState::Confirmed)?;
        for _ in 0..CONFIRMED_CHECKS_MAX {
            match self.check(slot, test) {
                Ok(admitted) => return Some(Active { slot, trial: false, admitted }),
                Err(refusal) => self.refusal = Some(refusal),
            }
        }
        None
    }

    fn check(&mut self, slot: Slot, test: &mut impl SelfTest) -> Result<Admitted, Refusal> {
        let Content { identity, .. } = self.state.content(slot);
        let region = self.layout.slot(slot);
        let (flash, layout) = (&mut self.flash, &self.layout);
        let admitted =
            check_region(flash, layout, &region, &self.trust, self.state.floor, identity)?;
        match test.passes(&mut SlotBundle { flash, layout, slot, admitted }) {
            true => Ok(admitted),
            false => Err(Refusal::SelfTest),
        }
    }

    fn reject(&mut self, slot: Slot) -> Result<(), SlotError> {
        let Content { identity, .. } = self.state.content(slot);
        let next = Snapshot { boots: 0, ..self.state };
        self.record(next.with(slot, SlotState::Rejected, identity))
    }
}
