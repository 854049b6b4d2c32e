//! The host's side: which request comes next.

use sha2::{Digest as _, Sha256};

use crate::message::{Digest, Refusal, Reply, Request};
use crate::upload::PREFIX_BYTES;

/// How far an upload came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The device is asked what it has.
    Asking,
    /// The device has so many bytes.
    Sending(u32),
    /// The device has all and compares.
    Finishing,
    /// The device has all, with the digest of the image.
    Done,
    /// The device refused; [`Sender::ask`] begins anew.
    Refused(Refusal),
}

/// An image on its way.
#[derive(Clone, Debug)]
pub struct Sender<'i> {
    image: &'i [u8],
    total_bytes: u32,
    digest: Digest,
    chunk_bytes: usize,
    progress: Progress,
}

impl<'i> Sender<'i> {
    /// `None` for an image of 4 GiB or more, an empty one, or chunks of nothing.
    pub fn new(image: &'i [u8], chunk_bytes: usize) -> Option<Sender<'i>> {
        let total_bytes = u32::try_from(image.len()).ok().filter(|bytes| *bytes > 0)?;
        let digest = Sha256::digest(image).into();
        let progress = Progress::Asking;
        (chunk_bytes > 0).then_some(Sender { image, total_bytes, digest, chunk_bytes, progress })
    }

    /// How far it came.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// SHA-256 of the image.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Asks the device what it has, as in a new session.
    pub fn ask(&mut self) {
        self.progress = Progress::Asking;
    }

    /// What to request next; `None` once all is done or refused.
    pub fn request(&self) -> Option<Request<'i>> {
        match self.progress {
            Progress::Asking => {
                let (total_bytes, digest) = (self.total_bytes, self.digest);
                let prefix = self.image.get(..PREFIX_BYTES).unwrap_or(self.image);
                Some(Request::UploadBegin { total_bytes, digest, prefix })
            }
            Progress::Sending(offset) => {
                let rest = self.image.get(offset as usize..)?;
                let bytes = rest.get(..self.chunk_bytes).unwrap_or(rest);
                Some(Request::UploadChunk { offset, bytes })
            }
            Progress::Finishing => Some(Request::UploadFinish),
            Progress::Done | Progress::Refused(_) => None,
        }
    }

    /// Takes the answer to the last request. After [`Refusal::NotNow`] the same request is next.
    pub fn answered(&mut self, reply: &Reply<'_>) {
        self.progress = match (*reply, self.progress) {
            (Reply::Upload { offset }, _) if offset == self.total_bytes => Progress::Finishing,
            (Reply::Upload { offset }, _) if offset < self.total_bytes => Progress::Sending(offset),
            (Reply::Done, Progress::Finishing) => Progress::Done,
            (Reply::Refused(Refusal::NotNow), progress) => progress,
            (Reply::Refused(refusal), _) => Progress::Refused(refusal),
            // An answer that no upload has.
            _ => Progress::Refused(Refusal::Unknown),
        };
    }
}
