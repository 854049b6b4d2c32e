//! Keys of the link: a device's own, and a site's, from which those of its devices are derived.
//!
//! SPEC.md of gradgate-link, "Keys", says how. A file is one line, `gradgate-link-secret` or
//! `gradgate-site-secret` and 64 hexadecimal digits, like those of the keys that sign bundles.

mod ring;

use std::fmt;

use gradgate_link::mac::{KEY_BYTES, UNPROVISIONED};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use ring::{Keyring, Origin, Secret};

const LINK: &str = "gradgate-link-secret";
const SITE: &str = "gradgate-site-secret";
const DOMAIN: &[u8] = b"gradgate link key 1\0";

/// The chip's own number.
pub type Serial = [u8; 16];

/// A device's key; prints nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkKey([u8; KEY_BYTES]);

/// A site's key; prints nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SiteKey([u8; KEY_BYTES]);

impl fmt::Debug for LinkKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LinkKey")
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SiteKey")
    }
}

/// Why a key file was refused. Never holds key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not one line of the word and 64 hexadecimal digits.
    Format {
        /// The word.
        wanted: &'static str,
    },
    /// A site's key where a device's is needed, or the other way round.
    Other {
        /// The word.
        wanted: &'static str,
    },
    /// Neither a site's key nor a device's.
    Neither,
    /// All zeros: everybody knows that key.
    Zero,
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Format { wanted } => {
                write!(out, "not a key file of this kind (one line: {wanted} and 64 hex digits)")
            }
            KeyError::Other { wanted: LINK } => {
                out.write_str("this is a site's key: give it as --site-key")
            }
            KeyError::Other { .. } => {
                out.write_str("this is one device's key: give it as --link-key")
            }
            KeyError::Neither => write!(
                out,
                "not a key of links (one line: {SITE} or {LINK} and 64 hex digits; `gradgate \
                 keygen --site` and `--link` make one)"
            ),
            KeyError::Zero => {
                out.write_str("zeros are the key that everybody knows: `gradgate keygen --site`")
            }
        }
    }
}

impl std::error::Error for KeyError {}

impl LinkKey {
    /// The key of a device that was given none.
    pub const UNPROVISIONED: LinkKey = LinkKey(UNPROVISIONED);

    /// From bytes drawn at random.
    pub fn new(bytes: [u8; KEY_BYTES]) -> LinkKey {
        LinkKey(bytes)
    }

    /// As the device is given it.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// As packets are tagged with it.
    pub fn key(&self) -> gradgate_link::Key {
        gradgate_link::Key::new(&self.0)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// Anything but one line of the form.
    pub fn parse(text: &str) -> Result<LinkKey, KeyError> {
        parse(text, LINK).map(LinkKey)
    }

    /// Text of a key file; create it readable by its owner alone.
    pub fn text(&self) -> String {
        line(LINK, &self.0)
    }
}

impl SiteKey {
    /// From bytes drawn at random.
    pub fn new(bytes: [u8; KEY_BYTES]) -> SiteKey {
        SiteKey(bytes)
    }

    /// The key of the device whose chip has this number.
    pub fn derive(&self, serial: &Serial) -> LinkKey {
        // HMAC fills a key up to a block with zeros itself; a whole block cannot be refused.
        let mut block = [0; 64];
        block[..KEY_BYTES].copy_from_slice(&self.0);
        let mut keyed = Hmac::<Sha256>::new(&block.into());
        keyed.update(DOMAIN);
        keyed.update(serial);
        LinkKey(keyed.finalize().into_bytes().into())
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// Anything but one line of the form.
    pub fn parse(text: &str) -> Result<SiteKey, KeyError> {
        parse(text, SITE).map(SiteKey)
    }

    /// Text of a key file; create it readable by its owner alone.
    pub fn text(&self) -> String {
        line(SITE, &self.0)
    }
}

fn line(word: &str, bytes: &[u8; KEY_BYTES]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{word} {digits}\n")
}

fn parse(text: &str, wanted: &'static str) -> Result<[u8; KEY_BYTES], KeyError> {
    let format = KeyError::Format { wanted };
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let (word, digits) = line.split_once(' ').ok_or(format)?;
    if [LINK, SITE].contains(&word) && word != wanted {
        return Err(KeyError::Other { wanted });
    }
    let whole = digits.len() == 2 * KEY_BYTES && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if word != wanted || !whole {
        return Err(format);
    }
    let mut bytes = [0; KEY_BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let pair = digits.get(2 * at..2 * at + 2).ok_or(format)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| format)?;
    }
    if bytes == UNPROVISIONED { Err(KeyError::Zero) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_s_key_is_the_one_of_another_implementation() {
        // Python: hmac.new(bytes(range(32)), b"gradgate link key 1\0" + bytes(range(240, 256)),
        // "sha256").hexdigest(), as in SPEC.md.
        let site = SiteKey::new(core::array::from_fn(|at| at as u8));
        let serial = core::array::from_fn(|at| 0xF0 + at as u8);
        let expected = "gradgate-link-secret \
                        040a6815feb6dc1a3b266f26b98e99fbece1487ab806a42d91971ae06cfcd6cb\n";
        assert_eq!(site.derive(&serial).text(), expected);
        assert_eq!(LinkKey::parse(expected), Ok(site.derive(&serial)));
        assert_eq!(SiteKey::parse(&site.text()), Ok(site));
        assert!(!format!("{site:?} {:?}", site.derive(&serial)).contains('0'));
    }

    #[test]
    fn wrong_files_are_refused() {
        let digits = "1f".repeat(32);
        let good = format!("gradgate-site-secret {digits}");
        assert!(SiteKey::parse(&good).is_ok());
        let other = KeyError::Other { wanted: LINK };
        let format = KeyError::Format { wanted: LINK };
        let table = [
            (good.clone(), other),
            (format!("gradgate-link-secret {}", "00".repeat(32)), KeyError::Zero),
            (format!("gradgate-link-secret {digits}0"), format),
            (format!("gradgate-link-secret {}", "+f".repeat(32)), format),
            (format!("gradgate-link-secret {}", "é".repeat(32)), format),
            (format!("gradgate-ed25519-secret {digits}"), format),
            (String::new(), format),
        ];
        for (text, error) in table {
            assert_eq!(LinkKey::parse(&text), Err(error), "{text}");
        }
    }
}
