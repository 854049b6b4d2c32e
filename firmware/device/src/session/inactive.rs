//! Uploads go to the slot that does not run, in the link's words.

use gradgate_bundle::error::{ParseError, VerifyError};
use gradgate_bundle::manifest::PREFIX_BYTES;
use gradgate_link::Refusal;
use gradgate_link::message;
use gradgate_link::upload::{Announced, Sink, SinkError};

use crate::flash::Flash;
use crate::slots::{SlotError, Slots};
use crate::upload::Progress;
use crate::verify;

/// The slot that does not run, as an upload's target.
pub struct Inactive<'s, F> {
    /// The slots.
    pub slots: &'s mut Slots<F>,
    /// Digest of the upload whose slot is being erased.
    pub preparing: &'s mut Option<message::Digest>,
}

impl<F: Flash> Sink for Inactive<'_, F> {
    fn begin(&mut self, upload: &Announced<'_>) -> Result<u32, SinkError> {
        let refused = SinkError::Refused;
        // The same upload asked for again, while its slot is being erased.
        if *self.preparing != Some(upload.digest) {
            let prefix = upload.prefix.first_chunk::<PREFIX_BYTES>();
            let prefix = prefix.ok_or(refused(Refusal::Bundle))?;
            *self.preparing = None;
            self.slots.begin(prefix).map_err(|error| refused(refusal(error)))?;
            if self.slots.upload_bytes().is_some_and(|bytes| bytes != upload.total_bytes) {
                return Err(refused(Refusal::Bundle));
            }
        }
        match self.slots.progress() {
            Progress::Erase { .. } => {
                *self.preparing = Some(upload.digest);
                Err(SinkError::NotNow)
            }
            Progress::Write { offset } => Ok(offset),
            Progress::Finish | Progress::Staged => Ok(upload.total_bytes),
            Progress::Idle => Err(refused(Refusal::Storage)),
        }
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> bool {
        self.slots.read_upload(offset, bytes).is_ok()
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SinkError> {
        *self.preparing = None;
        self.slots
            .write(offset, bytes)
            .map(|_| ())
            .map_err(|error| SinkError::Refused(refusal(error)))
    }

    fn finish(&mut self, _: u32, _: &message::Digest) -> Result<(), SinkError> {
        *self.preparing = None;
        match self.slots.progress() {
            Progress::Staged => Ok(()),
            _ => self.slots.finish().map_err(|error| SinkError::Refused(refusal(error))),
        }
    }
}

/// An error of the slots as the link says it.
pub fn refusal(error: SlotError) -> Refusal {
    match error {
        SlotError::Refused(error) => match error {
            verify::Refusal::Signature(VerifyError::Parse(ParseError::Newer { .. })) => {
                Refusal::Bundle
            }
            verify::Refusal::Signature(_) => Refusal::Signature,
            verify::Refusal::DeviceClass(_)
            | verify::Refusal::Arena { .. }
            | verify::Refusal::Length { .. } => Refusal::Device,
            verify::Refusal::Counter { .. } => Refusal::Counter,
            verify::Refusal::Unreadable => Refusal::Storage,
            verify::Refusal::Damaged(_) | verify::Refusal::OtherBundle => Refusal::Digest,
            verify::Refusal::SelfTest => Refusal::SelfTest,
        },
        SlotError::Journal(_) | SlotError::Flash(_) => Refusal::Storage,
        SlotError::OnTrial | SlotError::NotOnTrial | SlotError::NotReady | SlotError::NotStaged => {
            Refusal::State
        }
        SlotError::Offset { .. } => Refusal::Range,
    }
}
