//! The fixed first 256 bytes of a bundle: what is inside, how long, for whom.
//!
//! A signature over exactly these bytes follows at byte 256, the header at byte 320. The manifest
//! is enough to refuse a bundle before a slot is erased; its digests bind everything behind it.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::align::ALIGNMENT;
use crate::error::{ParseError, Section};
use crate::record::{StepRecord, TensorRecord};

/// First eight bytes of every bundle.
pub const MAGIC: [u8; 8] = *b"GRADGATE";

/// The container version that this code writes; it reads this and none newer.
pub const CONTAINER_VERSION: u32 = 1;

/// Length of the manifest in bytes.
pub const MANIFEST_BYTES: usize = 256;

/// Length of the signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// Manifest and signature: what a device needs before it decides, in bytes.
pub const PREFIX_BYTES: usize = MANIFEST_BYTES + SIGNATURE_BYTES;

/// Element type of the frame: unsigned bytes, rows, columns, channels.
pub const INPUT_U8: u32 = 0;

/// An interval of the file.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct Span {
    /// First byte, from the beginning of the file.
    pub offset: U32,
    /// Length in bytes.
    pub length: U32,
}

impl Span {
    /// The interval's bytes; `None` when it does not lie inside `file`.
    pub fn of<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let first = usize::try_from(self.offset.get()).ok()?;
        let length = usize::try_from(self.length.get()).ok()?;
        file.get(first..first.checked_add(length)?)
    }
}

/// See the module; all numbers little-endian.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Manifest {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`CONTAINER_VERSION`].
    pub version: U32,
    /// [`DeviceClass`] number.
    pub device_class: U32,
    /// A device that confirmed a counter refuses smaller ones.
    pub security_counter: U64,
    /// First bytes of the SHA-256 of the signer's public key; zero while unsigned.
    pub key_id: [u8; 8],
    /// Working memory that a verdict needs.
    pub arena_bytes: U32,
    /// [`INPUT_U8`].
    pub input_dtype: U32,
    /// Height, width, channels of the frame.
    pub input: [U32; 3],
    /// The header.
    pub header: Span,
    /// The tensor records.
    pub tensors: Span,
    /// The step records.
    pub steps: Span,
    /// The parameter records.
    pub params: Span,
    /// The blobs.
    pub blobs: Span,
    /// Length of the whole file in bytes.
    pub total_bytes: U32,
    /// SHA-256 of everything from byte 320 up to the blobs.
    pub header_digest: [u8; 32],
    /// SHA-256 of the blobs.
    pub blobs_digest: [u8; 32],
    /// [`crate::digest::schema_digest`] of the header's schema.
    pub schema_digest: [u8; 32],
    /// Zero.
    pub reserved: [u8; 64],
}

const _: () = assert!(size_of::<Manifest>() == MANIFEST_BYTES);

impl Manifest {
    /// Reads a manifest and checks everything that needs no other byte: magic, version, section
    /// order, lengths, reserved bytes.
    ///
    /// # Errors
    /// The first fault found, in file order where possible.
    pub fn parse(bytes: &[u8; MANIFEST_BYTES]) -> Result<&Manifest, ParseError> {
        let manifest = Manifest::ref_from_bytes(bytes).map_err(|_| ParseError::Short)?;
        if manifest.magic != MAGIC {
            return Err(ParseError::Magic);
        }
        match manifest.version.get() {
            CONTAINER_VERSION => {}
            version if version > CONTAINER_VERSION => return Err(ParseError::Newer { version }),
            version => return Err(ParseError::Version { version }),
        }
        if manifest.reserved.iter().any(|&byte| byte != 0) {
            return Err(ParseError::Reserved(Section::Manifest));
        }
        manifest.check_input()?;
        manifest.check_sections()?;
        Ok(manifest)
    }

    /// Length of one frame in bytes.
    pub fn frame_bytes(&self) -> u32 {
        // Checked by `parse`; saturating keeps hand-made manifests from wrapping.
        self.input.iter().fold(1, |product, side| side.get().saturating_mul(product))
    }

    /// The interval of the file that `header_digest` covers.
    pub fn described(&self) -> Span {
        let first = self.header.offset.get();
        let length = self.blobs.offset.get().saturating_sub(first);
        Span { offset: U32::new(first), length: U32::new(length) }
    }

    fn check_input(&self) -> Result<(), ParseError> {
        let mut product = 1_u32;
        for side in self.input {
            product = product.checked_mul(side.get()).ok_or(ParseError::Input)?;
        }
        if product == 0 || self.input_dtype.get() != INPUT_U8 {
            return Err(ParseError::Input);
        }
        if !self.arena_bytes.get().is_multiple_of(4) {
            return Err(ParseError::Arena);
        }
        Ok(())
    }

    /// Offsets follow from the lengths; they are stored so that a reader may seek.
    fn check_sections(&self) -> Result<(), ParseError> {
        let parts = [
            (Section::Header, self.header, 1),
            (Section::Tensors, self.tensors, size_of::<TensorRecord>()),
            (Section::Steps, self.steps, size_of::<StepRecord>()),
            (Section::Params, self.params, 1),
        ];
        let mut end = PREFIX_BYTES as u64;
        for (section, span, record) in parts {
            let length = span.length.get();
            let whole = (length as usize).checked_rem(record) == Some(0);
            if u64::from(span.offset.get()) != end || !whole {
                return Err(ParseError::Layout(section));
            }
            end += u64::from(length);
        }
        let blobs = end.next_multiple_of(ALIGNMENT as u64);
        if u64::from(self.blobs.offset.get()) != blobs
            || blobs + u64::from(self.blobs.length.get()) != u64::from(self.total_bytes.get())
        {
            return Err(ParseError::Layout(Section::Blobs));
        }
        if self.tensors.length.get() as usize / size_of::<TensorRecord>() > MAX_TENSORS {
            return Err(ParseError::Layout(Section::Tensors));
        }
        Ok(())
    }
}

/// Tensor indices are 16 bits wide, and the largest means "absent".
pub const MAX_TENSORS: usize = crate::op::NONE as usize;

macro_rules! device_classes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// Hardware that a bundle is planned for. Numbers are frozen and append-only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum DeviceClass { $($(#[$doc])* $variant = $number),* }

        impl DeviceClass {
            /// All classes.
            pub const ALL: &[DeviceClass] = &[$(DeviceClass::$variant),*];

            /// The class behind a number, `None` when this version does not know it.
            pub fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The class of that name, as on the command line.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Name on the command line and in messages.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Number in the manifest.
            pub fn number(self) -> u32 {
                self as u32
            }
        }
    };
}

device_classes! {
    /// Runs anywhere.
    Any = 0, "any";
    /// Arm Cortex-M4 with single-precision floating point.
    CortexM4F = 1, "cortex-m4f";
    /// Arm Cortex-M7.
    CortexM7 = 2, "cortex-m7";
    /// Arm Cortex-M33.
    CortexM33 = 3, "cortex-m33";
    /// Arm Cortex-M55.
    CortexM55 = 4, "cortex-m55";
    /// Linux on a 64-bit processor.
    Linux = 5, "linux";
}

/// Whether a device of this class may run the bundle.
///
/// # Errors
/// [`ParseError::DeviceClass`] unless the bundle is for any class or for this one.
pub fn check_device_class(manifest: &Manifest, device: DeviceClass) -> Result<(), ParseError> {
    let bundle = manifest.device_class.get();
    if bundle == DeviceClass::Any.number() || bundle == device.number() {
        Ok(())
    } else {
        Err(ParseError::DeviceClass { bundle, device })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_classes_round_trip() {
        for &class in DeviceClass::ALL {
            assert_eq!(DeviceClass::from_number(class.number()), Some(class));
            assert_eq!(DeviceClass::from_name(class.name()), Some(class));
        }
        assert_eq!(DeviceClass::from_number(6), None);
        assert_eq!(DeviceClass::from_name("cortex-m0"), None);
    }

    #[test]
    fn wrong_device_class_is_refused() {
        let mut manifest = Manifest::read_from_bytes(&[0; MANIFEST_BYTES]).expect("256 bytes");
        for &device in DeviceClass::ALL {
            for bundle in 0..8 {
                manifest.device_class = U32::new(bundle);
                let fits = bundle == 0 || bundle == device.number();
                assert_eq!(check_device_class(&manifest, device).is_ok(), fits);
            }
        }
    }
}
