//! Signed bundles of any size.

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::digest::sha256;
use gradgate_bundle::keys::from_seed;
use gradgate_bundle::signature::VerifyingKey;
use gradgate_bundle::write::sign;

const GOLDEN: &[u8] = include_bytes!("../../../../runtime/bundle/tests/golden/v1.gate");

/// Who signs bundles of tests.
pub fn key() -> VerifyingKey {
    from_seed(&[7; 32]).verifying_key()
}

/// Who does not.
pub fn other_key() -> VerifyingKey {
    from_seed(&[8; 32]).verifying_key()
}

/// The golden bundle, signed by [`key`].
pub fn bundle() -> AlignedBytes {
    sized(0)
}

/// The same with so many bytes of blobs more, a multiple of 16.
pub fn sized(more: usize) -> AlignedBytes {
    let mut bytes = GOLDEN.to_vec();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let blobs = word(&bytes, 84) as usize;
    bytes.extend((0..more).map(|at| ((at * at) >> 3) as u8));
    // Manifest: length of the blobs at byte 88, of the file at 92, digest of the blobs at 128.
    for at in [88, 92] {
        let longer = word(&bytes, at) + more as u32;
        bytes[at..at + 4].copy_from_slice(&longer.to_le_bytes());
    }
    let digest = sha256(&bytes[blobs..]);
    bytes[128..160].copy_from_slice(&digest);
    sign(&mut bytes, &from_seed(&[7; 32])).expect("a bundle");
    AlignedBytes::from(&bytes[..])
}
