//! Signed bundles of any length, for slots: right manifests and digests around noise.

use alloc::vec;
use alloc::vec::Vec;

use gradgate_bundle::keys::from_seed;
use gradgate_bundle::manifest::{DeviceClass, MANIFEST_BYTES, PREFIX_BYTES};
use gradgate_bundle::write::{SigningKey, refresh_digests, sign};

use super::Random;

/// Hardware of the simulated device.
pub const SIM_CLASS: DeviceClass = DeviceClass::CortexM7;

/// Key that signs for the simulated device.
pub fn sim_key() -> SigningKey {
    from_seed(&[1; 32])
}

/// A bundle of `length` bytes, 320 or more: manifest, signature, and blobs of noise with long runs
/// of erased-looking bytes. Its digests are right; nobody could load it.
pub fn sim_bundle(length: u32, counter: u64, class: DeviceClass, key: &SigningKey) -> Vec<u8> {
    let prefix = PREFIX_BYTES as u32;
    let blobs = length.saturating_sub(prefix);
    let mut file = vec![0; (prefix + blobs) as usize];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    // Places of SPEC.md; header, tensors, steps and parameters are empty.
    put(0, b"GRADGATE");
    put(8, &1_u32.to_le_bytes());
    put(12, &class.number().to_le_bytes());
    put(16, &counter.to_le_bytes());
    put(32, &64_u32.to_le_bytes());
    for place in 0..3 {
        put(40 + 4 * place, &1_u32.to_le_bytes());
    }
    for section in 0..5 {
        put(52 + 8 * section, &prefix.to_le_bytes());
    }
    put(88, &blobs.to_le_bytes());
    put(92, &(prefix + blobs).to_le_bytes());
    let mut random = Random(counter ^ u64::from(length) << 32);
    for block in file[PREFIX_BYTES..].chunks_mut(64) {
        match random.below(4) {
            0 => block.fill(0xFF),
            1 => block.fill(0),
            _ => block.iter_mut().for_each(|byte| *byte = random.next() as u8),
        }
    }
    debug_assert!(file.len() >= MANIFEST_BYTES);
    refresh_digests(&mut file);
    sign(&mut file, key).expect("a manifest of this version");
    file
}
