//! Who wrote a packet: HMAC-SHA-256 under the device's key, its first 16 bytes.
//!
//! SHA-256 is on the device for its bundles; another hash would be code to carry and to trust.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Length of a key in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of a tag in bytes.
pub const TAG_BYTES: usize = 16;

/// Bytes of the key of a device that was given none yet. Everybody has it: such a device takes
/// commands of anybody at its cable, and bundles of whose key its firmware holds alone.
pub const UNPROVISIONED: [u8; KEY_BYTES] = [0; KEY_BYTES];

/// Goes before every packet: a tag made for another purpose under the same key is none here.
const DOMAIN: &[u8] = b"gradgate link 1\0";

/// What host and one device share; prints nothing of it.
#[derive(Clone)]
pub struct Key {
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key")
    }
}

impl Key {
    /// From bytes drawn at random for this device.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Key {
        // HMAC fills a key up to a block with zeros itself; a whole block cannot be refused.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = *from;
        }
        let mut keyed = Hmac::<Sha256>::new(&block.into());
        keyed.update(DOMAIN);
        Key { keyed }
    }

    /// The tag of `bytes`.
    pub fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        let mut keyed = self.keyed.clone();
        keyed.update(bytes);
        let whole: [u8; 32] = keyed.finalize().into_bytes().into();
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(whole) {
            *to = from;
        }
        tag
    }

    /// Whether `tag` is the tag of `bytes`; the time does not tell where they differ.
    pub fn is_tag(&self, bytes: &[u8], tag: &[u8; TAG_BYTES]) -> bool {
        let mut keyed = self.keyed.clone();
        keyed.update(bytes);
        keyed.verify_truncated_left(tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_is_the_one_of_another_implementation() {
        // Python: hmac.new(bytes(range(32)), b"gradgate link 1\0abc", "sha256").hexdigest()[:32]
        let key = Key::new(&core::array::from_fn(|at| at as u8));
        let expected = 0x7a7d_3f9e_4ad8_f6b9_4645_2b1b_3673_f256_u128.to_be_bytes();
        assert_eq!(key.tag(b"abc"), expected);
    }

    #[test]
    fn any_wrong_bit_is_another_tag() {
        let key = Key::new(&[7; KEY_BYTES]);
        let tag = key.tag(b"reboot");
        assert!(key.is_tag(b"reboot", &tag));
        assert!(!key.is_tag(b"rebooT", &tag));
        assert!(!Key::new(&[8; KEY_BYTES]).is_tag(b"reboot", &tag));
        for bit in 0..TAG_BYTES * 8 {
            let mut wrong = tag;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.is_tag(b"reboot", &wrong), "bit {bit}");
        }
    }
}
