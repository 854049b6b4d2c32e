//! Filling the slot that does not run: begin, prepare, write, finish; resumed after any cut.
//!
//! A slot is named as filling only when all its sectors were erased, and bytes go in from the
//! front. So an interrupted upload goes on at the last sector that is not erased: that sector may
//! be torn, those before it are not. What is found this way is a guess that saves time; only the
//! digests at [`Slots::finish`] decide.

use gradgate_bundle::manifest::PREFIX_BYTES;

use crate::copy;
use crate::flash::{Flash, FlashError, Region, WORD_BYTES_MAX};
use crate::record::{Identity, Slot, SlotState};
use crate::slots::{SlotError, Slots};
use crate::verify::{Admitted, Prefix, Refusal, blocks, read_known};

/// An upload under way.
#[derive(Clone, Copy, Debug)]
pub struct Upload {
    slot: Slot,
    admitted: Admitted,
    /// Where bytes will begin: sectors before it hold some already.
    first_sector: u32,
    /// Next sector to erase.
    erase_sector: u32,
    /// Everything is erased, and the journal knows.
    ready: bool,
    /// Bytes taken so far.
    position: u32,
    /// Bytes behind the last whole word.
    tail: [u8; WORD_BYTES_MAX as usize],
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is no upload.
    Idle,
    /// Call [`Slots::prepare`] this many times more.
    Erase {
        /// Sectors still to be erased.
        sectors: u32,
    },
    /// Give [`Slots::write`] the bytes from here on.
    Write {
        /// First byte wanted.
        offset: u32,
    },
    /// Call [`Slots::finish`].
    Finish,
    /// The bundle waits, checked: call [`Slots::activate`].
    Staged,
}

/// A part of a bundle in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Where it lies.
    pub slot: Slot,
    /// Names the bundle.
    pub identity: Identity,
    /// How much of it is there; after a restart the sectors before the last one that was used.
    pub bytes: u32,
    /// The bundle's length; 0: not known, as its beginning is not there.
    pub total_bytes: u32,
}

impl<F: Flash> Slots<F> {
    /// Checks manifest and signature, and only then gives up what the other slot holds. The same
    /// bundle as before goes on where it was interrupted.
    ///
    /// # Errors
    /// [`SlotError::Refused`], [`SlotError::OnTrial`], journal and flash.
    pub fn begin(&mut self, prefix: &Prefix) -> Result<Progress, SlotError> {
        self.not_on_trial()?;
        self.upload = None;
        let admitted = Admitted::check(prefix, &self.trust, self.state.floor)?;
        let slot = self.target(&admitted)?;
        let content = self.state.content(slot);
        let same = content.identity == admitted.identity();
        let mut first_sector = 0;
        match content.state {
            SlotState::Staged if same => return Ok(Progress::Staged),
            SlotState::Filling if same => {
                first_sector = self.last_sector_used(slot, admitted.total_bytes())?;
            }
            SlotState::Empty
            | SlotState::Filling
            | SlotState::Staged
            | SlotState::Trial
            | SlotState::Confirmed
            | SlotState::Rejected => self.empty(slot)?,
        }
        self.upload = Some(Upload {
            slot,
            admitted,
            first_sector,
            erase_sector: first_sector,
            ready: false,
            position: 0,
            tail: [0; WORD_BYTES_MAX as usize],
        });
        Ok(self.progress())
    }

    /// How far the upload is; without one, whether a bundle waits.
    pub fn progress(&self) -> Progress {
        match &self.upload {
            None if self.state.find(SlotState::Staged).is_some() => Progress::Staged,
            None => Progress::Idle,
            Some(upload) if !upload.ready => {
                Progress::Erase { sectors: upload.sectors_left(&self.layout.slot(upload.slot)) }
            }
            Some(upload) if upload.position == upload.admitted.total_bytes() => Progress::Finish,
            Some(upload) => Progress::Write { offset: upload.position },
        }
    }

    /// Erases one sector, so that the caller keeps its other deadlines.
    ///
    /// # Errors
    /// [`SlotError::NotReady`] without an upload, journal and flash.
    pub fn prepare(&mut self) -> Result<Progress, SlotError> {
        let mut upload = self.upload.ok_or(SlotError::NotReady)?;
        if upload.ready {
            return Ok(self.progress());
        }
        let region = self.writable(upload.slot)?;
        if upload.sectors_left(&region) > 0 {
            self.erase_sector(&region, upload.erase_sector)?;
            upload.erase_sector = upload.erase_sector.saturating_add(1);
        }
        if upload.sectors_left(&region) == 0 {
            let identity = upload.admitted.identity();
            let next = self.state.with(upload.slot, SlotState::Filling, identity);
            if self.state != next {
                self.record(next)?;
            }
            upload.position = upload.first_sector.saturating_mul(region.sector_bytes);
            upload.ready = true;
        }
        self.upload = Some(upload);
        Ok(self.progress())
    }

    /// Takes the next bytes of the bundle; the word that the last of them begin waits for more.
    ///
    /// # Errors
    /// [`SlotError::NotReady`], [`SlotError::Offset`], [`Refusal::Length`] beyond the stated
    /// length; after a [`SlotError::Flash`] the upload is over, and goes on with a new `begin`.
    pub fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<Progress, SlotError> {
        let mut upload = self.upload.filter(|upload| upload.ready).ok_or(SlotError::NotReady)?;
        let total = upload.admitted.total_bytes();
        if offset != upload.position {
            return Err(SlotError::Offset { expected: upload.position });
        }
        if bytes.len() as u64 > u64::from(total.saturating_sub(offset)) {
            return Err(Refusal::Length { bytes: total }.into());
        }
        let region = self.writable(upload.slot)?;
        // Gone unless every byte went in.
        self.upload = None;
        let word = self.layout.word_bytes();
        let mut rest = bytes;
        while !rest.is_empty() {
            let next = upload.position.checked_next_multiple_of(word);
            let start = next.unwrap_or(upload.position);
            let start = if start == upload.position { start } else { start.saturating_sub(word) };
            let filled = upload.position.saturating_sub(start);
            let taken = rest.len().min(word.saturating_sub(filled) as usize);
            let (now, later) = rest.split_at_checked(taken).ok_or(FlashError::Program)?;
            let end = (filled as usize).saturating_add(taken);
            let place = upload.tail.get_mut(filled as usize..end).ok_or(FlashError::Program)?;
            copy(place, now);
            rest = later;
            upload.position = upload.position.saturating_add(taken as u32);
            if end == word as usize || upload.position == total {
                upload.tail.get_mut(end..).ok_or(FlashError::Program)?.fill(self.layout.erased());
                let whole = upload.tail.get(..word as usize).ok_or(FlashError::Program)?;
                program_word(&mut self.flash, region.at(start), whole)?;
            }
        }
        self.upload = Some(upload);
        Ok(self.progress())
    }

    /// Length of the bundle that is uploaded.
    pub fn upload_bytes(&self) -> Option<u32> {
        self.upload.as_ref().map(|upload| upload.admitted.total_bytes())
    }

    /// How far an upload came that was not finished, also before this start.
    pub fn unfinished(&mut self) -> Option<Unfinished> {
        if let Some(Upload { slot, admitted, ready, first_sector, position, .. }) = self.upload {
            let kept = first_sector.saturating_mul(self.layout.slot(slot).sector_bytes);
            let bytes = if ready { position } else { kept };
            let (identity, total_bytes) = (admitted.identity(), admitted.total_bytes());
            return Some(Unfinished { slot, identity, bytes, total_bytes });
        }
        let slot = self.state.find(SlotState::Filling)?;
        let (identity, region) = (self.state.content(slot).identity, self.layout.slot(slot));
        let manifest = read_known(&mut self.flash, &region, identity);
        let total_bytes = manifest.map_or(0, |manifest| manifest.total_bytes.get());
        // Bytes go in from the front: halving finds the last sector in a few reads. Behind the
        // sectors that were erased for this bundle there may be bytes of a longer one.
        let (mut used, mut blank) = (0, region.sectors_of(total_bytes).min(region.sectors));
        while used < blank {
            let middle = used.midpoint(blank);
            match self.is_blank(&region, middle) {
                true => blank = middle,
                false => used = middle.saturating_add(1),
            }
        }
        let bytes = used.saturating_sub(1).saturating_mul(region.sector_bytes);
        Some(Unfinished { slot, identity, bytes, total_bytes })
    }

    /// Reads bytes of the upload back, or of the bundle that waits; `offset` begins a word.
    ///
    /// # Errors
    /// [`SlotError::NotReady`] without either or beyond what was taken, flash.
    pub fn read_upload(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SlotError> {
        let (slot, taken) = match self.upload.filter(|upload| upload.ready) {
            Some(upload) => (upload.slot, upload.position),
            None => {
                let staged = self.state.find(SlotState::Staged).ok_or(SlotError::NotReady)?;
                let described = self.describe(staged).ok_or(SlotError::NotReady)?;
                (staged, described.total_bytes)
            }
        };
        let end = offset.saturating_add(bytes.len() as u32);
        if end > taken {
            return Err(SlotError::NotReady);
        }
        let region = self.layout.slot(slot);
        let mut rest = bytes;
        blocks(&mut self.flash, &self.layout, &region, offset, end, |block| {
            let (now, later) = core::mem::take(&mut rest)
                .split_at_mut_checked(block.len())
                .ok_or(FlashError::Read)?;
            copy(now, block);
            rest = later;
            Ok::<(), FlashError>(())
        })?;
        Ok(())
    }

    /// Checks every byte of what lies in the slot; the bundle is staged then.
    ///
    /// # Errors
    /// [`SlotError::NotReady`] while bytes are missing; [`SlotError::Refused`] when they are not
    /// the bundle's: the slot is empty then.
    pub fn finish(&mut self) -> Result<(), SlotError> {
        let upload = self.upload.filter(|_| self.progress() == Progress::Finish);
        let Upload { slot, admitted, .. } = upload.ok_or(SlotError::NotReady)?;
        self.upload = None;
        let region = self.layout.slot(slot);
        if let Err(refusal) = admitted.check_bytes(&mut self.flash, &self.layout, &region) {
            self.empty(slot)?;
            return Err(refusal.into());
        }
        self.record(self.state.with(slot, SlotState::Staged, admitted.identity()))
    }

    /// The slot for a bundle: never the confirmed one; without one, where the bundle is already,
    /// or the first that it fits into.
    fn target(&self, admitted: &Admitted) -> Result<Slot, SlotError> {
        let bytes = admitted.total_bytes();
        let fits = |slot: &Slot| self.layout.slot(*slot).bytes() >= bytes.max(PREFIX_BYTES as u32);
        let begun = |slot: &Slot| {
            let content = self.state.content(*slot);
            let kept = matches!(content.state, SlotState::Filling | SlotState::Staged);
            kept && content.identity == admitted.identity()
        };
        let confirmed = self.state.find(SlotState::Confirmed);
        let free = || Slot::ALL.into_iter().filter(|&slot| Some(slot) != confirmed).filter(fits);
        let slot = free().find(begun).or_else(|| free().next());
        slot.ok_or(Refusal::Length { bytes }.into())
    }

    /// The last sector with anything in it, or that cannot be read; 0 when all are erased.
    fn last_sector_used(&mut self, slot: Slot, bytes: u32) -> Result<u32, SlotError> {
        let region = self.layout.slot(slot);
        for sector in (0..region.sectors_of(bytes)).rev() {
            if !self.is_blank(&region, sector) {
                return Ok(sector);
            }
        }
        Ok(0)
    }

    /// Whether a sector can be read, and has nothing in it.
    fn is_blank(&mut self, region: &Region, sector: u32) -> bool {
        let erased = self.layout.erased();
        let first = sector.saturating_mul(region.sector_bytes);
        let end = first.saturating_add(region.sector_bytes);
        let read = blocks(&mut self.flash, &self.layout, region, first, end, |block| {
            let blank = block.iter().all(|&byte| byte == erased);
            blank.then_some(()).ok_or(FlashError::Read)
        });
        read.is_ok()
    }
}

impl Upload {
    fn sectors_left(&self, region: &Region) -> u32 {
        region.sectors_of(self.admitted.total_bytes()).saturating_sub(self.erase_sector)
    }
}

fn program_word<F: Flash>(flash: &mut F, address: u32, word: &[u8]) -> Result<(), FlashError> {
    flash.program(address, word)?;
    let mut back = [0; WORD_BYTES_MAX as usize];
    let back = back.get_mut(..word.len()).ok_or(FlashError::Program)?;
    flash.read(address, back)?;
    (back == word).then_some(()).ok_or(FlashError::Program)
}
