//! Parts to bytes, on the host: deterministic, and nothing that the reader would refuse.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ed25519_dalek::Signer;
pub use ed25519_dalek::SigningKey;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::align::{ALIGNMENT, AlignedBytes};
use crate::digest::{schema_digest, sha256};
use crate::error::ParseError;
use crate::header::{BlobRef, Header};
use crate::manifest::{
    CONTAINER_VERSION, DeviceClass, INPUT_U8, MAGIC, MANIFEST_BYTES, Manifest, PREFIX_BYTES, Span,
};
use crate::op::Params;
use crate::read::Bundle;
use crate::record::{StepRecord, TensorRecord};
use crate::signature::key_id;

/// What goes into a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct BundleParts<'a> {
    /// Names, preprocessing, detector, evidence, policy. Its arena length goes into the manifest.
    pub header: Header<'a>,
    /// All tensors.
    pub tensors: Vec<TensorRecord>,
    /// All kernel calls, in the order of execution.
    pub steps: Vec<StepRecord>,
    /// Parameter records; see [`push_params`].
    pub params: Vec<u8>,
    /// Weights, tables, self-test; see [`push_floats`].
    pub blobs: Vec<u8>,
    /// Hardware that it is planned for.
    pub device_class: DeviceClass,
    /// See [`Manifest::security_counter`].
    pub security_counter: u64,
    /// Height, width, channels of the frame.
    pub input: [u32; 3],
}

impl<'a> BundleParts<'a> {
    /// Parts of a bundle that was read, to write it with something changed; `None` for a class of
    /// devices that this code does not know.
    pub fn of(bundle: &Bundle<'a>) -> Option<Self> {
        let manifest = bundle.manifest();
        Some(Self {
            header: bundle.header().clone(),
            tensors: bundle.tensors().to_vec(),
            steps: bundle.steps().to_vec(),
            params: manifest.params.of(bundle.bytes())?.to_vec(),
            blobs: bundle.blobs().to_vec(),
            device_class: DeviceClass::from_number(manifest.device_class.get())?,
            security_counter: manifest.security_counter.get(),
            input: manifest.input.map(U32::get),
        })
    }
}

/// Why no bundle was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// A part is longer than the format can state (4 GiB in all).
    TooLong,
    /// The header cannot be encoded.
    Header,
    /// A name that a list cannot hold: empty, or with a line break.
    Name,
    /// The reader would refuse these parts.
    Invalid(ParseError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the bundle would be longer than 4 GiB"),
            Self::Header => f.write_str("the header cannot be encoded"),
            Self::Name => f.write_str("a name is empty or holds a line break: rename it"),
            Self::Invalid(error) => write!(f, "the parts make no valid bundle: {error}"),
        }
    }
}

impl core::error::Error for WriteError {}

/// The bytes of an unsigned bundle. The same parts always give the same bytes.
///
/// # Errors
/// Parts that are too long, or that [`Bundle::parse`] would refuse.
pub fn write(parts: &BundleParts<'_>) -> Result<Vec<u8>, WriteError> {
    let file = assemble(parts)?;
    Bundle::parse(&file).map_err(WriteError::Invalid)?;
    Ok(file.to_vec())
}

/// As [`write()`], without the final look by the reader: for tests of readers.
///
/// # Errors
/// Parts that are too long or cannot be encoded.
pub fn assemble(parts: &BundleParts<'_>) -> Result<AlignedBytes, WriteError> {
    let header = postcard::to_allocvec(&parts.header).map_err(|_| WriteError::Header)?;
    let sections: [&[u8]; 5] =
        [&header, parts.tensors.as_bytes(), parts.steps.as_bytes(), &parts.params, &parts.blobs];
    let mut spans = [Span::default(); 5];
    let mut end = PREFIX_BYTES;
    for (index, (section, span)) in sections.iter().zip(&mut spans).enumerate() {
        let first = if index == 4 { end.next_multiple_of(ALIGNMENT) } else { end };
        end = first.checked_add(section.len()).ok_or(WriteError::TooLong)?;
        *span = Span { offset: narrow(first)?, length: narrow(section.len())? };
    }
    let total_bytes = narrow(end)?;
    let mut file = AlignedBytes::zeroed(end);
    for (section, span) in sections.iter().zip(&spans) {
        let first = span.offset.get() as usize;
        file[first..first + section.len()].copy_from_slice(section);
    }
    let [header, tensors, steps, params, blobs] = spans;
    let manifest = Manifest {
        magic: MAGIC,
        version: U32::new(CONTAINER_VERSION),
        device_class: U32::new(parts.device_class.number()),
        security_counter: U64::new(parts.security_counter),
        key_id: [0; 8],
        arena_bytes: narrow(parts.header.layout.arena_elements as usize * 4)?,
        input_dtype: U32::new(INPUT_U8),
        input: parts.input.map(U32::new),
        header,
        tensors,
        steps,
        params,
        blobs,
        total_bytes,
        header_digest: [0; 32],
        blobs_digest: [0; 32],
        schema_digest: schema_digest(&parts.header.schema),
        reserved: [0; 64],
    };
    file[..MANIFEST_BYTES].copy_from_slice(manifest.as_bytes());
    refresh_digests(&mut file);
    Ok(file)
}

/// Writes the digests of header and blobs into the manifest anew, and removes the signature.
/// Does nothing to bytes that are too short for the sections they state.
pub fn refresh_digests(file: &mut [u8]) {
    let Ok((manifest, _)) = Manifest::read_from_prefix(file) else {
        return;
    };
    let (Some(header), Some(blobs)) = (manifest.described().of(file), manifest.blobs.of(file))
    else {
        return;
    };
    let (header_digest, blobs_digest) = (sha256(header), sha256(blobs));
    let manifest = Manifest { key_id: [0; 8], header_digest, blobs_digest, ..manifest };
    file[..MANIFEST_BYTES].copy_from_slice(manifest.as_bytes());
    if let Some(signature) = file.get_mut(MANIFEST_BYTES..PREFIX_BYTES) {
        signature.fill(0);
    }
}

/// Puts the key's identity into the manifest and signs it, replacing any signature.
///
/// # Errors
/// [`ParseError::Short`] for less than 320 bytes, or what [`Manifest::parse`] refuses.
pub fn sign(file: &mut [u8], key: &SigningKey) -> Result<(), ParseError> {
    let prefix = file.first_chunk_mut::<PREFIX_BYTES>().ok_or(ParseError::Short)?;
    let (bytes, signature) = prefix.split_at_mut(MANIFEST_BYTES);
    let mut manifest = *Manifest::parse(bytes.first_chunk().ok_or(ParseError::Short)?)?;
    manifest.key_id = key_id(&key.verifying_key());
    bytes.copy_from_slice(manifest.as_bytes());
    signature.copy_from_slice(&key.sign(bytes).to_bytes());
    Ok(())
}

/// Appends a parameter record and returns its offset for [`StepRecord::params`].
///
/// # Errors
/// [`WriteError::TooLong`] beyond 4 GiB.
pub fn push_params<P: Params>(params: &mut Vec<u8>, record: &P) -> Result<U32, WriteError> {
    let offset = narrow(params.len())?;
    params.extend_from_slice(record.as_bytes());
    Ok(offset)
}

/// Appends floats at a multiple of 16 bytes.
///
/// # Errors
/// [`WriteError::TooLong`] beyond 4 GiB.
pub fn push_floats(blobs: &mut Vec<u8>, values: &[f32]) -> Result<BlobRef, WriteError> {
    let offset = push_bytes(blobs, values.as_bytes())?;
    Ok(BlobRef { offset, elements: narrow(values.len())?.get() })
}

/// Appends bytes at a multiple of 16 and returns their offset.
///
/// # Errors
/// [`WriteError::TooLong`] beyond 4 GiB.
pub fn push_bytes(blobs: &mut Vec<u8>, bytes: &[u8]) -> Result<u32, WriteError> {
    blobs.resize(blobs.len().next_multiple_of(ALIGNMENT), 0);
    let offset = narrow(blobs.len())?;
    blobs.extend_from_slice(bytes);
    Ok(offset.get())
}

/// A list of names as the header holds it, a name a line.
///
/// # Errors
/// [`WriteError::Name`] for an empty name or one with a line break.
pub fn name_list<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String, WriteError> {
    let mut list = String::new();
    for name in names {
        if name.is_empty() || name.contains('\n') {
            return Err(WriteError::Name);
        }
        if !list.is_empty() {
            list.push('\n');
        }
        list.push_str(name);
    }
    Ok(list)
}

fn narrow(length: usize) -> Result<U32, WriteError> {
    u32::try_from(length).map(U32::new).map_err(|_| WriteError::TooLong)
}
