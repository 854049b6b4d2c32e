//! Why a bundle was refused: small copyable errors for device and host alike.

use core::fmt;

use crate::manifest::{CONTAINER_VERSION, DeviceClass};

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The first 256 bytes.
    Manifest,
    /// The postcard-encoded header.
    Header,
    /// Tensor records.
    Tensors,
    /// Step records.
    Steps,
    /// Parameter records.
    Params,
    /// Weights, tables and the self-test frame.
    Blobs,
}

impl Section {
    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Section::Manifest => "manifest",
            Section::Header => "header",
            Section::Tensors => "tensor records",
            Section::Steps => "step records",
            Section::Params => "parameter records",
            Section::Blobs => "blobs",
        }
    }
}

/// Why bytes are not a bundle that this version can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Fewer bytes than manifest and signature.
    Short,
    /// The first eight bytes are not `GRADGATE`.
    Magic,
    /// Written by a newer tool.
    Newer {
        /// Container version of the file.
        version: u32,
    },
    /// A version number that was never released.
    Version {
        /// Container version of the file.
        version: u32,
    },
    /// Truncated or extended.
    Length {
        /// Length that the manifest states, in bytes.
        stated: u32,
        /// Length of what was given, in bytes.
        found: usize,
    },
    /// A section does not begin where the one before ends, or is no whole number of records.
    Layout(Section),
    /// Bytes that must be zero are not.
    Reserved(Section),
    /// The buffer does not begin at a multiple of 16.
    Misaligned,
    /// Frame size is empty or too large, or its element type is unknown.
    Input,
    /// Arena length is no whole number of f32, or differs from the header's.
    Arena,
    /// The bytes of these sections are not those that the manifest describes.
    Digest(Section),
    /// Signature and key were checked for another manifest.
    OtherManifest,
    /// The schema in the header is not the one that the manifest names.
    SchemaDigest,
    /// The header is not valid postcard, a string is not UTF-8, or a variant is unknown.
    HeaderEncoding,
    /// Bytes are left over after the header.
    HeaderTrailing,
    /// A header value lies outside its range.
    HeaderValue(&'static str),
    /// A tensor of unknown kind, misaligned, or outside arena or blobs.
    Tensor {
        /// Tensor index.
        index: u32,
    },
    /// A weight that is NaN or infinite.
    NonFinite {
        /// Tensor index.
        tensor: u32,
    },
    /// An operation that this version does not know.
    Opcode {
        /// Step index.
        step: u32,
        /// The unknown number.
        number: u16,
    },
    /// A parameter record outside its section.
    Params {
        /// Step index.
        step: u32,
    },
    /// An operand that is no tensor.
    Operand {
        /// Step index.
        step: u32,
        /// Place among the operands.
        place: u32,
    },
    /// Compiled for other hardware.
    DeviceClass {
        /// Class number in the bundle.
        bundle: u32,
        /// Class of this device.
        device: DeviceClass,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Short => f.write_str("too short for a bundle: manifest or signature is cut off"),
            Self::Magic => f.write_str("not a gradgate bundle (it does not begin with GRADGATE)"),
            Self::Newer { version } => write!(
                f,
                "container version {version} is newer than {CONTAINER_VERSION}, the newest known \
                 here: update gradgate, or pack the model again"
            ),
            Self::Version { version } => write!(f, "container version {version} does not exist"),
            Self::Length { stated, found } => {
                let how = if (found as u64) < u64::from(stated) { "truncated" } else { "extended" };
                write!(f, "{how}: the manifest states {stated} bytes, there are {found}")
            }
            Self::Layout(s) => write!(f, "offset or length of the {} is wrong", s.name()),
            Self::Reserved(s) => write!(f, "reserved bytes of the {} are not zero", s.name()),
            Self::Misaligned => f.write_str("the buffer must begin at a multiple of 16 bytes"),
            Self::Input => f.write_str("frame size or element type in the manifest is invalid"),
            Self::Arena => f.write_str("arena lengths in manifest and header are not consistent"),
            Self::Digest(s) => write!(f, "damaged: SHA-256 of the {} differs", s.name()),
            Self::OtherManifest => f.write_str("the manifest is not the one that was verified"),
            Self::SchemaDigest => f.write_str("the feature schema is not the one in the manifest"),
            Self::HeaderEncoding => f.write_str("the header cannot be decoded"),
            Self::HeaderTrailing => f.write_str("bytes are left over after the header"),
            Self::HeaderValue(what) => write!(f, "header: {what} is out of range"),
            Self::Tensor { index } => write!(f, "tensor {index} lies outside its memory"),
            Self::NonFinite { tensor } => write!(f, "tensor {tensor} holds NaN or infinity"),
            Self::Opcode { step, number } => write!(
                f,
                "step {step}: operation {number} is unknown to this version: update gradgate"
            ),
            Self::Params { step } => write!(f, "step {step}: parameters lie outside their section"),
            Self::Operand { step, place } => write!(f, "step {step}: operand {place} is no tensor"),
            Self::DeviceClass { bundle, device } => {
                let built = DeviceClass::from_number(bundle).map_or("unknown", DeviceClass::name);
                let here = device.name();
                write!(
                    f,
                    "made for device class {bundle} ({built}), this device is {here}: pack with \
                     --device-class {here}"
                )
            }
        }
    }
}

impl core::error::Error for ParseError {}

/// Why a signature does not admit a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// No signature: for the host alone.
    Unsigned,
    /// Signed with another key; the first eight bytes of the SHA-256 of both public keys.
    WrongKey {
        /// Key that the manifest names.
        bundle: [u8; 8],
        /// Key that was given.
        given: [u8; 8],
    },
    /// The public key has low order: anybody can sign for it.
    WeakKey,
    /// The signature does not belong to this manifest and key.
    Forged,
    /// Rightly signed or not, these bytes are no readable bundle.
    Parse(ParseError),
}

impl From<ParseError> for VerifyError {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("unsigned: devices take signed bundles only (--sign)"),
            Self::WrongKey { bundle, given } => {
                f.write_str("signed with key ")?;
                hex(f, bundle)?;
                f.write_str(", the key given is ")?;
                hex(f, given)
            }
            Self::WeakKey => f.write_str("the public key is weak (low order): make a new one"),
            Self::Forged => f.write_str("the signature is not valid for this manifest"),
            Self::Parse(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for VerifyError {}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
