//! What a bundle in flash must show before it may run, over raw bytes and in this order: the
//! signature, device class, security counter, lengths, then the digests of every byte.
//!
//! Flash may read otherwise a second time, so a check says something about the bytes of that
//! reading alone. Whoever runs a bundle from memory takes it from [`SlotBundle::load`], which
//! checks the digests over the very copy that it gives out. Whoever runs it in place hands the
//! mapped bytes to [`SlotBundle::admit`] when loading, and hashes them again while running.

use gradgate_bundle::digest::sha256;
use gradgate_bundle::error::{ParseError, VerifyError};
use gradgate_bundle::manifest::{DeviceClass, Manifest, PREFIX_BYTES, check_device_class};
use gradgate_bundle::signature::{StreamCheck, Verified, VerifiedManifest, VerifyingKey};

use crate::copy;
use crate::flash::{Flash, FlashError, Layout, Region};
use crate::record::{Identity, Slot};

/// Bytes read from flash at once: whole words of every length.
pub(crate) const BLOCK_BYTES: usize = 256;

/// How often a bundle is read where its flash cannot be read.
const LOADS_MAX: u8 = 3;

/// Manifest and signature.
pub type Prefix = [u8; PREFIX_BYTES];

/// What this device takes.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Whose signature.
    pub key: VerifyingKey,
    /// What it is.
    pub device_class: DeviceClass,
    /// Smallest security counter, whatever the journal says: from fuses, or from the firmware.
    /// A journal in flash does not stop somebody who can write flash.
    pub counter_floor: u64,
    /// Working memory that it has for a verdict.
    pub arena_bytes_max: u32,
}

/// Why a bundle does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not signed by this key, or no bundle.
    Signature(VerifyError),
    /// For other hardware.
    DeviceClass(ParseError),
    /// Older than what was confirmed.
    Counter {
        /// The bundle's.
        bundle: u64,
        /// The smallest taken.
        floor: u64,
    },
    /// Needs more working memory than there is.
    Arena {
        /// What it needs.
        bytes: u32,
    },
    /// Longer than the slot, or than the memory it should be loaded into.
    Length {
        /// Its length.
        bytes: u32,
    },
    /// Flash that cannot be read.
    Unreadable,
    /// Not the bytes that the manifest describes.
    Damaged(ParseError),
    /// Another bundle than the journal names.
    OtherBundle,
    /// It did not give its recorded bits for its own frame.
    SelfTest,
}

impl From<FlashError> for Refusal {
    fn from(_: FlashError) -> Self {
        Self::Unreadable
    }
}

/// A manifest that this device takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    manifest: VerifiedManifest,
    identity: Identity,
}

impl Admitted {
    /// Checks what the first 320 bytes tell, before any slot is touched.
    ///
    /// # Errors
    /// The first [`Refusal`] in the order above.
    pub fn check(prefix: &Prefix, trust: &Trust, floor: u64) -> Result<Self, Refusal> {
        let manifest = VerifiedManifest::verify(prefix, &trust.key).map_err(Refusal::Signature)?;
        let admitted = Self { manifest, identity: sha256(prefix) };
        check_device_class(admitted.manifest(), trust.device_class)
            .map_err(Refusal::DeviceClass)?;
        let (bundle, floor) = (admitted.counter(), floor.max(trust.counter_floor));
        if bundle < floor {
            return Err(Refusal::Counter { bundle, floor });
        }
        let bytes = admitted.manifest().arena_bytes.get();
        if bytes > trust.arena_bytes_max {
            return Err(Refusal::Arena { bytes });
        }
        Ok(admitted)
    }

    /// What it says.
    pub fn manifest(&self) -> &Manifest {
        self.manifest.manifest()
    }

    /// Names the bundle in the journal.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Length of the bundle in bytes.
    pub fn total_bytes(&self) -> u32 {
        self.manifest().total_bytes.get()
    }

    /// Its security counter.
    pub fn counter(&self) -> u64 {
        self.manifest().security_counter.get()
    }

    /// A check of the bytes behind manifest and signature, for as they are read.
    pub fn stream(&self) -> StreamCheck {
        self.manifest.stream()
    }

    /// Checks that the region holds exactly this bundle.
    ///
    /// # Errors
    /// Length, unreadable, other bundle, damaged.
    pub(crate) fn check_bytes<F: Flash>(
        &self,
        flash: &mut F,
        layout: &Layout,
        region: &Region,
    ) -> Result<(), Refusal> {
        let bytes = self.total_bytes();
        if bytes > region.bytes() {
            return Err(Refusal::Length { bytes });
        }
        if sha256(&read_prefix(flash, region)?) != self.identity {
            return Err(Refusal::OtherBundle);
        }
        let mut stream = self.manifest.stream();
        blocks(flash, layout, region, PREFIX_BYTES as u32, bytes, |block| {
            stream.update(block).map_err(Refusal::Damaged)
        })?;
        stream.finish().map_err(Refusal::Damaged)
    }
}

/// Checks everything about the bundle in a region, which the journal names `identity`.
///
/// # Errors
/// The first [`Refusal`].
pub(crate) fn check_region<F: Flash>(
    flash: &mut F,
    layout: &Layout,
    region: &Region,
    trust: &Trust,
    floor: u64,
    identity: Identity,
) -> Result<Admitted, Refusal> {
    let prefix = read_prefix(flash, region)?;
    let admitted = Admitted::check(&prefix, trust, floor)?;
    if admitted.identity != identity {
        return Err(Refusal::OtherBundle);
    }
    admitted.check_bytes(flash, layout, region)?;
    Ok(admitted)
}

/// The manifest in a region when manifest and signature are those of `identity`: the journal names
/// only what was verified once.
pub(crate) fn read_known<F: Flash>(
    flash: &mut F,
    region: &Region,
    identity: Identity,
) -> Option<Manifest> {
    let prefix = read_prefix(flash, region).ok()?;
    let manifest = Manifest::parse(prefix.first_chunk()?).ok()?;
    (sha256(&prefix) == identity).then_some(*manifest)
}

fn read_prefix<F: Flash>(flash: &mut F, region: &Region) -> Result<Prefix, Refusal> {
    let mut prefix = [0; PREFIX_BYTES];
    if region.bytes() < PREFIX_BYTES as u32 {
        return Err(Refusal::Length { bytes: PREFIX_BYTES as u32 });
    }
    flash.read(region.address, &mut prefix)?;
    Ok(prefix)
}

/// Reads `first..end` of a region, whole words at a time; `first` begins a word.
pub(crate) fn blocks<F: Flash, E: From<FlashError>>(
    flash: &mut F,
    layout: &Layout,
    region: &Region,
    first: u32,
    end: u32,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut offset = first;
    while offset < end {
        let wanted = end.saturating_sub(offset).min(BLOCK_BYTES as u32);
        // A region holds whole words, so that the last one is inside.
        let whole = wanted.checked_next_multiple_of(layout.word_bytes()).unwrap_or(wanted);
        let mut block = [0; BLOCK_BYTES];
        let words = block.get_mut(..whole as usize).ok_or(FlashError::Read)?;
        flash.read(region.at(offset), words)?;
        each(words.get(..wanted as usize).ok_or(FlashError::Read)?)?;
        offset = offset.saturating_add(wanted);
    }
    Ok(())
}

/// Runs a bundle on its own frame.
pub trait SelfTest {
    /// Whether the bundle gave its recorded bits.
    fn passes<F: Flash>(&mut self, bundle: &mut SlotBundle<'_, F>) -> bool;
}

/// A bundle that passed every check of its bytes when they were last read.
pub struct SlotBundle<'a, F> {
    pub(crate) flash: &'a mut F,
    pub(crate) layout: &'a Layout,
    pub(crate) slot: Slot,
    pub(crate) admitted: Admitted,
}

impl<F: Flash> SlotBundle<'_, F> {
    /// Where it lies.
    pub fn region(&self) -> Region {
        self.layout.slot(self.slot)
    }

    /// What it says of itself.
    pub fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Copies it into memory and checks the copy, which is all that may be decoded. A read that
    /// failed once need not fail again, so it is tried some times.
    ///
    /// # Errors
    /// [`Refusal::Length`] for too little memory, unreadable, damaged.
    pub fn load<'m>(&mut self, memory: &'m mut [u8]) -> Result<Verified<'m>, Refusal> {
        let bytes = self.admitted.total_bytes();
        let mut tries = 1;
        while let Err(refusal) = self.copy_into(memory) {
            if refusal != Refusal::Unreadable || tries == LOADS_MAX {
                return Err(refusal);
            }
            tries = tries.saturating_add(1);
        }
        self.admit(memory.get(..bytes as usize).ok_or(Refusal::Length { bytes })?)
    }

    fn copy_into(&mut self, memory: &mut [u8]) -> Result<(), Refusal> {
        let bytes = self.admitted.total_bytes();
        let mut rest = memory.get_mut(..bytes as usize).ok_or(Refusal::Length { bytes })?;
        let region = self.region();
        blocks(self.flash, self.layout, &region, 0, bytes, |block| {
            let (now, later) = core::mem::take(&mut rest)
                .split_at_mut_checked(block.len())
                .ok_or(Refusal::Length { bytes })?;
            copy(now, block);
            rest = later;
            Ok::<(), Refusal>(())
        })
    }

    /// Checks bytes that were read by other means, such as flash mapped into memory.
    ///
    /// # Errors
    /// [`Refusal::Damaged`] when they are not this bundle.
    pub fn admit<'m>(&self, bytes: &'m [u8]) -> Result<Verified<'m>, Refusal> {
        self.admitted.manifest.admit(bytes).map_err(Refusal::Damaged)
    }
}
