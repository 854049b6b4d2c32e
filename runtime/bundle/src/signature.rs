//! Ed25519 over the manifest, and the types that prove the check was made.
//!
//! A device calls [`VerifiedManifest::verify`] on the first 320 bytes before it erases a slot,
//! feeds the rest through a [`StreamCheck`] while it writes, then [`VerifiedManifest::admit`]s what
//! lies in the slot. Only the [`Verified`] bytes that come out can be decoded by
//! [`crate::read::Bundle::from_verified`]; nothing else can make one:
//!
//! ```compile_fail
//! let forged = gradgate_bundle::signature::Verified { bytes: &[] };
//! ```
//! ```compile_fail
//! use gradgate_bundle::signature::VerifiedManifest;
//! fn forge(manifest: gradgate_bundle::manifest::Manifest) -> VerifiedManifest {
//!     VerifiedManifest { manifest, signature: [0; 64] }
//! }
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

use ed25519_dalek::Signature;
pub use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use crate::digest::sha256;
use crate::error::{ParseError, Section, VerifyError};
use crate::manifest::{MANIFEST_BYTES, Manifest, PREFIX_BYTES, SIGNATURE_BYTES};

/// First eight bytes of the SHA-256 of a public key.
pub fn key_id(key: &VerifyingKey) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = sha256(key.as_bytes());
    [a, b, c, d, e, f, g, h]
}

/// A manifest whose signature was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedManifest {
    manifest: Manifest,
    signature: [u8; SIGNATURE_BYTES],
}

/// The bytes of a whole bundle whose manifest was signed and whose digests are right.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a> {
    bytes: &'a [u8],
}

impl<'a> Verified<'a> {
    /// All bytes of the file.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl VerifiedManifest {
    /// Checks the signature over the raw bytes, and only then looks at what they say.
    ///
    /// # Errors
    /// Unsigned, other key, weak key, forged; then everything [`Manifest::parse`] refuses.
    pub fn verify(prefix: &[u8; PREFIX_BYTES], key: &VerifyingKey) -> Result<Self, VerifyError> {
        let (bytes, signature) = split(prefix).ok_or(ParseError::Short)?;
        if signature.iter().all(|&byte| byte == 0) {
            return Err(VerifyError::Unsigned);
        }
        if key.is_weak() {
            return Err(VerifyError::WeakKey);
        }
        let forged = key.verify_strict(bytes, &Signature::from_bytes(signature)).is_err();
        // Plain data of a fixed length: no decoding, and needed to tell a wrong key from a forgery.
        let manifest: Manifest = zerocopy::transmute!(*bytes);
        if forged {
            let given = key_id(key);
            return Err(if manifest.key_id == given {
                VerifyError::Forged
            } else {
                VerifyError::WrongKey { bundle: manifest.key_id, given }
            });
        }
        Manifest::parse(bytes)?;
        Ok(Self { manifest, signature: *signature })
    }

    /// What the manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A check of the bytes that follow, for as they arrive.
    pub fn stream(&self) -> StreamCheck {
        StreamCheck {
            manifest: self.manifest,
            described: Sha256::new(),
            blobs: Sha256::new(),
            position: PREFIX_BYTES as u64,
        }
    }

    /// Checks that `file` is the whole bundle that this manifest describes: same manifest and
    /// signature, exact length, digests.
    ///
    /// # Errors
    /// Another manifest, wrong length, damaged bytes.
    pub fn admit<'a>(&self, file: &'a [u8]) -> Result<Verified<'a>, ParseError> {
        let (prefix, rest) = file.split_at_checked(PREFIX_BYTES).ok_or(ParseError::Short)?;
        let (manifest, signature) =
            prefix.split_at_checked(MANIFEST_BYTES).ok_or(ParseError::Short)?;
        if manifest != self.manifest.as_bytes() || signature != self.signature {
            return Err(ParseError::OtherManifest);
        }
        let mut stream = self.stream();
        stream.update(rest)?;
        stream.finish()?;
        Ok(Verified { bytes: file })
    }
}

/// Checks a whole signed bundle at once.
///
/// # Errors
/// Everything [`VerifiedManifest::verify`] and [`VerifiedManifest::admit`] refuse.
pub fn verify<'a>(file: &'a [u8], key: &VerifyingKey) -> Result<Verified<'a>, VerifyError> {
    let prefix = file.first_chunk().ok_or(ParseError::Short)?;
    Ok(VerifiedManifest::verify(prefix, key)?.admit(file)?)
}

/// Digests and length of a bundle, computed as its bytes arrive.
#[derive(Clone)]
pub struct StreamCheck {
    manifest: Manifest,
    described: Sha256,
    blobs: Sha256,
    position: u64,
}

impl StreamCheck {
    /// For the host, which may read unsigned bundles; `manifest` has passed [`Manifest::parse`].
    pub(crate) fn unsigned(manifest: &Manifest) -> Self {
        VerifiedManifest { manifest: *manifest, signature: [0; SIGNATURE_BYTES] }.stream()
    }

    /// Takes the next bytes; the first call begins at byte 320 of the file.
    ///
    /// # Errors
    /// [`ParseError::Length`] as soon as there are more bytes than the manifest states.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        let end = self.position.saturating_add(bytes.len() as u64);
        let stated = self.manifest.total_bytes.get();
        if end > u64::from(stated) {
            let found = usize::try_from(end).unwrap_or(usize::MAX);
            return Err(ParseError::Length { stated, found });
        }
        let boundary = u64::from(self.manifest.blobs.offset.get());
        let before = boundary.saturating_sub(self.position).min(bytes.len() as u64);
        let (described, blobs) = bytes.split_at_checked(before as usize).unwrap_or((bytes, &[]));
        self.described.update(described);
        self.blobs.update(blobs);
        self.position = end;
        Ok(())
    }

    /// Bytes taken so far, counted from the beginning of the file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// After the last byte.
    ///
    /// # Errors
    /// [`ParseError::Length`] when bytes are missing, [`ParseError::Digest`] when they differ.
    pub fn finish(self) -> Result<(), ParseError> {
        let stated = self.manifest.total_bytes.get();
        if self.position != u64::from(stated) {
            let found = usize::try_from(self.position).unwrap_or(usize::MAX);
            return Err(ParseError::Length { stated, found });
        }
        if self.described.finalize()[..] != self.manifest.header_digest[..] {
            return Err(ParseError::Digest(Section::Header));
        }
        if self.blobs.finalize()[..] != self.manifest.blobs_digest[..] {
            return Err(ParseError::Digest(Section::Blobs));
        }
        Ok(())
    }
}

fn split(prefix: &[u8; PREFIX_BYTES]) -> Option<(&[u8; MANIFEST_BYTES], &[u8; SIGNATURE_BYTES])> {
    let (manifest, signature) = prefix.split_first_chunk()?;
    Some((manifest, signature.first_chunk()?))
}
