//! Buffers that begin at a multiple of 16 bytes, as bundles are read in place.

/// Alignment of a bundle in memory and of every blob within it, in bytes.
pub const ALIGNMENT: usize = 16;

/// A value at a 16-byte boundary: `static BUNDLE: Aligned<[u8; N]> = Aligned(*include_bytes!(..))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Aligned<T>(pub T);

impl<const N: usize> Aligned<[u8; N]> {
    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(feature = "write")]
pub use owned::AlignedBytes;

#[cfg(feature = "write")]
mod owned {
    use alloc::vec::Vec;
    use core::ops::{Deref, DerefMut};

    use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

    use super::ALIGNMENT;

    #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C, align(16))]
    struct Chunk([u8; ALIGNMENT]);

    /// An owned buffer at a 16-byte boundary; read a file into `AlignedBytes::zeroed(length)`.
    #[derive(Clone)]
    pub struct AlignedBytes {
        chunks: Vec<Chunk>,
        length: usize,
    }

    impl AlignedBytes {
        /// `length` zero bytes.
        pub fn zeroed(length: usize) -> Self {
            let mut chunks = Vec::new();
            chunks.resize(length.div_ceil(ALIGNMENT), Chunk::new_zeroed());
            Self { chunks, length }
        }
    }

    impl From<&[u8]> for AlignedBytes {
        fn from(bytes: &[u8]) -> Self {
            let mut own = Self::zeroed(bytes.len());
            own.copy_from_slice(bytes);
            own
        }
    }

    impl Deref for AlignedBytes {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            &self.chunks.as_bytes()[..self.length]
        }
    }

    impl DerefMut for AlignedBytes {
        fn deref_mut(&mut self) -> &mut [u8] {
            &mut self.chunks.as_mut_bytes()[..self.length]
        }
    }

    impl core::fmt::Debug for AlignedBytes {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            write!(f, "AlignedBytes({} bytes)", self.length)
        }
    }
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;

    #[test]
    fn owned_bytes_are_aligned_and_keep_their_length() {
        for length in [0_usize, 1, 15, 16, 17, 1000] {
            let source: alloc::vec::Vec<u8> = (0..length).map(|i| i as u8).collect();
            let own = AlignedBytes::from(&source[..]);
            assert_eq!(&own[..], &source[..]);
            assert_eq!(own.as_ptr() as usize % ALIGNMENT, 0);
        }
    }
}
